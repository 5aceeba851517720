"""A picture of what was asked and what was measured, as SVG. No program and no package is needed for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from e2c.emulation.judging import NOT_MET, OK
from e2c.emulation.pairs import TOLERANCE_MS, TOLERANCE_SHARE
from e2c.emulation.rate import TOLERANCE_SHARE as RATE_SHARE
from e2c.emulation.rows import Row

SIDE, LEFT, TOP, BELOW, BETWEEN = 300.0, 64.0, 44.0, 84.0, 30.0
INK, FAINT, GRID, BAND = "#1d2430", "#7a8392", "#e3e7ee", "#e3f2e6"
COLOURS = {OK: "#3f8f56", NOT_MET: "#c8413b"}
NOT_JUDGED = "#d9a21b"
_TICKS = 5
_LOG_FROM = 30.0  # largest divided by smallest


@dataclass(frozen=True)
class _Point:
    asked: float
    measured: float
    span: tuple[float, float] | None
    family: str
    verdict: str
    words: str


@dataclass(frozen=True)
class _Panel:
    title: str
    unit: str
    points: Sequence[_Point]
    tolerance: Callable[[float], float]

    @property
    def logarithmic(self) -> bool:
        """Values differ so much that small ones would be one dot."""
        values = [value for point in self.points for value in (point.asked, point.measured) if value > 0]
        return bool(values) and max(values) / min(values) > _LOG_FROM and self.unit != "ms"

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value of both axes."""
        values = [value for point in self.points for value in (point.asked, point.measured, *(point.span or ()))]
        if self.logarithmic:
            positive = [value for point in self.points for value in (point.asked, point.measured) if value > 0]
            return 10 ** math.floor(math.log10(min(positive))), 10 ** math.ceil(math.log10(max(*values, min(positive))))
        largest = max([*values, 1e-9])
        step = _step(largest)
        return 0.0, step * math.ceil(largest / step)


def plot(rows: Sequence[Row]) -> str:
    """Measured over asked, for round trips, losses and rates; what lies on the line is as asked."""
    panels = [panel for panel in (_round_trips(rows), _losses(rows), _rates(rows)) if panel.points]
    body = [_drawn(panel, LEFT + place * (SIDE + LEFT + BETWEEN)) for place, panel in enumerate(panels)]
    width = max(1, len(panels)) * (SIDE + LEFT + BETWEEN)
    height = TOP + SIDE + BELOW
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif">',
            f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
            *body,
            _legend(LEFT, height - 14),
            "</svg>\n",
        ]
    )


def _round_trips(rows: Sequence[Row]) -> _Panel:
    points = [
        _point(row, row["expected_rtt_ms"], row["measured_rtt_ms"], _quartiles(row), row["rtt_verdict"], "ms")
        for rule in rows
        for row in rule["pairs"]
        if row["expected_rtt_ms"] is not None and row["measured_rtt_ms"] is not None
    ]
    return _Panel("Round trip", "ms", points, lambda asked: max(TOLERANCE_MS, TOLERANCE_SHARE * asked))


def _losses(rows: Sequence[Row]) -> _Panel:
    points = [
        _point(
            row, row["expected_loss_percent"], row["measured_loss_percent"], row["loss_bounds_percent"],
            row["loss_verdict"], "%",
        )
        for rule in rows
        for row in rule["pairs"]
        if row["expected_loss_percent"] and row["measured_loss_percent"] is not None
    ]  # fmt: skip
    return _Panel("Loss, with 99 % intervals", "%", points, lambda _: 0.0)


def _rates(rows: Sequence[Row]) -> _Panel:
    points = [
        _point(row, row["asked_rate_kbit"] / 1000, row["measured_rate_kbit"] / 1000, None, row["verdict"], "mbit")
        for rule in rows
        for row in rule.get("rates", ())
        if row["measured_rate_kbit"] is not None
    ]
    return _Panel("Rate", "mbit", points, lambda asked: RATE_SHARE * asked)


def _quartiles(row: Row) -> Sequence[float] | None:
    found = row.get("quartiles_ms")
    return (found[0], found[2]) if found else None


def _point(row: Row, asked: float, measured: float, span: Sequence[float] | None, verdict: str, unit: str) -> _Point:
    words = f"{row['from']} to {row['to']} {row['family']}: asked {asked:.3g} {unit}, measured {measured:.3g} {unit}"
    return _Point(asked, measured, (span[0], span[1]) if span else None, row["family"], verdict, f"{words}, {verdict}")


def _drawn(panel: _Panel, left: float) -> str:
    low, high = panel.limits

    def along(value: float) -> float:
        if panel.logarithmic:
            return SIDE * math.log(max(value, low) / low) / math.log(high / low)
        return SIDE * (value - low) / (high - low)

    def x(value: float) -> float:
        return left + along(value)

    def y(value: float) -> float:
        return TOP + SIDE - min(SIDE, max(0.0, along(value)))

    body = [
        f'<text x="{left:g}" y="{TOP - 16:g}" font-size="14" font-weight="bold" fill="{INK}">{panel.title}</text>',
        _band(panel, low, high, x, y),
    ]
    body += [_gridline(tick, x(tick), y(tick), left) for tick in _ticks(low, high, panel.logarithmic)]
    body.append(
        f'<path d="M{x(low):.1f},{y(low):.1f} L{x(high):.1f},{y(high):.1f}" stroke="{FAINT}" stroke-dasharray="4 3"/>'
        f'<text x="{left + SIDE / 2:g}" y="{TOP + SIDE + 36:g}" font-size="12" fill="{INK}" text-anchor="middle">'
        f"asked ({panel.unit})</text>"
        f'<text transform="translate({left - 46:g},{TOP + SIDE / 2:g}) rotate(-90)" font-size="12" fill="{INK}" '
        f'text-anchor="middle">measured ({panel.unit})</text>'
    )
    body += [_mark(point, x(point.asked), y) for point in panel.points]
    return "\n".join(body)


def _gridline(tick: float, x: float, y: float, left: float) -> str:
    """On both axes."""
    bottom = TOP + SIDE
    text = f'font-size="11" fill="{FAINT}"'
    return (
        f'<path d="M{x:.1f},{TOP:g} V{bottom:g} M{left:g},{y:.1f} H{left + SIDE:g}" stroke="{GRID}"/>'
        f'<text x="{x:.1f}" y="{bottom + 16:g}" {text} text-anchor="middle">{tick:g}</text>'
        f'<text x="{left - 8:g}" y="{y + 4:.1f}" {text} text-anchor="end">{tick:g}</text>'
    )


def _band(panel: _Panel, low: float, high: float, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """What counts as met."""
    if panel.tolerance(high) == 0:
        return ""
    steps = [low + (high - low) * step / 40 for step in range(41)]
    if panel.logarithmic:
        steps = [low * (high / low) ** (step / 40) for step in range(41)]
    above = [f"{x(step):.1f},{y(step + panel.tolerance(step)):.1f}" for step in steps]
    below = [f"{x(step):.1f},{y(step - panel.tolerance(step)):.1f}" for step in reversed(steps)]
    return f'<polygon points="{" ".join([*above, *below])}" fill="{BAND}"/>'


def _mark(point: _Point, x: float, y: Callable[[float], float]) -> str:
    colour = COLOURS.get(point.verdict, NOT_JUDGED)
    span = ""
    if point.span:
        low, high = (y(end) for end in point.span)
        span = f'<path d="M{x:.1f},{low:.1f} V{high:.1f} M{x - 3:.1f},{low:.1f} h6 M{x - 3:.1f},{high:.1f} h6"/>'
    return (
        f'<g stroke="{colour}" fill="{colour}" fill-opacity="0.55"><title>{escape(point.words)}</title>'
        f"{span}{_shape(point.family, x, y(point.measured))}</g>"
    )


def _shape(family: str, x: float, y: float) -> str:
    """A circle for IPv4, a diamond for IPv6."""
    if family == "v4":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'<path d="M{x:.1f},{y - 5:.1f} l5,5 l-5,5 l-5,-5 z"/>'


def _legend(left: float, y: float) -> str:
    entries = [("v4", COLOURS[OK], "IPv4"), ("v6", COLOURS[OK], "IPv6")]
    entries += [("v4", COLOURS[NOT_MET], "not met"), ("v4", NOT_JUDGED, "not judged")]
    return "\n".join(
        f'<g stroke="{colour}" fill="{colour}" fill-opacity="0.55">{_shape(family, left + 76 * place, y - 4)}</g>'
        f'<text x="{left + 76 * place + 9:g}" y="{y:g}" font-size="11" fill="{FAINT}">{words}</text>'
        for place, (family, colour, words) in enumerate(entries)
    )


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if logarithmic:
        decades = round(math.log10(high / low))
        return [low * 10**power for power in range(decades + 1)]
    step = _step(high)
    return [step * tick for tick in range(round(high / step) + 1)]


def _step(largest: float) -> float:
    """A round number of which a few make up the largest value."""
    rough = largest / _TICKS
    power = math.pow(10, math.floor(math.log10(rough)))
    return power * next(step for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
