"""Draws the figures: ``python plot.py capture.json capture.svg``; needs matplotlib."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "capture"  # the same figures give the same file
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

SHORT = {
    "provlight": "ProvLight",
    "provlight-memory": "ProvLight without spool",
    "provlight-record": "ProvLight, durability=record",
    "flowcept": "Flowcept, memory",
    "flowcept-dict": "Flowcept, memory, 1 argument",
    "flowcept-redis": "Flowcept, Redis",
    "openlineage": "OpenLineage",
    "http": "HTTP/JSON, keep-alive",
    "http-new": "HTTP/JSON, new connections",
    "http-requests": "HTTP/JSON, requests",
}
OURS, PEER = "#0b6e4f", "#b0b7bf"


def main() -> None:
    with open(sys.argv[1]) as file:
        parts: dict[str, Any] = json.load(file)["parts"]
    figure, axes = pyplot.subplots(3, 2, figsize=(15, 15), layout="constrained")
    draw = {
        "cost": lambda: (_cost(axes[0][0], parts["cost"], "burst"), _cost(axes[0][1], parts["cost"], "paced")),
        "wire": lambda: _wire(axes[1][0], parts["wire"]),
        "footprint": lambda: _memory(axes[1][1], parts["footprint"]),
        "overhead": lambda: _overhead(axes[2][0], parts["overhead"]),
        "pipeline": lambda: _latency(axes[2][1], parts["pipeline"]),
    }
    for name, function in draw.items():
        if parts.get(name):
            function()
    for axis in axes.flat:
        if not axis.has_data():
            axis.set_visible(False)
    figure.savefig(sys.argv[2], dpi=110)


def _bars(axis: Axes, values: list[tuple[str, float, bool]], title: str, unit: str) -> None:
    """Horizontal bars on a logarithmic scale, the first on top."""
    names = [name for name, _, _ in values]
    colours = [OURS if ours else PEER for _, _, ours in values]
    bars = axis.barh(range(len(values)), [value for _, value, _ in values], color=colours)
    axis.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", padding=3, fontsize=8)
    axis.set_yticks(range(len(values)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.margins(x=0.2)
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel(unit)


def _cost(axis: Axes, figures: dict[str, Any], pace: str) -> None:
    values = []
    for subject, label in SHORT.items():
        for attributes in (10, 100):
            found = figures.get(f"{subject} {attributes} {pace}")
            if found:
                wall = max(found["wall"]["median"], 0.01)
                values.append((f"{label}, {attributes}", wall, subject.startswith("provlight")))
    how = "back to back" if pace == "burst" else "300 tasks/s"
    _bars(axis, values, f"Caller's time for a task of 10 and 100 attributes, {how}", "us")


def _wire(axis: Axes, figures: dict[str, Any]) -> None:
    values = []
    for name, found in figures.items():
        subject, attributes, how = name.split(" ", 2)
        values.append((f"{SHORT[subject]}, {attributes}, {how}", found["up"], subject == "provlight"))
    _bars(axis, values, "What a task of 10 and 100 random floats sends", "bytes")


def _memory(axis: Axes, figures: dict[str, Any]) -> None:
    values = []
    for name, found in figures.items():
        subject, what, *_ = name.split(" ")
        if what == "100":
            peak = max(found["paced_mb"], found["burst_mb"])
            values.append((SHORT[subject], peak, subject == "provlight"))
    _bars(axis, values, "Peak memory of a process, 100 attributes", "MB")
    axis.set_xscale("linear")


def _overhead(axis: Axes, figures: dict[str, Any]) -> None:
    names = [name.removeprefix("provlight, ") for name in figures if name.startswith("provlight, ")]
    for subject, colour in (("provlight", OURS), ("http-new", PEER)):
        percents = [figures[f"{subject}, {name}"]["percent"] for name in names]
        axis.plot(percents, range(len(names)), "o", color=colour, label=SHORT[subject])
    axis.axvline(1, color="#c0392b", linewidth=0.8)
    axis.set_xscale("symlog", linthresh=0.1)
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.invert_yaxis()
    axis.legend(fontsize=8)
    axis.set_title("How much longer tasks take (line: 1 %)", fontsize=10, loc="left")
    axis.set_xlabel("%")


def _latency(axis: Axes, figures: dict[str, Any]) -> None:
    for attributes, colour in ((10, OURS), (100, "#e08e45")):
        delays = figures.get(f"latency ms, {attributes} attributes", [])
        axis.step(delays, [100 * (n + 1) / len(delays) for n in range(len(delays))], color=colour, label=attributes)
    axis.set_xlim(left=0)
    axis.legend(title="attributes", fontsize=8)
    axis.set_title("From end() to visible in SQL", fontsize=10, loc="left")
    axis.set_xlabel("ms")
    axis.set_ylabel("% of tasks")


if __name__ == "__main__":
    main()
