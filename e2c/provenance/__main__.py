"""``python -m e2c.provenance``: the provenance service on the command line."""

from __future__ import annotations

import argparse
import csv
import datetime
import decimal
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from e2c.errors import E2CError, ProvenanceError
from e2c.provenance.folder import DataFolder

PROGRAM = "e2c.provenance"
DATAFLOW_LIMIT_S = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand. Returns the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except E2CError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, ProvenanceError) else 1
    except BrokenPipeError:
        # The reader of our output has gone: nothing more to say, not even at exit.
        sys.stdout = None
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="The provenance service: broker, translator and dataflow database, as one supervised process tree.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = _command(commands, "serve", _serve, "start the service and supervise it until SIGTERM or Ctrl-C")
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
    serve.add_argument("--mqtt-port", type=_port, default=1883, metavar="PORT", help="broker port; 0 means a free one")
    serve.add_argument(
        "--database-port", type=_port, default=0, metavar="PORT", help="database port on loopback (default: a free one)"
    )
    serve.add_argument("--partitions", type=_positive, default=1, metavar="N", help="partitions of the clients")

    status = _command(commands, "status", _status, "show the health of the service and what each client has sent")
    status.add_argument("--format", choices=("table", "json"), default="table")

    query = _command(commands, "query", _query, "answer one SQL statement; only reading is possible")
    query.add_argument("sql", metavar="SQL", help="the statement, or - to read it from standard input")
    query.add_argument("--format", choices=("table", "json", "csv"), default="table")
    query.add_argument("--timeout", type=float, default=300.0, metavar="S", help="limit in seconds (default: 300)")

    drain = _command(commands, "drain", _drain, "wait until everything received so far is stored")
    drain.add_argument("--timeout", type=float, default=60.0, metavar="S", help="limit in seconds (default: 60)")

    dump = _command(commands, "dump", _dump, "write the database as SQL statements that restore it exactly")
    dump.add_argument("--output", required=True, metavar="FILE", help="file to write, or - for standard output")

    export = _command(commands, "export-csv", _export, "write each set and table as a CSV file")
    export.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write into")

    _command(commands, "stop", _stop, "stop the service and wait for its end")

    fetch = commands.add_parser("fetch-monetdb", help="download the MonetDB libraries with pip and check them")
    fetch.set_defaults(command=_fetch)
    return parser


def _command(commands: Any, name: str, function: Callable[[argparse.Namespace], int], text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder of the service")
    parser.set_defaults(command=function)
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


def _folder(options: argparse.Namespace) -> DataFolder:
    return DataFolder(options.data.absolute())


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
        _folder(options),
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

    found = report(_folder(options))
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
    _print_table(("part", "state", "pid", "restarts", "answers"), (False, False, True, True, False), rows)
    if found["clients"]:
        print()
        names = ("user", "client", "host", "received", "stored", "rejected", "lost", "last_seq", "last_seen")
        rights = tuple(name in ("received", "stored", "rejected", "lost", "last_seq") for name in names)
        _print_table(names, rights, [tuple(client[name] for name in names) for client in found["clients"]])
    if found["undeclared"]:
        print("\nnot declared, stored with inferred types:")
        columns = ("dataflow", "transformation", "data_set", "table_name")
        _print_table(columns, (False,) * 4, [tuple(item[name] for name in columns) for item in found["undeclared"]])


def _query(options: argparse.Namespace) -> int:
    from e2c.provenance.queries import ask

    sql = sys.stdin.read() if options.sql == "-" else options.sql
    with ask(_folder(options), sql, options.timeout) as answer:
        if options.format == "json":
            separator = "["
            for row in answer.rows:
                pairs = zip(answer.columns, map(_json_value, row), strict=True)
                print(separator, json.dumps(dict(pairs), ensure_ascii=False), sep="", end="")
                separator = ",\n "
            print("[]" if separator == "[" else "]")
        elif options.format == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(answer.columns)
            writer.writerows([_text(value) for value in row] for row in answer.rows)
        else:
            _print_table(answer.columns, answer.numeric, list(answer.rows))
    return 0


def _drain(options: argparse.Namespace) -> int:
    from e2c.provenance.status import drain

    drain(_folder(options), options.timeout)
    return 0


def _dump(options: argparse.Namespace) -> int:
    from e2c.provenance.dump import dump

    if options.output == "-":
        dump(_folder(options), sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    path = Path(options.output)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as out:
            rows = dump(_folder(options), out)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    print(f"{rows} rows in {path}", file=sys.stderr)
    return 0


def _export(options: argparse.Namespace) -> int:
    from e2c.provenance.dump import export_csv

    for path in export_csv(_folder(options), options.output):
        print(path)
    return 0


def _stop(options: argparse.Namespace) -> int:
    from e2c.provenance.status import stop

    if not stop(_folder(options)):
        print(f"{PROGRAM}: nothing is running in {options.data}", file=sys.stderr)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    del options
    from e2c.provenance import libmonetdb

    print(libmonetdb.fetch())
    return 0


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _print_table(names: Sequence[str], rights: Sequence[bool], rows: Sequence[Sequence[Any]]) -> None:
    shown = [[_text(value).replace("\n", "\\n") for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
    for line in [list(names), ["-" * width for width in widths], *shown]:
        cells = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, rights, strict=True)
        ]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(main())
