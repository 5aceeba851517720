"""``ssh`` and ``exec`` on hosts of the local testbed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pexpect
import pytest
from cli_program import E2CLAB, LIMIT_S, e2clab, typing_at

from e2c.model.host import Host
from e2c.remote import shell

pytestmark = [pytest.mark.netns, pytest.mark.xdist_group("cli-deployed")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("name", ["cloud.server.1.1", "cloud", "Server", "edge[0]", "edge:&*.1.2"])
def test_whatever_means_one_host_is_enough(deployed: Path, name: str) -> None:
    done = e2clab("ssh", deployed, name, "--", "hostname")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in ("cloud-server-1-1\n", "edge-client-1-1\n", "edge-client-1-2\n")


def test_output_and_exit_code_of_the_command_are_its_own(deployed: Path) -> None:
    done = e2clab("ssh", deployed, "cloud", "--", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_several_words_are_passed_on_unchanged(deployed: Path) -> None:
    done = e2clab("ssh", deployed, "cloud", "--", "printf", "<%s>", "a  b", "$HOME", "--", "-f")
    assert done.stdout == "<a  b><$HOME><--><-f>"


def test_standard_input_reaches_the_command(deployed: Path) -> None:
    done = subprocess.run(
        [*E2CLAB, "ssh", str(deployed), "cloud", "--", "cat"],
        input="through\n",
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "through\n")


def test_several_hosts_are_named(deployed: Path) -> None:
    done = e2clab("ssh", deployed, "edge", "--", "true")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'edge' means 2 hosts: edge.client.1.1, edge.client.1.2. Name one of them." in done.stderr


def test_without_a_name_and_a_terminal_the_hosts_are_named(deployed: Path) -> None:
    done = e2clab("ssh", deployed, "--", "true")
    assert done.returncode == 1
    assert "Name one of cloud.server.1.1, edge.client.1.1, edge.client.1.2." in done.stderr


def test_a_wrong_name_is_told_with_the_right_one(deployed: Path) -> None:
    done = e2clab("ssh", deployed, "clowd")
    assert done.returncode == 1
    assert "chooses no host" in done.stderr
    assert done.stderr.endswith("Did you mean 'cloud'?\n")


@pytest.mark.parametrize("name", ["motes", "edge.mote.2.1"])
def test_nobody_logs_in_to_a_board(deployed: Path, name: str) -> None:
    done = e2clab("ssh", deployed, name)
    assert done.returncode == 1
    assert "edge.mote.2.1 is a board: a board runs its firmware and no system" in done.stderr


def test_exec_leaves_boards_out_and_says_so(deployed: Path) -> None:
    done = e2clab("exec", deployed, "edge", "--format", "json", "--", "hostname")
    assert [row["stdout"] for row in json.loads(done.stdout)] == ["edge-client-1-1\n", "edge-client-1-2\n"]
    assert done.stderr == "left out, because boards run no commands: edge.mote.2.1\n"
    assert e2clab("exec", deployed, "motes", "true").returncode == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-f"], "--forward needs a port"),
        (["-f", "-l", "80", "--", "true"], "not both"),
        (["-f", "-l", "0"], "0 is not in the range"),
        (["-f", "-r", "65536"], "65536 is not in the range"),
    ],
)
def test_contradictions_are_2(deployed: Path, options: list[str], words: str) -> None:
    done = e2clab("ssh", deployed, "cloud", *options)
    assert done.returncode == 2
    assert words in done.stderr


def test_the_menu_is_numbered_and_the_shell_is_a_real_one(deployed: Path) -> None:
    terminal = typing_at("ssh", deployed)
    for line in (r"1  cloud\.server\.1\.1  +10\.", r"2  edge\.client\.1\.1", r"3  edge\.client\.1\.2", "Which host"):
        terminal.expect(line)
    terminal.sendline("9")
    terminal.expect("not in the range")
    terminal.sendline("2")
    terminal.expect("[#$] ")
    terminal.sendline("tty && hostname; exit 5")
    terminal.expect("/dev/pts/")
    terminal.expect("edge-client-1-1")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 5


def test_a_menu_can_be_left(deployed: Path) -> None:
    terminal = typing_at("ssh", deployed)
    terminal.expect("Which host")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


def test_an_interrupted_command_is_130(deployed: Path) -> None:
    with subprocess.Popen(
        [*E2CLAB, "ssh", str(deployed), "cloud", "--", "echo ready; sleep 60"],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LIMIT_S) == 130


@pytest.mark.parametrize(("ours", "options"), [(True, ("-f", "-l", "{}", "-r", "8123")), (False, ("-r", "8123"))])
def test_a_port_is_forwarded_until_ctrl_c(deployed: Path, ours: bool, options: tuple[str, ...]) -> None:
    port = free_port() if ours else 8123
    started = e2clab(
        "exec", deployed, "cloud", "cd /etc && (python3 -m http.server 8123 >/dev/null 2>&1 </dev/null & echo $!)"
    )
    server = started.stdout.split()[-1]
    with subprocess.Popen(
        [*E2CLAB, "ssh", str(deployed), "cloud", *(option.format(port) for option in options)],
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said == f"localhost:{port} leads to port 8123 of cloud.server.1.1; Ctrl-C ends it\n"
            with urllib.request.urlopen(f"http://localhost:{port}/hostname", timeout=LIMIT_S) as answer:
                assert answer.read().decode().strip() == "cloud-server-1-1"
            taken = e2clab("ssh", deployed, "cloud", "-f", "-l", str(port))
            assert taken.returncode == 1
            assert f"port {port} of this machine cannot be used: Address already in use." in taken.stderr
        finally:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
        assert process.stderr.read() == ""
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "nothing listens any more"
    e2clab("exec", deployed, "cloud", f"kill {server}")


def test_a_jump_host_is_gone_through(deployed: Path) -> None:
    (folder,) = deployed.glob("*-*/state.json")
    original = folder.read_text()
    state = json.loads(original)
    cloud, edge = state["hosts"][0], state["hosts"][1]
    edge["jump"] = f"{cloud['user']}@{cloud['address']}:{cloud['port']}"
    folder.write_text(json.dumps(state))
    try:
        ssh = e2clab("ssh", deployed, "edge.client.1.1", "--", "echo $SSH_CONNECTION")
        executed = e2clab("exec", deployed, "edge.client.1.1", "--format", "json", "echo $SSH_CONNECTION")
    finally:
        folder.write_text(original)
        shell.close([Host.model_validate(edge)])
    assert ssh.stdout.split()[0] == cloud["address"]
    assert json.loads(executed.stdout)[0]["stdout"].split()[0] == cloud["address"]


def test_a_scenario_that_was_released_has_no_hosts(fresh: Path) -> None:
    assert "nothing was deployed" in e2clab("ssh", fresh, "cloud").stderr
    assert e2clab("layers-services", fresh, fresh / "artifacts").returncode == 0
    assert e2clab("destroy", fresh).returncode == 0
    done = e2clab("ssh", fresh, "cloud")
    assert done.returncode == 1
    assert "nothing is deployed any more: the last experiment was released" in done.stderr
