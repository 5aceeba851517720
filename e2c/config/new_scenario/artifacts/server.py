"""Takes what sensors send, until the last one says that it is done: python3 server.py PORT."""

import socketserver
import sys

SENSORS = 2


class Readings(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            header = self.rfile.readline().split()
            if not header or header[0] == b"done":
                self.server.done += bool(header)
                return
            self.rfile.read(int(header[0]))
            self.wfile.write(b"ok\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    timeout = 1
    done = 0


with Server(("", int(sys.argv[1])), Readings) as server:
    while server.done < SENSORS:
        server.handle_request()
