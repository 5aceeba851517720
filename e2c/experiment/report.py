"""What can be asked of an experiment: its parts and their health, and commands on its hosts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2c.errors import StateError
from e2c.experiment.experiment import Experiment, find, living
from e2c.model.host import Host
from e2c.plan.selectors import select
from e2c.remote import shell
from e2c.services import provenance


def inspect(scenario: Path) -> dict[str, Any]:
    """Parts of the newest experiment of a scenario, as JSON values.

    Keys: ``experiment``, ``folder``, ``scenario``, ``rehearsal``, ``released``, ``netem``, ``hosts``, ``links``,
    ``services`` (with their health while they live), ``phases``, ``background``.

    Raises:
        StateError: the scenario was never deployed.
    """
    experiment = find(scenario, lambda _: None)
    if experiment is None:
        raise StateError(
            "nothing was deployed",
            where=str(scenario),
            hint=f"Deploy: `e2clab layers-services {scenario} ARTIFACTS_DIR`",
        )
    state, plan = experiment.state, experiment.plan
    return {
        "experiment": state.experiment,
        "folder": str(experiment.folder),
        "scenario": state.scenario,
        "rehearsal": plan.rehearsal,
        "released": state.released,
        "netem": state.netem,
        "hosts": [_host(host) for host in state.hosts],
        "links": _links(experiment),
        "services": [_service(experiment, index) for index in range(len(state.services))],
        "phases": [record.model_dump() for record in state.phases],
        "background": [task.model_dump() for task in state.background],
    }


def _host(host: Host) -> dict[str, Any]:
    return {
        "service": host.key,
        "layer": host.layer,
        "name": host.service,
        "roles": list(host.roles),
        "testbed": host.testbed,
        "provider": host.provider,
        "hostname": host.hostname,
        "address": host.address,
        "addresses": {"v4": host.addresses.v4, "v6": host.addresses.v6},
    }


def _links(experiment: Experiment) -> list[dict[str, Any]]:
    planned: list[dict[str, Any]] = [
        {
            "src": link.src,
            "dst": link.dst,
            "sources": list(link.sources),
            "destinations": list(link.destinations),
            "delay_ms": link.delay_ms,
            "rate_kbit": link.rate_kbit,
            "loss_percent": link.loss_percent,
            "symmetric": link.symmetric,
            "applied": experiment.state.done("emulate"),
        }
        for link in experiment.plan.links
    ]
    measured = {(row.get("src"), row.get("dst")): row for row in experiment.state.links}
    for link in planned:
        row = measured.get((link["src"], link["dst"]))
        if row:
            link["measured"] = row
    return planned


def _service(experiment: Experiment, index: int) -> dict[str, Any]:
    record = experiment.state.services[index]
    health: dict[str, Any] = {"healthy": False, "reason": "released"}
    if not experiment.state.released:
        health = provenance.health(experiment.hosts[record.host])
    return {"name": record.name, "host": record.host, "endpoints": record.endpoints, "health": health}


def execute(scenario: Path, selector: str, command: Sequence[str], timeout_s: float) -> dict[str, shell.Result]:
    """Run a command on the hosts that a selector chooses; results by service key, in plan order.

    A single word is taken as a shell command line; several words are passed on as they are.

    Raises:
        StateError: nothing is deployed, or the selector chooses nothing.
    """
    experiment = living(scenario, lambda _: None)
    hosts = experiment.hosts
    chosen = select(selector, experiment.state.hosts)
    if not chosen:
        raise StateError(
            f"selector {selector!r} chooses no host", where=str(scenario), why=f"hosts: {', '.join(hosts)}"
        )
    line = command[0] if len(command) == 1 else shlex.join(command)
    return shell.run_all([hosts[key] for key in chosen], line, timeout_s=timeout_s)
