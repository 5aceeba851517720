"""Monitoring on real hosts: samples begin, go on after a kill, are fetched, joined with tasks, and leave nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError, RemoteError
from e2c.model.host import Host
from e2c.model.plan import MonitoringPlan, PlannedHost, ProvenancePlan
from e2c.provenance.serving import libmonetdb
from e2c.remote import shell, traces
from e2c.services import monitoring, provenance

pytestmark = [pytest.mark.netns, pytest.mark.broker, pytest.mark.monetdb]

KEYS = ("edge.train.1.1", "edge.idle.2.1", "provenance_service.1")
PLAN = MonitoringPlan(agents=KEYS[:2])
SERVICE = ProvenancePlan(host=KEYS[2], agents=KEYS[:1], topics={KEYS[0]: 1}, dataflow_spec="spec.py")
NAMES = '"epoch","usr","sys","idl","wai","stl","used","free","cach","avai"'
LIMIT_S = 60
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "monitoring.md"

BUSY = """
import time, provlight
task = provlight.Task(1, "w", "training")
task.begin()
until = time.time() + 2.5
while time.time() < until:
    pass
task.end()
assert provlight.flush(20)
"""


def quiet(_: str) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Host]]:
    local, folder = LocalProvider(), str(tmp_path_factory.mktemp("monitored"))
    try:
        local.check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    claim = local.claim(experiment=folder, scenario=folder, job_name="test", walltime_s=60, settings={})
    planned = [PlannedHost(key=key, layer=None, service="x", testbed="local", provider="local") for key in KEYS]
    try:
        yield {host.key: host for host in local.acquire(claim, planned, quiet).hosts}
    finally:
        local.release(claim, quiet)


def samples(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines() if line[:1].isdigit()]


def until_samples(host: Host, more_than: int) -> int:
    """Wait for more samples than these on the host; how many there are."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        there = int(shell.run(host, f"grep -c '^[0-9]' {monitoring.SAMPLES}").stdout or 0)
        if there > more_than:
            return there
        time.sleep(0.1)
    raise AssertionError(f"not more than {more_than} samples within {LIMIT_S} s")


def collectors(host: Host) -> list[str]:
    """Ids of the programs that take samples there."""
    return shell.run(host, "pgrep -f '^[^ ]*python3 [^ ]*e2c-monitoring'").stdout.split()


def test_samples_go_on_after_a_kill_and_end_with_what_undoes_them(
    hosts: dict[str, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = monitoring.deploy(PLAN, hosts, quiet)
    assert (record.name, record.hosts) == ("monitoring", PLAN.agents)
    host = hosts[KEYS[0]]
    (first,) = collectors(host)

    # a second deployment begins anew, and runs once
    monitoring.deploy(PLAN, hosts, quiet)
    (second,) = collectors(host)
    assert second != first
    killed = until_samples(host, 1)
    assert shell.run(host, f"kill -9 {second}").ok
    until_samples(host, killed + 1)
    assert len(collectors(host)) == 1
    well = {"healthy": True}
    assert monitoring.health(PLAN, hosts) == {**well, "hosts": dict.fromkeys(PLAN.agents, well)}

    # of both beginnings the first line tells of the time since the machine was started: it is not fetched
    (mine, other) = monitoring.collect(PLAN, hosts, tmp_path / "data", quiet)
    assert mine == tmp_path / "data" / KEYS[0] / "dstat.csv"
    text = mine.read_text()
    assert text.count(NAMES) == 2
    there = [line for line in shell.run(host, f"cat {monitoring.SAMPLES}").stdout.splitlines() if line[:1].isdigit()]
    fetched = [line for line in text.splitlines() if line[:1].isdigit()]
    assert there[0] not in fetched
    assert fetched == [line for line in there if line in fetched]
    assert len(there) - len(fetched) >= 2

    # a span of time is cut out by the samples' own times
    times = [float(row[0]) for row in samples(other)]
    since, until = (datetime.fromtimestamp(moment + 0.5, timezone.utc) for moment in (times[0], times[-3]))
    one = PLAN.model_copy(update={"agents": KEYS[1:2]})
    (cut,) = monitoring.collect(one, hosts, tmp_path, quiet, since, until)
    assert [float(row[0]) for row in samples(cut)] == times[1:-1]

    # also where the host's clock is another than the controller's
    with monkeypatch.context() as patch:
        patch.setattr(monitoring.time, "time", lambda now=time.time: now() - 3600)
        since, until = (moment - timedelta(hours=1) for moment in (since, until))
        monitoring.collect(one, hosts, tmp_path, quiet, since, until)
    assert times[2:-2] == [float(row[0]) for row in samples(cut)][1:-1]

    # a file that is written to without a sample, as on a full disk
    stop = f"kill -STOP {' '.join(collectors(host))}"
    assert shell.run(host, f"{stop}; echo '1000000000.25,0' >> {monitoring.SAMPLES}").ok
    health = monitoring.health(PLAN, hosts)
    assert f"{KEYS[0]}: no sample for " in health["reason"]
    assert [one["healthy"] for one in health["hosts"].values()] == [False, True]

    # one host that lost its samples costs nothing of the other
    assert shell.run(host, f"rm {monitoring.SAMPLES}").ok
    assert "there are no samples" in monitoring.health(PLAN, hosts)["reason"]
    with pytest.raises(RemoteError, match=f"fetching the samples of monitoring failed on {KEYS[0]}"):
        monitoring.collect(PLAN, hosts, tmp_path / "rest", quiet)
    assert (tmp_path / "rest" / KEYS[1] / "dstat.csv").exists()

    for key in PLAN.agents:
        undone = shell.run(hosts[key], f"{traces.undo()}; ls -d {monitoring.PROGRAM} {monitoring.DATA}")
        assert undone.stdout == "collector of monitoring with its samples\n"
        assert collectors(hosts[key]) == []


def test_the_sample_of_a_long_period_is_waited_for_once(hosts: dict[str, Host], tmp_path: Path) -> None:
    plan = MonitoringPlan(agents=KEYS[:1], period_s=6)
    monitoring.deploy(plan, hosts, quiet)
    host, said = hosts[KEYS[0]], list[str]()
    until_samples(host, 1)
    before = samples(monitoring.collect(plan, hosts, tmp_path / "none", said.append, wait=False)[0])
    assert "what hosts did since their last sample is not told yet: there is one every 6 s" in said
    ended = float(shell.run(host, "date +%s.%N").stdout)

    said.clear()
    (file,) = monitoring.collect(plan, hosts, tmp_path / "data", said.append)
    assert said == ["waits for the sample that is being taken, 6 s at most", "samples of 1 host"]
    found = [float(row[0]) for row in samples(file)]
    assert len(found) > len(before)
    assert found[-1] - 6 <= ended <= found[-1] + 1

    # a time that is over is fetched without a wait, and a period above a minute is not waited for
    said.clear()
    over = datetime.fromtimestamp(found[-1] - 6.5, timezone.utc)
    monitoring.collect(plan, hosts, tmp_path / "again", said.append, None, over)
    long = plan.model_copy(update={"period_s": monitoring.AWAITED_S + 1})
    monitoring.collect(long, hosts, tmp_path / "long", said.append)
    assert "waits" not in " ".join(said)
    assert len(samples(tmp_path / "again" / KEYS[0] / "dstat.csv")) == len(found) - 1


def test_options_that_the_collector_does_not_have_are_one_sentence(hosts: dict[str, Host]) -> None:
    wrong = PLAN.model_copy(update={"options": ("--colour-of-the-case",)})
    with pytest.raises(RemoteError, match=r"starting the collector .* failed on .*--colour-of-the-case") as caught:
        monitoring.deploy(wrong, hosts, quiet)
    assert "\n" not in str(caught.value)
    assert all(collectors(hosts[key]) == [] for key in PLAN.agents)


def test_what_the_host_did_stands_beside_the_task(hosts: dict[str, Host], tmp_path: Path) -> None:
    provenance.deploy(SERVICE, hosts, libmonetdb.fetch(), quiet)
    monitoring.deploy(PLAN.model_copy(update={"options": ("-t", "-l")}), hosts, quiet)
    server, agent = hosts[KEYS[2]], hosts[KEYS[0]]
    ran = shell.run(agent, ". ~/.bashrc; python3 -", stdin=BUSY.encode())
    assert ran.ok, ran.stderr
    until_samples(agent, int(shell.run(agent, f"grep -c '^[0-9]' {monitoring.SAMPLES}").stdout))

    monitoring.collect(PLAN, hosts, tmp_path, quiet)
    said: list[str] = []
    added = monitoring.load(PLAN, hosts, server, tmp_path, said.append)
    assert added == sum(len(samples(tmp_path / key / "dstat.csv")) for key in PLAN.agents)
    assert said == [f"{added} samples added to the database"]
    assert monitoring.load(PLAN, hosts, server, tmp_path, quiet) == 0

    question = "SELECT l.*, t.started, t.ended FROM task_load l JOIN task t ON t.id = l.task_id"
    answer = shell.run(server, provenance.command(server, "query", "--format", "json", question))
    (load,) = json.loads(answer.stdout)
    assert (load["host"], load["samples"] >= 3) == (KEYS[0], True)
    began, ended = (datetime.fromisoformat(load[name]) for name in ("started", "ended"))
    assert load["seconds"] == pytest.approx((ended - began).total_seconds(), abs=0.5)
    assert 0 < load["cpu_avg"] <= load["cpu_max"] <= 100
    assert 0 < load["memory_avg"] <= load["memory_max"]

    # the questions of the page about it
    busy, least = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    answers = [
        json.loads(shell.run(server, provenance.command(server, "query", "--format", "json", sql)).stdout)
        for sql in (busy, least)
    ]
    assert [(row["key"], row["cpu_max"]) for row in answers[0]] == [("1", load["cpu_max"])]
    assert answers[1][0]["host"] in PLAN.agents
