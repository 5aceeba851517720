"""Measures what users wait for, and prints Markdown tables: ``sudo .venv/bin/python benchmarks/measure.py``.

Every figure is the median of several runs of the real commands, with the fastest and slowest beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
E2CLAB = Path(sys.executable).with_name("e2clab")
EXAMPLE = ROOT / "examples" / "provenance-tutorial"
HOSTS = """\
environment:
  local: {{}}
layers:
- name: edge
  services:
  - name: Worker
    quantity: {}
"""


def run(*arguments: str | Path) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds of the command and its children, and its standard output."""
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run([E2CLAB, *arguments], capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    after = os.times()
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}:\n{done.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, done.stdout


def row(name: str, values: list[float]) -> str:
    return f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |"


def start_up(runs: int) -> None:
    print("\n| start-up | median s | min | max |\n|---|---|---|---|")
    measured = [run("--help")[:2] for _ in range(runs)]
    print(row("`e2clab --help`, wall", [wall for wall, _ in measured]))
    print(row("`e2clab --help`, CPU", [cpu for _, cpu in measured]))


def hosts(runs: int, counts: list[int], folder: Path) -> None:
    print("\n| local testbed | median s | min | max |\n|---|---|---|---|")
    for count in counts:
        scenario = folder / f"hosts-{count}"
        scenario.mkdir()
        (scenario / "layers_services.yaml").write_text(HOSTS.format(count))
        up, command, down = [], [], []
        for _ in range(runs):
            wall, _, printed = run("--quiet", "layers-services", scenario, scenario)
            phases = json.loads((Path(printed.strip()) / "state.json").read_text())["phases"]
            up.append(next(phase["seconds"] for phase in phases if phase["phase"] == "acquire"))
            command.append(wall)
            down.append(run("destroy", scenario)[0])
        print(row(f"{count} hosts: acquire, sshd answering", up))
        print(row(f"{count} hosts: `layers-services`, whole command", command))
        print(row(f"{count} hosts: `destroy`, whole command", down))


def tutorial(runs: int, folder: Path) -> None:
    scenario = folder / "tutorial"
    ignored = shutil.ignore_patterns("[0-9]*-[0-9]*")
    shutil.copytree(EXAMPLE, scenario, ignore=ignored)
    phases: dict[str, list[float]] = {}
    whole = []
    for _ in range(runs):
        wall, _, printed = run("--quiet", "--testbed", "local", "deploy", scenario, scenario / "artifacts")
        state = json.loads((Path(printed.strip()) / "state.json").read_text())
        for phase in state["phases"]:
            phases.setdefault(phase["phase"], []).append(phase["seconds"])
        whole.append(wall)
        run("destroy", scenario)
    print("\n| tutorial (`deploy`, netem included) | median s | min | max |\n|---|---|---|---|")
    for name, values in phases.items():
        print(row(f"phase {name}", values))
    print(row("whole command", whole))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--hosts", type=int, nargs="*", default=[3, 20, 50])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        start_up(chosen.runs)
        hosts(chosen.runs, chosen.hosts, Path(name))
        tutorial(chosen.runs, Path(name))


if __name__ == "__main__":
    main()
