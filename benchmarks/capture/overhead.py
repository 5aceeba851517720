"""(e) How much longer tasks take when they are captured, over shaped links of a local testbed.

The hosts, the links, the provenance service and the library on the devices are those that ``e2clab`` makes. Tasks
sleep, so that one machine can hold a host for each case and all run at once.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lab import ATTRIBUTES, HERE, LABELS, Spread
from progress import say
from result import Part, Table, Target
from servers import dataflows

from e2c.emulation import apply
from e2c.emulation.constraint import constraints
from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost, PlannedLink, ProvenancePlan
from e2c.provenance.serving import libmonetdb
from e2c.remote import shell
from e2c.services import provenance

CLOUD = "cloud.service.1.1"
FOLDER = "/opt/bench"
HTTP_PORT = 8080
STORED = """SELECT count(*) AS finished, count(DISTINCT CAST(client_id AS TEXT) || ' ' || key) AS different
FROM task WHERE status = 'FINISHED'"""
HTTP = "http-new"
"""The published client connects for each POST."""
LINKS = {
    "1 gbit, 28 ms": {"delay_ms": 28.0, "rate_kbit": 1e6},
    "25 kbit, 28 ms": {"delay_ms": 28.0, "rate_kbit": 25.0},
    "25 kbit, 28 ms, 1 % loss": {"delay_ms": 28.0, "rate_kbit": 25.0, "loss_percent": 1.0},
}
LOSSY = "25 kbit, 28 ms, 1 % loss"


@dataclass(frozen=True)
class Size:
    """How much is measured: durations of tasks, seconds of tasks in each turn, turns with and without, for the end."""

    durations_s: tuple[float, ...]
    turn_s: float
    rounds: int
    drain_s: float


@dataclass(frozen=True)
class Case:
    """One client on a host of its own."""

    key: str
    link: str
    subject: str
    attributes: int
    duration_s: float


def measure(size: Size, settings: dict[str, str]) -> Part:
    """All cases at once, each beside itself without capture, in turns."""
    cases = _cases(size)
    try:
        LocalProvider().check({})
        with _standing([CLOUD, *(case.key for case in cases)]) as hosts:
            _shape(hosts, cases)
            _serve(hosts, cases)
            found, stored = _run(hosts, cases, size, settings)
    except MissingToolError as error:
        say(f"overhead over shaped links: not measured: {error}")
        return Part("overhead", [Table("Overhead over shaped links: not measured", ["why"], [[str(error)]])])
    return _part(size, cases, found, stored)


def _cases(size: Size) -> list[Case]:
    cases = []
    for link in LINKS:
        for attributes in ATTRIBUTES:
            for duration_s in size.durations_s:
                for subject in ("provlight", HTTP):
                    key = f"edge.device.1.{len(cases) + 1}"
                    cases.append(Case(key, link, subject, attributes, duration_s))
    return cases


@contextlib.contextmanager
def _standing(keys: Sequence[str]) -> Iterator[dict[str, Host]]:
    provider = LocalProvider()
    claim = provider.claim(
        experiment=f"capture benchmark {uuid.uuid4()}",
        scenario=str(HERE),
        job_name="benchmark",
        walltime_s=3600,
        settings={},
    )
    claim = claim.model_copy(update={"resources": {**claim.resources, "netem": "auto"}})
    planned = [
        PlannedHost(key=key, layer=key.split(".")[0], service=key.split(".")[1], testbed="local", provider="local")
        for key in keys
    ]
    try:
        hosts = {host.key: host for host in provider.acquire(claim, planned, say).hosts}
        say(f"links are shaped by the {provider.enable_netem(claim, (), say)}")
        yield hosts
    finally:
        provider.release(claim, say)


def _shape(hosts: dict[str, Host], cases: list[Case]) -> None:
    links = []
    for link, shape in LINKS.items():
        sources = tuple(case.key for case in cases if case.link == link)
        links.append(
            PlannedLink(src="edge", dst="cloud", sources=sources, destinations=(CLOUD,), symmetric=True, **shape)
        )
    apply.apply(constraints(links, hosts.values()), list(hosts.values()), say)


def _serve(hosts: dict[str, Host], cases: list[Case]) -> None:
    """The provenance service and a quick HTTP server on the cloud host; the programs on all."""
    agents = tuple(case.key for case in cases if case.subject == "provlight")
    plan = ProvenancePlan(
        host=CLOUD,
        agents=agents,
        topics=dict.fromkeys(agents, 1),
        dataflow_spec="",
        dataflows=tuple(dataflows(ATTRIBUTES)["dataflows"]),
    )
    copied = shell.run_all(hosts.values(), f"mkdir -p {FOLDER} && tar -C {FOLDER} -xf -", stdin=_programs())
    shell.require(copied, "copying the benchmark")
    provenance.deploy(plan, hosts, libmonetdb.locate(), say)
    cloud = hosts[CLOUD]
    serve = f"sleep infinity | {cloud.interpreter} {FOLDER}/answering.py 0.0.0.0 {HTTP_PORT}"
    started = shell.run(cloud, f"({serve}) >/dev/null 2>&1 &")  # it ends with the testbed
    shell.require({CLOUD: started}, "starting the HTTP server")


def _programs() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("worker.py", "subjects.py", "answering.py"):
            archive.add(HERE / name, arcname=name)
    return buffer.getvalue()


def _run(
    hosts: dict[str, Host], cases: list[Case], size: Size, settings: dict[str, str]
) -> tuple[dict[Case, list[dict[str, Any]]], dict[str, int]]:
    start_at = time.time() + 3 + 0.25 * len(cases)
    limit_s = size.rounds * (2 * size.turn_s + size.drain_s) + 300
    with ThreadPoolExecutor(len(cases)) as pool:
        futures = {}
        for case in cases:
            asked = {
                "mode": "overhead",
                "subject": case.subject,
                "attributes": case.attributes,
                "duration_s": case.duration_s,
                "tasks": max(3, int(size.turn_s / case.duration_s)),
                "at_least": 3,
                "limit_s": size.turn_s,
                "rounds": size.rounds,
                "drain_s": size.drain_s,
                "start_at": start_at,
                "host": hosts[CLOUD].addresses.v4,
                "port": HTTP_PORT,
            }
            command = _command(hosts[case.key], asked, settings if case.subject == "provlight" else {})
            futures[case] = pool.submit(shell.run, hosts[case.key], command, timeout_s=limit_s)
        say(f"{len(cases)} clients at once over shaped links, {size.rounds} x {2 * size.turn_s:g} s and the rest")
        results = {case: future.result() for case, future in futures.items()}
    shell.require({case.key: result for case, result in results.items()}, "measuring over shaped links")
    counted = shell.run(hosts[CLOUD], provenance.command(hosts[CLOUD], "query", "--format", "json", STORED))
    shell.require({CLOUD: counted}, "counting tasks")
    (stored,) = json.loads(counted.stdout)
    found = {}
    for case, result in results.items():
        told = json.loads(result.stdout.splitlines()[-1])
        found[case] = told["rounds"]
        if told["problem"]:
            say(f"{case.subject}, {case.attributes} attributes, {case.duration_s} s, {case.link}: {told['problem']}")
    return found, stored


def _command(host: Host, asked: dict[str, Any], settings: dict[str, str]) -> str:
    given = "".join(f"{name}='{value}' " for name, value in settings.items())
    source = f"set -a; [ ! -r {provenance.SETTINGS}/environment ] || . {provenance.SETTINGS}/environment; set +a"
    path = f"PYTHONPATH={provenance.BUNDLE}"
    return f"{source}; {given}{path} {host.interpreter} {FOLDER}/worker.py '{json.dumps(asked)}'"


def _part(size: Size, cases: list[Case], found: dict[Case, list[dict[str, Any]]], stored: dict[str, int]) -> Part:
    figures: dict[str, Any] = {}
    rows, captured = [], 0
    for link in LINKS:
        for attributes in ATTRIBUTES:
            for duration_s in size.durations_s:
                named = f"{link}, {attributes} attributes, {duration_s:g} s"
                shown = [link, str(attributes), f"{duration_s:g}"]
                for subject in ("provlight", HTTP):
                    (case,) = (
                        case
                        for case in cases
                        if (case.link, case.attributes, case.duration_s, case.subject)
                        == (link, attributes, duration_s, subject)
                    )
                    rounds = found[case]
                    percent = Spread.of(100 * (r["with"]["wall_s"] / r["without"]["wall_s"] - 1) for r in rounds)
                    cpu = Spread.of(100 * (r["with"]["cpu_s"] - r["without"]["cpu_s"]) / duration_s for r in rounds)
                    tasks = sum(r["with"]["tasks"] for r in rounds)
                    figures[f"{subject}, {named}"] = {"percent": percent.median, "cpu_percent": cpu.median}
                    figures[f"{subject}, {named}"] |= {"tasks": tasks, "rounds": rounds}
                    shown += [str(tasks), percent.show(2), f"{cpu.median:.2f}"]
                    if subject == "provlight":
                        captured += tasks
                        shown.append(f"{max(r['drain_s'] for r in rounds):.1f}")
                rows.append(shown)
    columns = ["link", "attributes", "task, s", "tasks", "ProvLight, %", "its CPU, %", "s to deliver the rest"]
    columns += ["tasks", f"{LABELS[HTTP]}, %", "its CPU, %"]
    whole = stored == {"finished": captured, "different": captured}
    targets = [Target("tasks over shaped links: stored exactly once", f"{captured}", f"{stored['different']}", whole)]
    judged = figures.get(f"provlight, {LOSSY}, 100 attributes, 0.5 s")
    if judged:
        text = "overhead of 0.5 s tasks, 100 attributes, 25 kbit and 1 % loss: %"
        targets.append(Target.below(text, judged["percent"], 1))
    return Part("overhead", [Table("How much longer tasks take, in percent", columns, rows)], figures, targets)
