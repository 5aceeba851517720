"""A stage beside E2Clab 3.7.0's: ``sudo .venv/bin/python benchmarks/workflow``; see benchmarks/README.md.

Both run the same ``workflow.yaml`` on the same hosts of a local testbed, in turn, a few times; shown is the median with
the least and the greatest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "capture"))

import peers  # noqa: E402 - of another benchmark

E2CLAB = Path(sys.executable).with_name("e2clab")
LAYERS = """\
environment:
  local: {{}}
layers:
- name: edge
  services:
  - name: worker
    quantity: {}
"""
SHELL = "- hosts: edge.*\n  launch:\n" + "".join(f"  - shell: echo {number}; hostname\n" for number in range(10))
COPY = """\
- hosts: edge.*
  launch:
  - copy:
      src: "{{ working_dir }}/application.py"
      dest: /tmp/application.py
  - shell: python3 /tmp/application.py
"""
APPLICATION = "print('done')\n"
HOSTS, MANY = 3, 50


def run(*words: str | Path) -> tuple[float, str]:
    """Wall seconds of a command, and its standard output."""
    began = time.perf_counter()
    done = subprocess.run(list(words), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return seconds, done.stdout.strip()


@contextlib.contextmanager
def deployed(folder: Path, hosts: int, workflow: str) -> Iterator[tuple[Path, Path]]:
    """A scenario on a local testbed of so many hosts, and its output folder."""
    scenario = folder / f"hosts-{hosts}"
    scenario.mkdir()
    (scenario / "layers_services.yaml").write_text(LAYERS.format(hosts))
    (scenario / "network.yaml").write_text("networks:\n")
    (scenario / "workflow.yaml").write_text(workflow)
    (scenario / "application.py").write_text(APPLICATION)
    try:
        yield scenario, Path(run(E2CLAB, "--quiet", "layers-services", scenario, scenario)[1])
    finally:
        run(E2CLAB, "--quiet", "destroy", scenario)


def ours(scenario: Path, output: Path) -> tuple[float, float]:
    """Seconds of the stage, and of the whole command."""
    command, _ = run(E2CLAB, "--quiet", "workflow", scenario, "launch")
    phases = json.loads((output / "state.json").read_text())["phases"]
    return next(phase["seconds"] for phase in reversed(phases) if phase["phase"] == "launch"), command


def theirs(python: Path | None, folder: Path, scenario: Path, output: Path) -> tuple[float | None, float | None]:
    """The same of E2Clab; nothing where it is left out."""
    if python is None:
        return None, None
    hosts = json.loads((output / "state.json").read_text())["hosts"]
    asked, answer = folder / "asked.json", folder / "answer.json"
    wanted = {"scenario": str(scenario), "folder": str(folder), "task": "launch", "runs": 1, "answer": str(answer)}
    asked.write_text(json.dumps({**wanted, "hosts": hosts}))
    command, _ = run(python, HERE / "driving.py", asked)
    return json.loads(answer.read_text())["task"][0], command


def shown(values: Sequence[float]) -> str:
    """``median (least to greatest)``."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "not measured"


def times(values: Sequence[float], by: Sequence[float]) -> str:
    """How many times less the first take, by their medians."""
    return f"{statistics.median(by) / statistics.median(values):.1f} x" if values and by else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--many", type=int, default=MANY, help="hosts of the second scenario; 0: leave it out")
    parser.add_argument("--peer", type=Path, help="Python of an environment that has e2clab==3.7.0")
    parser.add_argument("--without-peer", action="store_true", help="measure e2c alone")
    parser.add_argument("--peer-many", action="store_true", help="let the peer run the second scenario too, once")
    chosen = parser.parse_args()
    python = None if chosen.without_peer else chosen.peer or peers.environment(HERE / "requirements.txt")
    figures: dict[str, tuple[list[float], list[float]]] = {}

    def note(name: str, mine: float | None, other: float | None) -> None:
        both = figures.setdefault(name, ([], []))
        for values, value in zip(both, (mine, other), strict=True):
            if value is not None:
                values.append(value)
        print(f"{name}: {mine} {other}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)  # EnOSlib writes into the current folder
        for _ in range(chosen.runs):
            peer = None if python is None else run(python.with_name("e2clab"), "--help")[0]
            note("start-up: `e2clab --help`", run(E2CLAB, "--help")[0], peer)
        with deployed(folder, HOSTS, SHELL) as (scenario, output):
            for _ in range(chosen.runs):
                mine, other = ours(scenario, output), theirs(python, folder, scenario, output)
                note(f"ten shell tasks, {HOSTS} hosts: the stage", mine[0], other[0])
                note(f"ten shell tasks, {HOSTS} hosts: the command", mine[1], other[1])
        if chosen.many:
            with deployed(folder, chosen.many, COPY) as (scenario, output):
                for place in range(chosen.runs):
                    wanted = python if chosen.peer_many and place == 0 else None
                    other_command = theirs(wanted, folder, scenario, output)[1]
                    mine_command = ours(scenario, output)[1]
                    note(f"copy and shell, {chosen.many} hosts: the command", mine_command, other_command)
    print("| seconds, wall | e2c | E2Clab 3.7.0 | |\n|---|---|---|---|")
    for name, (mine_all, others) in figures.items():
        print(f"| {name} | {shown(mine_all)} | {shown(others)} | {times(mine_all, others)} |")


if __name__ == "__main__":
    main()
