"""Links of a deployed scenario: applied, changed by hand and by a schedule, watched by real pings, and set back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from experiment_bookings import in_a_child

from e2c.emulation import commands, measure
from e2c.emulation.readback import layout
from e2c.errors import BusyError, E2CError, EmulationError, MissingToolError, RemoteError
from e2c.experiment import links, releasing, runs, steps, timetable
from e2c.experiment.changes import Ledger, Record
from e2c.experiment.deployment import deploy
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment, find
from e2c.experiment.failure import OnFailure
from e2c.experiment.lock import locked
from e2c.model.host import Host
from e2c.model.link import PlannedChange
from e2c.model.run import Run
from e2c.remote import shell

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.switch, pytest.mark.xdist_group("experiment-links")]

CLOUD, ONE, TWO = "cloud.server.1.1", "edge.client.1.1", "edge.client.1.2"
LAYERS = """\
environment: {local: {}}
layers:
- name: cloud
  services:
  - name: Server
- name: edge
  services:
  - {name: Client, quantity: 2}
"""
NETWORK = "networks:\n- {src: cloud, dst: edge, delay: 5ms, rate: 1gbit, symmetric: true}\n"
LIMIT_S = 60
AFTERGLOW_S = 0.5
"""How long packets that were sent before a link went down may be under way, on a busy machine."""


class Desk:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def text(self) -> str:
        return "\n".join(event.text for event in self.events)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("links") / "scenario"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "layers_services.yaml").write_text(LAYERS)
    (folder / "network.yaml").write_text(NETWORK)
    (folder / "workflow.yaml").write_text("[]\n")
    quiet = Desk()
    try:
        deploy(folder, folder / "artifacts", testbed=None, wish=OnFailure(), command="layers-services", observe=quiet)
    except MissingToolError as error:
        pytest.skip(str(error))
    try:
        yield folder
    finally:
        assert releasing.destroy(folder, quiet).failures == []


@pytest.fixture
def experiment(scenario: Path, desk: Desk) -> Experiment:
    """The experiment, its links as in the file."""
    found = find(scenario, desk)
    assert found is not None
    shape(found)
    return found


def shape(experiment: Experiment) -> None:
    """Apply network.yaml; nothing is measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "measure", lambda *_, **__: [])
        links.emulate(experiment)


def scheduled(experiment: Experiment, *changes: PlannedChange) -> Experiment:
    experiment.plan = experiment.plan.model_copy(update={"changes": changes})
    return experiment


def change(at_s: float, sources: tuple[str, ...], destinations: tuple[str, ...], **values: object) -> PlannedChange:
    ends = {"src": sources[0], "dst": destinations[0], "sources": sources, "destinations": destinations}
    return PlannedChange(at_s=at_s, **ends, **values)


def told(experiment: Experiment, host: str, target: str, family: str = "v4") -> str:
    """What a host's ``tc`` says of what it sends to another."""
    listed = shell.run(experiment.hosts[host], f"{commands.BATCH} <<'end'\n{commands.listing('eth0')}end")
    return layout(listed.stdout).by_address[getattr(experiment.hosts[target].addresses, family)].words


def reached(experiment: Experiment, host: str, target: str, family: str = "v4") -> bool:
    address = getattr(experiment.hosts[target].addresses, family)
    return shell.run(experiment.hosts[host], f"ping -n -c 2 -i 0.2 -W 1 {address}").ok


class Ping:
    """Pings that go on, and when they were answered."""

    def __init__(self, source: Host, target: Host) -> None:
        command = f"ping -D -n -i 0.05 -W 1 {target.addresses.v4}"
        words = [*shell.ssh_arguments(source), command]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.answers: list[float] = []
        self.answered = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.match(r"\[([\d.]+)\] \d+ bytes from", line):
                self.answers.append(float(found[1]))

    def wait_for_one_after(self, moment: float) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not any(answer > moment for answer in self.answers[-1:]):
            assert time.monotonic() < deadline, "no ping is answered any more"
            self.answered.wait(0.02)

    def end(self) -> None:
        self.process.terminate()
        self.thread.join(LIMIT_S)
        self.process.wait(LIMIT_S)


@contextmanager
def pinging(experiment: Experiment, *pairs: tuple[str, str]) -> Iterator[list[Ping]]:
    pings = [Ping(experiment.hosts[source], experiment.hosts[target]) for source, target in pairs]
    try:
        for ping in pings:
            ping.wait_for_one_after(0)
        yield pings
    finally:
        for ping in pings:
            ping.end()


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def wait_for(ledger: Ledger, number: int) -> list[Record]:
    """The records of a schedule, once there are so many."""
    deadline = time.monotonic() + LIMIT_S
    while len(found := [record for record in ledger.records() if record.kind == "schedule"]) < number:
        assert time.monotonic() < deadline, "the schedule does not go on"
        time.sleep(0.02)
    return found


def test_the_first_change_makes_netem_work_while_nobody_else_is_at_work(scenario: Path, desk: Desk) -> None:
    deployed = find(scenario, desk)
    assert deployed is not None
    if deployed.state.netem is None:
        with locked(scenario), pytest.raises(BusyError):
            links.change(scenario, ONE, CLOUD, ["delay=7ms"], symmetric=False, observe=desk)
    links.change(scenario, ONE, CLOUD, ["delay=7ms"], symmetric=False, observe=desk)
    assert told(deployed, ONE, CLOUD).startswith("delay 7ms")
    deployed = find(scenario, desk)
    assert deployed is not None
    assert deployed.state.netem in ("kernel", "switch")


def test_a_partition_comes_and_goes_as_the_schedule_says(experiment: Experiment, desk: Desk) -> None:
    scheduled(
        experiment,
        change(0.3, (ONE,), (CLOUD,), symmetric=True, down=True),
        change(2.3, (ONE,), (CLOUD,), symmetric=True, down=False),
        change(2.3, (TWO,), (CLOUD,), delay_ms=40),
    )
    ledger = Ledger(experiment.folder)
    old = len([record for record in ledger.records() if record.kind == "schedule"])
    with pinging(experiment, (ONE, CLOUD), (TWO, CLOUD)) as (cut, other), timetable.playing(experiment, "large"):
        down, up, slower = wait_for(ledger, old + 3)[old:]
        cut.wait_for_one_after(epoch(up.at))
        other.wait_for_one_after(epoch(up.at))
        assert "delay 40ms" in told(experiment, TWO, CLOUD)
        assert reached(experiment, ONE, CLOUD, "v6")

    begin = next(record for record in reversed(ledger.records()) if record.kind == "begins")
    assert [record.run for record in (begin, down, up, slower)] == ["large"] * 4
    moments = [begin.at, down.sent, down.at, up.sent, up.at]
    assert moments == sorted(moments)
    for record in (down, up, slower):
        assert record.change is not None
        assert record.after_s is not None
        assert record.after_s >= record.change.at_s
        assert epoch(record.at) - epoch(begin.at) == pytest.approx(record.after_s, abs=0.1)
    assert (up.sent, up.at) == (slower.sent, slower.at), "what is due at once is done at once"

    apart = epoch(down.at) + AFTERGLOW_S, epoch(up.sent)
    assert any(epoch(begin.at) - 5 < answer < epoch(down.sent) for answer in cut.answers)
    assert not any(apart[0] < answer < apart[1] for answer in cut.answers), "answers while the link was down"
    assert any(epoch(down.sent) < answer < epoch(up.at) for answer in other.answers), "other links go on"
    _, last, first = max((later - answer, answer, later) for answer, later in pairwise(cut.answers))
    assert last < apart[0], "the longest silence begins when the link goes down"
    assert first > apart[1], "and ends when it is up"

    assert told(experiment, TWO, CLOUD).startswith("delay 5ms"), "as in the file again"
    assert ledger.sum().made == ()
    assert ledger.sum().playing is None
    assert f"{ONE} to {CLOUD}: down (schedule: 0.3 s)" in desk.text


def test_what_was_not_reached_is_told_and_a_failure_of_the_run_stays_the_failure(
    experiment: Experiment, desk: Desk
) -> None:
    scheduled(experiment, change(0, (ONE,), (CLOUD,), down=True), change(3600, (ONE,), (CLOUD,), down=False))
    ledger = Ledger(experiment.folder)
    old = len([record for record in ledger.records() if record.kind == "schedule"])

    def interrupted() -> None:
        with timetable.playing(experiment, "run"):
            wait_for(ledger, old + 1)
            assert not reached(experiment, ONE, CLOUD)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached(experiment, ONE, CLOUD)
    assert "the run ended before 1 of the 2 changes in the schedule" in desk.text


def test_a_change_that_fails_is_told_at_once_and_fails_the_run(experiment: Experiment, desk: Desk) -> None:
    scheduled(
        experiment,
        change(0, (ONE,), (CLOUD,), delay_ms=20),
        change(0.1, (TWO,), (CLOUD,), delay_ms=30),
    )
    ledger = Ledger(experiment.folder)
    old = len([record for record in ledger.records() if record.kind == "schedule"])
    tc = shell.run(experiment.hosts[ONE], "command -v tc").stdout.strip()
    assert shell.run(experiment.hosts[ONE], f"mv {tc} {tc}.away").ok

    def run() -> None:
        with timetable.playing(experiment, "run"):
            failed, well = wait_for(ledger, old + 2)[old:]
            assert (bool(failed.error), bool(well.error)) == (True, False)
            assert any(event.failed and ONE in event.text for event in desk.events)
            assert told(experiment, TWO, CLOUD).startswith("delay 30ms")
            assert shell.run(experiment.hosts[ONE], f"mv {tc}.away {tc}").ok

    try:
        with pytest.raises(EmulationError) as caught:
            run()
    finally:
        shell.run(experiment.hosts[ONE], f"[ ! -e {tc}.away ] || mv {tc}.away {tc}")
    assert "the links were not as the schedule of network.yaml says: a change of the schedule failed, at 0 s" in str(
        caught.value
    )
    assert ONE in str(caught.value)
    assert told(experiment, TWO, CLOUD).startswith("delay 5ms")


def test_a_host_that_is_gone_does_not_keep_the_others_from_being_set_back(experiment: Experiment) -> None:
    scheduled(experiment, change(0, (ONE,), (CLOUD,), down=True), change(0, (TWO,), (CLOUD,), down=True))
    ledger = Ledger(experiment.folder)
    old = len([record for record in ledger.records() if record.kind == "schedule"])
    whole = experiment.state

    def run() -> None:
        with timetable.playing(experiment, "run"):
            wait_for(ledger, old + 2)
            hosts = tuple(
                host.model_copy(update={"port": 9, "control_dir": None}) if host.key == ONE else host
                for host in whole.hosts
            )
            experiment.state = whole.model_copy(update={"hosts": hosts})

    with pytest.raises(EmulationError, match=f"the links could not be set back: .*{ONE}: ssh: "):
        run()
    experiment.state = whole
    assert reached(experiment, TWO, CLOUD)
    assert ledger.sum().playing == "run"
    assert not reached(experiment, ONE, CLOUD)
    timetable.heal(experiment)
    assert reached(experiment, ONE, CLOUD)


def test_a_schedule_that_was_killed_is_undone_by_the_next_command(experiment: Experiment, desk: Desk) -> None:
    scheduled(experiment, change(0, (ONE,), (CLOUD,), down=True))
    ledger = Ledger(experiment.folder)
    old = len([record for record in ledger.records() if record.kind == "schedule"])

    def die() -> None:
        with timetable.playing(experiment, "run"):
            wait_for(Ledger(experiment.folder), old + 1)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(die) == -signal.SIGKILL
    assert not reached(experiment, ONE, CLOUD)
    assert ledger.sum().playing == "run"
    scheduled(experiment)
    with timetable.playing(experiment, "run"):
        assert reached(experiment, ONE, CLOUD)
    assert "the schedule of run was cut off: what it changed is undone" in desk.text
    assert ledger.sum().playing is None


def test_links_are_changed_by_hand_while_another_command_works(
    scenario: Path, experiment: Experiment, desk: Desk
) -> None:
    with locked(scenario):
        done = links.change(
            scenario, "edge[0]", "cloud", ["delay=30ms", "loss=1%"], symmetric=True, observe=experiment.observe
        )
    assert (done["words"], done["pairs"]) == ("delay=30ms loss=1%", 2)
    assert done["sent"] < done["at"]
    assert told(experiment, ONE, CLOUD) == "delay 30ms loss 1% rate 1Gbit"
    assert told(experiment, CLOUD, ONE, "v6") == "delay 30ms loss 1% rate 1Gbit"
    assert told(experiment, TWO, CLOUD) == "delay 5ms rate 1Gbit"
    links.change(scenario, "edge", "cloud", ["down"], symmetric=False, observe=experiment.observe)
    assert not reached(experiment, ONE, CLOUD)
    assert not reached(experiment, TWO, CLOUD, "v6")
    links.change(scenario, "edge", "cloud", ["up"], symmetric=False, observe=experiment.observe)
    assert reached(experiment, TWO, CLOUD)
    assert told(experiment, ONE, CLOUD) == "delay 30ms loss 1% rate 1Gbit", "what was asked before comes back"
    links.tell_done(experiment)
    assert "3 changes by `network set` hold" in desk.text
    shape(experiment)
    assert told(experiment, ONE, CLOUD) == "delay 5ms rate 1Gbit"
    del desk.events[:]
    links.tell_done(experiment)
    assert desk.text == "done already"


def test_what_is_asked_told_and_measured_is_shown(scenario: Path, experiment: Experiment) -> None:
    links.change(scenario, ONE, CLOUD, ["down"], symmetric=False, observe=experiment.observe)
    assert shell.run(experiment.hosts[TWO], "tc qdisc del dev eth0 root").ok
    (scenario / "network.yaml").write_text(NETWORK.replace("5ms", "6ms"))
    try:
        shown = links.shown(scenario)
    finally:
        (scenario / "network.yaml").write_text(NETWORK)
    rows = {(row["from"], row["to"]): row for row in shown["links"]}
    columns = ("asked", "tc", "state", "verdict")
    assert [rows[ONE, CLOUD][column] for column in columns] == [
        "down delay 5ms rate 1gbit",
        "delay 5ms loss 100% rate 1Gbit",
        "as asked",
        "changed since",
    ]
    assert [rows[TWO, CLOUD][column] for column in columns] == ["delay 5ms rate 1gbit", "nothing", "differs", ""]
    assert [(one["by"], one["src"], one["dst"], one["words"]) for one in shown["changes"]] == [
        ("set", ONE, CLOUD, "down")
    ]
    assert shown["edited"]
    assert shown["playing"] is None
    shape(experiment)
    shown = links.shown(scenario)
    assert {row["state"] for row in shown["links"]} == {"as asked"}
    assert shown["changes"] == []
    assert not shown["edited"]


@pytest.fixture
def one_is_silent(experiment: Experiment) -> Iterator[None]:
    """Nobody answers at the address of a host."""
    hosts = experiment.state.hosts
    gone = (host.model_copy(update={"port": 9}) if host.key == ONE else host for host in hosts)
    experiment.update(hosts=tuple(gone))
    yield
    experiment.update(hosts=hosts)


@pytest.mark.usefixtures("one_is_silent")
def test_a_host_that_does_not_answer_keeps_no_other_from_being_changed_and_shown(
    scenario: Path, experiment: Experiment
) -> None:
    silent = f"links were not changed on {ONE}: {ONE}: ssh: connect to host .* port 9: .*What all others send is"
    with pytest.raises(RemoteError, match=silent):
        links.change(scenario, "all", "all", ["delay=30ms"], symmetric=False, observe=experiment.observe)
    assert told(experiment, TWO, CLOUD) == "delay 30ms rate 1Gbit"
    ledger = Ledger(experiment.folder)
    assert (ledger.records()[-1].kind, ledger.records()[-1].missed) == ("set", (ONE,))
    shown = links.shown(scenario)
    assert list(shown["silent"]) == [ONE]
    states = {row["from"]: row["state"] for row in shown["links"]}
    assert states == {CLOUD: "as asked", ONE: "unknown", TWO: "as asked"}

    before = len(ledger.records())
    with pytest.raises(RemoteError, match=f"links were not changed on {ONE}"):
        links.change(scenario, ONE, CLOUD, ["down"], symmetric=False, observe=experiment.observe)
    assert len(ledger.records()) == before, "what nobody was told does not hold"

    scheduled(experiment, change(0, (ONE, TWO), (CLOUD,), delay_ms=40.0))
    old = len([record for record in ledger.records() if record.kind == "schedule"])

    def play() -> None:
        with timetable.playing(experiment, "run"):
            assert wait_for(ledger, old + 1)[-1].missed == (ONE,)
            assert told(experiment, TWO, CLOUD) == "delay 40ms rate 1Gbit"

    with pytest.raises(E2CError, match=f"{ONE}: ssh"):
        play()
    assert told(experiment, TWO, CLOUD) == "delay 30ms rate 1Gbit", "set back, as far as hosts answer"
    with pytest.raises(RemoteError, match=f"links were not changed on {ONE}"):
        links.reset_links(experiment)
    with pytest.raises(KeyError):
        told(experiment, TWO, CLOUD)


def test_a_change_that_a_host_has_missed_is_made_by_the_same_command(scenario: Path, experiment: Experiment) -> None:
    def again() -> None:
        links.change(scenario, ONE, CLOUD, ["delay=30ms"], symmetric=False, observe=experiment.observe)

    again()
    assert shell.run(experiment.hosts[ONE], "tc qdisc del dev eth0 root").ok  # as after a restart
    again()
    assert told(experiment, ONE, CLOUD) == "delay 30ms rate 1Gbit"


def test_pairs_without_a_rule_are_changed_too(scenario: Path, experiment: Experiment) -> None:
    links.change(scenario, ONE, TWO, ["delay=20ms"], symmetric=False, observe=experiment.observe)
    assert told(experiment, ONE, TWO).startswith("delay 20ms")
    assert told(experiment, ONE, CLOUD) == "delay 5ms rate 1Gbit"
    shape(experiment)
    with pytest.raises(KeyError):
        told(experiment, ONE, TWO)


@pytest.mark.parametrize(
    ("src", "dst", "said"),
    [
        ("clod", "edge", "selector 'clod' chooses no host.*Did you mean 'cloud"),
        ("cloud", "edge[7]", "selector .* chooses no host"),
        ("cloud", "cloud.server.1.1", "cloud and cloud.server.1.1 both choose cloud.server.1.1 alone"),
        ("cloud", "edge[", "opens a bracket that it does not close"),
    ],
)
def test_ends_that_are_none_are_refused(scenario: Path, experiment: Experiment, src: str, dst: str, said: str) -> None:
    before = Ledger(experiment.folder).records()
    with pytest.raises(E2CError, match=said):
        links.change(scenario, src, dst, ["delay=1ms"], symmetric=False, observe=experiment.observe)
    assert Ledger(experiment.folder).records() == before


def test_values_that_do_not_go_together_are_refused(scenario: Path, experiment: Experiment) -> None:
    with pytest.raises(EmulationError, match="jitter needs a delay"):
        links.change(scenario, ONE, TWO, ["jitter=2ms"], symmetric=False, observe=experiment.observe)
    links.change(scenario, ONE, CLOUD, ["jitter=2ms"], symmetric=False, observe=experiment.observe)
    assert told(experiment, ONE, CLOUD) == "delay 5ms jitter 2ms rate 1Gbit"


def test_links_that_are_reset_are_shaped_anew_by_the_next_deployment(scenario: Path, experiment: Experiment) -> None:
    links.change(scenario, ONE, CLOUD, ["down"], symmetric=False, observe=experiment.observe)
    assert experiment.fulfilled("emulate")
    links.reset_links(experiment)
    assert reached(experiment, ONE, CLOUD)
    assert not experiment.fulfilled("emulate")
    assert Ledger(experiment.folder).sum().links == ()
    links.reset_links(experiment)


def test_a_launch_plays_the_schedule_of_the_file(scenario: Path, experiment: Experiment, desk: Desk) -> None:
    until = "timeout 60 sh -c 'until tc qdisc show dev eth0 | grep -q \"delay 25ms\"; do sleep 0.1; done'"
    (scenario / "network.yaml").write_text(
        f"{NETWORK}schedule:\n"
        "- {at: 100ms, src: edge, dst: cloud, delay: 25ms}\n"
        "- {at: 1h, src: edge, dst: cloud, down: true}\n"
    )
    (scenario / "workflow.yaml").write_text(f"- hosts: edge\n  launch:\n  - shell: {until}\n")
    try:
        taken_up = steps.take_up(scenario, "workflow", desk)
        assert [planned.at_s for planned in taken_up.plan.changes] == [0.1, 3600]
        assert taken_up.fulfilled("emulate"), "a schedule is of the launch"
        runs.launch_alone(taken_up, Run())
        assert taken_up.fulfilled("launch", Run())
    finally:
        (scenario / "network.yaml").write_text(NETWORK)
        (scenario / "workflow.yaml").write_text("[]\n")
    kinds = [record.kind for record in Ledger(experiment.folder).records()]
    assert kinds[-3:] == ["begins", "schedule", "ends"]
    assert told(experiment, ONE, CLOUD) == "delay 5ms rate 1Gbit"
    assert "the run ended before 1 of the 2 changes in the schedule" in desk.text
