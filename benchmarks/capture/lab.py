"""What all parts of the benchmark share: the servers, and how a measured process is started."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peers
from progress import say
from servers import Service, http_server, redis_server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ATTRIBUTES = (10, 100)
DISK = "/var/tmp"
"""Spool and database lie here: ``/tmp`` is in memory on many machines, where waiting for the disk costs nothing."""

LABELS = {
    "provlight": "ProvLight, as deployed: disk spool",
    "provlight-memory": "ProvLight without spool",
    "provlight-record": "ProvLight, `durability=record`",
    "flowcept": "Flowcept 1.0.3, decorator, in memory (sends nothing)",
    "flowcept-dict": "the same, all attributes in one argument",
    "flowcept-redis": "Flowcept 1.0.3, decorator, to Redis",
    "openlineage": "OpenLineage 1.54.0, async HTTP",
    "http": "DfAnalyzer-like HTTP/JSON, keep-alive",
    "http-new": "DfAnalyzer-like HTTP/JSON, new connections",
    "http-requests": "DfAnalyzer-like HTTP/JSON, `requests.post`",
}
OURS = ("provlight", "provlight-memory", "provlight-record", "http", "http-new")
"""What is measured where no peers are installed."""

FLOWCEPT_SETTINGS = """\
flowcept_version: 1.0.3
project: {{debug: false, json_serializer: default, replace_non_json_serializable: false, performance_logging: false,
  enrich_messages: false, db_flush_mode: {flush}, dump_buffer: {{enabled: false}}}}
log: {{log_path: {folder}/flowcept.log, log_file_level: disable, log_stream_level: critical}}
telemetry_capture: {{}}
instrumentation: {{enabled: true}}
experiment: {{user: bench}}
mq: {{enabled: {mq}, type: redis, host: 127.0.0.1, port: {port}, channel: interception, buffer_size: 50,
  insertion_buffer_time_secs: 5, timing: false, chunk_size: -1, same_as_kvdb: false}}
kv_db: {{enabled: false, host: 127.0.0.1, port: {port}}}
databases: {{lmdb: {{enabled: false}}, mongodb: {{enabled: false}}}}
db_buffer: {{insertion_buffer_time_secs: 5, buffer_size: 50, remove_empty_fields: false}}
web_server: {{}}
sys_metadata: {{environment_id: bench}}
extra_metadata: {{}}
agent: {{enabled: false}}
adapters: {{}}
"""


@dataclass
class Lab:
    """Servers that stand, and the interpreter of measured processes."""

    folder: Path
    python: Path
    subjects: tuple[str, ...]
    service: Service
    http_port: int
    redis_port: int
    settings: Mapping[str, str]
    plotter: Path | None
    problems: list[str] = field(default_factory=list)

    def start(
        self, asked: dict[str, Any], ports: Mapping[str, int] | None = None, settings: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a measured process.

        Args:
            asked: what :mod:`worker` takes.
            ports: of relays that it shall use in place of the servers, by kind: ``mqtt``, ``http``, ``redis``.
            settings: further environment variables.
        """
        given = ports or {}
        asked = {**asked, "host": "127.0.0.1", "port": given.get("http", self.http_port)}
        return self.process(asked["subject"], [str(HERE / "worker.py"), json.dumps(asked)], given, settings)

    def process(
        self,
        subject: str,
        words: list[str],
        ports: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a program of the measured interpreter, with the settings that the subject needs."""
        given = ports or {}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVLIGHT_")}
        environment["PYTHONPATH"] = str(ROOT)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every import would compile what was edited
        if subject.startswith("provlight"):
            environment |= {**self.service.environment(given.get("mqtt")), **self.settings}
            if subject != "provlight-memory":
                environment.setdefault("PROVLIGHT_SPOOL_DIR", str(self.service.folder.root.with_name("spool")))
            if subject == "provlight-record":
                environment["PROVLIGHT_DURABILITY"] = "record"
        elif subject.startswith("flowcept"):
            environment["FLOWCEPT_SETTINGS_PATH"] = str(self._flowcept(subject, given.get("redis", self.redis_port)))
        return subprocess.Popen(
            [str(self.python), *words],
            env=environment | dict(settings or {}),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str], what: str) -> dict[str, Any]:
        """What a measured process found out; stops the benchmark if it failed."""
        try:
            out, err = process.communicate(timeout=600)
        finally:
            if process.poll() is None:
                process.kill()
        if process.returncode != 0:
            sys.exit(f"{what} failed:\n{err.strip()}")
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        if found.get("problem"):
            self.problems.append(f"{what}: {found['problem']}")
            say(self.problems[-1])
        return found

    def run(self, asked: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Start a measured process and await it."""
        return self.finish(self.start(asked, **more), f"{asked['subject']}, {asked['attributes']} attributes")

    @contextlib.contextmanager
    def served_by(self, service: Service) -> Iterator[Service]:
        """Another provenance service in place of this one, until the block is left."""
        own, self.service = self.service, service
        try:
            yield service
        finally:
            self.service = own
            service.close()

    def _flowcept(self, subject: str, port: int) -> Path:
        path = self.folder / f"{subject}-{port}.yaml"
        mq, flush = ("true", "online") if subject == "flowcept-redis" else ("false", "offline")
        path.write_text(FLOWCEPT_SETTINGS.format(folder=self.folder, mq=mq, flush=flush, port=port))
        return path


@contextlib.contextmanager
def standing(with_peers: bool, settings: Mapping[str, str]) -> Iterator[Lab]:
    """All servers, until the block is left."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="e2c-capture-", dir=DISK)))
        python = peers.environment() if with_peers else Path(sys.executable)
        service = Service(folder, ATTRIBUTES)
        stack.callback(service.close)
        yield Lab(
            folder=folder,
            python=python,
            subjects=tuple(LABELS) if with_peers else OURS,
            service=service,
            http_port=stack.enter_context(http_server()),
            redis_port=stack.enter_context(redis_server(peers.redis_program(python), folder)) if with_peers else 0,
            settings=settings,
            plotter=python if with_peers else None,
        )


@dataclass(frozen=True)
class Spread:
    """Median of several measurements, with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def show(self, digits: int = 1) -> str:
        """``12.3 (11.0 to 14.5)``."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.greatest:.{digits}f})"
