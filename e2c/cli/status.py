"""``e2clab status``."""

from __future__ import annotations

import json
import sys
import threading
from datetime import datetime
from typing import Annotated, Any

import click
import typer
from typer.core import TyperCommand

from e2c.cli import render
from e2c.cli.arguments import Format, ScenarioDir
from e2c.cli.inspect import by_host, healthy, runs
from e2c.cli.waiting import cut, duration, lively, one_line, size

DEFAULT_S = 5.0
SETTLED_S = 60
"""Seconds after which a log gets a line although nothing has changed."""
WATCH = "--watch"


class WithWatch(TyperCommand):
    """``--watch`` may stand without its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give it the value it stands for."""
        made = []
        for place, word in enumerate(args):
            following = args[place + 1] if place + 1 < len(args) else ""
            alone = word == WATCH and not following.replace(".", "", 1).isdigit()
            made.append(f"{WATCH}={DEFAULT_S:g}" if alone else word)
        return super().parse_args(ctx, made)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", cls=WithWatch)(status)


def status(
    scenario_dir: ScenarioDir,
    watch: Annotated[
        float | None,
        typer.Option(
            WATCH, metavar="[SECONDS]", min=0.5, help="Look again every so many seconds (5), until all is released."
        ),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="Output for people or for programs.")] = Format.table,
) -> None:
    """Show how an experiment is right now.

    What is deployed and which process works on it, phases done, what is left of reservations, which hosts and services
    answer, and what runs in the background. With --watch it is drawn again in place; where output is no terminal, a
    line with the time is written when something changed, and as JSON an object on a line every time. Ctrl-C ends it.
    """
    from e2c.experiment.status import Monitor

    monitor = Monitor(scenario_dir)
    if watch is None:
        found = monitor.look()
        render.data_json(found) if output is Format.json else render.data("\n".join(lines(found)))
        return
    screen = _Screen(output)
    pause = threading.Event()
    try:
        while True:
            found = monitor.look()
            screen.show(found)
            if found["released"]:
                return
            pause.wait(watch)
    except KeyboardInterrupt:  # how this command is meant to end
        screen.leave()


class _Screen:
    """Shows one status after the other."""

    def __init__(self, output: Format) -> None:
        self.output = output
        self.in_place = output is Format.table and lively(sys.stdout)
        self.height = 0
        self.last = ""
        self.told = 0.0

    def show(self, found: dict[str, Any]) -> None:
        if self.output is Format.json:
            render.data(json.dumps(found, ensure_ascii=False))
        elif self.in_place:
            self._draw(found)
        else:
            self._tell(found)

    def _draw(self, found: dict[str, Any]) -> None:
        columns, height = size(sys.stdout)
        clock = datetime.now().strftime("%H:%M:%S")
        shown = [cut(one_line(line), columns - 1) for line in (f"{clock}  Ctrl-C ends this", "", *lines(found))]
        most = max(1, height - 1)
        if len(shown) > most:
            shown = [*shown[: most - 1], f"... {len(shown) - most + 1} more lines"]
        up = f"\x1b[{self.height}A" if self.height else ""
        sys.stdout.write(f"{up}\r\x1b[J" + "\n".join(shown) + "\n")
        sys.stdout.flush()
        self.height = len(shown)

    def _tell(self, found: dict[str, Any]) -> None:
        text, moment = summary(found), datetime.now()
        unchanged = summary(found, with_times=False)
        if unchanged == self.last and moment.timestamp() - self.told < SETTLED_S:
            return
        self.last, self.told = unchanged, moment.timestamp()
        render.data(f"{moment.isoformat(timespec='seconds')} {text}")

    def leave(self) -> None:
        """The cursor stands below what is shown; only ``^C`` is to be taken away."""
        if self.in_place:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()


def lines(found: dict[str, Any]) -> list[str]:
    """The status for people."""
    state = "released" if found["released"] else "living"
    text = [f"experiment {found['experiment']} ({state}), results in {found['folder']}"]
    if found["rehearsal"]:
        text.append("a rehearsal: all testbeds are played by local hosts")
    text.append(f"done  {', '.join(dict.fromkeys(one['phase'] for one in found['phases'])) or 'nothing yet'}")
    text.append(f"now   {_now(found)}")
    if found["released"]:
        return text
    text.append(f"hosts {_answering(found)}")
    silent = [(host["service"], host["reason"] or "no answer") for host in found["hosts"] if not host["reachable"]]
    tables = [
        (["does not answer", "because"], silent),
        (
            ["reservation", "testbed", "site", "name", "state", "left"],
            [_reserved(one) for one in found["reservations"]],
        ),
        (["board", "name there", "archi", "firmware"], [_board(one) for one in found["boards"]]),
        runs(found["runs"]),
        (
            ["service", "host", "health"],
            [(one["name"], host, health) for one in found["services"] for host, health in by_host(one)],
        ),
        (
            ["background task", "run", "host", "state"],
            [(one["task"], one["run"], one["host"], _task(one)) for one in found["background"]],
        ),
    ]
    for heads, rows in tables:
        if rows:
            text += ["", *render.table(heads, rows).splitlines()]
    return text


def summary(found: dict[str, Any], *, with_times: bool = True) -> str:
    """The status in one line.

    Args:
        with_times: also what changes with every second.
    """
    if found["released"]:
        return f"{found['experiment']} released"
    parts = [_now(found), f"hosts {_answering(found)}"]
    for one in found["reservations"]:
        left = f", {_left(one)} left" if with_times and one["remaining_s"] is not None else ""
        parts.append(f"{one['provider']} {one['id']} {one['state']}{left}")
    parts += [f"run {one['run']} {one['outcome']}" for one in found["runs"][-1:]]
    parts += [f"{one['name']} {healthy(one['health'])}" for one in found["services"]]
    parts += [f"{one['task']} on {one['host']} {_task(one, with_times=with_times)}" for one in found["background"]]
    return "; ".join(parts)


def _now(found: dict[str, Any]) -> str:
    working = found["now"]
    if working is None:
        cut_off = (
            "" if found["released"] or found["begun"] is None else f"; {found['begun']} began and did not end well"
        )
        return f"no command works on it{cut_off}"
    return f"{working['phase'] or 'between phases'}, by process {working['pid']}: {working['command']}"


def _answering(found: dict[str, Any]) -> str:
    if not found["hosts"]:
        return "none, only boards" if found["boards"] else f"none acquired of {found['planned']} planned"
    number = sum(host["reachable"] is True for host in found["hosts"])
    return f"{number} of {len(found['hosts'])} answer"


def _reserved(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["id"], one["provider"], one["site"], one["name"], one["state"], _left(one)


def _left(one: dict[str, Any]) -> str:
    if one["remaining_s"] is None:
        return "not known yet"
    return duration(one["remaining_s"]) if one["remaining_s"] > 0 else "over"


def _board(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["key"], one["address"], one["archi"], one["image"]


def _task(one: dict[str, Any], *, with_times: bool = True) -> str:
    if not one["ended"]:
        since = (datetime.now().astimezone() - datetime.fromisoformat(one["started"])).total_seconds()
        text = f"running for {duration(since)}" if with_times else "running"
        return f"{text} ({one['reason']})" if one["reason"] else text
    return f"ended, exit code {one['rc']}" if one["rc"] is not None else f"ended, {one['reason']}"
