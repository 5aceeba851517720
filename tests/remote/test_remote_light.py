"""The light way of ``shell`` and ``command`` gives what Ansible's own modules give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2c.model.host import Host
from e2c.remote import playbook
from e2c.remote.results import TaskResult

CASES: dict[str, dict[str, Any]] = {
    "environment, quotes and lines": {"shell": "echo \"$NAME's\"; printf 'a\\n\\nb\\n\\n'; echo err >&2"},
    "exit code and both outputs": {"shell": "echo out; echo reason >&2; exit 3"},
    "killed by a signal": {"shell": "kill -9 $$"},
    "a child that keeps the outputs open": {"shell": "sleep 8 & echo begun"},
    "another shell": {"shell": {"cmd": "echo $0", "executable": "/bin/sh"}},
    "in a folder": {"shell": {"cmd": "pwd", "chdir": "/usr/../etc"}},
    "in a folder that is not there": {"shell": {"cmd": "pwd", "chdir": "/no/such"}},
    "bytes that are no text": {"shell": "printf 'a\\377b'; echo '\u00e9 \u65e5'"},
    "nothing to read": {"shell": "cat; echo end"},
    "much": {"shell": "seq 40000 | tail -c 190000; seq 40000 | tail -c 190000 >&2"},
    "a program and its words": {"command": "printf '%s|' 'a b' $NAME ~ *"},
    "a program that fails": {"command": "ls /no/such/file"},
    "done already": {"shell": {"cmd": "echo again", "creates": "/etc/passwd"}},
    "to the device of errors": {"shell": "echo one >&2; echo two >/dev/stderr; echo three >&2"},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, module_host: Host) -> dict[str, tuple[TaskResult, TaskResult]]:
    """What each case gives the light way, and Ansible's."""
    folder = tmp_path_factory.mktemp("light")
    tasks = []
    for name, task in CASES.items():
        ((module, arguments),) = task.items()
        tasks.append({"name": name, module: arguments, "ignore_errors": True})
        tasks.append({"name": name, f"ansible.builtin.{module}": arguments, "ignore_errors": True})
    play = {"hosts": [module_host.key], "gather_facts": False, "tasks": tasks, "environment": {"NAME": "x y"}}
    found = playbook.run([play], [module_host], work_dir=folder)
    return {name: (found[2 * place], found[2 * place + 1]) for place, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_the_same_result(results: dict[str, tuple[TaskResult, TaskResult]], name: str) -> None:
    ours, theirs = results[name]
    left_out = {"ended", "seconds"}
    assert ours.model_dump(exclude=left_out) == theirs.model_dump(exclude=left_out)
    assert ours.task == name


def test_what_plays_register_has_the_same_keys(host: Host, tmp_path: Path) -> None:
    shown = {"debug": {"msg": "{{ said | dict2items | map(attribute='key') | sort | join(' ') }}"}}
    tasks: list[dict[str, Any]] = []
    for module in ("shell", "ansible.builtin.shell"):
        tasks += [{module: "echo a", "register": "said"}, shown]
    found = playbook.run([{"hosts": [host.key], "gather_facts": False, "tasks": tasks}], [host], work_dir=tmp_path)
    ours, theirs = set(found[1].msg.split()), set(found[3].msg.split())
    assert theirs - ours == set()
    assert "stdout_lines" in theirs


SUDO = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done
SUDO_USED=yes exec "$@"
"""


def test_through_sudo(host: Host, tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    tasks: list[dict[str, Any]] = [
        {"shell": "echo $SUDO_USED $NAME; cat /proc/$PPID/cmdline | tr '\\0' ' '"},
        {"copy": {"content": "text", "dest": str(tmp_path / "made")}},
    ]
    play = {"hosts": [host.key], "gather_facts": False, "tasks": tasks, "environment": {"NAME": "a b"}}
    become = {"ansible_become": True, "ansible_become_exe": str(sudo), "ansible_become_user": "nobody"}
    said, made = playbook.run([play], [host], work_dir=tmp_path, variables={host.key: become})
    assert said.stdout.splitlines() == ["yes a b", "/usr/bin/python3 -IS - "]
    assert made.status == "changed"
    assert (tmp_path / "made").read_text() == "text"


COPIES: dict[str, dict[str, Any]] = {
    "a new file": {"src": "app.py", "dest": "{here}"},
    "with a mode": {"src": "app.py", "dest": "{here}/mode", "mode": "0751"},
    "over another": {"src": "app.py", "dest": "{here}/other"},
    "the same again": {"src": "app.py", "dest": "{here}/same"},
    "into no folder": {"src": "app.py", "dest": "{here}/no/such/file"},
}


def test_copies_are_those_of_ansible(host: Host, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_bytes(b"print('\xc3\xa9')\n" * 100)
    tasks: list[dict[str, Any]] = []
    for module in ("copy", "ansible.builtin.copy"):
        here = tmp_path / module
        here.mkdir()
        (here / "other").write_text("before")
        (here / "other").chmod(0o640)
        (here / "same").write_bytes((tmp_path / "app.py").read_bytes())
        for name, arguments in COPIES.items():
            given = {key: value.replace("{here}", str(here)) for key, value in arguments.items()}
            if "src" in given:
                given["src"] = str(tmp_path / given["src"])
            tasks.append({"name": name, module: given, "ignore_errors": True, "register": "said"})
    results = playbook.run([{"hosts": [host.key], "gather_facts": False, "tasks": tasks}], [host], work_dir=tmp_path)
    ours, theirs = results[: len(COPIES)], results[len(COPIES) :]
    assert {result.task: result.status for result in ours} == {result.task: result.status for result in theirs}
    assert found_in(tmp_path / "copy") == found_in(tmp_path / "ansible.builtin.copy")
    assert len(found_in(tmp_path / "copy")) == 4


def found_in(folder: Path) -> dict[str, Any]:
    """Mode and content of everything there."""
    return {
        str(path.relative_to(folder)): (oct(path.lstat().st_mode), path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }
