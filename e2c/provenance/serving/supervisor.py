"""The supervisor: one process that owns a data folder and keeps broker, database and translator running."""

from __future__ import annotations

import os
import platform
import selectors
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import e2c
from e2c.errors import ProvenanceError
from e2c.provenance import addresses, dsn
from e2c.provenance.folder import DATABASE_NAME, DataFolder, read_json, write_json
from e2c.provenance.serving import broker, libmonetdb, tls
from e2c.provenance.serving.children import Child, start_time
from e2c.provenance.serving.ownership import Ownership, Signals, wait_for_orphans
from e2c.provenance.serving.parts import Request, check_kind, children

READY_LIMIT_S = 60.0
PORT_ATTEMPTS = 5


class Supervisor:
    """Runs the service until it is told to stop."""

    def __init__(self, folder: DataFolder, request: Request) -> None:
        self.folder = folder
        self._request = request
        self._server: dsn.Server | None = None
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
        if self._request.tls is True:
            tls.find()
        check_kind(self.folder, self._request)
        external = self._request.server is not None or self.folder.external.exists()
        libraries = None if external else libmonetdb.locate()
        self.folder.make()
        with ExitStack() as cleanup:
            cleanup.enter_context(Ownership(self.folder))
            wait_for_orphans(self.folder)
            before = dsn.kept(self.folder)
            self._server = self._request.server or before
            if self._server != before:
                cleanup.callback(self._unless_serving, before)
                dsn.keep(self.folder, self._server)
            wakeup = cleanup.enter_context(Signals(self._stop_soon))
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

    def _unless_serving(self, before: dsn.Server | None) -> None:
        """A server with which the service did not start is not remembered."""
        if not self._serving:
            dsn.keep(self.folder, before)

    def _start_all(self, wakeup: int, libraries: Path | None) -> selectors.BaseSelector:
        """Start the children and wait until all are ready; a free port that was lost to another is chosen again."""
        attempts = 1 if self._request.mqtt_port and not self._request.tls else PORT_ATTEMPTS
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

    def _prepare(self, libraries: Path | None) -> None:
        folder, request = self.folder, self._request
        folder.passwords()
        self._listeners = broker.choose(request.binds, request.mqtt_port)
        if request.tls:
            binds = self._listeners.binds
            identity = tls.given(request.tls, binds) if isinstance(request.tls, tls.Given) else tls.own(folder, binds)
            self._listeners = broker.secured(self._listeners, identity)
        clients = request.clients if request.clients is not None else broker.device_account(folder)
        mosquitto = broker.configure(folder, self._listeners, clients)
        if request.dataflows or not folder.dataflows.exists():
            write_json(folder.dataflows, {"dataflows": list(request.dataflows)})
        for stale in (folder.service, folder.translator):
            stale.unlink(missing_ok=True)
        self._children = children(folder, request, self._listeners, mosquitto, libraries)

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
                    f"the {ended.name} did not start",
                    why=lines[-1].rstrip(".") if lines else ended.last_end,
                    hint=f"See {ended.log}",
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
            with suppress(OSError):  # whoever read it is gone
                sys.stderr.write(f"e2c.provenance: the {child.name} ended with code {code} and is started again\n")
        self._report()

    def _stop_all(self) -> None:
        """The translator stores what it has, then the others end."""
        order = {"metrics": 0, "translator": 1, "broker": 2, "database": 3}
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
                "since": child.since,
                "restarts": child.restarts,
                "failures": child.failures,
                "last_end": child.last_end,
            }
            for child in self._children
        ]
        pid = os.getpid() if running else None
        with suppress(OSError):  # a full disk: the parts are supervised all the same
            write_json(self.folder.supervisor, {"pid": pid, "started": start_time(pid), "children": children})

    def _information(self) -> dict[str, Any]:
        folder, listeners = self.folder, self._listeners
        database = read_json(folder.database_endpoint)
        own = f"monetdb://127.0.0.1:{database['port']}/{DATABASE_NAME}"
        endpoints = {"database": own if self._server is None else self._server.url()}
        if self._request.metrics is not None:
            address, port = self._request.metrics[0], read_json(folder.metrics)["port"]
            endpoints["metrics"] = f"http://{addresses.bracketed(address)}:{port}/metrics"
        address, port = listeners.local()
        authority = listeners.tls.authority if listeners.tls is not None else None
        monetdb = libmonetdb.VERSION if self._server is None else database["version"]
        return {
            "endpoints": endpoints,
            "mqtt": listeners.urls(),
            "tls_ca": str(authority) if authority is not None else None,
            "local": {"address": address, "port": port},
            "partitions": self._request.partitions,
            "pid": os.getpid(),
            "data": str(folder.root),
            "credentials": str(folder.credentials) if self._request.clients is None else None,
            "dataflow": str(folder.dataflows) if read_json(folder.dataflows)["dataflows"] else None,
            "versions": {"e2c": e2c.__version__, "python": platform.python_version(), "monetdb": monetdb},
        }
