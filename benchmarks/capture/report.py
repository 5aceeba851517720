"""Writes the figures: Markdown, JSON and a plot."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from lab import HERE, ROOT, Lab
from progress import say
from result import Part, Table

BEGIN, END = "<!-- capture: written by benchmarks/capture -->", "<!-- capture: end -->"


def write(output: Path, parts: Sequence[Part], lab: Lab, size: str, settings: Mapping[str, str]) -> str:
    """Write ``capture.md``, ``capture.json`` and ``capture.svg``; returns the Markdown."""
    output.mkdir(parents=True, exist_ok=True)
    facts = about(size, lab.plotter is not None, settings)
    figures = {
        "about": facts,
        "problems": lab.problems,
        "targets": [asdict(target) for part in parts for target in part.targets],
        "parts": {part.name: part.figures for part in parts},
        "tables": [asdict(table) for part in parts for table in part.tables],
    }
    (output / "capture.json").write_text(json.dumps(figures, indent=1) + "\n")
    text = document(parts, lab.problems, facts)
    (output / "capture.md").write_text(text + "\n")
    if lab.plotter is not None:
        for name in ("capture.svg", "capture.png"):
            command = [str(lab.plotter), str(HERE / "plot.py"), str(output / "capture.json"), str(output / name)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                say(f"no plot: {done.stderr.strip()}")
    return text


def put_into(readme: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Replace what lies between the two marks."""
    before, _, rest = readme.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{readme} lacks the marks between which tables are written")
    readme.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def document(parts: Sequence[Part], problems: Sequence[str], facts: Mapping[str, str]) -> str:
    """All tables, in Markdown."""
    targets = [target for part in parts for target in part.targets]
    rows = [[target.text, target.limit, target.measured, "met" if target.met else "**not met**"] for target in targets]
    pieces = [", ".join(f"{name} {value}" for name, value in facts.items()) + "."]
    pieces.append(Table("What must hold", ["", "limit", "measured", ""], rows).markdown())
    if problems:
        pieces.append("**Losses and errors during the measurement**\n\n" + "\n".join(f"- {it}" for it in problems))
    pieces += [table.markdown() for part in parts for table in part.tables]
    return "\n\n".join(pieces)


def about(size: str, with_peers: bool, settings: Mapping[str, str]) -> dict[str, str]:
    """When, where and with what was measured."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":")
    facts = {
        "run": size,
        "of": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": done.stdout.strip() or "unknown",
        "Python": platform.python_version(),
        "on": f"{os.cpu_count()} x {model.partition(':')[2].strip() or platform.machine()}",
        "Linux": platform.release(),
        "load now": f"{os.getloadavg()[2]:.1f}",
    }
    if not with_peers:
        facts["peers"] = "not installed"
    if settings:
        facts["with"] = " ".join(f"{name}={value}" for name, value in settings.items())
    return facts
