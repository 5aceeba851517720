"""Figures of one part of the benchmark, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table; ``note`` is a sentence below it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""

    def markdown(self) -> str:
        lines = [f"**{self.title}**", ""]
        lines.append("| " + " | ".join(self.columns) + " |")
        lines.append("|" + "---|" * len(self.columns))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        if self.note:
            lines += ["", self.note]
        return "\n".join(lines)


@dataclass(frozen=True)
class Target:
    """What must hold, what was measured, and whether it holds."""

    text: str
    limit: str
    measured: str
    met: bool

    @classmethod
    def at_most(cls, text: str, measured: float, limit: float) -> Target:
        return cls(text, f"at most {limit:g}", _short(measured), measured <= limit)

    @classmethod
    def below(cls, text: str, measured: float, limit: float) -> Target:
        return cls(text, f"under {limit:g}", _short(measured), measured < limit)

    @classmethod
    def at_least(cls, text: str, measured: float, limit: float) -> Target:
        return cls(text, f"at least {limit:g}", _short(measured), measured >= limit)


@dataclass(frozen=True)
class Part:
    """One part: tables to read, figures to compute with, targets."""

    name: str
    tables: list[Table]
    figures: dict[str, Any] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
