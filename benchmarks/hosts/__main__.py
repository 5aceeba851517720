"""Local testbeds of growing size: ``sudo .venv/bin/python benchmarks/hosts``; see benchmarks/README.md.

For each number of hosts the real commands run a few times, sizes in turn, and the median is shown with the least and
the greatest. Memory is what the machine has less of while the hosts stand, and what their processes hold for
themselves; CPU is that of the command and of the programs it waits for, which a busy machine changes least.
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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

E2CLAB = Path(sys.executable).with_name("e2clab")
SCENARIO = """\
environment:
  local: {{}}
layers:
- name: edge
  services:
  - name: client
    quantity: {}
"""
SETTLE_S = 1
MIB = 1 << 20


@dataclass
class Size:
    """What was measured with so many hosts: seconds, or bytes."""

    hosts: int
    acquire: list[float] = field(default_factory=list)
    up: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    private: list[float] = field(default_factory=list)


def run(*arguments: str | Path) -> tuple[float, float, str]:
    """Wall seconds of a command, CPU seconds, and its standard output."""
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run([E2CLAB, "--quiet", *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}:\n{done.stderr}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, done.stdout.strip()


def available() -> int:
    """Bytes of memory that programs could still get."""
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def held_by(testbed: str) -> int:
    """Bytes that the processes of a testbed's hosts hold alone (``Private`` in smaps_rollup)."""
    names = Path("/run/e2c", testbed, "net")
    spaces = {os.stat(names / name).st_ino for name in os.listdir(names) if name != "hub"}
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if os.stat(f"/proc/{pid}/ns/net").st_ino in spaces:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    return total


def once(size: Size, folder: Path) -> None:
    """Build, look and release."""
    scenario = folder / f"hosts-{size.hosts}"
    scenario.mkdir(exist_ok=True)
    (scenario / "layers_services.yaml").write_text(SCENARIO.format(size.hosts))
    before = available()
    try:
        seconds, cpu, output = run("layers-services", scenario, scenario)
        size.up.append(seconds)
        size.cpu.append(cpu)
        state = json.loads((Path(output) / "state.json").read_text())
        size.acquire.append(next(phase["seconds"] for phase in state["phases"] if phase["phase"] == "acquire"))
        size.private.append(held_by(state["claims"][0]["resources"]["testbed"]))
        time.sleep(SETTLE_S)
        size.memory.append(before - available())
    finally:
        seconds, _, _ = run("destroy", scenario)
    size.down.append(seconds)


def shown(values: Sequence[float], unit: float = 1) -> str:
    """``median (least to greatest)``."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle / unit:.2f} ({low / unit:.2f} to {high / unit:.2f})"


def table(sizes: Sequence[Size]) -> str:
    """The figures as Markdown."""
    lines = [
        "| hosts | acquire, sshd answering, s | `layers-services`, s | its CPU, s | `destroy`, s "
        "| memory a host, MiB | of that its processes', MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {size.hosts} | {shown(size.acquire)} | {shown(size.up)} | {shown(size.cpu)} | {shown(size.down)} "
        f"| {shown(size.memory, size.hosts * MIB)} | {shown(size.private, size.hosts * MIB)} |"
        for size in sizes
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 25, 50, 100, 150, 200])
    chosen = parser.parse_args()
    sizes = [Size(count) for count in chosen.hosts]
    with tempfile.TemporaryDirectory() as name:
        for _ in range(chosen.runs):
            for size in sizes:
                once(size, Path(name))
                print(f"{size.hosts} hosts: {size.up[-1]:.1f} s up, {size.down[-1]:.1f} s down", file=sys.stderr)
    print(table(sizes))


if __name__ == "__main__":
    main()
