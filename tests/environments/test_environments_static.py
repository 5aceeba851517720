"""The provider ``static``: hosts of a local testbed as machines that exist already, reached by real ssh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from static_machines import Machines

from e2c.environments.static import ledger, marks
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.remote import playbook, shell, traces

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("E2C_RELEASE_TIMEOUT", "15")


@pytest.fixture(scope="module")
def room(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("room"), 4)
    try:
        yield made
    finally:
        made.down()


@pytest.fixture
def machines(room: Machines) -> Iterator[Machines]:
    room.said.clear()
    yield room
    room.close()
    for host in room.there:
        assert shell.run(host, "rm -rf /var/lib/e2c").ok


def left(host: Host) -> str:
    return shell.run(host, "ls -A /var/lib/e2c /opt/thing 2>/dev/null").stdout


def test_taken_used_and_given_back(machines: Machines) -> None:
    keys = [machines.keys(host) for host in machines.there[:2]]
    machines.provider.check({"hosts": keys})
    claim, hosts = machines.take(keys)
    assert [host.key for host in hosts] == ["edge.sensor.1.1", "edge.sensor.1.2"]
    assert [host.hostname for host in hosts] == [host.hostname for host in machines.there[:2]]
    assert [host.interfaces for host in hosts] == [host.interfaces for host in machines.there[:2]]
    assert hosts[0].addresses == machines.there[0].addresses
    assert (hosts[0].layer, hosts[0].service, hosts[0].roles) == ("edge", "sensor", ("edge", "sensor"))
    told = machines.mark(hosts[0])
    assert told is not None
    assert (told["scenario"], told["key"]) == (claim.scenario, hosts[0].key)
    assert machines.mark(machines.there[2]) is None
    assert machines.provider.find(claim.scenario)[0].experiment == claim.experiment
    assert machines.provider.find("/elsewhere") == []
    assert machines.provider.reservations(claim) == []

    undo = "[ ! -e /opt/thing ] || rm -rf /opt/thing && echo 'the thing'"
    assert shell.run(hosts[0], f"{traces.leave('thing', undo)}; mkdir /opt/thing").ok
    folder = Path(str(hosts[0].control_dir))
    assert list(folder.iterdir())
    freed = machines.free(claim)
    assert freed == [f"1 machine: {hosts[0].address} (the thing)", f"1 machine: {hosts[1].address}"]
    assert [left(host) for host in machines.there] == [""] * 4
    assert not folder.exists()
    assert machines.provider.find(claim.scenario) == []
    assert machines.free(claim) == []


def test_a_machine_in_use_is_not_taken_twice(machines: Machines) -> None:
    keys = [machines.keys(host) for host in machines.there]
    first, _ = machines.take(keys[:2], "one")
    with pytest.raises(TestbedError) as caught:
        machines.take(keys[1:], "two")
    text = str(caught.value)
    assert text.startswith(
        f"{machines.there[1].address} is in use: {machines.there[1].address}: the scenario {first.scenario}"
    )
    assert f"`e2clab destroy {first.scenario}`" in text
    assert "/var/lib/e2c/claim.json" in text
    second = machines.provider.find(str(machines.folder / "two"))[0]
    assert machines.free(second) == [f"2 machines: {machines.there[2].address}, {machines.there[3].address}"]
    mark = machines.mark(machines.there[1])
    assert mark is not None
    assert mark["scenario"] == first.scenario
    assert machines.free(first)


def test_of_many_at_once_one_gets_the_machine(machines: Machines) -> None:
    keys = [machines.keys(machines.there[0])]

    def take(number: int) -> str:
        try:
            machines.take(keys, f"rival{number}")
        except TestbedError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(take, range(8)))
    assert said.count("") == 1
    assert all("is in use" in text for text in said if text)
    mark = machines.mark(machines.there[0])
    assert mark is not None
    assert mark["scenario"].endswith(f"rival{said.index('')}")


def test_two_addresses_of_one_machine_are_found_out(machines: Machines) -> None:
    host = machines.there[0]
    with pytest.raises(TestbedError) as caught:
        machines.take([machines.keys(host), machines.keys(host, address=host.addresses.v6 or "localhost")])
    assert "are the same machine" in str(caught.value)


def test_an_earlier_attempt_is_cleaned_first_even_if_no_ledger_knows_it(machines: Machines) -> None:
    keys = [machines.keys(machines.there[0])]
    _, hosts = machines.take(keys, experiment="1")
    assert shell.run(hosts[0], f"{traces.leave('thing', 'rm -r /opt/thing')}; mkdir -p /opt/thing").ok
    ledger.remove(f"1-{machines.folder / 'one'}")
    claim, hosts = machines.take(keys, experiment="2")
    assert "removed what an earlier attempt left" in "\n".join(machines.said)
    assert shell.run(hosts[0], "ls /var/lib/e2c/undo").stdout.split() == ["zz-ansible"]
    assert machines.free(claim)
    again, _ = machines.take(keys, experiment="3")
    later, _ = machines.take(keys, experiment="4")
    assert any("released from an earlier attempt: 1 machine" in text for text in machines.said)
    assert machines.provider.find(again.scenario)[0].experiment == later.experiment


def test_who_does_not_answer_is_told_at_once_and_takes_no_mark(machines: Machines, tmp_path: Path) -> None:
    good, other = machines.there[:2]
    strange = tmp_path / "strange"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", strange], check=True)
    keys = [
        machines.keys(good),
        machines.keys(other, keyfile=str(strange)),
        machines.keys(other, address="no-such-machine.invalid"),
        machines.keys(other, port=9),
    ]
    for act in (lambda: machines.provider.check({"hosts": keys}), lambda: machines.take(keys)):
        with pytest.raises(TestbedError) as caught:
            act()
        text = str(caught.value)
        assert text.startswith("3 of 4 machines do not answer to ssh: ")
        assert f"{other.address}: the key {strange} is refused for user root" in text
        assert "no-such-machine.invalid: the name no-such-machine.invalid does not resolve" in text
        assert f"{other.address}: nothing listens on port 9" in text
    assert machines.mark(good) is None
    findings = {finding.aspect: finding for finding in machines.provider.examine({"hosts": keys})}
    assert findings["ssh"].ok is False
    assert findings["ssh"].text.startswith("1 of 4 machines answer")
    assert findings["rights"].ok is True
    absent = machines.keys(good, keyfile=str(tmp_path / "absent"))
    with pytest.raises(TestbedError, match="cannot be read"):
        machines.provider.check({"hosts": [absent]})


def test_a_command_tells_the_line_of_a_machine_that_does_not_answer(machines: Machines, tmp_path: Path) -> None:
    good = machines.there[0]
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "layers_services.yaml").write_text(
        f"environment:\n  static:\n    keyfile: {good.keyfile}\n    hosts:\n"
        f"      - {{port: 22, address: {good.address}}}\n      - {{port: 9, address: {good.address}}}\n"
        "      - address: never-asked.invalid\nlayers:\n  - name: edge\n    services: [{name: X, quantity: 2}]\n"
    )
    program = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
    command = [*program, "layers-services", tmp_path, tmp_path / "artifacts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stderr
    assert f"{tmp_path}/layers_services.yaml:6:28: " in done.stderr
    assert f"{good.address}, which plays edge.x.1.2: nothing listens on port 9. Start it" in done.stderr
    assert not list(tmp_path.glob("2*"))
    assert machines.mark(good) is None


def test_examine_tells_who_uses_a_machine(machines: Machines) -> None:
    keys = [machines.keys(machines.there[0])]
    assert [finding.ok for finding in machines.provider.examine({"hosts": keys})] == [True, True, True]
    claim, _ = machines.take(keys)
    found = machines.provider.examine({"hosts": keys})[-1]
    assert f"the scenario {claim.scenario} of " in found.text
    assert machines.provider.examine({})[0].ok is None


USER = r"""
id tester >/dev/null 2>&1 || useradd -m -s /bin/sh -p '*' tester
mkdir -p /home/tester/.ssh && cp /run/e2c-sshd/authorized_keys /home/tester/.ssh/ && chown -R tester /home/tester/.ssh
files='.ssh/authorized_keys /run/e2c-sshd/authorized_keys'
sed -i "s#^AuthorizedKeysFile.*#AuthorizedKeysFile $files#" /run/e2c-sshd/config
kill -HUP 1
"""
SUDO = r"""
command -v sudo >/dev/null && { echo 'tester ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/tester; exit; }
cp /bin/bash /usr/local/bin/rootbash && chmod 4755 /usr/local/bin/rootbash
cat >/usr/bin/sudo <<'END'
#!/bin/sh
while :; do case "$1" in -u) shift 2;; -*) shift;; *) break;; esac; done
exec /usr/local/bin/rootbash -p -c 'HOME=/root exec setpriv --reuid 0 --regid 0 --clear-groups -- "$@"' sudo "$@"
END
chmod 755 /usr/bin/sudo
"""
"""Lets the user become root: by sudo, or where there is none by a stand-in that takes the same options."""


def test_a_user_who_is_not_root(machines: Machines, tmp_path: Path) -> None:
    host = machines.there[3]
    assert shell.run(host, USER).ok
    shell.close([host])
    keys = [machines.keys(host, user="tester")]
    for act in (lambda: machines.provider.check({"hosts": keys}), lambda: machines.take(keys)):
        with pytest.raises(TestbedError) as caught:
            act()
        assert str(caught.value).startswith(f"user tester of {host.address} is not root and may not become it")
    assert shell.run(host, SUDO).ok
    machines.provider.check({"hosts": keys})
    claim, (taken,) = machines.take(keys)
    assert taken.sudo
    told = shell.run(taken, "id -un; cd; pwd; cat", stdin=b"it's $in")
    assert told.stdout == "root\n/root\nit's $in"
    assert shell.put(taken, b"x", "/root/put").ok
    assert shell.fetch(taken, "cat /root/put", tmp_path / "got").ok
    play = {"hosts": [taken.key], "gather_facts": False, "tasks": [{"command": "id -un"}, {"shell": "cat /root/put"}]}
    assert [result.stdout for result in playbook.run([play], [taken], work_dir=tmp_path)] == ["root", "x"]
    assert machines.free(claim)
    assert machines.mark(host) is None


def test_release_goes_on_past_a_silent_machine_and_finds_it_later(machines: Machines) -> None:
    keys = [machines.keys(host) for host in machines.there[:2]]
    claim, hosts = machines.take(keys)
    silent = machines.there[0]
    controller = shell.run(silent, "echo $SSH_CONNECTION").stdout.split()[0]
    shell.close([silent])
    # comes back by itself: nobody could switch it on again from here
    block = f"ip route add unreachable {controller}/32; sleep 25; ip route del unreachable {controller}/32"
    alone = silent.model_copy(update={"control_dir": None})
    assert shell.run(alone, f"(sleep 0.2; {block}) >/dev/null 2>&1 &").ok
    for _ in range(50):
        if not shell.run(alone, "true", timeout_s=1).ok:
            break
    freed = machines.free(claim)
    assert freed == [f"1 machine: {hosts[1].address}"]
    assert any(text.startswith("no answer from 1 of 2") and silent.address in text for text in machines.said)
    (remains,) = machines.provider.find(claim.scenario)
    assert machines.free(remains) == []  # at once: it was tried a moment ago
    entry = ledger.of_experiment(claim.experiment)
    assert entry is not None
    ledger.write(entry.model_copy(update={"silent_at": 0}))
    assert shell.run(alone, "until ip route | grep -qv unreachable; do sleep 1; done", timeout_s=60).rc in (0, 255)
    for _ in range(60):
        if shell.run(alone, "true", timeout_s=3).ok:
            break
    assert machines.free(remains) == [f"1 machine: {silent.address}"]
    assert machines.mark(silent) is None
    assert machines.provider.find(claim.scenario) == []


def test_what_cannot_be_removed_keeps_its_mark_and_is_told(machines: Machines) -> None:
    claim, (host,) = machines.take([machines.keys(machines.there[0])])
    assert shell.run(
        host, traces.leave("stubborn", "[ -e /run/permit ] || { echo 'it resists' >&2; exit 1; }; rm /run/permit")
    ).ok
    with pytest.raises(TestbedError) as caught:
        machines.free(claim)
    assert "could not be cleaned" in str(caught.value)
    assert "it resists" in str(caught.value)
    assert machines.mark(machines.there[0]) is not None
    assert shell.run(machines.there[0], "touch /run/permit").ok
    assert machines.free(claim)
    assert machines.mark(machines.there[0]) is None


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from e2c.environments.static import provider
from e2c.environments.base import Claim, Watch
from e2c.model.plan import PlannedHost
claim = Claim.model_validate_json(sys.argv[1])
wanted = [PlannedHost.model_validate_json(text) for text in sys.argv[3:]]
def say(text):
    pass
if sys.argv[2] == "marked":
    real = provider.StaticProvider._mark
    def mark(self, *arguments):
        real(self, *arguments)
        print("here", flush=True)
        sys.stdin.read()
    provider.StaticProvider._mark = mark
else:
    def mark(self, *arguments):
        print("here", flush=True)
        sys.stdin.read()
    provider.StaticProvider._mark = mark
provider.StaticProvider().acquire(claim, wanted, Watch(say))
"""


@pytest.mark.parametrize("moment", ["written down", "marked"])
def test_kill_9_and_a_lost_state_leave_nothing_that_destroy_does_not_find(machines: Machines, moment: str) -> None:
    keys = [machines.keys(host) for host in machines.there[:2]]
    claim = machines.name(keys)
    arguments = [claim.model_dump_json(), moment, *(host.model_dump_json() for host in machines.wanted(keys))]
    code = KILLED.format(tests=str(Path(__file__).parent))
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"here\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (found,) = machines.provider.find(claim.scenario)
    assert len(machines.free(found)) == (1 if moment == "marked" else 0)
    assert [machines.mark(host) for host in machines.there] == [None] * 4
    assert machines.provider.find(claim.scenario) == []


def test_background_tasks_of_plays_end_with_the_release(machines: Machines, tmp_path: Path) -> None:
    claim, (host,) = machines.take([machines.keys(machines.there[1])])
    tasks = [{"shell": "sleep 4711 & exec python3 -c 'import time; time.sleep(4712)'", "async": 600, "poll": 0}]
    play = {"hosts": [host.key], "gather_facts": False, "tasks": tasks}
    assert all(result.job for result in playbook.run([play], [host], work_dir=tmp_path))
    running = "ps ax -o args | grep -c '471[12]'"
    # Ansible has begun the task, the shell in it may begin a moment later
    begun = f"for i in $(seq 100); do [ $({running}) -lt 2 ] || exit 0; sleep 0.1; done; exit 1"
    assert shell.run(host, begun).ok
    assert machines.free(claim) == [f"1 machine: {host.address} (background tasks: 1 ended)"]
    assert shell.run(machines.there[1], running).stdout.strip() == "0"
    assert shell.run(machines.there[1], "ls -A ~/.ansible_async ~/.ansible").stdout == ""


def test_netem_is_tried_before_links_are_shaped(machines: Machines) -> None:
    claim, (host,) = machines.take([machines.keys(machines.there[2])])
    works = shell.run(host, "tc qdisc add dev eth0 root handle fffe: netem delay 0ms && tc qdisc del dev eth0 root").ok
    if works:
        assert machines.provider.enable_netem(claim, [host], machines.watch) == "kernel"
    else:
        with pytest.raises(TestbedError) as caught:
            machines.provider.enable_netem(claim, [host], machines.watch)
        assert str(caught.value).startswith(f"links of {host.address} cannot be shaped: {host.address}: ")
    assert "qdisc netem" not in shell.run(host, "tc qdisc show dev eth0").stdout
    with pytest.raises(TestbedError):
        machines.provider.extend(claim, 60, machines.watch)
    assert machines.free(claim)


def test_a_mark_that_cannot_be_read_is_respected(machines: Machines) -> None:
    host = machines.there[0]
    assert shell.run(host, f"mkdir -p /var/lib/e2c && echo garbage >{marks.PATH}").ok
    with pytest.raises(TestbedError, match="its mark cannot be read"):
        machines.take([machines.keys(host)])


def test_fifty_machines(possible: None, tmp_path: Path) -> None:
    many = Machines(tmp_path, 50)
    try:
        keys = [many.keys(host) for host in many.there]
        claim, hosts = many.take(keys)
        assert [host.address for host in hosts] == [host.address for host in many.there]
        assert len({host.hostname for host in hosts}) == 50
        gone, rest = many.there[20], many.there[:20] + many.there[21:]
        assert shell.run(gone, "kill -9 $(cat /run/sshd.pid 2>/dev/null); ip link set eth0 down", timeout_s=3).rc != 0
        (freed,) = many.free(claim)
        assert freed.startswith("49 machines: ")
        assert [many.mark(host) for host in (rest[0], rest[-1])] == [None, None]
        with pytest.raises(TestbedError) as caught:
            many.take(keys, experiment="2")
        assert str(caught.value).startswith(f"1 of 50 machines does not answer to ssh: {gone.address}: no ")
    finally:
        many.down()
