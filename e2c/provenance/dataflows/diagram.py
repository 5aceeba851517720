"""An entity diagram as SVG: boxes in columns, and a curve from each referring row to what it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, GAP = 236, 92
"""Width of a box, and of the space between columns, in pixels."""

LINE, TITLE, PAD, MARGIN, BELOW = 17, 24, 6, 56, 22

_COLOURS = ("#1f77b4", "#2ca02c", "#d6620a", "#9467bd", "#b5323a", "#17848f", "#8c564b", "#5b6b00", "#c0399f")


class Row(NamedTuple):
    """A column of a table."""

    name: str
    type: str
    added: bool
    refers: str | None  # name of the box it refers to


class Box(NamedTuple):
    """A table or view."""

    name: str
    kind: str
    rows: tuple[Row, ...]

    @property
    def height(self) -> int:
        return TITLE + PAD + LINE * len(self.rows) + PAD


class _Place(NamedTuple):
    x: int
    y: int
    column: int


def draw(boxes: Sequence[Box], layout: Sequence[Sequence[str]]) -> str:
    """The diagram.

    Args:
        layout: names of boxes, by column from the left, from the top; boxes not named stand below the last column.
    """
    by_name = {box.name: box for box in boxes}
    named = {name for column in layout for name in column}
    columns = [[name for name in column if name in by_name] for column in layout]
    columns[-1] += [box.name for box in boxes if box.name not in named]
    places: dict[str, _Place] = {}
    bottom = 0
    for number, column in enumerate(columns):
        y = MARGIN
        for name in column:
            places[name] = _Place(MARGIN + number * (WIDTH + GAP), y, number)
            y += by_name[name].height + BELOW
        bottom = max(bottom, y)
    width = 2 * MARGIN + len(columns) * WIDTH + (len(columns) - 1) * GAP
    targets = [box.name for box in boxes if any(row.refers == box.name for other in boxes for row in other.rows)]
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(targets)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom}" width="{width}" height="{bottom}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{bottom}" fill="#ffffff"/>',
    ]
    parts += [curve for box in boxes for curve in _curves(box, places, colours)]
    parts += [line for box in boxes for line in _box(box, places[box.name], colours)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _curves(box: Box, places: dict[str, _Place], colours: dict[str, str]) -> list[str]:
    here, drawn = places[box.name], []
    for number, row in enumerate(box.rows):
        if row.refers is None or row.refers == box.name:
            continue
        there = places[row.refers]
        y1 = here.y + TITLE + PAD + LINE * number + LINE // 2
        y2 = there.y + TITLE // 2
        if here.column == there.column:  # round the left side
            x1, x2, bend = here.x, there.x, -46
            ends = (x1 + bend, x2 + bend)
        elif here.column > there.column:
            x1, x2 = here.x, there.x + WIDTH
            ends = (x1 - 60, x2 + 60)
        else:
            x1, x2 = here.x + WIDTH, there.x
            ends = (x1 + 60, x2 - 60)
        colour = colours[row.refers]
        drawn.append(
            f'<path d="M{x1} {y1} C{ends[0]} {y1} {ends[1]} {y2} {x2} {y2}" fill="none" stroke="{colour}" '
            'stroke-width="1.2" opacity="0.75"/>'
        )
        drawn.append(f'<circle cx="{x2}" cy="{y2}" r="3" fill="{colour}"/>')
    return drawn


def _box(box: Box, place: _Place, colours: dict[str, str]) -> list[str]:
    x, y, _ = place
    colour = colours.get(box.name, "#5f6b76")
    dashes = ' stroke-dasharray="5 3"' if box.kind == "view" else ""
    lines = [
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{box.height}" rx="4" fill="#fbfcfd" '
        f'stroke="{colour}"{dashes}/>',
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{TITLE}" rx="4" fill="{colour}"/>',
        f'<text x="{x + 8}" y="{y + 16}" fill="#ffffff" font-weight="bold" font-size="12">{escape(box.name)}'
        f"{' (view)' if box.kind == 'view' else ''}</text>",
    ]
    for number, row in enumerate(box.rows):
        at = y + TITLE + PAD + LINE * number + 12
        style = ' font-style="italic"' if row.added else ""
        fill = colours.get(row.refers or "", "#1b2733")
        lines.append(f'<text x="{x + 8}" y="{at}" fill="{fill}"{style}>{escape(row.name)}</text>')
        lines.append(
            f'<text x="{x + WIDTH - 8}" y="{at}" fill="#7a8691" text-anchor="end" font-size="9">{row.type}</text>'
        )
    return lines
