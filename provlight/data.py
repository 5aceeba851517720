"""Data: the values of one set that a task used or generated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from . import capture
from .declared import is_number
from .files import File, Observed
from .shapes import MAX_COLUMN, MAX_NAME, SetShape
from .values import MAX_INT_BITS, MAX_TEXT, PLAIN, SIZED, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Sequence, Tuple

    from .identity import Identity

    _Known = Tuple[SetShape, Optional[Tuple[bool, ...]], int]
    _Layout = Tuple[Optional[Tuple[str, ...]], int, List[Any]]

_HARMLESS = PLAIN - SIZED - {int}  # whatever their value, they can be carried
_SEQUENCES = (list, tuple)
_MAX_KNOWN = 1024
_NUMBERS = frozenset((type(None), bool, int, float))
_known_shapes: Dict[Tuple[Any, ...], _Known] = {}
_recent: Dict[str, Tuple[Tuple[Any, ...], _Known]] = {}  # of each tag that layout which came last
_BASE_WEIGHT = 160
_VALUE_WEIGHT = 32  # bytes that a number and its reference take
_MAX_TEXT_SUM = 4 * MAX_TEXT


class Data:
    """Values of one set.

    Args:
        data_id: tag of the set.
        workflow_id: identity of the workflow (or the :class:`~provlight.workflow.Workflow`).
        derivations: identities of the data that this one was derived from.
        attributes: the values. Scalars are *named*: ``{"kernel_size": 3}``; a list of such dictionaries gives several
            rows. Lists are *positional*: ``{"any_name": [3, 16]}`` is flattened in order and must match the declared
            attributes; a list of lists gives several rows.

    Values are None, bool, int, float, str, bytes, datetime, paths, :class:`~provlight.File` and numpy scalars; they are
    copied at once. When the dataflow is known on the device (setting ``dataflow``) names, counts and types are checked
    here.

    Raises:
        TypeError: a value that cannot be captured.
        ValueError: values that do not fit the set, or are too long.
    """

    __slots__ = ("files", "shape", "values", "weight", "workflow_id")

    shape: SetShape
    """Tag, names and number of the values."""
    values: List[Any]
    """The values, row by row."""

    def __init__(
        self,
        data_id: Identity,
        workflow_id: Any,
        derivations: Optional[Sequence[Any]] = None,
        attributes: Optional[Any] = None,
    ) -> None:
        tag = data_id if type(data_id) is str else _text(data_id, "the tag of a set")
        self.workflow_id = workflow_id
        self.files: Tuple[Observed, ...] = ()
        key: Optional[Tuple[Any, ...]] = None
        if type(attributes) is dict and not derivations:
            # The common cases, named scalars or one list, of a set that was checked before.
            names: Any
            count = -1
            if len(attributes) == 1:
                ((names, values),) = attributes.items()
                if type(values) is list:
                    values = values[:]
                    count = len(values)
                else:
                    values = [values]
            else:
                names, values = tuple(attributes), list(attributes.values())
            kinds = set(map(type, values))
            harmless = kinds <= _HARMLESS
            if not harmless and not kinds <= PLAIN:
                values = _scalars(values)
                kinds = set(map(type, values))
            if values or not attributes:
                key = (tag, names, count, workflow_id, capture.generation)
                recent = _recent.get(tag)
                if recent is not None and recent[0] == key:  # cheaper than hashing so many names
                    known: Optional[_Known] = recent[1]
                else:
                    known = _known_shapes.get(key)
                    if known is not None:
                        _recent[tag] = key, known
                if known is not None:
                    shape, numeric, self.weight = known
                    if numeric is not None and not kinds <= _NUMBERS:
                        _check_numbers(shape, values, numeric)
                    if not harmless:
                        self.weight += _bounded(shape, values)
                    self.shape = shape
                    self.values = values
                    return
        derived = tuple([_text(getattr(d, "tag", d), "a derivation") for d in derivations]) if derivations else ()
        names, rows, values = _layout(tag, workflow_id, attributes)
        width = len(names) if names is not None else (len(values) // rows if rows else 0)
        if len(values) > MAX_COLUMN:
            raise ValueError("set {!r}: {} values are more than {}".format(tag, len(values), MAX_COLUMN))
        kinds = set(map(type, values))
        shape = SetShape(tag, names, width, rows, derived)
        if not kinds <= PLAIN:
            if any(isinstance(value, File) for value in values):
                self.files = _observed(shape, values)
            values = _plain_values(shape, values)
        declared = capture.declared()
        numeric = declared.numeric(tag, workflow_id, names, width) if declared is not None and values else None
        if numeric is not None:
            _check_numbers(shape, values, numeric)
        weight = self.weight = _BASE_WEIGHT + _VALUE_WEIGHT * len(values)
        if not kinds <= _HARMLESS:
            self.weight += _bounded(shape, values)
        self.shape = shape
        self.values = values
        if key is not None:
            _learn(key, (shape, numeric, weight))

    @property
    def tag(self) -> str:
        """Tag of the set."""
        return self.shape.tag

    def __repr__(self) -> str:
        return "Data({!r}, {} values)".format(self.tag, len(self.values))


def _layout(tag: str, workflow_id: Any, attributes: Any) -> _Layout:
    """``(names or None, rows, values row by row)``."""
    if attributes is None or (not isinstance(attributes, Mapping) and len(attributes) == 0):
        return None, 0, []
    if isinstance(attributes, Mapping):
        values = list(attributes.values())
        lists = [value for value in values if _is_sequence(value)]
        if not lists:
            names = _attribute_names(tag, attributes)
            declared = capture.declared()
            if declared is not None:
                declared.check_named(tag, workflow_id, names)
            return names, 1, values
        if len(lists) != len(values):
            raise ValueError(
                "set {!r}: some attributes are lists and some are not: give scalars for named values, "
                "lists for positional ones".format(tag)
            )
        return _from_lists(tag, workflow_id, attributes, [_as_list(value) for value in lists])
    rows = _as_list(attributes)
    if all(isinstance(row, Mapping) for row in rows):
        return _named_rows(tag, workflow_id, rows)
    if all(_is_sequence(row) for row in rows):
        return _positional_rows(tag, workflow_id, [_as_list(row) for row in rows])
    return _positional(tag, workflow_id, rows)


def _from_lists(tag: str, workflow_id: Any, attributes: Mapping[str, Any], lists: List[List[Any]]) -> _Layout:
    declared = capture.declared()
    lengths = {len(values) for values in lists}
    if declared is not None and len(lengths) == 1 and declared.is_complete(tag, workflow_id, attributes):
        # Every declared attribute has its own list: these are columns, whatever their order.
        return _attribute_names(tag, attributes), lengths.pop(), list(chain.from_iterable(zip(*lists)))
    return _positional(tag, workflow_id, list(chain.from_iterable(lists)))


def _positional(tag: str, workflow_id: Any, values: List[Any]) -> _Layout:
    declared = capture.declared()
    if declared is not None:
        declared.check_positional(tag, workflow_id, len(values))
    return None, 1, values


def _named_rows(tag: str, workflow_id: Any, rows: List[Mapping[str, Any]]) -> _Layout:
    order: Dict[str, None] = {}
    for row in rows:
        order.update(dict.fromkeys(_attribute_names(tag, row)))
    names = tuple(order)
    declared = capture.declared()
    if declared is not None:
        declared.check_named(tag, workflow_id, names)
    return names, len(rows), [row.get(name) for row in rows for name in names]


def _positional_rows(tag: str, workflow_id: Any, rows: List[List[Any]]) -> _Layout:
    width = len(rows[0])
    for row in rows:
        if len(row) != width:
            raise ValueError("set {!r}: rows have {} and {} values".format(tag, width, len(row)))
    declared = capture.declared()
    if declared is not None:
        declared.check_positional(tag, workflow_id, width)
    return None, len(rows), list(chain.from_iterable(rows))


def _attribute_names(tag: str, attributes: Mapping[Any, Any]) -> Tuple[str, ...]:
    names = tuple(attributes)
    for name in names:
        if type(name) is not str or not 0 < len(name) <= MAX_NAME:
            raise ValueError(
                "set {!r}: {!r} is not the name of an attribute: give a text of 1 to {} characters".format(
                    tag, name, MAX_NAME
                )
            )
    return names


def _is_sequence(value: Any) -> bool:
    return isinstance(value, _SEQUENCES) or (getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"))


def _as_list(value: Any) -> List[Any]:
    converted = value.tolist() if hasattr(value, "tolist") else value
    return list(converted)


def _plain_values(shape: SetShape, values: List[Any]) -> List[Any]:
    converted = []
    for index, value in enumerate(values):
        try:
            converted.append(plain(value))
        except (TypeError, ValueError) as error:
            place = _place_name(shape, index % shape.width)
            raise type(error)("set {!r}, {}: {}".format(shape.tag, place, error)) from None
    return converted


def _scalars(values: List[Any]) -> List[Any]:
    """The values as plain scalars; nothing when some are files or sequences, or cannot be captured."""
    found = []
    for value in values:
        if type(value) not in PLAIN:
            if isinstance(value, File) or _is_sequence(value):
                return []
            try:
                value = plain(value)
            except (TypeError, ValueError):
                return []
        found.append(value)
    return found


def _bounded(shape: SetShape, values: List[Any]) -> int:
    """Check the bounds of integers and texts. Returns the length of all texts."""
    integers = [value for value in values if type(value) is int]
    texts = list(map(len, [value for value in values if type(value) in SIZED]))
    if (integers and max(map(int.bit_length, integers)) > MAX_INT_BITS) or (texts and max(texts) > MAX_TEXT):
        _plain_values(shape, values)  # names the culprit
    total = sum(texts)
    if total > _MAX_TEXT_SUM:
        raise ValueError(
            "set {!r}: texts of {} characters in all are longer than {}".format(shape.tag, total, _MAX_TEXT_SUM)
        )
    return total


def _observed(shape: SetShape, values: Sequence[Any]) -> Tuple[Observed, ...]:
    """The files among the values, as they are now."""
    found = []
    for index, value in enumerate(values):
        if isinstance(value, File):
            place = index % shape.width
            one = Observed(value, shape.tag, shape.names[place] if shape.names is not None else place)
            if one.missing:
                capture.current().report.misuse(
                    "file",
                    "set {!r}: {} is captured without size and digest: {}".format(shape.tag, one.path, one.problem),
                )
            found.append(one)
    return tuple(found)


def _check_numbers(shape: SetShape, values: Sequence[Any], numeric: Sequence[bool]) -> None:
    for index, value in enumerate(values):
        place = index % shape.width
        if numeric[place] and not is_number(value):
            shown = repr(value) if isinstance(value, str) and len(value) <= 40 else "a " + type(value).__name__
            raise ValueError("set {!r}, {}: {} is not a number".format(shape.tag, _place_name(shape, place), shown))


def _place_name(shape: SetShape, place: int) -> str:
    return shape.names[place] if shape.names else "value {}".format(place + 1)


def _learn(key: Tuple[Any, ...], known: _Known) -> None:
    if len(_known_shapes) >= _MAX_KNOWN:
        _known_shapes.clear()
        _recent.clear()
    _known_shapes[key] = known


def _text(value: Any, what: str) -> str:
    text = str(value)
    if not 0 < len(text) <= MAX_NAME:
        raise ValueError("{} must have 1 to {} characters".format(what, MAX_NAME))
    return text
