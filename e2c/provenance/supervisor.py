"""The supervisor: one process that owns a data folder and keeps broker, database and translator running."""

from __future__ import annotations

import fcntl
import os
import re
import selectors
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import e2c
from e2c.errors import BusyError, ProvenanceError
from e2c.provenance import broker, libmonetdb
from e2c.provenance.children import Child, start_time
from e2c.provenance.folder import DATABASE_NAME, DataFolder, read_json, write_json

READY_LIMIT_S = 60.0
ORPHANS_LIMIT_S = 10.0
PORT_ATTEMPTS = 5


class Supervisor:
    """Runs the service until it is told to stop.

    Args:
        dataflows: evaluated dataflows; they are added to those the database knows.
        clients: broker users for devices.
    """

    def __init__(
        self,
        folder: DataFolder,
        *,
        dataflows: Sequence[Mapping[str, Any]],
        clients: Mapping[str, str] | None,
        binds: Sequence[str],
        mqtt_port: int,
        partitions: int,
        database_port: int = 0,
    ) -> None:
        self.folder = folder
        self._dataflows = dataflows
        self._clients = clients
        self._binds = binds
        self._mqtt_port = mqtt_port
        self._partitions = partitions
        self._database_port = database_port
        self._stopping = False
        self._serving = False
        self._children: list[Child] = []
        self._listeners = broker.Listeners((), 0)

    def run(self, announce: Callable[[dict[str, Any]], None]) -> None:
        """Start everything, announce readiness, supervise, stop everything.

        Raises:
            E2CError: it could not start; nothing is left running.
        """
        broker.find()
        libraries = libmonetdb.locate()
        self.folder.make()
        with ExitStack() as cleanup:
            cleanup.enter_context(_Ownership(self.folder))
            self._wait_for_orphans()
            wakeup = cleanup.enter_context(_Signals(self._stop_soon))
            cleanup.callback(self._stop_all)
            cleanup.callback(self.folder.service.unlink, missing_ok=True)
            selector = self._start_all(wakeup, libraries)
            cleanup.callback(selector.close)
            if not self._stopping:
                self._serving = True
                information = self._information()
                write_json(self.folder.service, information)
                announce(information)
            while not self._stopping:
                self._step(selector, None)

    def _start_all(self, wakeup: int, libraries: Path) -> selectors.BaseSelector:
        """Start the children and wait until all are ready; a free port that was lost to another is chosen again."""
        attempts = 1 if self._mqtt_port else PORT_ATTEMPTS
        while True:
            attempts -= 1
            self._prepare(libraries)
            selector = selectors.DefaultSelector()
            try:
                selector.register(wakeup, selectors.EVENT_READ, None)
                for child in self._children:
                    self._start(child, selector)
                self._until_ready(selector)
            except ProvenanceError as error:
                selector.close()
                if not attempts or broker.TAKEN not in str(error):
                    raise
                self._stop_all()
            except BaseException:
                selector.close()
                raise
            else:
                return selector

    def _prepare(self, libraries: Path) -> None:
        folder = self.folder
        folder.passwords()
        self._listeners = broker.choose(self._binds, self._mqtt_port)
        clients = self._clients if self._clients is not None else broker.device_account(folder)
        mosquitto = broker.configure(folder, self._listeners, clients)
        if self._dataflows or not folder.dataflows.exists():
            write_json(folder.dataflows, {"dataflows": list(self._dataflows)})
        for stale in (folder.service, folder.translator):
            stale.unlink(missing_ok=True)
        root = str(Path(e2c.__file__).resolve().parents[1])
        search = os.pathsep.join(item for item in (root, os.environ.get("PYTHONPATH", "")) if item)
        environment = {"PYTHONPATH": search, "PYTHONUNBUFFERED": "1", libmonetdb.VARIABLE: str(libraries)}
        python = [sys.executable, "-m"]
        address = [self._listeners.reachable(), str(self._listeners.port)]
        port = str(self._database_port or _earlier_port(folder))
        self._children = [
            Child(
                "database",
                [*python, "e2c.provenance.database", str(folder.root), port],
                re.compile(r"^ready \d+$"),
                folder.log("database"),
                environment,
                stop_s=60.0,
            ),
            Child("broker", mosquitto, broker.RUNNING, folder.log("broker")),
            Child(
                "translator",
                [*python, "e2c.provenance.translator", str(folder.root), *address, str(self._partitions)],
                re.compile(r"^ready$"),
                folder.log("translator"),
                environment,
                stop_s=30.0,
            ),
        ]

    def _start(self, child: Child, selector: selectors.BaseSelector) -> None:
        child.start()
        selector.register(child.output, selectors.EVENT_READ, child)
        selector.register(child.pidfd, selectors.EVENT_READ, child)
        self._report()

    def _until_ready(self, selector: selectors.BaseSelector) -> None:
        deadline = time.monotonic() + READY_LIMIT_S
        while not self._stopping and not all(child.is_ready for child in self._children):
            ended = self._step(selector, deadline)
            if ended is not None and not self._stopping:
                lines = list(ended.last_lines)
                raise ProvenanceError(
                    f"the {ended.name} did not start", why=lines[-1] if lines else None, hint=f"See {ended.log}"
                )
            if time.monotonic() > deadline:
                late = [child.name for child in self._children if not child.is_ready]
                raise ProvenanceError(
                    f"not ready within {READY_LIMIT_S:g} s: {', '.join(late)}", hint=f"See {self.folder.log(late[0])}"
                )

    def _step(self, selector: selectors.BaseSelector, deadline: float | None) -> Child | None:
        """Wait for what happens next and handle it. Returns a child that ended."""
        times = [child.restart_at for child in self._children if child.restart_at is not None]
        if deadline is not None:
            times.append(deadline)
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        ended = None
        for key, _ in selector.select(timeout):
            if key.data is None:
                os.read(key.fd, 4096)
            elif key.fd == key.data.pidfd:
                ended = key.data
            elif key.data.process is not None:
                was_ready = key.data.is_ready
                if not key.data.read():
                    selector.unregister(key.fd)
                if key.data.is_ready != was_ready:
                    self._report()
        if ended is not None:
            self._bury(ended, selector)
        now = time.monotonic()
        for child in self._children:
            if child.restart_at is not None and child.restart_at <= now and not self._stopping:
                child.restarts += 1
                self._start(child, selector)
        return ended

    def _bury(self, child: Child, selector: selectors.BaseSelector) -> None:
        selector.unregister(child.pidfd)
        with suppress(KeyError):  # its output may have ended before
            selector.unregister(child.output)
        code = child.ended(time.monotonic())
        if self._serving and not self._stopping:
            sys.stderr.write(f"e2c.provenance: the {child.name} ended with code {code} and is started again\n")
        self._report()

    def _stop_all(self) -> None:
        """The translator stores what it has, then the others end."""
        order = {"translator": 0, "broker": 1, "database": 2}
        for child in sorted(self._children, key=lambda item: order[item.name]):
            child.stop()
            child.close_log()
        self._report(running=False)

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping = True

    def _report(self, running: bool = True) -> None:
        children = [
            {
                "name": child.name,
                "state": "ready" if child.is_ready else "starting" if child.process else "down",
                "pid": child.pid,
                "started": start_time(child.pid),
                "restarts": child.restarts,
            }
            for child in self._children
        ]
        pid = os.getpid() if running else None
        write_json(self.folder.supervisor, {"pid": pid, "started": start_time(pid), "children": children})

    def _information(self) -> dict[str, Any]:
        import platform

        port = read_json(self.folder.database_endpoint)["port"]
        return {
            "endpoints": {"database": f"monetdb://127.0.0.1:{port}/{DATABASE_NAME}"},
            "mqtt": self._listeners.urls(),
            "partitions": self._partitions,
            "pid": os.getpid(),
            "data": str(self.folder.root),
            "credentials": str(self.folder.credentials) if self._clients is None else None,
            "versions": {"e2c": e2c.__version__, "python": platform.python_version(), "monetdb": "11.41.14"},
        }

    def _wait_for_orphans(self) -> None:
        """After a kill -9 of an earlier supervisor its children are about to end: wait until they have."""
        if not self.folder.supervisor.exists():
            return
        for item in read_json(self.folder.supervisor)["children"]:
            pid, started = item["pid"], item["started"]
            if pid is None or started is None or start_time(pid) != started:
                continue
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                try:
                    _wait_for_end(descriptor, item["name"])
                finally:
                    os.close(descriptor)


class _Ownership:
    """The lock on a data folder, freed by the kernel when its owner is gone."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> _Ownership:
        self._descriptor = os.open(self._folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise BusyError(
                "another provenance service owns this data folder",
                where=str(self._folder.root),
                hint="Stop it with `python -m e2c.provenance stop`, or choose another --data",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class _Signals:
    """SIGTERM, SIGINT and SIGHUP as readable events."""

    def __init__(self, handler: Callable[[int, FrameType | None], None]) -> None:
        self._handler = handler
        self._numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __enter__(self) -> int:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write)
        self._before = [signal.signal(number, self._handler) for number in self._numbers]
        return self._read

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, before in zip(self._numbers, self._before, strict=True):
            signal.signal(number, before)
        os.close(self._read)
        os.close(self._write)


def _wait_for_end(descriptor: int, name: str) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        if not selector.select(ORPHANS_LIMIT_S):
            raise ProvenanceError(f"the {name} of an earlier service still runs", hint="End it, then start again")


def _earlier_port(folder: DataFolder) -> int:
    """The database's port in an earlier life, so that clients find it again."""
    return int(read_json(folder.database_endpoint)["port"]) if folder.database_endpoint.exists() else 0
