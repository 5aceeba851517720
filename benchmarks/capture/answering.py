"""An HTTP server that answers every request at once: ``python answering.py ADDRESS [PORT]``.

It says ``ready PORT`` and serves until its standard input ends. It needs the standard library only, as it runs on a
testbed's hosts too.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def main() -> None:
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    listener.listen(512)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    print("ready", listener.getsockname()[1], flush=True)
    sys.stdin.read()


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    held = b""
    with connection, contextlib.suppress(OSError):
        while piece := connection.recv(262144):
            held += piece
            while (length := _request(held)) and len(held) >= length:
                held = held[length:]
                connection.sendall(ANSWER)


def _request(held: bytes) -> int:
    """Length of the request at the beginning, with its body; 0 while its head is not whole."""
    head, end, _ = held.partition(b"\r\n\r\n")
    if not end:
        return 0
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return len(head) + 4 + (int(rest.split(b"\r\n", 1)[0]) if found else 0)


if __name__ == "__main__":
    main()
