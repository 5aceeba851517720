"""The dataflow as known on the device: which attributes each set has, to check calls against."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Sequence, Tuple

_Attributes = Tuple[str, ...]


class Declared:
    """Sets of evaluated dataflows, found by tag in lower case."""

    def __init__(self, dataflows: Sequence[Dict[str, Any]]) -> None:
        self._sets: Dict[str, Dict[str, _Attributes]] = {}
        for dataflow in dataflows:
            for transformation in dataflow.get("transformations", ()):
                for item in transformation.get("sets", ()):
                    names = tuple([attribute["name"] for attribute in item.get("attributes", ())])
                    known = self._sets.setdefault(item["tag"].lower(), {})
                    # A consumer may repeat a set without its attributes: the producer's list counts.
                    known[dataflow["tag"].lower()] = names or known.get(dataflow["tag"].lower(), ())

    def attributes(self, tag: str, workflow_id: Any) -> List[_Attributes]:
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
        wrong = [[name for name in names if name not in known] for known in alternatives]
        if all(wrong):
            name = wrong[0][0]
            raise ValueError("set {!r} has no attribute {!r}{}".format(tag, name, _nearest(name, alternatives[0])))

    def check_positional(self, tag: str, workflow_id: Any, count: int) -> None:
        """Raise ValueError when there is no such set, or it has another number of attributes."""
        alternatives = self.attributes(tag, workflow_id)
        if all(len(known) != count for known in alternatives):
            known = alternatives[0]
            raise ValueError("set {!r} has {} attributes ({}), not {}".format(tag, len(known), ", ".join(known), count))

    def is_complete(self, tag: str, workflow_id: Any, names: Iterable[str]) -> bool:
        """Whether these are all the attributes of the set, in any order."""
        return any(set(names) == set(known) for known in self.attributes(tag, workflow_id))


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
