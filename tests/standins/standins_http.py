"""A small HTTP server on loopback that plays a testbed's API, and can be made to misbehave."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_TICK_S = 0.1


@dataclass(frozen=True)
class Request:
    """One request as it came in at ``at`` (``time.monotonic``); ``path`` without the API's prefix and the query."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    authorised: bool
    user: str | None
    at: float

    @property
    def json(self) -> Any:
        """The body, if it is JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    content: Any = None
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """Bytes as they are, anything else as JSON."""
        if self.content is None:
            return b""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class Refused(Exception):
    """Raised by a route to answer with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass
class _Fault:
    method: str
    path: re.Pattern[str]
    kind: str
    after: int
    times: int | None
    seconds: float = 0
    answer: Answer | None = None
    action: Callable[[], object] | None = None
    happened: int = 0


class Faults:
    """What goes wrong, and when: each rule is for a method (``*``: any) and a pattern searched in the path.

    ``after`` requests that match pass unharmed first; ``times`` is how often it happens then (``None``: for ever).
    """

    def __init__(self) -> None:
        self._rules: list[_Fault] = []
        self._lock = threading.Lock()

    def delay(self, method: str, path: str, seconds: float, *, after: int = 0, times: int | None = None) -> None:
        """Answer late."""
        self._add(method, path, "delay", after, times, seconds=seconds)

    def refuse(self, method: str, path: str, *, after: int = 0, times: int | None = None) -> None:
        """Close the connection without doing anything."""
        self._add(method, path, "refuse", after, times)

    def lose(self, method: str, path: str, *, after: int = 0, times: int | None = 1) -> None:
        """Do the work, then close the connection without an answer."""
        self._add(method, path, "lose", after, times)

    def answer(
        self,
        method: str,
        path: str,
        status: int,
        content: Any = None,
        *,
        content_type: str = "application/json; charset=utf-8",
        after: int = 0,
        times: int | None = None,
    ) -> None:
        """Do nothing and answer this."""
        self._add(method, path, "answer", after, times, answer=Answer(status, content, content_type))

    def before(
        self, method: str, path: str, action: Callable[[], object], *, after: int = 0, times: int | None = 1
    ) -> None:
        """Let something happen on the testbed just before the request is served."""
        self._add(method, path, "before", after, times, action=action)

    def afterwards(
        self, method: str, path: str, action: Callable[[], object], *, after: int = 0, times: int | None = 1
    ) -> None:
        """Let something happen on the testbed when the request is served, before whoever sent it has the answer."""
        self._add(method, path, "afterwards", after, times, action=action)

    def clear(self) -> None:
        """All is well again."""
        with self._lock:
            self._rules.clear()

    @property
    def happened(self) -> int:
        """How many faults took place."""
        return sum(rule.happened for rule in self._rules)

    def due(self, method: str, path: str) -> list[_Fault]:
        """The rules that apply to this request, which counts for each of them."""
        found = []
        with self._lock:
            for rule in self._rules:
                if rule.method in ("*", method) and rule.path.search(path):
                    if rule.after > 0:
                        rule.after -= 1
                    elif rule.times is None or rule.happened < rule.times:
                        rule.happened += 1
                        found.append(rule)
        return found

    def _add(self, method: str, path: str, kind: str, after: int, times: int | None, **more: Any) -> None:
        with self._lock:
            self._rules.append(_Fault(method, re.compile(path), kind, after, times, **more))


class Clock:
    """The testbed's clock: the machine's, and what :meth:`forward` added."""

    def __init__(self) -> None:
        self._added = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._added

    def forward(self, seconds: float) -> None:
        """Let time pass at once."""
        self._added += seconds


class StandInServer:
    """The HTTP side of an API: authentication, faults, log of requests; :meth:`route` is the API's own.

    A context manager; the port stays the same when it is closed and opened again.

    Attributes:
        running: whether it listens.
        requests: every request that was read, in order, also those that a fault then hit.
        users: passwords by login; ``None`` lets everybody in.
    """

    prefix = "/"
    unauthorised = Answer(401, {"code": 401, "message": "Unauthorized"})
    unknown = Answer(404, {"code": 404, "message": "Not Found"})

    def __init__(self, users: dict[str, str] | None) -> None:
        self.users = users
        self.faults = Faults()
        self.requests: list[Request] = []
        self.clock = Clock()
        self.lock = threading.RLock()
        self._held = socket.socket()  # never listens: keeps the port while the API is down
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port = int(self._held.getsockname()[1])
        self.running = False
        self._reopening: threading.Timer | None = None
        self._servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def route(self, request: Request) -> Answer:
        """Serve one request, with the lock held."""
        raise NotImplementedError

    def tick(self) -> None:
        """Let happen what is due by now; the lock must be held."""

    def forward(self, seconds: float) -> None:
        """Let testbed time pass at once, with all that happens in it."""
        with self.lock:
            self.clock.forward(seconds)
            self.tick()

    def open(self) -> None:
        """Listen on loopback."""
        self.running = True
        server = _Listener(("127.0.0.1", self.port), self)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _TICK_S}, daemon=True)
        thread.start()
        self._servers.append((server, thread))

    def reset(self) -> None:
        """Well and open again."""
        self.faults.clear()
        self._stop_reopening()
        if not self.running:
            self.open()
        self.requests.clear()

    def _stop_reopening(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening.join()
            self._reopening = None

    def outage(self, seconds: float) -> None:
        """Be closed for a while."""
        self.close()
        self._reopening = threading.Timer(seconds, self.open)
        self._reopening.start()

    def close(self) -> None:
        """Listen no more: connections are refused. What exists on the testbed stays."""
        self.running = False
        for server, thread in self._servers:
            server.shutdown()
            server.server_close()
            thread.join()
        self._servers.clear()

    def __enter__(self) -> StandInServer:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_reopening()
        self.close()
        self._held.close()

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests whose path the pattern is found in."""
        return [request for request in self.requests if request.method == method and re.search(path, request.path)]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], api: StandInServer) -> None:
        self.api = api
        super().__init__(address, _Handler)

    def service_actions(self) -> None:
        """Called at every turn of the loop: testbed time passes also while nobody asks."""
        with self.api.lock:
            self.api.tick()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: requests are logged by the API."""

    def _serve(self) -> None:
        api = self.server.api
        if not api.running:
            self.close_connection = True  # kept open from before the API went down
            return
        request = self._read(api)
        with api.lock:
            api.requests.append(request)
        faults = api.faults.due(request.method, request.path)
        for fault in faults:
            if fault.kind == "delay":
                time.sleep(fault.seconds)
            elif fault.kind == "refuse":
                self._hang_up()
                return
            elif fault.kind == "before" and fault.action:
                fault.action()
        given = next((fault.answer for fault in faults if fault.kind == "answer"), None)
        answer = given or self._answer(api, request)
        for fault in faults:
            if fault.kind == "afterwards" and fault.action:
                fault.action()
        if any(fault.kind == "lose" for fault in faults):
            self._hang_up()
        else:
            self._send(answer)

    do_GET = do_POST = do_DELETE = do_PUT = _serve

    def _read(self, api: StandInServer) -> Request:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        user = self._user(api)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = "/" + unquote(parts.path).removeprefix(api.prefix).lstrip("/")
        return Request(self.command, path, query, body, api.users is None or user is not None, user, time.monotonic())

    def _user(self, api: StandInServer) -> str | None:
        kind, _, told = (self.headers.get("authorization") or "").partition(" ")
        if kind != "Basic":
            return None
        login, _, password = base64.b64decode(told).decode().partition(":")
        return login if api.users is None or api.users.get(login) == password else None

    def _answer(self, api: StandInServer, request: Request) -> Answer:
        if not request.authorised:
            return api.unauthorised
        try:
            with api.lock:
                api.tick()
                return api.route(request)
        except Refused as refused:
            return refused.answer
        except Exception as error:  # noqa: BLE001 - a fault of the stand-in must be seen by the test that meets it
            return Answer(599, {"code": 599, "message": f"the stand-in failed: {error!r}"})

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("content-type", answer.content_type)
        self.send_header("content-length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
