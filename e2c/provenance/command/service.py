"""``serve``, ``status``, ``drain``, ``stop`` and ``fetch-monetdb``: the service itself."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance.command import render
from e2c.provenance.command.arguments import Commands, add, folder, port, positive

DATAFLOW_LIMIT_S = 30.0


def register(commands: Commands) -> None:
    """Add the subcommands."""
    serve = add(commands, "serve", _serve, "start the service and supervise it until SIGTERM or Ctrl-C")
    serve.add_argument(
        "--dataflow",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a dataflow to declare: evaluated JSON, or a Python specification; may be given several times",
    )
    serve.add_argument(
        "--clients",
        type=Path,
        metavar="FILE",
        help="JSON object of broker users and passwords for devices, mode 0600; without it one account is generated",
    )
    serve.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="address on which the broker listens, IPv4 or IPv6; may be given several times (default: loopback)",
    )
    serve.add_argument("--mqtt-port", type=port, default=1883, metavar="PORT", help="broker port; 0 means a free one")
    serve.add_argument(
        "--database-port", type=port, default=0, metavar="PORT", help="database port on loopback (default: a free one)"
    )
    serve.add_argument("--partitions", type=positive, default=1, metavar="N", help="partitions of the clients")

    status = add(commands, "status", _status, "show the health of the service and what each client has sent")
    status.add_argument("--format", choices=("table", "json"), default="table")

    drain = add(commands, "drain", _drain, "wait until everything received so far is stored")
    drain.add_argument("--timeout", type=float, default=60.0, metavar="S", help="limit in seconds (default: 60)")

    add(commands, "stop", _stop, "stop the service and wait for its end")

    fetch = commands.add_parser("fetch-monetdb", help="download the MonetDB libraries with pip and check them")
    fetch.set_defaults(command=_fetch)


def _serve(options: argparse.Namespace) -> int:
    from e2c.provenance import broker, dataflow
    from e2c.provenance.supervisor import Supervisor

    flows: list[dict[str, Any]] = []
    for path in options.dataflow:
        if path.suffix == ".py":
            flows += dataflow.evaluate(path, DATAFLOW_LIMIT_S)
        else:
            try:
                document = path.read_bytes()
            except OSError as error:
                raise ProvenanceError("--dataflow cannot be read", where=str(path), why=error.strerror) from error
            flows += dataflow.read(document, str(path))
    dataflow.parse(flows)  # all together: none may be declared twice
    supervisor = Supervisor(
        folder(options),
        dataflows=flows,
        clients=broker.read_clients(options.clients) if options.clients else None,
        binds=options.bind,
        mqtt_port=options.mqtt_port,
        partitions=options.partitions,
        database_port=options.database_port,
    )
    supervisor.run(lambda information: print("ready", json.dumps(information), flush=True))
    return 0


def _status(options: argparse.Namespace) -> int:
    from e2c.provenance.status import report

    found = report(folder(options))
    if options.format == "json":
        print(json.dumps(found))
    else:
        _print_status(found)
    return 0 if found["healthy"] else 1


def _print_status(found: dict[str, Any]) -> None:
    print("healthy" if found["healthy"] else "not healthy")
    rows = [
        (child["name"], child["state"], child["pid"], child["restarts"], found["health"].get(child["name"]))
        for child in found["children"]
    ]
    render.table(("part", "state", "pid", "restarts", "answers"), (False, False, True, True, False), rows)
    if found["clients"]:
        print()
        names = ("user", "client", "host", "received", "stored", "rejected", "lost", "last_seq", "last_seen")
        rights = tuple(name in ("received", "stored", "rejected", "lost", "last_seq") for name in names)
        render.table(names, rights, [tuple(client[name] for name in names) for client in found["clients"]])
    if found["undeclared"]:
        print("\nnot declared, stored with inferred types:")
        columns = ("dataflow", "transformation", "data_set", "table_name")
        render.table(columns, (False,) * 4, [tuple(item[name] for name in columns) for item in found["undeclared"]])


def _drain(options: argparse.Namespace) -> int:
    from e2c.provenance.status import drain

    drain(folder(options), options.timeout)
    return 0


def _stop(options: argparse.Namespace) -> int:
    from e2c.provenance.status import stop

    if not stop(folder(options)):
        print(f"nothing is running in {options.data}", file=sys.stderr)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    del options
    from e2c.provenance import libmonetdb

    print(libmonetdb.fetch())
    return 0
