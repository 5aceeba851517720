"""In place of DfAnalyzer: takes its requests and stores each in a transaction: ``python recorder.py DATA_FOLDER``.

It runs in the project's own environment, writes into the same database as the service under load, says ``ready PORT``
and serves until its standard input ends. The real one does more for each request.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from e2c.provenance.connections import connect
from e2c.provenance.folder import DataFolder

TABLES = {5: "peer_5", 10: "peer_10"}
"""Tables by number of attributes."""


def main() -> None:
    connection = connect(DataFolder(Path(sys.argv[1])))
    cursor = connection.cursor()
    for count, table in TABLES.items():
        columns = ", ".join(f"a{number} DOUBLE" for number in range(count))
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} (id BIGINT, tag TEXT, status TEXT, {columns})")
    connection.commit()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            values = asked["sets"][0]["elements"][0]
            numbers = ", ".join(str(float(value)) for value in values)
            cursor.execute(
                f"INSERT INTO {TABLES[len(values)]} "
                f"VALUES ({int(asked['id'])}, '{asked['tag']}', '{asked['status']}', {numbers})"
            )
            connection.commit()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
