"""Plays that install Docker: what they are for which options, and options that are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e2c.model.host import Addresses, Host
from e2c.services import docker

HOSTS = [
    Host(
        key=f"cloud.x.1.{number}",
        layer="cloud",
        service="x",
        testbed="local",
        provider="local",
        hostname="h",
        address=f"10.0.0.{number}",
        addresses=Addresses(v4=f"10.0.0.{number}", v6=f"fd00::{number}"),
    )
    for number in (1, 2)
]
PLAIN: dict[str, Any] = {
    "version": None,
    "registry": (None, None),
    "data_root": None,
    "swarm": False,
    "credentials": None,
    "nvidia": False,
}
EVERYTHING: dict[str, Any] = {
    "version": "28.1",
    "registry": (HOSTS[1], "10.0.0.2:5000"),
    "data_root": "/tmp/docker",
    "swarm": True,
    "credentials": {"login": "me", "password": "secret"},
    "nvidia": None,
}


def names(**options: Any) -> list[str]:
    return [task["name"] for play in docker.plays(HOSTS, **{**PLAIN, **options}) for task in play["tasks"]]


@pytest.mark.parametrize(
    ("options", "carriers", "found"),
    [
        (None, [], (None, None)),
        ({"type": "none"}, [], (None, None)),
        ({"type": "external", "ip": "10.9.9.9", "port": 4000}, [], (None, "10.9.9.9:4000")),
        ({"type": "external", "ip": "fd00::9", "port": 4000}, [], (None, "[fd00::9]:4000")),
        ({"type": "internal"}, [], (HOSTS[0], "10.0.0.1:5000")),
        ({"type": "internal", "port": 80}, HOSTS[1:], (HOSTS[1], "10.0.0.2:80")),
        (None, HOSTS[1:], (HOSTS[1], "10.0.0.2:5000")),
    ],
)
def test_the_registry_that_is_meant(options: dict[str, Any] | None, carriers: list[Host], found: Any) -> None:
    assert docker.registry(options, carriers, HOSTS) == found


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"type": "mine"}, "internal, external or none, not 'mine'"),
        ({"type": "internal", "ip": "x"}, "know no 'ip'"),
        ({"type": "external"}, "needs its ip"),
        ({"type": "internal", "port": "5000"}, "1 to 65535, not '5000'"),
        ({"type": "internal", "port": 0}, "1 to 65535, not 0"),
    ],
)
def test_registries_that_are_none(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        docker.registry(options, [], HOSTS)


@pytest.mark.parametrize("options", [{"version": "; reboot"}, {"version": ""}, {"credentials": {"login": "me"}}])
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"written as 28\.1|a login and a password"):
        docker.plays(HOSTS, **{**PLAIN, **options})


def test_tasks_are_there_only_for_what_is_asked() -> None:
    assert "configure the engine" not in names()
    assert "configure the engine" in names(data_root="/x")
    assert "install Docker of the distribution" in names(version=docker.DISTRIBUTION)
    assert not [name for name in names(version=docker.DISTRIBUTION) if "script" in name or "version" in name]
    assert "log in for pulling images" not in names()
    assert [play["hosts"] for play in docker.plays(HOSTS, **EVERYTHING)] == [
        ["cloud.x.1.1", "cloud.x.1.2"],
        ["cloud.x.1.2"],
        ["cloud.x.1.1"],
        ["cloud.x.1.2"],
    ]
    assert docker.plays([], **EVERYTHING) == []


def test_no_password_is_in_a_task_that_may_be_shown() -> None:
    for play in docker.plays(HOSTS, **EVERYTHING):
        assert all(task.get("no_log") for task in play["tasks"] if "secret" in json.dumps(task))


def test_ansible_takes_the_plays(tmp_path: Path) -> None:
    (tmp_path / "play.json").write_text(json.dumps(docker.plays(HOSTS, **EVERYTHING)))
    command = [sys.executable, "-m", "ansible", "playbook", "--syntax-check", "-i", "cloud.x.1.1,cloud.x.1.2"]
    done = subprocess.run([*command, str(tmp_path / "play.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_modules_of_ansible_for_docker_get_what_they_need() -> None:
    assert [name for name in names() if "Ansible's modules" in name] == [
        "look whether Ansible's modules for Docker would work",
        "install what Ansible's modules for Docker need",
    ]
    (install,) = [
        task
        for play in docker.plays(HOSTS, **PLAIN)
        for task in play["tasks"]
        if task.get("when") == "e2c_modules.rc != 0"
    ]
    assert install["ansible.builtin.apt"]["name"] == [docker.MODULES]
    assert install["failed_when"] is False, "others need nothing of it"
