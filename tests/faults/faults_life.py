"""Commands on a local testbed that are hit by signals in a chosen phase, and what is left of it then."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "environments"))
from environments_traces import namespace_inodes, traces  # noqa: E402

E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
LIMIT_S = 240
PHASES = ("acquire", "connect", "serve", "emulate", "prepare", "launch", "finalize", "backup")
FILES = {
    "layers_services.yaml": """\
environment:
  local: {}
provenance:
  provider: local
  dataflow_spec: dataflow.py
layers:
- name: cloud
  services:
  - name: server
- name: edge
  services:
  - name: client
    roles: [provenance]
""",
    "network.yaml": """\
networks:
- src: edge
  dst: cloud
  delay: 5ms
  rate: 100mbit
""",
    "workflow.yaml": """\
- hosts: edge
  prepare:
  - copy: {src: "{{ working_dir }}/application.py", dest: /tmp/application.py}
  launch:
  - shell: python3 /tmp/application.py
  finalize:
  - shell: sleep 0.5
""",
    "artifacts/dataflow.py": """\
from provlight.dataflow import Attribute, AttributeType, Dataflow, Set, SetType, Transformation

flow = Dataflow("faults")
work = Transformation("work")
work.set_sets([
    Set("given", SetType.INPUT, [Attribute("x", AttributeType.NUMERIC)]),
    Set("made", SetType.OUTPUT, [Attribute("y", AttributeType.NUMERIC)]),
])
flow.add_transformation(work)
flow.save()
""",
    "artifacts/application.py": """\
import time
from provlight.data import Data
from provlight.task import Task
from provlight.workflow import Workflow

workflow = Workflow("faults")
workflow.begin()
for x in range(5):
    task = Task(x, workflow, "work", dependencies=[])
    task.begin([Data("given", "faults", [], {"numbers": [x]})])
    time.sleep(0.05)
    task.end([Data("made", "faults", [], {"numbers": [x * x]})])
workflow.end()
""",
}


def e2clab(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run([*E2CLAB, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S, check=False)


LEAN = {
    "layers_services.yaml": """\
environment:
  local: {}
layers:
- name: cloud
  services:
  - name: server
- name: edge
  services:
  - name: client
""",
    "artifacts/application.py": "import time\ntime.sleep(0.5)\n",
    "artifacts/dataflow.py": "",
}
"""Without provenance, for phases that have nothing to do with it."""


def write(scenario: Path, *, lean: bool = False) -> None:
    """A scenario with every phase in it."""
    for name, content in {**FILES, **(LEAN if lean else {})}.items():
        file = scenario / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def standing(scenario: Path) -> list[str]:
    """Ids of the local testbeds of a scenario."""
    records = Path("/run/e2c").glob("*/testbed.json")
    return [record.parent.name for record in records if f'"{scenario}"' in record.read_text()]


def started(pid: str) -> str | None:
    """Start of a process in clock ticks, so that another one of the same number is not taken for it."""
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def inhabitants(spaces: set[int]) -> list[tuple[str, str | None]]:
    """Processes in network namespaces, with their starts; the inodes themselves are soon given to others."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if os.stat(f"/proc/{pid}/ns/net").st_ino in spaces:
                found.append((pid, started(pid)))
    return [(pid, start) for pid, start in found if start]


class Hit:
    """A `deploy` and the signal that ends it.

    Attributes:
        rc: its exit code, or minus the signal.
        said: what it said on stderr.
        testbeds, processes: ids of the local testbeds that stood at that moment, and what ran on their hosts.
    """

    def __init__(self, scenario: Path, phase: str, number: signal.Signals, seed: int) -> None:
        """Send the signal when the phase has begun, after up to a fifth of a second.

        Raises:
            AssertionError: the phase never began.
        """
        delay = random.Random(seed).uniform(0, 0.2)
        print(f"seed {seed}: {number.name} {delay:.3f} s after {phase} began")
        artifacts = scenario / "artifacts"
        before = sum(len(log.read_text()) for log in scenario.glob("2*/e2clab.log"))
        process = subprocess.Popen(
            [*E2CLAB, "deploy", str(scenario), str(artifacts)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        words: list[str] = []
        assert process.stderr is not None
        reader = threading.Thread(target=lambda: words.append(process.stderr.read()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        try:
            self._await(scenario, phase, process, before)
            time.sleep(delay)
            self.testbeds = standing(scenario)
            self.processes = inhabitants({inode for bed in self.testbeds for inode in namespace_inodes(bed)})
            process.send_signal(number)
            self.rc = process.wait(LIMIT_S)
        finally:
            process.kill()
            process.wait()
        reader.join(10)  # after kill -9 an ssh that it started may hold the pipe for a while
        self.said = "".join(words)

    @staticmethod
    def _await(scenario: Path, phase: str, process: subprocess.Popen[str], before: int) -> None:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for log in scenario.glob("2*/e2clab.log"):
                if f"phase   {phase}: begins\n" in log.read_text()[before:]:
                    return
            assert process.poll() is None, f"{phase} never began"
            time.sleep(0.002)
        raise AssertionError(f"{phase} never began")

    def left(self, scenario: Path) -> list[str]:
        """What is left on the machine of the testbeds that stood then, and of any that stands now."""

        def look() -> list[str]:
            found = [trace for testbed in self.testbeds for trace in traces(testbed)]
            found += [f"process {pid}" for pid, start in self.processes if started(pid) == start]
            return [*found, *standing(scenario), *map(str, scenario.glob("*/.ansible-*"))]

        seen = look()
        if seen:  # a host of another testbed that is just being made still sees the mounts of all
            time.sleep(1)
            seen = [trace for trace in look() if trace in seen]
        return seen


def new_seed() -> int:
    """A seed for one hit, told when the test fails."""
    return int.from_bytes(os.urandom(3), "big")
