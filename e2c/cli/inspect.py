"""``e2clab inspect``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from e2c.cli import render
from e2c.cli.arguments import Format, ScenarioDir


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inspect")(inspect)


def inspect(
    scenario_dir: ScenarioDir,
    output: Annotated[Format, typer.Option("--format", help="Output for people or for programs.")] = Format.table,
) -> None:
    """Show hosts, links, services and phases done.

    Also boards, and reservations as they were last heard of; `e2clab status` asks the testbeds. Services are asked for
    their health.
    """
    from e2c.experiment import report

    parts = report.inspect(scenario_dir)
    if output is Format.json:
        render.data_json(parts)
    else:
        render.data(_text(parts))


def _text(parts: dict[str, Any]) -> str:
    state = "released" if parts["released"] else "living"
    sections = [f"experiment {parts['experiment']} ({state}), results in {parts['folder']}"]
    if parts["rehearsal"]:
        sections.append("a rehearsal: all testbeds are played by local hosts")
    hosts = [
        (
            host["service"],
            host["layer"],
            host["testbed"],
            host["addresses"]["v4"],
            host["addresses"]["v6"],
            host["roles"],
        )
        for host in parts["hosts"]
    ]
    sections.append(render.table(["host", "layer", "testbed", "IPv4", "IPv6", "roles"], hosts))
    monitored = [
        (host["service"], host["monitoring"]["device"], host["monitoring"]["addresses"])
        for host in parts["hosts"]
        if host["monitoring"]
    ]
    if monitored:
        sections.append(render.table(["in the monitoring network", "device", "addresses"], monitored))
    if parts["boards"]:
        boards = [
            (board["service"], board["layer"], board["testbed"], board["address"], board["archi"], board["image"])
            for board in parts["boards"]
        ]
        sections.append(render.table(["board", "layer", "testbed", "name there", "archi", "firmware"], boards))
    if parts["reservations"]:
        reservations = [
            (one["id"], one["provider"], one["site"], one["name"], one["state"], _moment(one["ends"]))
            for one in parts["reservations"]
        ]
        sections.append(render.table(["reservation", "testbed", "site", "name", "state", "ends"], reservations))
    if parts["links"]:
        links = [
            (link["src"], link["dst"], link["words"], link["words_back"], "yes" if link["applied"] else "no")
            for link in parts["links"]
        ]
        heads = ["from", "to", "there", "back", "applied"]
        sections.append(render.table(heads, links))
    if parts["services"]:
        services = [
            (one["name"], host, list(one["endpoints"].values()), health)
            for one in parts["services"]
            for host, health in by_host(one)
        ]
        sections.append(render.table(["service", "host", "endpoints", "health"], services))
    if parts["runs"]:
        sections.append(render.table(*runs(parts["runs"])))
    phases = [(record["phase"], record["run"], record["at"], record["seconds"]) for record in parts["phases"]]
    sections.append(render.table(["phase done", "run", "at", "seconds"], phases))
    return "\n\n".join(sections)


def by_host(service: dict[str, Any]) -> list[tuple[str, str]]:
    """Host and health of a service: of one that is asked on each of its hosts, of each."""
    health = service["health"]
    more = len(service.get("hosts", ())) - 1
    whole = f"{service['host']} and {more} more" if more > 0 else service["host"]
    return [(host, healthy(one)) for host, one in health.get("hosts", {whole: health}).items()]


def healthy(health: dict[str, Any]) -> str:
    """``healthy``, or why not."""
    return "healthy" if health["healthy"] else health.get("reason") or "not healthy"


def runs(found: list[dict[str, Any]]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of a table of runs."""
    rows = [
        (one["run"], one["outcome"], one["began"][:19].replace("T", " "), _seconds(one), _why(one)) for one in found
    ]
    return ["run", "outcome", "began (UTC)", "seconds", "because"], rows


def _seconds(one: dict[str, Any]) -> float | None:
    if not one["ended"]:
        return None
    return round((datetime.fromisoformat(one["ended"]) - datetime.fromisoformat(one["began"])).total_seconds(), 1)


def _why(one: dict[str, Any]) -> str:
    return one["reason"].splitlines()[0].rstrip(" :") if one["reason"] else ""


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
