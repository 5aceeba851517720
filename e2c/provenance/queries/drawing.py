"""Pictures: a lineage as Graphviz text or SVG, a timeline as SVG. No program and no package is needed for them."""

from __future__ import annotations

import datetime
import re
from collections import Counter, defaultdict
from html import escape
from typing import TYPE_CHECKING, Any

from e2c.provenance.queries.durations import shown
from e2c.provenance.queries.lineage import DEPENDS
from e2c.provenance.queries.timeline import span

if TYPE_CHECKING:
    from e2c.provenance.queries.lineage import Lineage
    from e2c.provenance.queries.provenance import Row

MOST_BOXES = 150
"""Tasks that are drawn one by one; a larger lineage is drawn by transformation, with counts."""

MOST_CHARACTERS = 26
WIDTH, HEIGHT, BETWEEN, BELOW, MARGIN = 210, 46, 24, 54, 20
COLOURS = {"FINISHED": "#e3f2e6", "FAILED": "#fbe1e0", "RUNNING": "#fdf3d7"}
NEUTRAL, BORDER, INK, FAINT = "#eef1f6", "#5b6472", "#1d2430", "#7a8392"

Boxes = dict[Any, tuple[str, str, str, int, bool]]  # title, second line, colour, layer, whether it was asked for
Arrows = Counter[tuple[Any, Any, str]]


def _graph(lineage: Lineage) -> tuple[Boxes, Arrows]:
    tasks = {row["id"]: row for row in lineage.tasks}
    if len(tasks) <= MOST_BOXES:
        boxes: Boxes = {
            number: (
                f"{row['transformation'] or '?'} {row['key'] if row['key'] is not None else number}",
                " · ".join(str(one) for one in (row["status"], _took(row["duration"]), row["host"]) if one),
                COLOURS.get(str(row["status"]), NEUTRAL),
                row["distance"],
                number == lineage.task,
            )
            for number, row in tasks.items()
        }
        arrows: Arrows = Counter(
            (edge.source, edge.task, edge.kind) for edge in lineage.edges if {edge.source, edge.task} <= set(tasks)
        )
        return boxes, arrows
    groups: dict[Any, list[Row]] = defaultdict(list)
    side = {number: _group(row, number == lineage.task) for number, row in tasks.items()}
    for number, row in tasks.items():
        groups[side[number]].append(row)
    boxes = {}
    for group, rows in groups.items():
        statuses = Counter(str(row["status"]).lower() for row in rows)
        if len(rows) == 1:
            title = f"{rows[0]['transformation'] or '?'} {rows[0]['key']}"
        else:
            title = f"{rows[0]['transformation'] or '?'}: {len(rows)} tasks"
        words = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        colour = COLOURS["FAILED"] if statuses["failed"] else NEUTRAL
        layers = sorted(row["distance"] for row in rows)
        boxes[group] = (title, words, colour, layers[len(layers) // 2], group[0] == 0)
    counted = Counter(
        (side[edge.source], side[edge.task], edge.kind)
        for edge in lineage.edges
        if {edge.source, edge.task} <= set(tasks)
    )
    return boxes, counted


def _group(row: Row, asked: bool) -> tuple[int, str]:
    """Tasks before, at and after the one that was asked for, by transformation."""
    direction = 0 if asked else -1 if row["distance"] < 0 else 1
    return direction, f"{row['transformation']}{row['key'] if asked else ''}"


def _labels(arrows: Arrows) -> dict[tuple[Any, Any], str]:
    """What each arrow says. A set that went from one task to the other says more than that one depends on it."""
    kinds: dict[tuple[Any, Any], dict[str, int]] = defaultdict(dict)
    for (source, target, kind), count in arrows.items():
        kinds[source, target][kind] = count
    labels = {}
    for ends, found in kinds.items():
        if len(found) > 1:
            found.pop(DEPENDS, None)
        labels[ends] = ", ".join(kind if count == 1 else f"{kind} ({count})" for kind, count in found.items())
    return labels


def dot(lineage: Lineage) -> str:
    """A lineage as text for Graphviz."""
    boxes, arrows = _graph(lineage)
    names = {key: f"t{place}" for place, key in enumerate(boxes)}
    lines = ["digraph lineage {", '  rankdir=TB; node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    for key, (title, words, colour, _, asked) in boxes.items():
        label = f"{_dot_text(title)}\\n{_dot_text(words)}"
        lines.append(f'  {names[key]} [label="{label}", fillcolor="{colour}", penwidth={2 if asked else 1}];')
    for (source, target), label in _labels(arrows).items():
        lines.append(f'  {names[source]} -> {names[target]} [label="{_dot_text(label)}"];')
    return "\n".join([*lines, "}"])


def _dot_text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text.replace("\n", " ")).replace("\\", "\\\\").replace('"', '\\"')


def svg(lineage: Lineage) -> str:
    """A lineage as SVG: sources above, what came of them below."""
    boxes, arrows = _graph(lineage)
    layers = _layers(boxes, arrows)
    order = _ordered(layers, arrows)
    widest = max(len(row) for row in order)
    total_width = 2 * MARGIN + widest * WIDTH + (widest - 1) * BETWEEN
    total_height = 2 * MARGIN + len(order) * HEIGHT + (len(order) - 1) * BELOW
    places: dict[Any, tuple[float, float]] = {}
    for level, row in enumerate(order):
        left = (total_width - len(row) * WIDTH - (len(row) - 1) * BETWEEN) / 2
        for place, key in enumerate(row):
            places[key] = left + place * (WIDTH + BETWEEN), MARGIN + level * (HEIGHT + BELOW)
    body = []
    for (source, target), label in _labels(arrows).items():
        body.append(_arrow(places[source], places[target], label))
    for key, (title, words, colour, _, asked) in boxes.items():
        left, top = places[key]
        body.append(
            f"<g><title>{_text(title)} {_text(words)}</title>"
            f'<rect x="{left:g}" y="{top:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{colour}" '
            f'stroke="{INK if asked else BORDER}" stroke-width="{2.5 if asked else 1}"/>'
            f'<text x="{left + WIDTH / 2:g}" y="{top + 20:g}" font-size="13" fill="{INK}" text-anchor="middle">'
            f"{_text(_cut(title))}</text>"
            f'<text x="{left + WIDTH / 2:g}" y="{top + 36:g}" font-size="11" fill="{FAINT}" text-anchor="middle">'
            f"{_text(_cut(words, MOST_CHARACTERS + 8))}</text></g>"
        )
    return _document(total_width, total_height, body)


def _layers(boxes: Boxes, arrows: Arrows) -> dict[Any, int]:
    """The layer of each box: below all that it came from; what goes round in a circle is not counted again."""
    followers = defaultdict(list)
    waits: Counter[Any] = Counter()
    for source, target, _ in arrows:
        if source != target:
            followers[source].append(target)
            waits[target] += 1
    layer = dict.fromkeys(boxes, 0)
    left = sorted(boxes, key=lambda key: boxes[key][3])
    ready = [key for key in left if not waits[key]]
    done: set[Any] = set()
    while len(done) < len(boxes):
        if not ready:  # a circle: begin with what is nearest to the sources
            ready = [next(key for key in left if key not in done)]
        key = ready.pop(0)
        if key in done:
            continue
        done.add(key)
        for other in followers[key]:
            waits[other] -= 1
            if other not in done:
                layer[other] = max(layer[other], layer[key] + 1)
                if waits[other] <= 0:
                    ready.append(other)
    return layer


def _ordered(layers: dict[Any, int], arrows: Arrows) -> list[list[Any]]:
    """The boxes of each layer, each near those that it came from."""
    above = defaultdict(list)
    for source, target, _ in arrows:
        above[target].append(source)
    rows: dict[int, list[Any]] = defaultdict(list)
    for key, layer in layers.items():
        rows[layer].append(key)
    found = []
    where: dict[Any, float] = {}
    for layer in sorted(rows):

        def weight(key: Any) -> float:
            near = [where[source] for source in above[key] if source in where]
            return sum(near) / len(near) if near else 0.5

        row = sorted(rows[layer], key=weight)
        for place, key in enumerate(row):
            where[key] = (place + 0.5) / len(row)
        found.append(row)
    return found


def _arrow(source: tuple[float, float], target: tuple[float, float], label: str) -> str:
    x1, y1 = source[0] + WIDTH / 2, source[1] + HEIGHT
    x2, y2 = target[0] + WIDTH / 2, target[1]
    if y2 <= source[1]:  # back up, or to itself
        x1, y1 = source[0] + WIDTH, source[1] + HEIGHT / 2
        x2, y2 = target[0] + WIDTH, target[1] + HEIGHT / 2
        path = f"M{x1:g},{y1:g} C{x1 + 40:g},{y1 + 20:g} {x2 + 40:g},{y2 - 20:g} {x2:g},{y2:g}"
    else:
        middle = (y1 + y2) / 2
        path = f"M{x1:g},{y1:g} C{x1:g},{middle:g} {x2:g},{middle:g} {x2:g},{y2 - 2:g}"
    return (
        f'<path d="{path}" fill="none" stroke="{BORDER}" marker-end="url(#end)"/>'
        f'<text x="{(x1 + x2) / 2 + 5:g}" y="{(y1 + y2) / 2 + 4:g}" font-size="10" fill="{FAINT}" '
        'stroke="white" stroke-width="3" paint-order="stroke">'
        f"{_text(_cut(label))}</text>"
    )


def _clock(time: datetime.datetime, whole: bool) -> str:
    text = time.isoformat(sep=" ", timespec="milliseconds")
    return text if whole else text.partition(" ")[2]


_ANCHORS = ("start", "middle", "middle", "middle", "end")


def timeline_svg(found: list[Row]) -> str:
    """A timeline as SVG: a lane for each host and client, a bar for each task."""
    begin, end = span(found)
    length = max((end - begin).total_seconds(), 1e-6)
    names, plot, lane_height = 230, 900, 34
    width, height = names + plot + 2 * MARGIN, len(found) * lane_height + 2 * MARGIN + 30
    body = []
    for tick in range(5):
        at = names + MARGIN + plot * tick / 4
        time = begin + (end - begin) * tick / 4
        body.append(
            f'<line x1="{at:g}" y1="{MARGIN}" x2="{at:g}" y2="{height - MARGIN - 16:g}" stroke="#d5dae2"/>'
            f'<text x="{at:g}" y="{height - MARGIN:g}" font-size="11" fill="{FAINT}" '
            f'text-anchor="{_ANCHORS[tick]}">'
            f"{_clock(time, tick in (0, 4))}</text>"
        )
    for place, lane in enumerate(found):
        top = MARGIN + place * lane_height
        host, client = lane["host"] or "?", lane["client"]
        body.append(
            f'<text x="{MARGIN}" y="{top + 14:g}" font-size="12" fill="{INK}">{_text(_cut(host, 34))}</text>'
            f'<text x="{MARGIN}" y="{top + 27:g}" font-size="10" fill="{FAINT}">{_text(_cut(client, 40))}</text>'
        )
        drawn: set[tuple[int, int, str]] = set()
        for task in lane["tasks"]:
            left = (task["started"] - begin).total_seconds() / length * plot
            right = ((task["ended"] or end) - begin).total_seconds() / length * plot
            colour = {"FAILED": "#c8413b", "RUNNING": "#d9a21b"}.get(str(task["status"]), "#3f8f56")
            bar = int(left), int(right), colour
            if bar in drawn:  # it would cover another exactly
                continue
            drawn.add(bar)
            words = f"{task['transformation']} {task['key']} {task['status']}"
            body.append(
                f'<rect x="{names + MARGIN + left:.2f}" y="{top + 4:g}" width="{max(right - left, 0.5):.2f}" '
                f'height="{lane_height - 12}" fill="{colour}" fill-opacity="0.75">'
                f"<title>{_text(words)}</title></rect>"
            )
    return _document(width, height, body)


def _document(width: float, height: float, body: list[str]) -> str:
    marker = (
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{BORDER}"/></marker></defs>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif">',
            marker,
            f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
            *body,
            "</svg>",
        ]
    )


def _took(duration: Any) -> str:
    return shown(duration) if duration is not None else ""


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(text: str) -> str:
    """Text for XML, which has no control characters."""
    return escape(_FORBIDDEN.sub("\ufffd", text))


_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
