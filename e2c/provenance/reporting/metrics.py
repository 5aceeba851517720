"""The metrics process: figures for Prometheus over HTTP.

``python -m e2c.provenance.reporting.metrics DIR ADDRESS PORT`` prints ``ready PORT`` when it listens, and ends on
SIGTERM. It has a process of its own, so that a slow reader holds up nothing. Whatever asks within a second gets the
same answer.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

from e2c.errors import E2CError, ProvenanceError
from e2c.provenance.addresses import bracketed, is_v6, socket_address
from e2c.provenance.folder import DataFolder, write_json
from e2c.provenance.reporting.exposition import CONTENT_TYPE, text
from e2c.provenance.reporting.status import report

KEEP_S = 1.0
PATH = "/metrics"
READER_LIMIT_S = 10.0


class _Figures:
    """The latest text, made anew when it is too old; one at a time."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._text = b""
        self._made = float("-inf")

    def latest(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._made > KEEP_S:
                self._text = text(report(self._folder)).encode()
                self._made = time.monotonic()
            return self._text


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: str, port: int, figures: _Figures) -> None:
        self.address_family = socket.AF_INET6 if is_v6(address) else socket.AF_INET
        self.figures = figures
        super().__init__(socket_address(address, port), _Handler)

    def server_bind(self) -> None:
        """Without asking for the name of the address, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


class _Handler(BaseHTTPRequestHandler):
    server_version = "e2c"
    sys_version = ""
    timeout = READER_LIMIT_S

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, "The figures are at " + PATH)
            return
        try:
            body = server.figures.latest()
        except ProvenanceError as error:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "No figures", str(error))
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Requests are not logged."""


def main(arguments: list[str]) -> int:
    """Serve until the end of the process."""
    folder, address, port = DataFolder(Path(arguments[0])), arguments[1], int(arguments[2])
    try:
        try:
            server = _Server(address, port, _Figures(folder))
        except OSError as error:
            raise ProvenanceError(
                f"--metrics cannot listen on {bracketed(address)}:{port}",
                why=error.strerror,
                hint="Choose another port",
            ) from error
        write_json(folder.metrics, {"port": server.server_port})
    except E2CError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"ready {server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
