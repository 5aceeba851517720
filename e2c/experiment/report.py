"""What can be asked of an experiment: its parts and their health, and commands on its hosts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from e2c.errors import StateError
from e2c.experiment import serving
from e2c.experiment.changes import words
from e2c.experiment.experiment import Experiment, find
from e2c.model.host import Board, Host
from e2c.model.service import Served
from e2c.plan.selectors import Roster
from e2c.remote import shell
from e2c.services import monitoring, provenance


def inspect(scenario: Path) -> dict[str, Any]:
    """Parts of the newest experiment of a scenario, as JSON values.

    Keys: ``experiment``, ``folder``, ``scenario``, ``rehearsal``, ``released``, ``netem``, ``reservations`` (as last
    heard), ``hosts``, ``boards``, ``links``, ``services`` (with their health while they live), ``phases``,
    ``background``, ``runs``.

    Raises:
        StateError: the scenario was never deployed.
    """
    experiment = newest(scenario)
    state, plan = experiment.state, experiment.plan
    return {
        "experiment": state.experiment,
        "folder": str(experiment.folder),
        "scenario": state.scenario,
        "rehearsal": plan.rehearsal,
        "released": state.released,
        "netem": state.netem,
        "reservations": [reservation.model_dump() for reservation in state.reservations],
        "hosts": [_host(host) for host in state.hosts],
        "boards": [_board(board) for board in state.boards],
        "links": _links(experiment),
        "services": services(experiment),
        "phases": [record.model_dump() for record in state.phases],
        "background": [task.model_dump() for task in state.background],
        "runs": runs(experiment),
    }


def runs(experiment: Experiment) -> list[dict[str, Any]]:
    """Runs of the workflow in the order in which they were begun."""
    return [
        {
            "run": record.identity,
            **record.run.model_dump(include={"repeat", "app_conf"}),
            **record.model_dump(include={"outcome", "began", "ended", "reason"}),
            "folder": str(experiment.folder / record.folder),
        }
        for record in experiment.state.runs
    ]


def newest(scenario: Path) -> Experiment:
    """The newest experiment of a scenario, living or released.

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
    return experiment


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
        "monitoring": host.monitoring.model_dump(mode="json") if host.monitoring else None,
    }


def _board(board: Board) -> dict[str, Any]:
    fields = board.model_dump(mode="json")
    return {"service": fields.pop("key"), "layer": fields.pop("layer"), "name": fields.pop("service"), **fields}


def _links(experiment: Experiment) -> list[dict[str, Any]]:
    planned: list[dict[str, Any]] = [
        {
            "src": link.src,
            "dst": link.dst,
            "sources": list(link.sources),
            "destinations": list(link.destinations),
            **link.named,
            "symmetric": link.symmetric,
            "back": link.back.named if link.back else None,
            "words": words(link),
            "words_back": words(link.back) if link.back else words(link) if link.symmetric else "",
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


def services(experiment: Experiment) -> list[dict[str, Any]]:
    """Services with their health, asked of them while they live."""
    own = [_service(experiment, index) for index in range(len(experiment.state.services))]
    return [*own, *(_served(experiment, one) for one in experiment.state.served)]


def _served(experiment: Experiment, one: Served) -> dict[str, Any]:
    health = {"healthy": False, "reason": "released"} if experiment.state.released else serving.health(experiment, one)
    return {
        "name": one.name,
        "host": one.hosts[0],
        "hosts": list(one.hosts),
        "plugin": one.plugin,
        "endpoints": serving.endpoints(experiment, one),
        "health": health,
    }


def _service(experiment: Experiment, index: int) -> dict[str, Any]:
    record = experiment.state.services[index]
    health: dict[str, Any] = {"healthy": False, "reason": "released"}
    if not experiment.state.released:
        sampled = experiment.plan.monitoring if record.name == monitoring.NAME else None
        if sampled is not None:
            health = monitoring.health(sampled, experiment.hosts)
        else:
            health = provenance.health(experiment.hosts[record.host])
    hosts = list(record.hosts or (record.host,))
    return {"name": record.name, "host": record.host, "hosts": hosts, "endpoints": record.endpoints, "health": health}


def reachable(scenario: Path) -> Experiment:
    """The newest experiment, whose hosts were acquired and not released; how far it came since does not matter.

    Raises:
        StateError: there are no hosts.
    """
    experiment = newest(scenario)
    if experiment.state.released:
        raise StateError(
            "nothing is deployed any more",
            where=str(scenario),
            why=f"the last experiment was released; its results are in {experiment.folder}",
            hint=f"Deploy again: `e2clab layers-services {scenario} ARTIFACTS_DIR`",
        )
    if not experiment.state.hosts and not experiment.state.boards:
        raise StateError(
            "no hosts were acquired yet", where=str(scenario), hint=f"See how far it is: e2clab status {scenario}"
        )
    return experiment


def machines(experiment: Experiment) -> list[Host | Board]:
    """Hosts and boards, in the order of the plan."""
    acquired: dict[str, Host | Board] = {host.key: host for host in experiment.state.hosts}
    acquired |= {board.key: board for board in experiment.state.boards}
    return [acquired[planned.key] for planned in experiment.plan.hosts if planned.key in acquired]


def choose(experiment: Experiment, selector: str) -> tuple[list[Host], list[Board]]:
    """Hosts and boards that a selector chooses, at least one host among them.

    Raises:
        SelectorError: the selector cannot be read.
        StateError: it chooses nothing, or only boards.
    """
    roster = Roster(machines(experiment))
    keys = set(roster.select(selector))
    chosen = [one for one in machines(experiment) if one.key in keys]
    hosts = [one for one in chosen if isinstance(one, Host)]
    boards = [one for one in chosen if isinstance(one, Board)]
    if not chosen:
        near = roster.proposal(selector)
        names = shell.some([one.key for one in machines(experiment)], ", ")
        raise StateError(
            f"selector {selector!r} chooses no host",
            where=str(experiment.scenario),
            why=f"there are {names}",
            hint=f"Did you mean {near!r}?" if near else None,
        )
    if not hosts:
        raise StateError(
            f"{shell.some([board.key for board in boards], ', ')} {'is a board' if len(boards) == 1 else 'are boards'}",
            where=str(experiment.scenario),
            why="a board runs its firmware and no system, so nobody can log in",
            hint="Reach its serial line from the front end of its site",
        )
    return hosts, boards


def execute(
    scenario: Path, selector: str, command: Sequence[str], timeout_s: float, tell: Callable[[str], None]
) -> dict[str, shell.Result]:
    """Run a command on the hosts that a selector chooses; results by service key, in plan order.

    Args:
        command: a single word is taken as a shell command line; several words are passed on as they are.
        timeout_s: limit on each host in seconds.
        tell: receives which boards were left out.

    Raises:
        StateError: there are no hosts, or the selector chooses none.
    """
    hosts, boards = choose(reachable(scenario), selector)
    if boards:
        tell(f"left out, because boards run no commands: {shell.some([board.key for board in boards], ', ')}")
    return shell.run_all(hosts, line(command), timeout_s=timeout_s)


def line(command: Sequence[str]) -> str:
    """The shell command line that a command means: one word is one already."""
    return command[0] if len(command) == 1 else shlex.join(command)
