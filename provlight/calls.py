"""What a call of a captured function used and generated: its arguments and its result, as attributes of sets."""

from __future__ import annotations

from collections.abc import Mapping

from . import capture
from .data import Data
from .files import File
from .values import PLAIN, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

    Sets = Union[str, bool, None, Mapping[str, Union[Sequence[str], Mapping[str, str]]]]
    """What an argument ``used`` or ``generated`` may be."""

    Plan = Tuple[Tuple[str, Optional[Dict[str, str]]], ...]
    """Sets by tag, with the attribute for each name of the function; None stands for all names."""

_VARARGS, _VARKEYWORDS = 0x04, 0x08  # flags of a code object
_MISSING: Any = object()
_MAX_ITEMS = 256


def plan(given: Sets, default: str) -> Plan:
    """Bring an argument ``used`` or ``generated`` into one form.

    Raises:
        TypeError: it is none of the forms that are taken.
    """
    if given is None or given is True:
        return ((default, None),)
    if given is False:
        return ()
    if isinstance(given, str):
        return ((given, None),)
    if not isinstance(given, Mapping):
        raise TypeError("give the tag of a set, or a dictionary of tags and names, not {!r}".format(given))
    made = []
    for tag, names in given.items():
        if isinstance(names, str):
            names = [names]
        chosen = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
        if not all(isinstance(name, str) for pair in chosen.items() for name in pair):
            raise TypeError("set {!r}: the names of attributes must be texts".format(tag))
        made.append((str(tag), chosen))
    return tuple(made)


class Parameters:
    """The parameters of a function, and the values that a call gives them.

    ``self`` and ``cls`` are not among them.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        code = getattr(function, "__code__", None)
        self._template: Dict[str, Any] = {}  # in the order of the signature
        self._rest = self._others = ""
        if code is None or hasattr(function, "__wrapped__"):
            self._ask_inspect(function)
        else:
            names = code.co_varnames
            positional, total = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
            self._positional: Tuple[str, ...] = names[:positional]
            self._template = dict.fromkeys(names[:total], _MISSING)
            defaults = getattr(function, "__defaults__", None) or ()
            self._template.update(zip(names[positional - len(defaults) : positional], defaults))
            self._template.update(getattr(function, "__kwdefaults__", None) or {})
            if code.co_flags & _VARARGS:
                self._rest = names[total]
                total += 1
            if code.co_flags & _VARKEYWORDS:
                self._others = names[total]
        first = self._positional[0] if self._positional else ""
        self._bound = first if first in ("self", "cls") else ""

    def _ask_inspect(self, function: Callable[..., Any]) -> None:
        import inspect  # large, and seldom needed

        positional: List[str] = []
        self._positional = ()
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):  # some functions written in C do not tell
            self._rest, self._others = "arguments", "named"
            return
        for name, parameter in parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._others = name
            else:
                self._template[name] = _MISSING if parameter.default is parameter.empty else parameter.default
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    positional.append(name)
        self._positional = tuple(positional)

    def values(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        """The value of each parameter by name, None when the call does not fit the function."""
        values = dict(self._template)
        values.update(zip(self._positional, arguments))
        if named:
            if not self._others and not values.keys() >= named.keys():
                return None
            values.update(named)
        extra = len(arguments) - len(self._positional)
        if extra > 0:
            if not self._rest:
                return None
            values[self._rest] = arguments[-extra:]
        if self._bound:
            values.pop(self._bound, None)
        for value in values.values():
            if value is _MISSING:
                return None
        return values


def data_of(sets: Plan, values: Mapping[str, Any], workflow: str, where: str) -> List[Data]:
    """Named values as Data; what cannot be captured is left out and said once."""
    found = []
    for tag, chosen in sets:
        if chosen is None:
            attributes = dict(values)
        else:
            attributes = {attribute: values[name] for name, attribute in chosen.items() if name in values}
        if attributes:
            data = _data(tag, attributes, workflow, where)
            if data is not None:
                found.append(data)
    return found


def result_of(sets: Plan, result: Any, workflow: str, where: str) -> List[Data]:
    """A function's result as Data: a dictionary, dataclass or named tuple by names, rows of them, else by position."""
    if result is None or not sets:
        return []
    named = _named(result)
    if named is not None:
        return data_of(sets, named, workflow, where)
    if isinstance(result, list) and result:
        rows = [_named(item) for item in result]
        if all(row is not None for row in rows):
            return [data for tag, chosen in sets for data in _rows(tag, chosen, rows, workflow, where)]
    values = list(result) if isinstance(result, (tuple, list)) else [result]
    names = [name for _, chosen in sets if chosen is not None for name in chosen]
    if names:
        if len(values) != len(names):
            _say(where, "its result has {} values, not the {} named".format(len(values), len(names)))
            return []
        return data_of(sets, dict(zip(names, values)), workflow, where)
    try:
        shown = [_scalar(value) for value in values]
        return [Data(tag, workflow, (), [shown]) for tag, _ in sets]
    except (TypeError, ValueError) as error:
        _say(where, "its result is not captured: {}".format(error))
        return []


def _rows(tag: str, chosen: Optional[Dict[str, str]], rows: Sequence[Any], workflow: str, where: str) -> List[Data]:
    if chosen is not None:
        rows = [{chosen[name]: value for name, value in row.items() if name in chosen} for row in rows]
    try:
        return [Data(tag, workflow, (), [{name: _scalar(value) for name, value in row.items()} for row in rows])]
    except (TypeError, ValueError) as error:
        _say(where, "its result is not captured: {}".format(error))
        return []


def _named(value: Any) -> Optional[Dict[str, Any]]:
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items()}
    kind = type(value)
    names = getattr(kind, "__dataclass_fields__", None) or (isinstance(value, tuple) and getattr(kind, "_fields", None))
    return {name: getattr(value, name) for name in names if hasattr(value, name)} if names else None


def _data(tag: str, attributes: Dict[str, Any], workflow: str, where: str) -> Optional[Data]:
    if not set(map(type, attributes.values())) <= PLAIN:
        attributes = _kept(attributes, where, _scalar)
    try:
        return Data(tag, workflow, (), attributes) if attributes else None
    except (TypeError, ValueError):
        attributes = _kept(attributes, where, lambda value, name: Data(tag, workflow, (), {name: value}) and value)
    try:
        return Data(tag, workflow, (), attributes) if attributes else None
    except (TypeError, ValueError) as error:  # each of them is right, and all together are too long
        _say(where, "{} is not captured: {}".format(where, error))
        return None


def _kept(attributes: Mapping[str, Any], where: str, convert: Callable[[Any, str], Any]) -> Dict[str, Any]:
    """The attributes that can be captured; the others are said."""
    kept = {}
    for name, value in attributes.items():
        try:
            kept[name] = convert(value, name)
        except (TypeError, ValueError) as error:
            _say("{}.{}".format(where, name), "{} of {} is not captured: {}".format(name, where, error))
    return kept


def _scalar(value: Any, name: str = "") -> Any:  # noqa: ARG001 the other conversion needs it
    """A value that an attribute can hold. Small lists, tuples, sets and dictionaries of such values become text.

    Raises:
        TypeError: there is none.
        ValueError: it is too long.
    """
    kind = type(value)
    if kind in PLAIN or kind is File:
        return value
    if kind in (list, tuple, dict, set, frozenset):
        if _count(value, 0) > _MAX_ITEMS:
            raise ValueError("a {} of more than {} values is too long".format(kind.__name__, _MAX_ITEMS))
        return repr(value)
    return plain(value)


def _count(value: Any, found: int) -> int:
    """Values in nested containers; stops counting when there are too many."""
    kind = type(value)
    if kind not in (list, tuple, dict, set, frozenset):
        plain(value)
        return found + 1
    found += 1
    for item in value.items() if kind is dict else value:
        found = _count(item, found)
        if found > _MAX_ITEMS:
            break
    return found


def _say(where: str, sentence: str) -> None:
    report = capture.current().report
    report.misuses["not captured"] = report.misuses.get("not captured", 0) + 1
    report.say("not captured: " + where, sentence)
