"""The service under load, its parts as the kernel sees them, and the publishers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from publisher import Traffic
from servers import TICK, Service

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ATTRIBUTES = (5, 10)
"""Values of a record: with 5, a task has 10 in all."""

PARTS = ("broker", "translator", "database")
LIMIT_S = 300.0


class Stand(Service):
    """A provenance service whose parts are watched."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, ATTRIBUTES)
        self.user, self.password = self.folder.credentials.read_text().split("\n")[:2]

    def children(self) -> dict[str, dict[str, Any]]:
        """State of each part, as the supervisor sees it."""
        found = json.loads(self.folder.supervisor.read_text())["children"]
        return {child["name"]: child for child in found}

    def cpu(self) -> dict[str, float]:
        """CPU seconds that each part has used."""
        return {name: _cpu_s(child["pid"]) for name, child in self.children().items()}

    def memory(self, what: str = "VmRSS") -> dict[str, float]:
        """Resident MB of each part; ``VmHWM`` for the most it ever was."""
        return {name: _memory(child["pid"], what) for name, child in self.children().items()}

    def wait_for(self, condition: Any, what: str) -> float:
        """Seconds until a condition holds."""
        began = time.perf_counter()
        while not condition():
            if time.perf_counter() - began > LIMIT_S:
                sys.exit(f"{what}: not within {LIMIT_S:g} s")
            time.sleep(0.005)
        return time.perf_counter() - began

    def kill(self, part: str) -> float:
        """Kill a part; seconds until the supervisor says that it is ready again."""
        before = self.children()[part]
        began = time.perf_counter()
        os.kill(before["pid"], 9)

        def back() -> bool:
            now = self.children()[part]
            return bool(now["pid"] != before["pid"] and now["state"] == "ready")

        self.wait_for(back, f"the {part} starts again")
        seconds = time.perf_counter() - began
        if part == "database":
            self.reconnect()
        return seconds


class Client:
    """A publisher process."""

    def __init__(self, stand: Stand, name: str) -> None:
        self.name = name
        asked = {"client": name, "port": stand.port, "user": stand.user}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "publisher.py"), json.dumps(asked)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "BENCH_PASSWORD": stand.password},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def encode(self, traffic: Traffic) -> None:
        """Let it encode what it shall send."""
        self._say(json.dumps(asdict(traffic)))

    def encoded(self) -> None:
        """Wait until it is ready to send."""
        self._hear()

    def go(self) -> None:
        """Let it send."""
        self._say("")

    def sent(self) -> dict[str, Any]:
        """What it found out, when all is stored."""
        found: dict[str, Any] = json.loads(self._hear())
        if found["lost"]:
            sys.exit(f"{self.name} lost {found['lost']} records")
        return found

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended, code {self._process.wait()}")
        return line


@dataclass(frozen=True)
class Sent:
    """What one measurement of traffic gave."""

    records: int
    wall_s: float
    cpu_s: Mapping[str, float]  # by part, the publishers' as "publisher"
    bytes: int
    waits_s: Sequence[float]

    @property
    def rate(self) -> float:
        return self.records / self.wall_s

    def each_us(self) -> dict[str, float]:
        """Microseconds for each record: ``wall``, and the CPU of each part."""
        spent = {"wall": self.wall_s, **self.cpu_s}
        return {name: seconds / self.records * 1e6 for name, seconds in spent.items()}


def send(stand: Stand, clients: Sequence[Client], traffic: Traffic) -> Sent:
    """Send the traffic from each client; the clock stops when SQL counts all of it."""
    for client in clients:
        client.encode(traffic)
    for client in clients:
        client.encoded()
    counts = [f"SELECT count(*) FROM {what}{traffic.attributes}" for what in ("used", "generated")]
    before = sum(stand.ask(sql)[0][0] for sql in counts)
    expected = 2 * traffic.tasks * len(clients)
    cpu = stand.cpu()
    began = time.time()
    for client in clients:
        client.go()
    results = [client.sent() for client in clients]
    counted = sum(stand.ask(sql)[0][0] for sql in counts) - before
    ended = time.time()
    if counted != expected:
        sys.exit(f"{counted} records are in the database instead of {expected}")
    spent = {name: now - cpu[name] for name, now in stand.cpu().items()}
    spent["publisher"] = sum(result["cpu_s"] for result in results)
    waits = [wait for result in results for wait in result["waits_s"]]
    size = sum(result["bytes"] for result in results)
    return Sent(expected, ended - began, spent, size, waits)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _memory(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(what + ":"))
