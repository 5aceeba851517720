"""Hosts that only answer through a jump host: two hosts of a local testbed, the second shut to the controller."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments_lab import Lab

from e2c.environments import discovery
from e2c.model.host import Host
from e2c.remote import jumps, playbook, shell, sockets

pytestmark = pytest.mark.netns
KEYS = ("edge.gateway.1.1", "edge.sensor.1.1")
FEW = 2200
"""Port of the jump host's ssh server that takes three connections at once."""


@pytest.fixture(scope="module")
def behind(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    """A jump host, and a host that only it reaches; with a key whose path has every character that may trouble."""
    lab = Lab()
    folder = tmp_path_factory.mktemp("it's a %h key's folder")
    try:
        jump, hidden = lab.up(lab.claim(), KEYS).values()
        few = (
            r"sed 's/^MaxStartups.*/MaxStartups 3:100:3/' /run/e2c-sshd/config >/run/few && /usr/sbin/sshd -f /run/few"
        )
        assert shell.run(jump, f"{few} -p {FEW}").ok
        key = folder / "id %C"
        key.write_bytes(Path(str(jump.keyfile)).read_bytes())
        key.chmod(0o600)
        controller = shell.run(hidden, "echo $SSH_CONNECTION").stdout.split()[0]
        shell.close([hidden])
        shut = f"(sleep 0.2; ip route add unreachable {controller}/32) >/dev/null 2>&1 &"
        alone = hidden.model_copy(update={"control_dir": None})
        assert shell.run(alone, shut).ok
        deadline = time.monotonic() + 30
        while shell.run(alone, "true", timeout_s=2).ok:  # the way is shut in the background
            assert time.monotonic() < deadline
        control = sockets.folder(str(folder))
        sockets.make(control)
        made = {"keyfile": str(key), "control_dir": control, "jump": f"root@{jump.address}"}
        yield jump, hidden.model_copy(update=made)
        sockets.remove(control)
        assert not Path(control).exists()
    finally:
        lab.down()


@pytest.fixture(params=["shared", "alone"])
def hidden(behind: tuple[Host, Host], request: pytest.FixtureRequest) -> Iterator[Host]:
    host = behind[1] if request.param == "shared" else behind[1].model_copy(update={"control_dir": None})
    yield host
    shell.close([host])


def test_it_answers_through_the_jump_host_only(behind: tuple[Host, Host], hidden: Host) -> None:
    direct = hidden.model_copy(update={"jump": None, "control_dir": None})
    assert shell.run(direct, "true", timeout_s=2).rc in (shell.TIMED_OUT, shell.SSH_FAILED)
    told = shell.run(hidden, "cat; echo $SSH_CONNECTION", stdin=b"in\n")
    assert told.stdout.split()[0] == "in"
    assert told.stdout.split()[1] == behind[0].addresses.v4
    assert discovery.discover([hidden], 0)[0].hostname == hidden.hostname


def test_addresses_of_either_family_and_names_with_a_port(behind: tuple[Host, Host], hidden: Host) -> None:
    jump = behind[0]
    if jump.addresses.v6 is None:
        pytest.skip("no IPv6 here")
    for through in (f"root@[{jump.addresses.v6}]:22", f"root@{jump.addresses.v6}", f"root@{jump.address}:{FEW}"):
        told = shell.run(hidden.model_copy(update={"jump": through, "address": hidden.addresses.v6}), "hostname")
        assert (told.stdout.strip(), told.stderr) == (hidden.hostname, "")


def test_ansible_goes_the_same_way(hidden: Host, tmp_path: Path) -> None:
    source = tmp_path / "sent"
    source.write_text("content")
    tasks = [
        {"command": "hostname"},
        {"copy": {"src": str(source), "dest": "/root/sent"}},
        {"command": "cat /root/sent"},
    ]
    results = playbook.run(
        [{"hosts": [hidden.key], "gather_facts": False, "tasks": tasks}], [hidden], work_dir=tmp_path
    )
    assert [result.stdout for result in results] == [hidden.hostname, "", "content"], results


def test_many_hosts_behind_a_jump_host_that_takes_few_connections_at_once(behind: tuple[Host, Host]) -> None:
    jump, hidden = behind
    through = f"root@{jump.address}:{FEW}"
    many = [hidden.model_copy(update={"key": f"edge.sensor.1.{n}", "jump": through}) for n in range(40)]
    try:
        assert {result.rc for result in shell.run_all(many, "true").values()} == {0}
        assert discovery.survey(many, 0).missing == {}
        play = {"hosts": [host.key for host in many[:25]], "gather_facts": False, "tasks": [{"raw": "true"}]}
        results = playbook.run([play], many[:25], work_dir=Path("/tmp"))
        assert [result.status for result in results] == ["changed"] * 25
    finally:
        shell.close(many)


def test_close_ends_the_connection_to_the_jump_host_too(behind: tuple[Host, Host]) -> None:
    hidden = behind[1]
    assert shell.run_all([hidden], "true")[hidden.key].ok
    folder = Path(str(hidden.control_dir))
    made = {Path(shell.control_path(hidden)).name.removeprefix("%C"), Path(str(jumps.socket(hidden))).name}
    assert len([path for path in folder.iterdir() if path.name.endswith(tuple(made))]) == 2
    shell.close([hidden])
    assert not [path for path in folder.iterdir() if path.name.endswith(tuple(made))]


def test_same_address_behind_different_jump_hosts_is_not_the_same_machine(behind: tuple[Host, Host]) -> None:
    jump, hidden = behind
    itself = {"address": "127.0.0.1", "key": "a"}
    first = jump.model_copy(update={**itself, "jump": f"root@{jump.address}"})
    second = first.model_copy(update={"jump": f"root@{jump.address}:{FEW}", "key": "b"})
    third = hidden.model_copy(update={**itself, "jump": None})
    assert len({shell.control_path(host) for host in (first, second, third)}) == 3


def test_reasons_tell_the_jump_host_from_the_machine(behind: tuple[Host, Host], tmp_path: Path) -> None:
    jump, hidden = behind
    strange = tmp_path / "key"
    strange.write_text(Path(str(hidden.keyfile)).read_text())
    strange.chmod(0o600)
    alone = hidden.model_copy(update={"control_dir": None})
    cases = {
        "unnamed": {"jump": "root@no-such-jump.invalid"},
        "silent": {"jump": f"root@{jump.address}:9"},
        "stranger": {"jump": f"nobody-here@{jump.address}"},
        "behind": {"port": 9},
        "inside": {"user": "nobody-here"},
    }
    found = discovery.survey([alone.model_copy(update={**case, "key": name}) for name, case in cases.items()], 0)
    assert found.missing == {
        "unnamed": "the name no-such-jump.invalid does not resolve",
        "silent": f"nothing listens on port 9 of {jump.address}",
        "stranger": f"the key {hidden.keyfile} is refused for nobody-here@{jump.address}, the jump host",
        "behind": f"the jump host root@{jump.address} cannot reach port 9 of it",
        "inside": f"the key {hidden.keyfile} is refused for user nobody-here",
    }
