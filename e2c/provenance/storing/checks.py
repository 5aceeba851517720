"""What of a group cannot be stored, and why."""

from __future__ import annotations

import difflib
from array import array
from collections.abc import Sequence

from e2c.provenance.columns import EARLIEST_US, LATEST_US
from e2c.provenance.dataflows.catalogue import Flow
from provlight.wire import FILES, FileFact, Group, WireError, file_facts

NO_IDENTITY = "a task without identity"
_LIKE = 0.85  # from which similarity of names on an undeclared set is taken for a mistyped one


class WrongShapeError(Exception):
    """No record of this shape can be stored; the message says why."""


def clean(text: str) -> str:
    """A text without NUL characters, which the database cannot hold."""
    return text.replace("\0", "\\0")


def check_names(names: Sequence[str]) -> None:
    """Refuse names that no table or column can be made of."""
    for name in names:
        if not name or "\0" in name:
            raise WrongShapeError("a name is empty" if not name else "a name holds a NUL character")


def check_spelling(flow: Flow, tag: str) -> None:
    """Refuse a set that was not declared when a declared one has nearly the same name."""
    near = nearest(tag.lower(), [name for name, table in flow.sets.items() if table.declared], _LIKE)
    if near is not None:
        raise WrongShapeError(f"dataflow {flow.tag!r} has no set {tag!r}: did you mean {near!r}?")


def nearest(name: str, known: Sequence[str], cutoff: float) -> str | None:
    """The known name that resembles one most, if any does."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return found[0] if found else None


def impossible(group: Group) -> dict[int, str]:
    """Records whose time or identity the database cannot hold."""
    wrong: dict[int, str] = {}
    times = group.times_us
    if min(times) < EARLIEST_US or max(times) > LATEST_US:
        for place, time_us in enumerate(times):
            if not EARLIEST_US <= time_us <= LATEST_US:
                wrong[place] = f"the time {time_us} us is outside the calendar"
    if not isinstance(group.tasks, array):
        for place, task in enumerate(group.tasks):
            if task is None:
                wrong[place] = NO_IDENTITY
            elif isinstance(task, str) and "\0" in task:
                wrong[place] = "an identity with a NUL character cannot be stored"
    return wrong


def files_of(group: Group, wrong: dict[int, str]) -> list[list[FileFact]]:
    """The files of each record."""
    found: list[list[FileFact]] = []
    for place, packed in enumerate(group.extras.get(FILES, ())):
        try:
            found.append(file_facts(packed) if packed is not None else [])
        except WireError as error:
            wrong[place] = str(error)
            found.append([])
    return found
