"""What is wrong with a scenario: every problem with its place, its reason and its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from e2c.errors import ScenarioError

Severity = Literal["error", "warning"]
Path = tuple[str | int, ...]
"""Way from the top of a file to a value: keys, and positions in lists from 0."""

SHOWN = 60
"""Characters of a value that a message shows."""
MAX_COMPARED = 100
"""Characters of a name that are compared with known names, because comparing takes their square."""
MAX_KNOWN = 500
"""Known names that a name is compared with."""
MAX_PROBLEMS = 1000
"""Problems of one kind of check that are told; a file with more is damaged as a whole."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (``error``) or odd (``warning``) in a file of the scenario.

    Attributes:
        file: path of the file, as the user gave it.
        line, column: from 1; 0 where the problem has no place in the file.
        path: way to the value, ``layers[0].services[1].quantity``; empty for the file as a whole.
        severity: an ``error`` refuses the scenario.
        code: stable name of the kind of problem.
        message: what is wrong, one clause without a final full stop.
        hint: what to do, one clause without a final full stop; may be empty.
        source: the offending line of the file.
    """

    file: str
    line: int
    column: int
    path: str
    severity: Severity
    code: str
    message: str
    hint: str = ""
    source: str = ""

    @property
    def where(self) -> str:
        """``file:line:column``, or the file alone where the problem has no line."""
        file = printable(self.file)
        return f"{file}:{self.line}:{self.column}" if self.line else file

    def sentence(self) -> str:
        """``file:line:column: error: message. Hint.``"""
        text = f"{self.where}: {self.severity}: {self.message}."
        return f"{text} {self.hint}{'' if self.hint.endswith('?') else '.'}" if self.hint else text

    __str__ = sentence

    def excerpt(self) -> str:
        """The offending line with a caret under the place; empty where there is none."""
        if not self.line or not self.source:
            return ""
        start = max(0, self.column - SHOWN)
        near = self.source[start : start + 2 * SHOWN].replace("\t", " ")
        shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in near)
        return f"    {shown}\n    {' ' * (self.column - 1 - start)}^"

    def as_dict(self) -> dict[str, Any]:
        """The form of ``--format json``: eight keys, always all."""
        names = ("file", "line", "column", "path", "severity", "code", "message", "hint")
        return {**{name: getattr(self, name) for name in names}, "file": printable(self.file)}


class ProblemsError(ScenarioError):
    """The scenario has at least one error; ``problems`` holds all problems, warnings included."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        count = len(errors(self.problems))
        super().__init__(f"{count} {'problem' if count == 1 else 'problems'} in the scenario")

    def __str__(self) -> str:
        blocks = ((problem.sentence(), problem.excerpt()) for problem in self.problems)
        return "\n".join(part for block in blocks for part in block if part)


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those that refuse the scenario."""
    return [problem for problem in problems if problem.severity == "error"]


def raise_errors(problems: Sequence[Problem]) -> None:
    """Raise when any of the problems is an error.

    Raises:
        ProblemsError: with all problems, warnings included.
    """
    if errors(problems):
        raise ProblemsError(problems)


def bounded(problems: Iterable[Problem]) -> list[Problem]:
    """The first :data:`MAX_PROBLEMS`, then one that says there are more; what follows is not even looked for."""
    found = list(islice(problems, MAX_PROBLEMS + 1))
    if len(found) <= MAX_PROBLEMS:
        return found
    severity: Severity = "error" if errors(found) else "warning"
    message = f"there are more than {MAX_PROBLEMS} problems of this sort; the others are not told"
    further = Problem(found[-1].file, 0, 0, "", severity, "problems-many", message, "Mend those that are told first")
    return [*found[:-1], further]


def dotted(path: Path) -> str:
    """``layers[0].services[1].quantity``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that the user probably meant, whatever its case; ``None`` when nothing is near."""
    return _nearest(name[:MAX_COMPARED].lower(), tuple(islice(known, MAX_KNOWN)), cutoff)


@lru_cache(maxsize=4096)
def _nearest(wanted: str, known: tuple[str, ...], cutoff: float) -> str | None:
    by_lower = {candidate.lower(): candidate for candidate in known}
    # what differs too much in length alone need not be compared
    least = cutoff / (2 - cutoff)
    comparable = [name for name in by_lower if least * len(name) <= len(wanted) and least * len(wanted) <= len(name)]
    found = get_close_matches(wanted, comparable, n=1, cutoff=cutoff) if comparable else []
    # letters in another order (evn for env) count as near, however short the name
    found = found or [name for name in comparable if len(name) == len(wanted) and sorted(name) == sorted(wanted)]
    return by_lower[found[0]] if found else None


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """``Did you mean 'x'?``, or the other hint."""
    near = nearest(name, known)
    return f"Did you mean {near!r}?" if near else otherwise


def printable(text: str) -> str:
    """Text on one line, without characters that would steer a terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def listed(names: Iterable[object]) -> str:
    """``a, b or c``."""
    words = [str(name) for name in names]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing"


def shown(value: object) -> str:
    """A value as a message may show it: a short scalar as it would be written, else what kind of thing it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value)
    text = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
    return repr(text) if isinstance(value, str) else text
