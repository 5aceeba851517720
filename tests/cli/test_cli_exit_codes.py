"""Every failure has the exit code that docs/howto/workflow.md tells; the commands are real, and so are the failures."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_program import e2clab

from e2c.cli import app, render

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "workflow.md"
LAYERS = """\
environment: {local: {}}
layers:
- name: cloud
  services:
  - name: Flaky
- name: edge
  services:
  - {name: Client, quantity: 2}
"""
PLUGIN = """\
from e2c.services.base import Service


class Flaky(Service):
    def deploy(self):
        if (self.artifacts_dir / "refuse").exists():
            raise RuntimeError("the image is gone")

    def backup(self, folder):
        if (self.artifacts_dir / "full").exists():
            raise RuntimeError("no space left")
"""
WORKFLOW = """\
- hosts: edge
  launch:
  - {name: greet, command: echo hello}
  finalize:
  - {name: fetch, command: echo saved}
"""
ENV = "small: {epochs: 1}\nlarge: {epochs: 10}\n"


@dataclass(frozen=True)
class Case:
    """A command and how it ends.

    Attributes:
        what: as the page says it.
        arguments: of ``e2clab``, blanks between them; ``HERE``: the folder of all scenarios.
        code: the exit code.
        says: what the message holds.
        files: content by path below that folder, written before.
    """

    what: str
    arguments: str
    code: int
    says: str
    files: tuple[tuple[str, str], ...] = ()

    @property
    def row(self) -> str:
        command = re.sub("HERE/(good|second)/artifacts", "ARTIFACTS_DIR", self.arguments)
        command = re.sub("HERE(/good|/second)?", "SCENARIO_DIR", command)
        return f"| {self.what} | `{command}` | {self.code} |"


DEPLOY = "deploy HERE/good HERE/good/artifacts"
SEVERAL = "deploy HERE HERE/good/artifacts --scenarios_name"
REFUSED = [
    Case("one of several scenarios is wrong", f"{SEVERAL} good,bad", 1, "bad/network.yaml"),
    Case("all scenarios are wrong", f"{SEVERAL} bad,worse", 1, "worse/network.yaml"),
    Case("a scenario that is not there", f"{SEVERAL} good,absent", 2, "It has: bad, good or worse"),
    Case("an unknown configuration", f"{DEPLOY} --app_conf smal", 1, "Did you mean 'small'? It has: small, large"),
    Case("a configuration outside", f"{DEPLOY} --app_conf ../../x", 1, "no configuration named '../../x'"),
    Case("`--repeat` below 0", f"{DEPLOY} --repeat -1", 2, "--repeat"),
    Case("`--duration` below 0", f"{DEPLOY} --duration -1", 2, "--duration"),
    Case("`--pause` without a terminal", f"{DEPLOY} --pause", 2, "--pause waits for Enter on a terminal"),
    Case("options that contradict each other", f"{DEPLOY} --keep --destroy-on-fail", 2, "contradict"),
    Case("`--app_conf` with `prepare`", "workflow HERE/good prepare --app_conf small", 2, "takes no --app_conf"),
    Case("`--finalize` without `launch`", "workflow HERE/good finalize --finalize", 2, "goes with launch only"),
    Case("nothing is deployed", "workflow HERE/good launch", 1, "nothing is deployed"),
    Case("nothing to save", "finalize HERE/good", 1, "nothing is deployed"),
    Case("no links to shape", "network HERE/good", 1, "nothing is deployed"),
]
BUSY = Case("another command works on it", DEPLOY, 75, "another command works on this scenario")
TASK = "- hosts: edge\n  launch:\n  - name: train\n    {}\n"
ENDED = [
    Case("all went well", "workflow HERE/good launch", 0, "greet: changed"),
    Case("an unknown configuration later", "workflow HERE/good launch --app_conf smal", 1, "Did you mean 'small'?"),
    Case("`--hosts` that chooses none", "workflow HERE/good launch --hosts clowd", 1, "Did you mean"),
    Case("`--from` a task that is not there", "workflow HERE/good launch --from gret", 1, "Did you mean 'greet'?"),
    Case(
        "a play fails",
        "workflow HERE/good launch",
        1,
        "edge.client.1.1",
        (("good/workflow.yaml", TASK.format("shell: echo no data >&2; exit 7")),),
    ),
    Case(
        "a background task fails",
        "workflow HERE/good launch --finalize",
        1,
        "'train' rc 7",
        (("good/workflow.yaml", TASK.format("shell: exit 7\n    async: 30\n    poll: 0")),),
    ),
    Case(
        "the backup fails",
        "finalize HERE/good",
        1,
        "no space left",
        (("good/workflow.yaml", WORKFLOW), ("good/artifacts/full", "")),
    ),
    Case(
        "a link is not as asked",
        "network HERE/good",
        1,
        "edge",
        (("good/network.yaml", "networks:\n- {src: cloud, dst: edge, delay: 5ms}\n"),),
    ),
    Case(
        "a host is lost in the middle of a play",
        "workflow HERE/good launch",
        1,
        "edge.client.1.2",
        (
            ("good/network.yaml", "networks: []\n"),
            (
                "good/workflow.yaml",
                TASK.format("shell: 'case $(hostname) in *1-2*) kill -9 $(pgrep sshd);; esac; sleep 1'"),
            ),
        ),
    ),
]
SERVICE = Case(
    "a service fails",
    "deploy HERE/second HERE/second/artifacts",
    1,
    "the image is gone",
    (("second/artifacts/refuse", ""),),
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenarios of which ``good`` can be deployed."""
    folder = tmp_path_factory.mktemp("codes")
    for name in ("good", "bad", "worse"):
        (folder / name / "artifacts").mkdir(parents=True)
        (folder / name / "services").mkdir()
        (folder / name / "layers_services.yaml").write_text(LAYERS)
        (folder / name / "services" / "Flaky.py").write_text(PLUGIN)
        (folder / name / "network.yaml").write_text("networks: []\n" if name == "good" else "networks: 3\n")
        (folder / name / "workflow.yaml").write_text(WORKFLOW)
        (folder / name / "workflow_env.yaml").write_text(ENV)
    return folder


def ends(case: Case, here: Path) -> None:
    for name, content in case.files:
        (here / name).write_text(content)
    done = e2clab(*case.arguments.replace("HERE", str(here)).split())
    assert (done.returncode, case.says in done.stderr) == (case.code, True), done.stderr
    assert "Traceback" not in done.stderr


def answered(
    case: Case, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and messages of a command that is not worth a process of its own."""
    arguments = case.arguments.replace("HERE", str(here)).split()
    monkeypatch.setattr(sys, "argv", ["e2clab", *arguments])
    try:
        code = app._run(render.Desk())
    finally:
        render.waiting.end()
    return code, capsys.readouterr().err


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what)
def test_refused_before_anything_is_acquired(
    case: Case, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answered(case, here, monkeypatch, capsys)
    assert (code, case.says in said) == (case.code, True), said
    assert list(here.glob("*/2*")) == []


def test_a_scenario_that_is_worked_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    descriptor = os.open(here / "good", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        code, said = answered(BUSY, here, monkeypatch, capsys)
    finally:
        os.close(descriptor)
    assert (code, BUSY.says in said) == (BUSY.code, True), said


@pytest.fixture(scope="module")
def deployed(here: Path, possible: None) -> Iterator[Path]:
    done = e2clab("layers-services", here / "good", here / "good" / "artifacts")
    assert done.returncode == 0, done.stderr
    yield here
    assert e2clab("destroy", here / "good").returncode == 0


@pytest.mark.netns
@pytest.mark.xdist_group("cli-exit-codes")
@pytest.mark.parametrize("case", ENDED, ids=lambda case: case.what)
def test_ended(case: Case, deployed: Path) -> None:
    if case.arguments.startswith("network"):
        mute = e2clab("exec", deployed / "good", "edge", "--", "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all")
        assert mute.returncode == 0, mute.stderr
    ends(case, deployed)


@pytest.mark.netns
def test_a_service_that_fails(here: Path, possible: None) -> None:
    shutil.copytree(here / "good", here / "second", ignore=shutil.ignore_patterns("2*"))
    (here / "second" / "workflow.yaml").write_text(WORKFLOW)
    try:
        ends(SERVICE, here)
        status = e2clab("status", here / "second")
        assert "(released)" in status.stdout
    finally:
        e2clab("destroy", here / "second")


def test_the_page_has_them_all() -> None:
    page = PAGE.read_text()
    rows = [case.row for case in (*REFUSED, BUSY, SERVICE, *ENDED)]
    assert [row for row in rows if row not in page] == [], "\n".join(rows)
