"""``serve``, ``env``, ``status``, ``drain``, ``stop`` and ``fetch-monetdb``: the service itself."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance.command.arguments import Commands, add, folder, port, positive, seconds
from e2c.provenance.command.cells import cell, printable, table

DATAFLOW_LIMIT_S = 30.0


def register(commands: Commands) -> None:
    """Add the subcommands."""
    serve = add(
        commands,
        "serve",
        _serve,
        "start the service and supervise it until SIGTERM or Ctrl-C, which end it with exit code 0",
    )
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
        help="address on which the broker listens, IPv4 or IPv6, no host name; 0.0.0.0 and :: mean all; may be given "
        "several times (default: loopback)",
    )
    serve.add_argument(
        "--mqtt-port", type=port, default=1883, metavar="PORT", help="broker port; 0 means a free one (default: 1883)"
    )
    serve.add_argument(
        "--tls", action="store_true", help="let devices connect by TLS only, with a certificate authority made for DIR"
    )
    serve.add_argument(
        "--tls-cert",
        type=Path,
        metavar="FILE",
        help="the same with a certificate that is given, in PEM format, with its chain",
    )
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="key of --tls-cert, without password")
    serve.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help="authority that devices must trust (default: those a system trusts)"
    )
    serve.add_argument(
        "--dsn",
        metavar="DSN",
        help="use a MonetDB server that exists: a file of mode 0600 that holds "
        "monetdb://user:password@host:port/database; without the option, the variable E2C_PROVENANCE_DSN counts",
    )
    serve.add_argument(
        "--database-port", type=port, default=0, metavar="PORT", help="database port on loopback (default: a free one)"
    )
    serve.add_argument(
        "--metrics",
        metavar="PORT",
        help="serve figures for Prometheus at http://127.0.0.1:PORT/metrics; also ADDRESS:PORT, [ADDRESS]:PORT",
    )
    serve.add_argument(
        "--partitions", type=positive, default=1, metavar="N", help="partitions of the clients (default: 1)"
    )
    serve.add_argument(
        "--format",
        choices=("text", "json"),
        help="what is printed once it is ready: words, or one line `ready {...}` (default: words on a terminal)",
    )

    environment = add(commands, "env", _env, "print the environment of an application, for eval")
    environment.add_argument(
        "--host", metavar="HOST", help="address or name of this machine as the application sees it (default: loopback)"
    )
    environment.add_argument(
        "--format",
        choices=("sh", "plain", "json"),
        default="sh",
        help="export lines, NAME=value lines as for docker --env-file, or JSON (default: sh)",
    )

    status = add(commands, "status", _status, "show the health of the service and what each client has sent")
    status.add_argument(
        "--format", choices=("table", "json", "prometheus"), default="table", help="how it is printed (default: table)"
    )
    status.add_argument(
        "--watch", type=seconds, metavar="S", help="print it again every S seconds until Ctrl-C; only for tables"
    )

    drain = add(commands, "drain", _drain, "wait until everything received so far is stored")
    drain.add_argument("--timeout", type=seconds, default=60.0, metavar="S", help="limit in seconds (default: 60)")

    add(commands, "stop", _stop, "stop the service and wait for its end")

    fetch = commands.add_parser("fetch-monetdb", help="download the MonetDB libraries with pip and check them")
    fetch.set_defaults(command=_fetch)


def _serve(options: argparse.Namespace) -> int:
    from e2c.provenance import addresses, dsn
    from e2c.provenance.dataflows import dataflow, specification
    from e2c.provenance.reporting import announcement
    from e2c.provenance.serving import broker
    from e2c.provenance.serving.parts import Request
    from e2c.provenance.serving.supervisor import Supervisor

    flows: list[dict[str, Any]] = []
    for path in options.dataflow:
        if path.suffix == ".py":
            flows += specification.evaluate(path, DATAFLOW_LIMIT_S)
        else:
            try:
                document = path.read_bytes()
            except OSError as error:
                raise ProvenanceError("--dataflow cannot be read", where=str(path), why=error.strerror) from error
            flows += specification.read(document, str(path))
    dataflow.parse(flows)  # all together: none may be declared twice
    request = Request(
        dataflows=flows,
        clients=broker.read_clients(options.clients) if options.clients else None,
        binds=options.bind,
        mqtt_port=options.mqtt_port,
        partitions=options.partitions,
        database_port=options.database_port,
        tls=_tls(options),
        server=dsn.asked(options.dsn, os.environ),
        metrics=addresses.endpoint(options.metrics, "--metrics") if options.metrics is not None else None,
    )
    data = folder(options)
    words = options.format == "text" or (options.format is None and sys.stdout.isatty())
    if words:
        print(f"Starting the provenance service in {data.root} ...", flush=True)
    began = time.monotonic()

    def announce(information: dict[str, Any]) -> None:
        if words:
            print(f"Ready after {time.monotonic() - began:.1f} s.")
            print(announcement.block(information, options.program), flush=True)
        else:
            print("ready", json.dumps(information), flush=True)

    Supervisor(data, request).run(announce)
    if words:
        print("Stopped; everything that arrived is stored.", flush=True)
    return 0


def _tls(options: argparse.Namespace) -> Any:
    from e2c.provenance.serving.tls import Given

    if options.tls_cert is None and options.tls_key is None:
        if options.tls_ca is not None:
            raise ProvenanceError("--tls-ca goes with --tls-cert and --tls-key", hint="Give them, or only --tls")
        return options.tls
    if options.tls_cert is None or options.tls_key is None:
        raise ProvenanceError("--tls-cert and --tls-key go together", hint="Give both, or only --tls")
    return Given(options.tls_cert, options.tls_key, options.tls_ca)


def _env(options: argparse.Namespace) -> int:
    from e2c.provenance.reporting import announcement

    variables = announcement.environment(announcement.running(folder(options)), options.host)
    if options.format == "json":
        print(json.dumps(variables))
    elif options.format == "plain":
        print("\n".join(f"{name}={value}" for name, value in variables.items()))
    else:
        print("\n".join(announcement.exports(variables)))
    return 0


def _status(options: argparse.Namespace) -> int:
    from e2c.provenance.reporting.status import report

    if options.watch is not None:
        return _watch(options)
    found = report(folder(options))
    if options.format == "json":
        print(json.dumps(found))
    elif options.format == "prometheus":
        from e2c.provenance.reporting.exposition import text

        sys.stdout.write(text(found))
    else:
        _print_status(found)
    return 0 if found["healthy"] else 1


def _watch(options: argparse.Namespace) -> int:
    from e2c.provenance.reporting.status import report

    if options.format != "table":
        raise ProvenanceError("--watch shows tables only", hint="Leave out `--format`")
    while True:
        found = report(folder(options))
        print(f"\n{time.strftime('%H:%M:%S')} " if not sys.stdout.isatty() else "\033[2J\033[H", end="")
        _print_status(found)
        sys.stdout.flush()
        time.sleep(options.watch)


def _print_status(found: dict[str, Any]) -> None:
    print("healthy" if found["healthy"] else "not healthy")
    rows = [
        (child["name"], child["state"], child["pid"], child["restarts"], found["health"].get(child["name"]))
        for child in found["children"]
    ]
    _print_table(("part", "state", "pid", "restarts", "answers"), (False, False, True, True, False), rows)
    for child in found["children"]:
        if child["last_end"] and child["state"] != "ready" and found["running"]:
            print(f"\nthe {child['name']} ended {child['failures']} times in a row, at last with {child['last_end']}")
    if found["disk_full"]:
        print(f"\nthe disk is full, or nearly: {found['free_bytes'] >> 20} MiB free; clients keep what is not stored")
    if found["clients"]:
        print()
        counts = ("received", "stored", "rejected", "lost", "lag_s", "last_seq")
        names = ("user", "client", "host", *counts, "last_seen")
        rights = tuple(name in counts for name in names)
        _print_table(names, rights, [tuple(client[name] for name in names) for client in found["clients"]])
    if found["undeclared"]:
        print("\nnot declared, stored with inferred types:")
        columns = ("dataflow", "transformation", "data_set", "table_name")
        _print_table(columns, (False,) * 4, [tuple(item[name] for name in columns) for item in found["undeclared"]])


def _print_table(names: Sequence[str], rights: Sequence[bool], rows: Sequence[Sequence[Any]]) -> None:
    for line in table(names, [[printable(cell(value)) for value in row] for row in rows], rights):
        print(line)


def _drain(options: argparse.Namespace) -> int:
    from e2c.provenance.reporting.status import drain

    drain(folder(options), options.timeout)
    return 0


def _stop(options: argparse.Namespace) -> int:
    from e2c.provenance.reporting.status import stop

    if not stop(folder(options)):
        print(f"nothing is running in {options.data}", file=sys.stderr)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    del options
    from e2c.provenance.serving import libmonetdb

    print(libmonetdb.fetch())
    return 0
