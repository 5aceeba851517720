"""Draws the figures: ``python drawing.py load.json load.svg``; needs matplotlib."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "load"  # the same figures give the same file
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

COLOURS = {"publisher": "#b0b7bf", "broker": "#6c757d", "translator": "#0b6e4f", "database": "#e08e45"}


def main() -> None:
    with open(sys.argv[1]) as file:
        parts: dict[str, Any] = json.load(file)["parts"]
    figure, axes = pyplot.subplots(2, 2, figsize=(15, 10), layout="constrained")
    if parts.get("curve"):
        _price(axes[0][0], parts["curve"])
        _memory(axes[0][1], parts["curve"])
    if parts.get("rate"):
        _rates(axes[1][0], parts["rate"])
    if parts.get("latency"):
        _latency(axes[1][1], parts["latency"])
    for axis in axes.flat:
        if not axis.has_data():
            axis.set_visible(False)
    figure.savefig(sys.argv[2], dpi=110)


def _price(axis: Axes, figures: dict[str, Any]) -> None:
    points = [int(point) for point in figures]
    for way in next(iter(figures.values()))["us"]:
        axis.plot(points, [found["us"][way]["wall"] for found in figures.values()], "o-", label=way)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    axis.set_title("Price of a record as the database grows: wall clock", fontsize=10, loc="left")
    axis.set_xlabel("records in the database")
    axis.set_ylabel("us")


def _memory(axis: Axes, figures: dict[str, Any]) -> None:
    points = [int(point) for point in figures]
    for part in ("translator", "database"):
        values = [found["resident_mb"][part] for found in figures.values()]
        axis.plot(points, values, "o-", label=f"{part}, MB", color=COLOURS[part])
    axis.axhline(200, color="#c0392b", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    axis.set_title("Resident memory (line: 200 MB)", fontsize=10, loc="left")
    axis.set_xlabel("records in the database")


def _rates(axis: Axes, figures: dict[str, Any]) -> None:
    names = [name for name in figures if name != "peer" and not name.startswith("1 a message")]  # off the scale
    left = [0.0] * len(names)
    for part, colour in COLOURS.items():
        values = [figures[name]["cpu_us"][part] for name in names]
        axis.barh(range(len(names)), values, left=left, color=colour, label=part)
        left = [low + value for low, value in zip(left, values, strict=True)]
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.legend(fontsize=8)
    axis.set_title("CPU for a record, by part", fontsize=10, loc="left")
    axis.set_xlabel("us")


def _latency(axis: Axes, figures: dict[str, Any]) -> None:
    for name, found in figures.items():
        waits = found["waits_ms"]
        axis.step(waits, [100 * (n + 1) / len(waits) for n in range(len(waits))], label=name)
    axis.set_xlim(left=0)
    axis.legend(fontsize=8)
    axis.set_title("From a message to its acknowledgement", fontsize=10, loc="left")
    axis.set_xlabel("ms")
    axis.set_ylabel("% of messages")


if __name__ == "__main__":
    main()
