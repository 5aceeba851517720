"""``list``, ``show``, ``lineage``, ``compare`` and ``timeline``: the questions that need no SQL."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2c.provenance.command.arguments import Commands, add, folder, positive
from e2c.provenance.command.cells import cell, printable, table
from e2c.provenance.command.query import limit
from e2c.provenance.command.render import json_value
from e2c.provenance.queries.durations import shown

if TYPE_CHECKING:
    from e2c.provenance.queries import Provenance

LISTED = ("tasks", "dataflows", "workflows", "runs", "sets", "clients")
NAMES = ("list", "show", "lineage", "compare", "timeline")
"""The subcommands."""

_PLAIN = frozenset((str, int, bool, type(None)))
_NO_TIME = datetime.timedelta()
_SORTS = ("id", "started", "ended", "duration")
_NARROWED = ("transformation", "workflow", "client", "run")
_FILTERED = ("dataflow", "workflow", "transformation", "status", "client", "run", "since")
_TASK = ("id", "key", "transformation", "workflow", "status", "host", "client", "started", "duration")


def register(commands: Commands) -> None:
    """Add the subcommands."""
    listing = add(commands, "list", _list, "list tasks, dataflows, workflows, runs, sets or clients")
    listing.add_argument("what", nargs="?", choices=LISTED, default="tasks", help="what to list (default: tasks)")
    _filters(listing)
    listing.add_argument("--limit", type=limit, default=100, metavar="N", help="most rows, 0 for all (default: 100)")
    listing.add_argument("--sort", choices=_SORTS, default="id", help="order of tasks (default: id, the newest first)")
    _output(listing, "table", "json")

    show = add(commands, "show", _show, "show everything that is stored of a task")
    _task(show, "task")
    _narrowing(show)
    _output(show, "table", "json")

    lineage = add(commands, "lineage", _lineage, "show what a task came from and what came of it")
    _task(lineage, "task")
    lineage.add_argument("--up", action="store_true", help="only what it came from")
    lineage.add_argument("--down", action="store_true", help="only what came of it")
    lineage.add_argument("--depth", type=positive, metavar="N", help="most steps in each direction (default: all)")
    _narrowing(lineage)
    _output(lineage, "table", "json", "dot", "svg")

    compare = add(commands, "compare", _compare, "compare two tasks, two workflows or two runs")
    _task(compare, "first", "; or a workflow, or a run")
    _task(compare, "second", "; or a workflow, or a run")
    compare.add_argument("--all", action="store_true", help="show what is the same as well")
    _narrowing(compare)
    _output(compare, "table", "json")

    timeline = add(commands, "timeline", _timeline, "show when tasks ran, by host and client")
    _filters(timeline)
    timeline.add_argument("--width", type=positive, metavar="N", help="characters of a line (default: the terminal's)")
    _output(timeline, "table", "json", "svg")


def _task(parser: Any, name: str, others: str = "") -> None:
    parser.add_argument(
        name,
        metavar=name.upper(),
        help=f"identity that the application gave the task, or row:NUMBER for the id of its row{others}",
    )


def _narrowing(parser: Any) -> None:
    for name in _NARROWED[:-1]:
        parser.add_argument(f"--{name}", metavar="NAME", help=f"only tasks of this {name}")
    parser.add_argument("--run", metavar="NAME", help="only tasks of this run (default: the newest that has the task)")


def _filters(parser: Any) -> None:
    for name in _FILTERED[:-1]:
        parser.add_argument(f"--{name}", metavar="NAME", help=f"only tasks of this {name}")
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help="only tasks that began then or later, in UTC: 2026-01-31T12:00"
    )


def _output(parser: Any, *formats: str) -> None:
    parser.add_argument("--format", choices=formats, default=formats[0], help=f"output (default: {formats[0]})")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file to write instead of standard output")


def _moment(text: str) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time; write it as 2026-01-31T12:00") from None
    return time if time.tzinfo is None else time.astimezone(datetime.timezone.utc).replace(tzinfo=None)


@contextmanager
def _answering(options: argparse.Namespace) -> Iterator[tuple[Provenance, Callable[..., None]]]:
    """The database, and what writes lines of output."""
    from e2c.provenance.command import output
    from e2c.provenance.queries import open_folder

    with open_folder(folder(options)) as provenance, output.target(options.output, options.format) as out:

        def write(text: str) -> None:
            out.write(f"{text}\n".encode(errors="replace"))

        yield provenance, write
        out.flush()


def _json(value: Any) -> str:
    """JSON with a line for each element of the outer lists and objects: short enough to read, and fast to write."""
    if isinstance(value, dict):
        members = [f"{json.dumps(str(name), ensure_ascii=False)}: {_json_list(one)}" for name, one in value.items()]
        return "{\n" + ",\n".join(members) + "\n}"
    return _json_list(value)


def _json_list(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n " + ",\n ".join(json.dumps(_plain(one), ensure_ascii=False) for one in value) + "\n]"
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:  # nearly all of them
        return value
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="microseconds")
    return json_value(value)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, datetime.timedelta):
        return shown(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    return printable(cell(value))


def _rows(names: Sequence[str], rows: Sequence[Any]) -> Iterator[str]:
    """A table; ``rows`` are dictionaries."""
    return table(names, [[_cell(row.get(name)) for name in names] for row in rows])


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _with_run(names: Sequence[str], rows: Sequence[Any]) -> Sequence[str]:
    """The columns of a table of tasks: with the run where there is one."""
    if all(row["run"] is None for row in rows):
        return names
    place = names.index("host")
    return (*names[:place], "run", *names[place:])


def _found(provenance: Provenance, options: argparse.Namespace, identity: str) -> int:
    """The row of a task. Whose run was chosen without being asked for is said."""
    from e2c.provenance.queries.tasks import find

    found = find(provenance, identity, **_given(options, *_NARROWED))
    if found.others:
        earlier = ", ".join(_run(name) for name in found.others)
        sys.stderr.write(f"task {identity} of {_run(found.run)}, the newest; --run chooses another: {earlier}\n")
    return found.id


def _run(name: str | None) -> str:
    return "no run" if name is None else f"run {printable(name)}"


def warn_of_run(provenance: Provenance, name: str | None) -> None:
    """Say it when no task belongs to the run that was chosen: it may be misspelled, or have captured nothing."""
    from e2c.provenance.queries.listing import unknown_run

    unknown = unknown_run(provenance, name) if name is not None else None
    if unknown is not None:
        sys.stderr.write(f"{printable(unknown)}\n")


def _list(options: argparse.Namespace) -> int:
    from e2c.provenance.queries import listing
    from e2c.provenance.queries.tasks import Filters, counted, listed

    with _answering(options) as (provenance, write):
        counts: list[Any] = []
        if options.what == "tasks":
            given = _given(options, *_FILTERED)
            filters = Filters(**given, limit=options.limit or None, sort=options.sort)
            rows = listed(provenance, filters)
            names: Sequence[str] = _with_run(_TASK, rows)
            counts = counted(provenance, filters)
        else:
            rows = listing.listed(provenance, options.what)
            if options.run is not None:
                rows = [row for row in rows if row.get("run", options.run) == options.run]
            rows = rows[: options.limit or None]
            names = list(rows[0]) if rows else ()
        if not rows:
            warn_of_run(provenance, options.run)
        if options.format == "json":
            write(_json(rows))
            return 0
        if rows:
            for line in _rows(names, rows):
                write(line)
        if options.what == "tasks":
            total = sum(row["tasks"] for row in counts)
            words = ", ".join(f"{row['tasks']} {str(row['status']).lower()}" for row in counts)
            shown = f"{len(rows)} shown of " if len(rows) < total else ""
            write(f"{shown}{total} tasks{f': {words}' if words else ''}")
        else:
            write(f"{len(rows)} {options.what}")
    return 0


def _show(options: argparse.Namespace) -> int:
    with _answering(options) as (provenance, write):
        task = provenance.task(_found(provenance, options, options.task))
        if options.format == "json":
            write(_json(task))
            return 0
        for line in _sheet(task):
            write(line)
    return 0


def _sheet(task: dict[str, Any]) -> Iterator[str]:
    facts = ("transformation", "dataflow", "workflow", "status", "error", "host", "client", "started", "ended")
    yield f"task {_cell(task['key'])} (row {task['id']})"
    for name in (*facts, "duration", "run", "output", "workspace"):
        if task[name] is not None:
            yield f"  {name:14} {_cell(task[name])}"
    if task["parent_key"] is not None:
        yield f"  {'part of':14} {_other(task['parent'] or {'key': task['parent_key'], 'id': None})}"
    for name, words in (("subtasks", "parts"), ("depends_on", "depends on"), ("needed_by", "needed by")):
        for place, one in enumerate(task[name]):
            yield f"  {'' if place else words:14} {_other(one)}"
    for kind in ("inputs", "outputs"):
        for tag, elements in task[kind].items():
            yield f"\n{kind[:-1]} {_cell(tag)}"
            if len(elements) == 1:
                yield from (f"  {_cell(name):20} {_cell(value)}" for name, value in elements[0].items())
            else:
                names = list(dict.fromkeys(name for element in elements for name in element))
                yield from (f"  {line}" for line in _rows(names, elements))
    if task["files"]:
        yield "\nfiles"
        yield from (f"  {line}" for line in _rows(("name", "path", "size", "digest", "problem"), task["files"]))
    if task["extras"]:
        yield "\nextras"
        yield from (f"  {_cell(name):20} {_cell(value)}" for name, value in task["extras"].items())


def _other(task: dict[str, Any]) -> str:
    if task["id"] is None:
        return f"{_cell(task['key'])} (not known yet)"
    return f"{_cell(task['transformation'])} {_cell(task['key'])} (row {task['id']}, {_cell(task['status'])})"


def _lineage(options: argparse.Namespace) -> int:
    from e2c.provenance.queries import drawing

    with _answering(options) as (provenance, write):
        both = options.up == options.down
        found = provenance.lineage(
            _found(provenance, options, options.task),
            up=options.up or both,
            down=options.down or both,
            depth=options.depth,
        )
        if options.format == "json":
            write(_json(found.as_json()))
        elif options.format in ("dot", "svg"):
            write(drawing.dot(found) if options.format == "dot" else drawing.svg(found))
        else:
            sources: dict[int, list[str]] = {}
            for edge in found.edges:
                sources.setdefault(edge.task, []).append(f"{edge.source} ({edge.kind})")
            for row in found.tasks:
                row["from"] = ", ".join(sources.get(row["id"], []))
            names = ("distance", "id", "key", "transformation", "status", "host", "started", "duration", "from")
            for line in _rows(_with_run(names, found.tasks), found.tasks):
                write(line)
            before = sum(row["distance"] < 0 for row in found.tasks)
            after = sum(row["distance"] > 0 for row in found.tasks)
            write(f"{before} tasks before, {after} after")
    return 0


def _compare(options: argparse.Namespace) -> int:
    with _answering(options) as (provenance, write):
        given = _given(options, *_NARROWED)
        found = provenance.compare(options.first, options.second, **given)
        if found["kind"] == "task":
            for one in dict.fromkeys((options.first, options.second)):
                _found(provenance, options, one)
        if options.format == "json":
            write(_json(found))
            return 0
        lines = [line for line in found["lines"] if options.all or not line["same"]]
        names = ("name", found["first"], found["second"], "delta")
        if found["first"] == found["second"]:
            names = ("name", "first", "second", "delta")
        rows = [
            dict(zip(names, (line["name"], line["first"], line["second"], _delta(line["delta"])), strict=True))
            for line in lines
        ]
        if rows:
            for text in _rows(names, rows):
                write(text)
        same = sum(line["same"] for line in found["lines"])
        write(f"{len(found['lines']) - same} differences, {same} the same")
    return 0


def _delta(value: Any) -> str:
    if value is None or value == 0:
        return ""
    if isinstance(value, datetime.timedelta):
        return shown(value) if value < _NO_TIME else f"+{shown(value)}"
    return f"{value:+.6g}" if isinstance(value, float) else f"{value:+d}"


def _timeline(options: argparse.Namespace) -> int:
    from e2c.provenance.queries import drawing, timeline

    with _answering(options) as (provenance, write):
        found = provenance.timeline(**_given(options, *_FILTERED))
        if not found:
            warn_of_run(provenance, options.run)
        if options.format == "json":
            write(_json(found))
            return 0
        if not found:
            write("no tasks")
            return 0
        if options.format == "svg":
            write(drawing.timeline_svg(found))
            return 0
        names = [_cell(f"{lane['host']} {lane['run'] or ''} {lane['client']}".strip())[:40] for lane in found]
        space = max(map(len, names))
        width = options.width or (os.get_terminal_size().columns if sys.stdout.isatty() else 100)
        room = max(20, width - space - 12)
        for name, lane, bar in zip(names, found, timeline.bars(found, room), strict=True):
            write(f"{name:{space}} |{bar}| {len(lane['tasks'])}")
        begin, end = (_cell(time) for time in timeline.span(found))
        write(f"{'':{space}}  {begin}{end:>{max(room - len(begin), len(end) + 1)}}")
    return 0
