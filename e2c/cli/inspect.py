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
            (
                link["src"],
                link["dst"],
                link["delay_ms"],
                link["rate_kbit"],
                link["loss_percent"],
                "yes" if link["symmetric"] else "no",
                "yes" if link["applied"] else "no",
            )
            for link in parts["links"]
        ]
        heads = ["from", "to", "delay ms", "rate kbit/s", "loss %", "symmetric", "applied"]
        sections.append(render.table(heads, links))
    if parts["services"]:
        services = [
            (
                service["name"],
                service["host"],
                list(service["endpoints"].values()),
                "healthy" if service["health"]["healthy"] else service["health"].get("reason", "not healthy"),
            )
            for service in parts["services"]
        ]
        sections.append(render.table(["service", "host", "endpoints", "health"], services))
    phases = [(record["phase"], record["at"], record["seconds"]) for record in parts["phases"]]
    sections.append(render.table(["phase done", "at", "seconds"], phases))
    return "\n\n".join(sections)


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
