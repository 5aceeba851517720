"""What the shell proposes, asked for as the shells do, and in a bash of its own."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from cli_program import LIMIT_S, e2clab

NAMED = "import sys; sys.argv[0] = 'e2clab'; from e2c.cli.app import main; "
ASKED = [sys.executable, "-c", f"{NAMED}main()"]
"""The program under its name, from which the variable that asks it is derived."""
HOSTS = ["cloud.server.1.1", "edge.client.1.1", "edge.client.1.2"]
OTHERS = ["cloud", "Server", "edge", "Client", "sensors"]


def bash(words: str, cwd: Path | None = None, **environment: str) -> list[str]:
    """Proposals for the last word of a command line; nothing else may be said."""
    done = subprocess.run(
        ASKED,
        env={
            **os.environ,
            "_E2CLAB_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        cwd=cwd,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


def zsh(words: str) -> str:
    asked = {"_E2CLAB_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
    return subprocess.run(
        ASKED, env={**os.environ, **asked}, capture_output=True, text=True, timeout=LIMIT_S, check=True
    ).stdout


def fish(words: str, action: str) -> subprocess.CompletedProcess[str]:
    asked = {"_E2CLAB_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": action}
    return subprocess.run(
        ASKED, env={**os.environ, **asked}, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def test_application_configurations_one_after_the_other(scenario: Path) -> None:
    assert bash(f"e2clab deploy {scenario} {scenario} --app_conf ") == []
    (scenario / "workflow_env.yaml").write_text("small: {a: 1}\nlarge: {a: 2}\nlast: {a: 3}\n")
    assert bash(f"e2clab deploy {scenario} {scenario} --app_conf l") == ["large", "last"]
    assert bash(f"e2clab workflow {scenario} launch --app_conf large,") == ["large,small", "large,last"]


def test_hosts_of_a_scenario_that_is_not_deployed(scenario: Path) -> None:
    assert bash(f"e2clab ssh {scenario} ") == [*HOSTS, *OTHERS]
    assert bash(f"e2clab ssh {scenario} edge.c") == HOSTS[1:]
    assert bash(f"e2clab ssh {scenario} S") == ["Server"]


def test_copies_of_services_and_wide_names(scenario: Path) -> None:
    (scenario / "layers_services.yaml").write_text(
        "layers:\n- name: Far Edge\n  services:\n  - {name: My App, repeat: 1}\n  - {name: b, quantity: 2}\n"
    )
    keys = ["far_edge.my_app.1.1", "far_edge.b.2.1", "far_edge.b.2.2", "far_edge.my_app.3.1"]
    assert bash(f"e2clab ssh {scenario} far") == keys
    planned = e2clab("deploy", scenario, scenario / "artifacts", "--dry-run", "--format", "json", "--testbed", "local")
    assert planned.returncode == 1, "no environment: unchecked files are enough to propose something"


def test_proposed_keys_are_those_of_the_plan(scenario: Path) -> None:
    path = scenario / "layers_services.yaml"
    path.write_text(path.read_text() + "  - {name: Other One, repeat: 2, quantity: 2}\n  - name: Last\n")
    planned = e2clab("deploy", scenario, scenario / "artifacts", "--dry-run", "--format", "json")
    keys = [host["key"] for host in json.loads(planned.stdout)["hosts"]]
    assert sorted(bash(f"e2clab exec {scenario} edge.") + bash(f"e2clab exec {scenario} cloud.")) == sorted(keys)


def test_selectors_are_completed_term_by_term(scenario: Path) -> None:
    assert bash(f"e2clab exec {scenario} edge:!edge.client.1.") == [
        "edge:!edge.client.1.1",
        "edge:!edge.client.1.2",
    ]
    assert bash(f"e2clab exec {scenario} cloud,se") == ["cloud,sensors"]
    assert bash(f"e2clab exec {scenario} ")[:2] == ["cloud", "Server"], "what names several hosts comes first"


def test_a_command_that_is_a_group_too(scenario: Path) -> None:
    assert bash("e2clab network s", cwd=scenario.parent) == ["set", "scenario/", "scenario/artifacts/"]
    assert bash(f"e2clab network {scenario} --no") == ["--no-verify"]
    assert bash(f"e2clab network set --scenario {scenario} cl") == ["cloud", "cloud.server.1.1"]
    assert bash("e2clab network set cloud edge.c", cwd=scenario) == HOSTS[1:]
    assert bash("e2clab network set cloud edge d", cwd=scenario) == ["delay=", "distribution=", "duplicate=", "down"]
    assert bash("e2clab network set cloud edge down d", cwd=scenario) == ["delay=", "distribution=", "duplicate="]


@pytest.mark.netns
@pytest.mark.xdist_group("cli-deployed")
def test_hosts_and_boards_of_a_deployed_scenario(deployed: Path) -> None:
    assert bash(f"e2clab ssh {deployed} ")[:4] == [*HOSTS, "edge.mote.2.1"]
    assert "motes" in bash(f"e2clab ssh {deployed} m")


def test_a_plan_that_is_not_fulfilled_yet(scenario: Path) -> None:
    folder = scenario / "20260101-000000"
    folder.mkdir()
    (folder / "state.json").write_text('{"hosts": [], "boards": []}')
    (folder / "plan.json").write_text('{"hosts": [{"key": "a.b.1.1", "layer": "a", "service": "b"}]}')
    assert bash(f"e2clab ssh {scenario} ") == ["a.b.1.1", "a", "b"]
    (folder / "state.json").write_text('{"hosts": [], "released": true}')
    assert bash(f"e2clab ssh {scenario} ") == [*HOSTS, *OTHERS]


@pytest.mark.parametrize("name", ["layers_services.yaml", "20260101-000000/state.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"layers: 3", b"layers: [{name: [}]"])
def test_damaged_files_propose_nothing_and_say_nothing(scenario: Path, name: str, content: bytes) -> None:
    (scenario / name).parent.mkdir(exist_ok=True)
    (scenario / name).write_bytes(content)
    assert bash(f"e2clab ssh {scenario} ") == []


def test_a_scenario_that_is_not_there_proposes_nothing(tmp_path: Path) -> None:
    assert bash(f"e2clab ssh {tmp_path}/none ") == []
    assert bash("e2clab ssh /proc/1/root/none/") == []


def test_folders_are_proposed_and_no_files(scenario: Path) -> None:
    beside = scenario.parent / "second"
    beside.mkdir()
    (beside / "20260101-000000").mkdir()
    (scenario.parent / "file").touch()
    for command in ("ssh", "deploy", "status", "check-configuration", "destroy", "check-testbeds --scenario"):
        assert bash(f"e2clab {command} ", cwd=scenario.parent) == ["scenario/", "second/"]
    assert bash("e2clab ssh sec", cwd=scenario.parent) == ["second/"], "results of runs are no scenarios"
    assert bash("e2clab ssh sce", cwd=scenario.parent) == ["scenario/", "scenario/artifacts/"]
    assert bash("e2clab deploy scenario/ scenario/", cwd=scenario.parent) == ["scenario/artifacts/"]


def test_testbeds_commands_and_choices() -> None:
    assert bash("e2clab check-testbeds lo") == ["local"]
    assert "g5k" not in bash("e2clab check-testbeds g5k ")
    assert bash("e2clab --testbed ") == ["local"]
    assert bash("e2clab check-t") == ["check-testbeds"]
    assert bash("e2clab status --format j") == ["json"]


def test_zsh_and_fish_get_the_same(scenario: Path) -> None:
    assert zsh(f"e2clab ssh {scenario} edge.") == '_arguments \'*: :(("edge.client.1.1"\n"edge.client.1.2"))\'\n'
    assert fish(f"e2clab ssh {scenario} edge.", "get-args").stdout.split() == HOSTS[1:]
    assert fish(f"e2clab ssh {scenario} edge.", "is-args").returncode == 0
    assert fish(f"e2clab ssh {scenario} nothing", "is-args").returncode == 1


def test_nothing_heavy_is_loaded(scenario: Path) -> None:
    code = (
        f"{NAMED}import atexit; heavy = 'pydantic', 'rich', 'e2c.experiment', 'enoslib'\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules], file=sys.stderr)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "_E2CLAB_COMPLETE": "complete_bash",
            "COMP_WORDS": f"e2clab ssh {scenario} c",
            "COMP_CWORD": "3",
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert (done.stdout.split(), done.stderr) == (["cloud.server.1.1", "cloud"], "[]\n")


def test_a_real_bash_completes_with_what_is_installed(scenario: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "e2clab"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom e2c.cli.app import main\nmain()\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    shell = shutil.which("bash")
    assert shell
    home = {"HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "dumb"}
    installed = subprocess.run(
        [program, "--install-completion", "bash"],
        env={**os.environ, **home, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    terminal = pexpect.spawn(
        shell, ["--noprofile", "-i"], env={**os.environ, **home, "PS1": "$ "}, timeout=LIMIT_S, encoding="utf-8"
    )
    terminal.sendline(f"cd {scenario.parent}; bind 'set enable-bracketed-paste off'; PS1='READY> '")
    terminal.expect("READY> $")
    terminal.send("e2clab ssh sc\t")
    terminal.expect("enario/")
    terminal.send(" cl\t")
    terminal.expect("oud")
    terminal.send("\x15e2clab exec scenario/ edge.client.1.\t\t")
    terminal.expect(r"edge\.client\.1\.1 +edge\.client\.1\.2")
    terminal.send("\x15exit\r")
    terminal.expect(pexpect.EOF)
    terminal.close()
