"""Monitoring: a collector on each host that samples what the host does, until it is removed."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from e2c.errors import ProvenanceError
from e2c.model.host import Host
from e2c.model.plan import MonitoringPlan
from e2c.model.service import ServiceRecord
from e2c.remote import shell, traces
from e2c.services import provenance
from e2c.services.shipment import COLLECTOR, collector_archive

NAME = "monitoring"
PROGRAM = "/opt/e2c-monitoring"
DATA = "/var/lib/e2c/monitoring"
SAMPLES = f"{DATA}/samples.csv"
FILE = "dstat.csv"
"""Name of a host's samples in the output folder."""

ALWAYS = ("--epoch", "--cpu", "--mem", "--disk", "--net", "--noupdate", "--nocolor")
"""Options of each collector: when and what."""

LAST = ("--bytes", "--output", SAMPLES)
"""Options whose values the user's must not change: the unit, and the file."""

READY_S = 10
PAUSE_S = 1
"""How long after its end a collector is started again."""

AWAITED_S = 60
"""Longest period whose end is waited for when samples are fetched."""
TOLD_S = 2
"""Longest period that is waited for without a word."""

FETCH_S = 600
LOAD_S = 3600

Progress = Callable[[str], None]


def deploy(plan: MonitoringPlan, hosts: Mapping[str, Host], progress: Progress) -> ServiceRecord:
    """Start a collector on each host, in place of the one that an earlier deployment has left.

    Args:
        plan: the monitoring part of the plan.
        hosts: acquired hosts by service key.
        progress: receives one clause per step.

    Raises:
        RemoteError: on a host the collector could not be started, or takes no samples.
    """
    agents = _agents(plan, hosts)
    progress(f"collector to {shell.some([agent.key for agent in agents], ', ')}")
    archive = collector_archive()
    results = shell.run_each(
        {agent: _start(agent, plan) for agent in agents}, stdin=archive, timeout_s=READY_S + plan.period_s + 60
    )
    wrong = f"Perhaps it does not know one of its options: {' '.join(plan.options)}" if plan.options else None
    shell.require(results, "starting the collector of monitoring", hint=wrong)
    each = "each second" if plan.period_s == 1 else f"every {plan.period_s} s"
    progress(f"{len(agents)} host{'' if len(agents) == 1 else 's'} sampled {each}")
    return ServiceRecord(
        name=NAME,
        host=agents[0].key,
        hosts=plan.agents,
        endpoints={"samples": f"file://{SAMPLES}"},
        paths={"program": PROGRAM, "data": DATA},
    )


def health(plan: MonitoringPlan, hosts: Mapping[str, Host]) -> dict[str, Any]:
    """``{"healthy": bool, "hosts": {KEY: {"healthy": bool}, ...}}``, with ``reason`` where a host has no collector or
    takes no samples."""
    results = shell.run_all(_agents(plan, hosts), _living(plan), timeout_s=30)
    each: dict[str, dict[str, Any]] = {
        result.key: {"healthy": True} if result.ok else {"healthy": False, "reason": shell.explain(result)}
        for result in results.values()
    }
    failed = [f"{key}: {one['reason']}" for key, one in each.items() if not one["healthy"]]
    return {"healthy": not failed, "hosts": each, **({"reason": shell.some(failed, "; ")} if failed else {})}


def collect(
    plan: MonitoringPlan,
    hosts: Mapping[str, Host],
    folder: Path,
    progress: Progress,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    wait: bool = True,
) -> list[Path]:
    """Fetch the samples of each host into ``FOLDER/<service key>/dstat.csv``; the collectors go on.

    Args:
        folder: ``monitoring-data`` of the output folder; made if missing.
        wait: wait for the sample that tells of the time until now, a period at most; not where the period is longer
            than a minute.
        since, until: samples of this time only, the one in which it ends included, by the controller's clock. Where a
            host's clock is another, the times are converted.

    Returns:
        The files written.

    Raises:
        RemoteError: the samples of a host could not be fetched; those of the others were.
    """
    agents = _agents(plan, hosts)
    awaited = wait and plan.period_s <= AWAITED_S
    if awaited and plan.period_s > TOLD_S and _ongoing(plan, until):
        progress(f"waits for the sample that is being taken, {plan.period_s} s at most")
    elif not awaited and _ongoing(plan, until):
        progress(f"what hosts did since their last sample is not told yet: there is one every {plan.period_s} s")

    def fetch(agent: Host) -> shell.Result:
        place = _file(folder, agent.key)
        place.parent.mkdir(parents=True, exist_ok=True)
        return shell.fetch(
            agent, _cut(plan, since, until, awaited=awaited, skew_s=_skew(agent)), place, timeout_s=FETCH_S
        )

    with ThreadPoolExecutor(min(shell.FORKS, len(agents))) as pool:
        results = dict(zip((agent.key for agent in agents), pool.map(fetch, agents), strict=True))
    files = [_file(folder, key) for key, result in results.items() if result.ok]
    progress(f"samples of {len(files)} host{'' if len(files) == 1 else 's'}")
    shell.require(results, "fetching the samples of monitoring")
    return files


def load(plan: MonitoringPlan, hosts: Mapping[str, Host], server: Host, folder: Path, progress: Progress) -> int:
    """Load what :func:`collect` has fetched into the dataflow database; what is there already is passed over.

    Args:
        server: host of the provenance service.
        folder: as given to :func:`collect`.

    Returns:
        How many samples were added.

    Raises:
        ProvenanceError: the database did not take them.
    """
    stream = b"".join(_headed(agent, plan, folder) for agent in _agents(plan, hosts))
    command = provenance.command(server, "samples", "--load", "-")
    result = shell.run(server, command, stdin=stream, timeout_s=LOAD_S)
    if not result.ok:
        raise ProvenanceError("the samples did not get into the database", where=server.key, why=shell.explain(result))
    done = json.loads(result.stdout)
    progress(f"{done['added']} samples added to the database")
    return int(done["added"])


def _agents(plan: MonitoringPlan, hosts: Mapping[str, Host]) -> list[Host]:
    return [hosts[key] for key in plan.agents]


def _file(folder: Path, key: str) -> Path:
    return folder / key / FILE


def _headed(agent: Host, plan: MonitoringPlan, folder: Path) -> bytes:
    """The samples of a host after the line that says whose they are."""
    file = _file(folder, agent.key)
    if not file.exists():
        return b""
    head = {"host": agent.key, "hostname": agent.hostname, "seconds": plan.period_s}
    return json.dumps(head).encode() + b"\n" + file.read_bytes()


def _start(agent: Host, plan: MonitoringPlan) -> str:
    """Script that starts the collector and waits for its first sample; the program comes on its standard input."""
    words = [agent.interpreter, f"{PROGRAM}/{COLLECTOR}", *ALWAYS, *plan.options, *LAST]
    collector = " ".join(shlex.quote(word) for word in [*words, str(plan.period_s)])
    # a collector that ends, as by the kernel when memory is short, is started again and goes on in the same file
    loop = f"while :; do env -u DOOL_OPTS {collector}; echo >>ended; sleep {PAUSE_S}; done"
    return f"""
{traces.leave(NAME, _remove())} || exit 1
{_end()}
rm -rf {PROGRAM} {DATA} && mkdir -p {PROGRAM} {DATA} && tar -C {PROGRAM} -xzf - --no-same-owner || exit 1
cd {DATA} && (setsid sh -c {shlex.quote(loop)} </dev/null >collector.out 2>collector.err &)
for _ in $(seq {(READY_S + plan.period_s) * 20}); do
  grep -q '^[0-9]' samples.csv 2>/dev/null && exit 0
  [ -e ended ] && break
  sleep 0.05
done
why=$(cat collector.out collector.err | tr -dc '[:print:]\\n' | tail -n 1); echo "${{why:-it takes no samples}}" >&2
{_end()}
exit 1
"""


def _living(plan: MonitoringPlan) -> str:
    """Script that fails when the collector does not run, or has taken no sample for a while."""
    late = 3 * plan.period_s + READY_S
    return f"""
[ -s {SAMPLES} ] || {{ echo 'there are no samples' >&2; exit 1; }}
runs=; for process in /proc/[0-9]*; do [ "$(readlink $process/cwd)" = {DATA} ] && runs=yes; done
[ $runs ] || {{ echo 'the collector does not run' >&2; exit 1; }}
# not by the file's own time, which a write that fails because the disk is full renews as well
last=$(tail -n 50 {SAMPLES} | grep -o '^[0-9]*' | tail -n 1)
age=$(($(date +%s) - ${{last:-0}}))
[ $age -le {late} ] || {{ echo "no sample for $age s" >&2; exit 1; }}
"""


def _end() -> str:
    """Script that ends the collector and what starts it again; twice, because that may have just done so."""
    return f"""\
for round in 1 2; do
  for process in /proc/[0-9]*; do
    [ "$(readlink $process/cwd)" = {DATA} ] && [ ${{process#/proc/}} != $$ ] && kill -9 ${{process#/proc/}} 2>/dev/null
  done
done
"""


def _remove() -> str:
    """Script that ends the collector and removes it with its samples."""
    return f"""\
[ -e {PROGRAM} ] || [ -e {DATA} ] || exit 0
{_end()}
cd / && rm -rf {PROGRAM} {DATA} && echo 'collector of monitoring with its samples'
"""


def _ongoing(plan: MonitoringPlan, until: datetime | None) -> bool:
    """Whether the sample in which that time ended may not be taken yet."""
    return until is None or until.timestamp() + plan.period_s > time.time()


def _skew(agent: Host) -> float:
    """How many seconds a host's clock is ahead of ours; 0 where asking it took longer than they differ."""
    before = time.time()
    answer = shell.run(agent, "date +%s.%N")
    after = time.time()
    there = float(answer.stdout) if answer.ok else before  # it will not answer what is asked next, either
    return 0.0 if before <= there <= after else there - (before + after) / 2


def _cut(plan: MonitoringPlan, since: datetime | None, until: datetime | None, *, awaited: bool, skew_s: float) -> str:
    """Script that prints the samples of a span of time.

    The first line of each sampling is left out: it tells of all the time since the host was started.
    """
    last = until + timedelta(seconds=plan.period_s) if until is not None else None
    return f"""
skew={skew_s:.3f}
{_next_sample(plan, until) if awaited else ""}
awk -F, -v skew="$skew" -v since={_epoch(since, 0)} -v until={_epoch(last, 1 << 62)} '
!/^[0-9]/ {{ print; first = 1; next }}
first {{ first = 0; next }}
$1 >= since + skew && $1 < until + skew' {SAMPLES}
"""


def _next_sample(plan: MonitoringPlan, until: datetime | None) -> str:
    """Script that waits for the sample that is about to be taken: what ended just now is in that one.

    A time that has passed is not waited for, so that fetching again costs nothing.
    """
    return f"""\
end=$(awk -v skew="$skew" -v until={_epoch(until, 1 << 62)} -v now="$(date +%s)" \
'BEGIN {{ end = until + skew; printf "%d", end < now ? end : now }}')
for _ in $(seq {(plan.period_s + 1) * 20}); do
  [ "$(tail -n 1 {SAMPLES} | cut -d. -f1)" -gt $end ] 2>/dev/null && break
  sleep 0.05
done"""


def _epoch(moment: datetime | None, otherwise: int) -> str:
    return str(otherwise) if moment is None else f"{moment.timestamp():.6f}"
