"""The command ``provlight``: look at, send and discard what a device has captured, and try its way to the database."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Dict, List, Optional, Sequence

from .settings import Settings

_FOUND_PROBLEMS = 1
_SETTINGS = ("server_url", "server_port", "server_topic", "credentials", "tls_ca", "spool_dir")


class _CommandError(Exception):
    """What went wrong, as one sentence for the user."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run a subcommand. Returns the exit code: 0 all is well, 1 something is not, 2 the call was wrong."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except _CommandError as error:
        sys.stderr.write("provlight: {}\n".format(error))
        return _FOUND_PROBLEMS
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone: nothing more to say, not even at exit
        return _FOUND_PROBLEMS
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="provlight",
        description="Look at, send and discard what this device has captured, and try its way to the database.",
        epilog="Broker and credentials are those of the application: the options, else PROVLIGHT_SERVER_URL and "
        "PROVLIGHT_CREDENTIALS, else /etc/provlight/environment. Exit codes: 0 all is well, 1 something is not, "
        "2 the call was wrong.",
    )
    commands = parser.add_subparsers(dest="name", metavar="COMMAND")
    commands.required = True

    replay = _command(commands, "replay", _replay, "send files that the transport `file` has written")
    replay.add_argument("files", nargs="+", metavar="FILE", help="all files of the same clients together")
    replay.add_argument(
        "--accept-gaps",
        action="store_true",
        help="send what follows batches that are in none of the files; the missing ones count as lost from then on",
    )
    _broker_options(replay, 60.0, "give a client up after this long without progress")
    _format_option(replay)

    spool = commands.add_parser("spool", help="what processes have left on this device")
    verbs = spool.add_subparsers(dest="verb", metavar="VERB")
    verbs.required = True
    listed = _command(verbs, "list", _spool_list, "show what is not stored yet, by client")
    checked = _command(verbs, "check", _spool_check, "read every byte and tell what is damaged")
    checked.add_argument("folders", nargs="*", metavar="FOLDER", help="folders of clients (default: all)")
    purged = _command(verbs, "purge", _spool_purge, "delete what clients have left; it cannot be sent any more")
    purged.add_argument("folders", nargs="*", metavar="FOLDER", help="folders of clients, as `list` shows them")
    purged.add_argument("--all", action="store_true", help="all clients whose process lives no longer")
    sent = _command(verbs, "send", _spool_send, "send what clients have left whose process lives no longer")
    for verb in (listed, checked, purged, sent):
        verb.add_argument("--spool-dir", metavar="DIR", help="the spool (default: PROVLIGHT_SPOOL_DIR)")
        _format_option(verb)
    _broker_options(sent, 60.0, "stop after this long")

    ping = _command(commands, "ping", _ping, "try the way of a record: broker, credentials, translator, database")
    _broker_options(ping, 10.0, "wait this long for an answer")
    _format_option(ping)
    return parser


def _command(commands: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=function)
    return parser


def _broker_options(parser: argparse.ArgumentParser, timeout: float, meaning: str) -> None:
    parser.add_argument("--server-url", metavar="URL", help="the broker, as host:port (default: PROVLIGHT_SERVER_URL)")
    parser.add_argument("--server-topic", metavar="PARTITION", help="partition (default: PROVLIGHT_SERVER_TOPIC, or 1)")
    parser.add_argument(
        "--credentials", metavar="FILE", help="user and password, a line each (default: PROVLIGHT_CREDENTIALS)"
    )
    parser.add_argument("--tls-ca", metavar="FILE", help="CA certificates to trust (default: PROVLIGHT_TLS_CA)")
    parser.add_argument(
        "--timeout", type=_seconds, default=timeout, metavar="S", help="{} (default: {:g})".format(meaning, timeout)
    )


def _format_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("table", "json"), default="table", help="how to show the result")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError("a time is from 0 to 1000000 seconds")
    return value


def _settings(options: argparse.Namespace, broker: bool) -> Settings:
    given = {name: getattr(options, name, None) for name in _SETTINGS}
    try:
        settings = Settings(
            {**{name: value for name, value in given.items() if value is not None}, "transport": "mqtt"}
        )
    except ValueError as error:
        raise _CommandError(str(error)) from error
    if broker and settings.endpoint is None:
        raise _CommandError("no broker is named: give --server-url or set PROVLIGHT_SERVER_URL")
    return settings


def _spool_dir(options: argparse.Namespace) -> str:
    folder = _settings(options, broker=False).spool_dir
    if folder is None:
        raise _CommandError("no spool is named: give --spool-dir or set PROVLIGHT_SPOOL_DIR")
    return folder


# ------------------------------------------------------------------------------------------------------- subcommands


def _replay(options: argparse.Namespace) -> int:
    from .replay import Recording, replay
    from .transport.choice import transport_maker

    settings = _settings(options, broker=True)
    try:
        recording = Recording(options.files)
    except OSError as error:
        raise _CommandError("{} cannot be read: {}".format(error.filename, error.strerror)) from error
    for sentence in recording.damage:
        sys.stderr.write("provlight: {}\n".format(sentence))
    if not recording.clients and recording.damage:
        raise _CommandError("no batch was found: is this a file of the transport `file`?")
    make = transport_maker(settings)
    try:
        found = replay(recording, lambda: make(""), options.accept_gaps, options.timeout)
    finally:
        recording.close()
    _show(options, [dict(one._asdict()) for one in found], "nothing to send")
    for one in found:
        if one.error:
            hint = "; give the files that hold them too, or --accept-gaps" if "in none of these" in one.error else ""
            sys.stderr.write("provlight: client {}: {}{}\n".format(one.client, one.error, hint))
    return _FOUND_PROBLEMS if any(one.error for one in found) else 0


def _spool_list(options: argparse.Namespace) -> int:
    _show(options, [_shown(info) for info in _listed(options)], "the spool is empty")
    return 0


def _spool_check(options: argparse.Namespace) -> int:
    from .spool import SpoolError, check

    folders = options.folders or [info.folder for info in _listed(options)]
    rows: List[Dict[str, Any]] = []
    for folder in folders:
        try:
            rows += [{"folder": folder, "damage": sentence} for sentence in check(folder)]
        except SpoolError as error:
            raise _CommandError(str(error)) from error
    _show(options, rows, "{} folders are sound".format(len(folders)))
    return _FOUND_PROBLEMS if rows else 0


def _spool_purge(options: argparse.Namespace) -> int:
    from .spool import SpoolError, purge

    if bool(options.folders) == options.all:
        raise _CommandError("say what to delete: folders as `provlight spool list` shows them, or --all")
    folders = options.folders or [info.folder for info in _listed(options) if not info.owned]
    gone, code = [], 0
    for folder in folders:
        try:
            gone.append(_shown(purge(folder)))
        except SpoolError as error:
            sys.stderr.write("provlight: {}\n".format(error))
            code = _FOUND_PROBLEMS
    _show(options, gone, "nothing was deleted")
    return code


def _spool_send(options: argparse.Namespace) -> int:
    from .spool import SpoolError, drain

    _spool_dir(options)
    try:
        drained = drain(_settings(options, broker=True), options.timeout)
    except SpoolError as error:
        raise _CommandError(str(error)) from error
    sys.stderr.write("{} records of {} clients are stored\n".format(drained.records, drained.folders))
    _show(options, [_shown(info) for info in drained.left], "nothing is left")
    if drained.error:
        raise _CommandError(drained.error)
    return 0


def _ping(options: argparse.Namespace) -> int:
    from .ping import ping

    answer = ping(_settings(options, broker=True), options.timeout)
    _show(options, [dict(answer._asdict())], "")
    if answer.error:
        raise _CommandError(answer.error)
    return 0


def _listed(options: argparse.Namespace) -> "List[Any]":
    from .spool import SpoolError, folders

    try:
        return folders(_spool_dir(options))
    except SpoolError as error:
        raise _CommandError(str(error)) from error


# ------------------------------------------------------------------------------------------------------------ showing


def _shown(info: Any) -> Dict[str, Any]:
    """What the spool says of a folder, with its time as people and programs read it."""
    row = dict(info._asdict())
    if row.get("oldest") is not None:
        import datetime

        oldest = datetime.datetime.fromtimestamp(row["oldest"], datetime.timezone.utc)
        row["oldest"] = oldest.strftime("%Y-%m-%dT%H:%M:%SZ")
    return row


def _show(options: argparse.Namespace, rows: Sequence[Dict[str, Any]], nothing: str) -> None:
    if options.format == "json":
        import json

        sys.stdout.write(json.dumps(rows) + "\n")
    elif not rows:
        sys.stderr.write(nothing + "\n")
    else:
        names = list(rows[0])
        lines = [names] + [[_text(row[name]) for name in names] for row in rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
        for line in lines:
            sys.stdout.write("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() + "\n")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value).replace("\n", " ")
