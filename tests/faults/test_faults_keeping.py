"""After a failure whoever sits at the terminal is asked whether the hosts are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from faults_life import E2CLAB, LIMIT_S, e2clab, standing, write

pytestmark = [pytest.mark.netns, pytest.mark.switch]
QUESTION = "Keep the hosts to look into it, or release them"


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    folder = tmp_path / "scenario"
    write(folder, lean=True)
    (folder / "network.yaml").write_text("networks: []\n")
    (folder / "workflow.yaml").write_text("- hosts: edge\n  prepare:\n  - command: /bin/false\n")
    yield folder
    e2clab("destroy", folder)
    assert standing(folder) == []


def deploy(scenario: Path, *options: str, **environment: str) -> pexpect.spawn[str]:
    """A deployment that fails, on a terminal of its own."""
    return pexpect.spawn(
        E2CLAB[0],
        [*E2CLAB[1:], "deploy", *options, str(scenario), str(scenario / "artifacts")],
        env={**os.environ, **environment},
        timeout=LIMIT_S,
        encoding="utf-8",
        dimensions=(50, 200),
    )


def rest(terminal: pexpect.spawn[str]) -> tuple[int | None, str]:
    """Exit code and what was still said."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus, terminal.before or ""


@pytest.mark.parametrize(
    ("answer", "kept"), [("keep\r", True), ("\r", False), ("what?\r", False), ("\x03", False), ("", False)]
)
def test_the_answer_decides(scenario: Path, answer: str, kept: bool) -> None:
    terminal = deploy(scenario, E2C_ANSWER_TIMEOUT="60" if answer else "0.2")
    terminal.expect(QUESTION)
    terminal.expect(r"\) $")
    terminal.send(answer)
    code, said = rest(terminal)
    assert code == 1
    assert "/bin/false" in said or "prepare failed" in said, "the failure is told last, whatever was answered"
    assert bool(standing(scenario)) is kept
    assert (f"e2clab destroy {scenario}" in said) is kept


@pytest.mark.parametrize(("option", "kept"), [("--keep", True), ("--destroy-on-fail", False)])
def test_who_has_said_it_before_is_not_asked(scenario: Path, option: str, kept: bool) -> None:
    code, said = rest(deploy(scenario, option))
    assert code == 1
    assert QUESTION not in said
    assert bool(standing(scenario)) is kept


def test_both_at_once_make_no_sense(scenario: Path) -> None:
    done = e2clab("deploy", "--keep", "--destroy-on-fail", scenario, scenario / "artifacts")
    assert done.returncode == 2
    assert "contradict" in done.stderr


def test_a_single_step_can_be_told_to_release(scenario: Path) -> None:
    assert e2clab("layers-services", scenario, scenario / "artifacts").returncode == 0
    kept = e2clab("workflow", scenario, "prepare")
    assert kept.returncode == 1
    assert f"free them with: e2clab destroy {scenario}" in kept.stderr
    assert standing(scenario)
    done = e2clab("workflow", scenario, "prepare", "--destroy-on-fail")
    assert done.returncode == 1
    assert standing(scenario) == []


def test_local_hosts_cannot_be_lengthened(scenario: Path) -> None:
    assert e2clab("layers-services", scenario, scenario / "artifacts").returncode == 0
    done = e2clab("extend", scenario, "00:30:00")
    assert done.returncode == 1
    assert "local hosts have no walltime" in done.stderr
    assert e2clab("extend", scenario, "soon").returncode == 2


def test_a_terminal_that_is_closed_leaves_nothing(scenario: Path) -> None:
    (scenario / "workflow.yaml").write_text("- hosts: edge\n  prepare:\n  - command: sleep 60\n")
    terminal = deploy(scenario)
    terminal.expect("prepare .*sleep|prepare .*command")
    assert standing(scenario)
    os.close(terminal.child_fd)  # the kernel sends SIGHUP, and whatever is written from now on fails
    terminal.closed = terminal.ptyproc.closed = True
    _, status = os.waitpid(terminal.pid, 0)
    assert os.waitstatus_to_exitcode(status) != 0
    assert standing(scenario) == []
    (log,) = scenario.glob("2*/e2clab.log")
    assert "release: released 2 hosts" in log.read_text()
