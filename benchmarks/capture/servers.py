"""The servers that clients talk to, on loopback: our provenance service, a quick HTTP server, Redis."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from e2c.provenance.connections import connect, rows
from e2c.provenance.folder import DataFolder

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")


def dataflows(attributes: Sequence[int]) -> dict[str, Any]:
    """A dataflow for each number of attributes: a step that uses so many and generates as many."""
    return {"dataflows": [_dataflow(count) for count in attributes]}


def _dataflow(count: int) -> dict[str, Any]:
    names = [{"name": f"a{number}", "type": "NUMERIC"} for number in range(count)]
    sets = [
        {"tag": f"used{count}", "type": "INPUT", "attributes": names},
        {"tag": f"generated{count}", "type": "OUTPUT", "attributes": names},
    ]
    return {"tag": f"bench{count}", "transformations": [{"tag": "step", "sets": sets}]}


class Service:
    """``python -m e2c.provenance serve`` on loopback, and questions to its database."""

    def __init__(self, root: Path, attributes: Sequence[int]) -> None:
        self.folder = DataFolder(root / "data")
        self.dataflow = root / "dataflow.json"
        self.dataflow.write_text(json.dumps(dataflows(attributes)))
        command = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(self.folder.root)]
        command += ["--dataflow", str(self.dataflow), "--mqtt-port", "0"]
        with (root / "service.log").open("w") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if not ready.startswith("ready"):
            self._process.wait()
            sys.exit(f"the provenance service does not start: {(root / 'service.log').read_text().strip()}")
        information = json.loads(ready.removeprefix("ready"))
        self.port = int(information["mqtt"][0].rpartition(":")[2])
        self._connection = connect(self.folder, autocommit=True)

    def reconnect(self) -> None:
        """After the database was started again."""
        self._connection.close()
        self._connection = connect(self.folder, autocommit=True)

    def environment(self, port: int | None = None) -> dict[str, str]:
        """Settings of a client, as a deployed device has them."""
        return {
            "PROVLIGHT_SERVER_URL": f"127.0.0.1:{port or self.port}",
            "PROVLIGHT_CREDENTIALS": str(self.folder.credentials),
            "PROVLIGHT_DATAFLOW": str(self.dataflow),
        }

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a statement."""
        return rows(self._connection, sql)

    def cpu_s(self) -> float:
        """CPU seconds that the service and its parts have used."""
        children = json.loads(self.folder.supervisor.read_text())["children"]
        return sum(_cpu_s(pid) for pid in [self._process.pid, *(child["pid"] for child in children)])

    def close(self) -> None:
        self._connection.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@contextlib.contextmanager
def http_server() -> Iterator[int]:
    """A server that answers every request at once; its port."""
    command = [sys.executable, str(HERE / "answering.py"), "127.0.0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[1])


@contextlib.contextmanager
def redis_server(program: Path, folder: Path) -> Iterator[int]:
    """A Redis that keeps nothing on disk; its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (folder / "redis.log").open("w") as log:
        process = subprocess.Popen([*command, "--dir", str(folder)], stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(250):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()
