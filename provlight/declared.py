"""The dataflow as known on the device: which attributes each set has, to check calls against."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple
else:
    from .namedtuples import NamedTuple


class Attributes(NamedTuple):
    """The attributes of one set, in the order of their declaration."""

    names: Tuple[str, ...]
    numeric: Tuple[bool, ...]  # whether each takes numbers only

    def place(self, name: str) -> Optional[int]:
        """Where the attribute is, whatever the case of its name; None when there is none."""
        if name in self.names:
            return self.names.index(name)
        lower = [known.lower() for known in self.names]
        return lower.index(name.lower()) if name.lower() in lower else None


class Declared:
    """Sets of evaluated dataflows, found by tag in lower case."""

    def __init__(self, dataflows: Sequence[Dict[str, Any]]) -> None:
        self._sets: Dict[str, Dict[str, Attributes]] = {}
        for dataflow in dataflows:
            for transformation in dataflow.get("transformations", ()):
                for item in transformation.get("sets", ()):
                    # A consumer that names the producer takes the producer's list, whatever it repeats of it.
                    listed = () if item.get("dependency") else item.get("attributes", ())
                    attributes = [(one["name"], one.get("type") == "NUMERIC") for one in listed]
                    made = Attributes(tuple([name for name, _ in attributes]), tuple([is_ for _, is_ in attributes]))
                    known = self._sets.setdefault(item["tag"].lower(), {})
                    if attributes or dataflow["tag"].lower() not in known:
                        known[dataflow["tag"].lower()] = made

    def has_set(self, tag: str) -> bool:
        """Whether a dataflow has such a set."""
        return tag.lower() in self._sets

    def attributes(self, tag: str, workflow_id: Any) -> List[Attributes]:
        """The declarations of a set: that of the workflow's dataflow, else those of all dataflows.

        Raises:
            ValueError: no dataflow has such a set.
        """
        known = self._sets.get(tag.lower())
        if known is None:
            raise ValueError("the dataflow has no set {!r}{}".format(tag, _nearest(tag, self._sets)))
        own = known.get(str(getattr(workflow_id, "id", workflow_id)).lower())
        return [own] if own is not None else list(known.values())

    def check_named(self, tag: str, workflow_id: Any, names: Sequence[str]) -> None:
        """Raise ValueError when there is no such set, or it has no such attributes."""
        alternatives = self.attributes(tag, workflow_id)
        wrong = [[name for name in names if known.place(name) is None] for known in alternatives]
        if all(wrong):
            name, known = wrong[0][0], alternatives[0].names
            raise ValueError("set {!r} has no attribute {!r}{}".format(tag, name, _nearest(name, known)))

    def check_positional(self, tag: str, workflow_id: Any, count: int) -> None:
        """Raise ValueError when there is no such set, or it has another number of attributes."""
        alternatives = self.attributes(tag, workflow_id)
        if all(len(known.names) != count for known in alternatives):
            known = alternatives[0].names
            raise ValueError("set {!r} has {} attributes ({}), not {}".format(tag, len(known), ", ".join(known), count))

    def is_complete(self, tag: str, workflow_id: Any, names: Iterable[str]) -> bool:
        """Whether these are all the attributes of the set, in any order."""
        return any(set(names) == set(known.names) for known in self.attributes(tag, workflow_id))

    def numeric(self, tag: str, workflow_id: Any, names: Optional[Sequence[str]], width: int) -> Tuple[bool, ...]:
        """For each of the values of a row, whether it must be a number whichever dataflow it belongs to."""
        flags = []
        for known in self.attributes(tag, workflow_id):
            places = [known.place(name) for name in names] if names is not None else list(range(width))
            if all(place is not None and place < len(known.names) for place in places):
                flags.append([known.numeric[place] for place in places if place is not None])
        return tuple([all(column) for column in zip(*flags)]) if flags else (False,) * width


def is_number(value: Any) -> bool:
    """Whether a NUMERIC attribute takes a value: numbers, booleans, None, and texts that are numbers."""
    if value is None or isinstance(value, (bool, int, float)):
        return True
    if not isinstance(value, str):
        return False
    try:
        float(value.replace("_", "?"))  # 1_000 is a number in Python only
    except ValueError:
        return False
    return True


def read_declared(path: str) -> Declared:
    """Read what ``python -m provlight.dataflow.evaluate`` printed.

    Raises:
        ValueError: unreadable or not such a file.
    """
    import json  # not before it is needed: importing provlight must stay cheap

    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        return Declared(document["dataflows"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("dataflow {} cannot be used: {!r}".format(path, error)) from error


def _nearest(name: str, known: Any) -> str:
    import difflib

    candidates = list(known)
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    if near:
        return ": did you mean {!r}?".format(near[0])
    return ": it has {}".format(", ".join(sorted(candidates)[:20])) if candidates else ""
