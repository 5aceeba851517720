"""``NamedTuple`` at run time.

The one of ``typing`` would load that module, which takes as long as all of this package. It is used as that one is::

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from typing import NamedTuple
    else:
        from .namedtuples import NamedTuple
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple


class _Maker(type):
    def __new__(cls, name: str, bases: Tuple[type, ...], space: Dict[str, Any]) -> Any:
        if not bases:
            return super().__new__(cls, name, bases, space)
        fields = list(space.pop("__annotations__"))
        defaults = [space.pop(field) for field in fields if field in space]
        made = namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]
        return type(name, (made,), {"__slots__": (), **space})


class NamedTuple(metaclass=_Maker):
    """A tuple whose items have names: the annotations of the class, the last ones perhaps with a default."""
