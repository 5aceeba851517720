"""Services of an experiment: deployed when its hosts are there, saved after each run, ended before these are released.

First come those of the experiment itself, then those of the layers, one after the other in the order of the file, so
that a plugin finds what stands before it at work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from e2c.config.settings import read_settings
from e2c.errors import E2CError, ServiceError
from e2c.experiment.asking import ask
from e2c.experiment.events import Event, Kind, Observer
from e2c.experiment.experiment import Experiment, provider
from e2c.experiment.state import State
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.model.run import RunRecord
from e2c.model.service import Served, ServiceRecord
from e2c.plan.services import PlannedService, named
from e2c.plan.services import services as planned_services
from e2c.plan.variables import Extras, self_variables
from e2c.provenance.serving import libmonetdb
from e2c.services import finding, monitoring, provenance, running
from e2c.services.declaring import settled
from e2c.services.finding import Found

DRAIN_S = 120
LOAD_S = 120
CHECK_S = 30
SAVE_S = 3600
STOP_S = 60
"""Time in seconds that all services together have to end before their hosts are given back."""

LONGER = "Let it take longer with E2C_SERVICE_TIMEOUT=SECONDS, if it only needs more time"

Save = Callable[[Experiment, Path], None]
Tell = Callable[[str], None]


def serve(experiment: Experiment) -> None:
    """Deploy all services.

    Raises:
        E2CError: one could not be deployed.
    """
    with experiment.phase("serve") as changes:
        records: list[ServiceRecord] = []
        plan = experiment.plan.provenance
        if plan is not None:
            say = experiment.progress("serve")
            records.append(provenance.deploy(plan, experiment.hosts, libmonetdb.locate(), say))
        if experiment.plan.monitoring is not None:
            say = experiment.progress("serve")
            records.append(monitoring.deploy(experiment.plan.monitoring, experiment.hosts, say))
        changes["services"] = tuple(records)
        served = _deploy(experiment)
        if served:
            changes["served"] = served
            # so that selectors of all commands know the names that plugins gave
            changes["hosts"] = tuple(named(experiment.state.hosts, _names(served)))


def preflight(hosts: Sequence[PlannedHost], observe: Observer) -> None:
    """Load the plugins of planned services, so that what is wrong with them is known before anything is acquired.

    Raises:
        ServiceError: one cannot be loaded.
    """
    done: set[str] = set()
    for service, found in _with_plugins(hosts):
        if found.source not in done:
            done.add(found.source)
            observe(Event("wait", "check", f"the plugin of service {service.name}"))
            asked = running.Asked(service=service.key, hook="load")
            running.call(found, asked, *_tellers(observe, "check"), limit_s=LOAD_S)


def savers(record: RunRecord | None, *, wait: bool = True) -> tuple[Save, ...]:
    """What saves the data of services: each takes the experiment and the folder to write into, and fails by itself.

    Args:
        record: the run whose data are wanted; ``None``: all.
        wait: for the sample of monitoring that is being taken.
    """
    # samples go into the database before it is copied
    samples = partial(_save_samples, record=record, wait=wait)
    return samples, partial(_save_provenance, record=record), _save_plugins


def stop(experiment: Experiment) -> None:
    """Let plugins end their services where the testbed leaves on its machines what is there.

    Bounded in time, and never raises: hosts must be given back whatever a plugin does.
    """
    lasting = {host.key for host in experiment.state.hosts if experiment.state.served and not wiped(host.provider)}
    ending = [one for one in experiment.state.served if lasting & set(one.hosts)]
    questions = {one.key: partial(_hook, experiment, one, "destroy", "release", STOP_S) for one in reversed(ending)}
    for key, answer in ask(questions, STOP_S).items():
        if answer is None or isinstance(answer, BaseException):
            text = f"service {key} was not ended by its plugin: {_reason(answer, STOP_S)}"
            experiment.observe(Event("warning", "release", f"{text}. Its hosts are released all the same"))


def extras(state: State) -> Extras:
    """What plugins registered, as more entries of ``_self``: by service key, and by the key of each registration.

    Of a host that was registered more than once, the first registration that has an entry gives it.
    """
    found: dict[str, dict[str, Any]] = {}
    for one in state.served:
        for made in one.registered:
            entries = dict(made.extra)
            if made.port is not None:
                entries["service_port"] = made.port
            if made.sub_service is not None:
                entries |= {"sub_service": made.sub_service, "sub_service_id": made.key.rpartition(".")[2]}
            found[made.host] = {**entries, **found.get(made.host, {})}
            if made.key != made.host:
                found[made.key] = entries
    return found


def registered(state: State) -> dict[str, tuple[str, ...]]:
    """Names that plugins gave to hosts, by service key."""
    return _names(state.served)


def health(experiment: Experiment, one: Served) -> dict[str, Any]:
    """What a service's plugin says of it: ``{"healthy": bool}``, with ``reason`` where it is not."""
    answer = ask({one.key: partial(_hook, experiment, one, "check", "check", CHECK_S)}, CHECK_S)[one.key]
    if answer is False or (isinstance(answer, running.Answer) and answer.reason is None):
        return {"healthy": True}
    reason = answer.reason if isinstance(answer, running.Answer) else _reason(answer, CHECK_S)
    return {"healthy": False, "reason": reason}


def endpoints(experiment: Experiment, one: Served) -> dict[str, str]:
    """Addresses and ports that were registered, by the key of the registration."""
    hosts = experiment.hosts
    return {
        made.key: self_variables(hosts[made.host], {"service_port": made.port})["url"]
        for made in one.registered
        if made.host in hosts
    }


def sources(state: State) -> list[Path]:
    """Files of the plugins that deployed services, and those beside them that several may share."""
    files = dict.fromkeys(Path(one.source) for one in state.served)
    shared = {one: None for path in files for one in sorted(path.parent.glob("_*.py")) if path.is_absolute()}
    return [path for path in {**files, **shared} if path.is_file()]


def _deploy(experiment: Experiment) -> tuple[Served, ...]:
    done: list[Served] = []
    earlier = experiment.state.served  # of a deployment that was cut off
    limit_s = read_settings(os.environ)[0].service_timeout
    for service, found in _with_plugins(experiment.plan.hosts):
        hosts = [experiment.hosts[host.key] for host in service.hosts if host.key in experiment.hosts]
        if not hosts:
            text = f"{service.key} runs on boards, on which its plugin can do nothing"
            experiment.observe(Event("warning", "serve", text))
            continue
        one = Served(
            key=service.key,
            layer=service.layer,
            name=service.name,
            numbers=service.numbers,
            hosts=tuple(host.key for host in hosts),
            plugin=found.name,
            source=found.source,
        )
        # what is begun is written down first: it must be ended even if it breaks off
        later = [known for known in earlier if known.key not in {one.key, *(other.key for other in done)}]
        experiment.update(served=(*done, one, *later))
        experiment.progress("serve")(f"{service.key}: plugin {found.name} of {found.source}")
        asked = _asked(experiment, found, one, "deploy", service.metadata(), hosts)
        answer = running.call(found, asked, *_tellers(experiment.observe, "serve"), limit_s=limit_s, more=LONGER)
        done.append(one.model_copy(update={"registered": answer.registered, "kept": answer.kept, "complete": True}))
    return tuple(done)


def _with_plugins(hosts: Sequence[PlannedHost]) -> Iterator[tuple[PlannedService, Found]]:
    """Services that a plugin deploys, with their plugins; all others need nothing."""
    services = list(planned_services(hosts))
    if not services:
        return
    known = finding.available()
    for service in services:
        found = finding.chosen(service.name, known)
        if found is not None and found.origin != "built in":
            yield service, found


def _hook(
    experiment: Experiment, one: Served, hook: running.Hook, phase: str, limit_s: float, target: Path | None = None
) -> running.Answer | Literal[False]:
    """Call a later hook of the plugin that deployed a service; false where it has none of that name.

    Raises:
        E2CError: it failed, or the plugin is gone.
    """
    found = finding.find(one.plugin)
    if found is None or found.source != one.source:
        raise ServiceError(
            f"service {one.key} {running.DOING[hook]}",
            why=f"its plugin {one.source} is there no more",
            hint="Put it back, then repeat the command",
        )
    if not running.has(found, hook):
        return False
    planned = next(service for service in planned_services(experiment.plan.hosts) if service.key == one.key)
    hosts = [experiment.hosts[key] for key in one.hosts]
    asked = _asked(experiment, found, one, hook, planned.metadata(), hosts)
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        asked = asked.model_copy(update={"target": str(target)})
    return running.call(found, asked, *_tellers(experiment.observe, phase), limit_s=limit_s)


def _asked(
    experiment: Experiment,
    found: Found,
    one: Served,
    hook: running.Hook,
    metadata: dict[str, Any],
    hosts: Sequence[Host],
) -> running.Asked:
    declared = found.definition.declared if found.definition else None
    return running.Asked(
        service=one.key,
        hook=hook,
        hosts=tuple(hosts),
        metadata=metadata if declared is None else settled(declared, metadata, one.key),
        known={host.key: self_variables(host) for host in hosts},
        kept=one.kept,
        registered=one.registered,
        scenario_dir=experiment.state.scenario,
        artifacts_dir=experiment.state.artifacts or experiment.state.scenario,
        folder=str(experiment.folder),
    )


def _tellers(observe: Observer, phase: str) -> tuple[Tell, Tell]:
    """Receive progress and warnings of a plugin."""

    def teller(kind: Kind) -> Tell:
        return lambda text: observe(Event(kind, phase, text))

    return teller("step"), teller("warning")


def _names(served: Iterable[Served]) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for one in served:
        for made in one.registered:
            if made.key != made.host:
                names[made.host] = (*names.get(made.host, ()), made.key)
    return names


def _reason(answer: BaseException | None, limit_s: float) -> str:
    """Why a question to a plugin has no answer."""
    if answer is None:
        return f"no answer within {limit_s:g} s"
    if isinstance(answer, E2CError):
        return str(E2CError(answer.why or answer.what, where=answer.where)).rstrip(".")
    return repr(answer)


def wiped(name: str) -> bool:
    """Nothing of what is put on hosts of that testbed is left when they are released."""
    try:
        return bool(getattr(provider(name), "wiped", True))
    except E2CError:  # whoever releases the hosts tells that
        return True


def _save_samples(experiment: Experiment, folder: Path, record: RunRecord | None, *, wait: bool) -> None:
    plan, target = experiment.plan.monitoring, folder / "monitoring-data"
    there = {service.name: service.host for service in experiment.state.services}
    if plan is None or monitoring.NAME not in there:
        return
    # of a run that is alone, what its hosts did while they were prepared is told, too
    span = (record.began, record.ended) if record is not None and record.run.name else ("", "")
    since, until = (datetime.fromisoformat(moment) if moment else None for moment in span)
    say = experiment.progress("backup")
    try:
        monitoring.collect(plan, experiment.hosts, target, say, since, until, wait=wait)
    finally:  # those of other hosts, where one failed
        if "provenance" in there:
            monitoring.load(plan, experiment.hosts, experiment.hosts[there["provenance"]], target, say)


def _save_provenance(experiment: Experiment, folder: Path, record: RunRecord | None) -> None:
    plan = experiment.plan.provenance
    for service in experiment.state.services:
        if service.name == "provenance":
            provenance.backup(
                experiment.hosts[service.host],
                folder / "provenance-data",
                DRAIN_S,
                experiment.progress("backup"),
                [experiment.hosts[key] for key in plan.agents] if plan is not None else (),
                # a run that is alone may have records without its name, made by hand or while preparing
                run=record.identity if record is not None and record.run.name else None,
                whole=None if folder == experiment.folder else experiment.folder / "provenance-data",
            )


def _save_plugins(experiment: Experiment, folder: Path) -> None:
    failures: list[E2CError] = []
    for one in experiment.state.served:
        target = folder / running.DATA / one.key
        try:
            if _hook(experiment, one, "backup", "backup", SAVE_S, target):
                experiment.progress("backup")(f"{one.key}: {running.DATA}/{one.key}")
        except E2CError as error:
            failures.append(error)
    for failure in failures[1:]:
        experiment.observe(Event("warning", "backup", str(failure)))
    if failures:
        raise failures[0]
