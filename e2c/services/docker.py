"""Docker on hosts, as Ansible plays. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from e2c.model.host import Host

DISTRIBUTION = "distribution"
"""Instead of a version: the packages of the host's own system."""
PORT = 5000
READY_S = 60
CACHED = "https://registry-1.docker.io"
"""What an internal registry keeps copies of: the one that the engine asks by itself."""
SCRIPT = "https://get.docker.com"
"""What installs Docker on many systems, by its makers."""
MODULES = "python3-docker"
_CONFIGURATION = "/etc/docker/daemon.json"
_VERSION = re.compile(r"[0-9][0-9A-Za-z.:~+-]*", re.ASCII)
Play = dict[str, Any]


def registry(
    options: Mapping[str, Any] | None, carriers: Sequence[Host], agents: Sequence[Host]
) -> tuple[Host | None, str | None]:
    """The host that carries a registry of images, and the address where engines find one; ``None``: there is none.

    Args:
        options: ``type`` with ``ip`` and ``port``, as E2Clab's plugins give them.
        carriers: hosts of which the first carries it.
        agents: hosts with an engine.

    Raises:
        ValueError: the options are no such.
    """
    given = dict(options or {})
    kind = "internal" if carriers else given.get("type", "none")
    known = {"none": {"type"}, "internal": {"type", "port"}, "external": {"type", "ip", "port"}}
    if kind not in known:
        raise ValueError(f"the type of a registry is internal, external or none, not {kind!r}")
    odd = set(given) - known[kind] if not carriers else set(given) - {"type", "port"}
    if odd:
        raise ValueError(f"registry_opts of type {kind} know no {min(odd)!r}")
    if kind == "none":
        return None, None
    port = given.get("port", PORT)
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise ValueError(f"the port of a registry is 1 to 65535, not {port!r}")
    if kind == "external":
        if not given.get("ip"):
            raise ValueError("an external registry needs its ip")
        return None, f"{_bracketed(str(given['ip']))}:{port}"
    carrier = carriers[0] if carriers else agents[0] if agents else None
    if carrier is None:
        raise ValueError("no host is there to carry the registry")
    return carrier, f"{_bracketed(_address(carrier))}:{port}"


def plays(
    hosts: Sequence[Host],
    *,
    version: str | None,
    registry: tuple[Host | None, str | None],
    data_root: str | bool | None,
    swarm: bool,
    credentials: Mapping[str, str] | None,
    nvidia: bool | None,
) -> list[Play]:
    """Plays that install Docker on hosts, configure it and wait for its engine; they may run again.

    Args:
        version: beginning of the version; ``None``: the newest.
        registry: as :func:`registry` gives it.
        data_root: folder of images and containers; ``None``: Docker's own.
        swarm: the first host manages a swarm, the others join it.
        credentials: ``login`` and ``password``.
        nvidia: let containers use NVIDIA processors; ``None``: where there is one.

    Raises:
        ValueError: an option is not as it must be.
    """
    if version is not None and version != DISTRIBUTION and not _VERSION.fullmatch(version):
        raise ValueError(f"a version of Docker is written as 28.1, or {DISTRIBUTION}, not {version!r}")
    if credentials is not None and set(credentials) != {"login", "password"}:
        raise ValueError("credentials are a login and a password")
    if not hosts:
        return []
    carrier, mirror = registry
    keys = [host.key for host in hosts]
    engines = list(dict.fromkeys([*keys, *([carrier.key] if carrier else [])]))
    wanted: dict[str, Any] = {}
    if data_root:
        wanted["data-root"] = str(data_root)
    if mirror:
        wanted |= {"registry-mirrors": [f"http://{mirror}"], "insecure-registries": [mirror]}
    made = [
        _play("Docker", engines, [*_installed(version), *_modules(), *_configured(wanted), *_started()], gather=True)
    ]
    made[0]["tasks"] += _nvidia(nvidia) + (_login(credentials) if credentials else [])
    if carrier is not None and mirror is not None:
        made.append(_play("registry of images", [carrier.key], _registry(mirror)))
    if swarm:
        made += _swarm(hosts)
    return made


def _play(name: str, keys: Sequence[str], tasks: list[dict[str, Any]], *, gather: bool = False) -> Play:
    play: Play = {"name": name, "hosts": list(keys), "gather_facts": gather, "become": True, "tasks": tasks}
    if gather:
        play["gather_subset"] = ["!all", "!min", "distribution", "pkg_mgr"]
    return play


def _installed(version: str | None) -> list[dict[str, Any]]:
    there = "e2c_docker.rc == 0"
    install: list[dict[str, Any]] = [
        {
            "name": "refresh the list of packages",
            "ansible.builtin.apt": {"update_cache": True, "cache_valid_time": 3600},
            "when": f"not ({there})",
        }
    ]
    if version == DISTRIBUTION:
        install.append(
            {
                "name": "install Docker of the distribution",
                "ansible.builtin.apt": {"name": ["docker.io"], "state": "present"},
                "when": f"not ({there})",
            }
        )
    else:
        script = "/var/lib/e2c/get-docker.sh"
        chosen = f" --version {version}" if version else ""
        install += [
            {
                "name": "install what the installation of Docker needs",
                "ansible.builtin.apt": {"name": ["ca-certificates", "curl"], "state": "present"},
                "when": f"not ({there})",
            },
            {
                "name": "fetch Docker's script of installation",
                "ansible.builtin.shell": f"mkdir -p /var/lib/e2c && curl -fsSL --retry 3 -o {script} {SCRIPT}",
                "when": f"not ({there})",
            },
            {
                "name": "install Docker",
                "ansible.builtin.command": f"sh {script}{chosen}",
                "when": f"not ({there})",
            },
        ]
    tasks: list[dict[str, Any]] = [
        {
            "name": "look whether the system is Debian or Ubuntu",
            "ansible.builtin.assert": {
                "that": ["ansible_facts.os_family == 'Debian'"],
                "fail_msg": "Docker can be installed on Debian and Ubuntu only; this is "
                "{{ ansible_facts.distribution }} {{ ansible_facts.distribution_version }}",
                "quiet": True,
            },
        },
        {
            "name": "look whether Docker is there",
            "ansible.builtin.command": "dockerd --version",
            "register": "e2c_docker",
            "failed_when": False,
            "changed_when": False,
            "check_mode": False,
        },
        *install,
    ]
    if version not in (None, DISTRIBUTION):
        tasks.append(
            {
                "name": "look whether Docker has the version that is asked for",
                "ansible.builtin.shell": f"dockerd --version | grep -E 'version {re.escape(str(version))}([.,-]|$)'",
                "changed_when": False,
            }
        )
    return tasks


def _modules() -> list[dict[str, Any]]:
    """Tasks that install what Ansible's own modules for Docker need, which plugins may use afterwards; without a word
    where it cannot be had, because others do not."""
    return [
        {
            "name": "look whether Ansible's modules for Docker would work",
            "ansible.builtin.command": "{{ ansible_python_interpreter | default('python3') }} -c 'import requests'",
            "register": "e2c_modules",
            "failed_when": False,
            "changed_when": False,
            "check_mode": False,
        },
        {
            "name": "install what Ansible's modules for Docker need",
            "ansible.builtin.apt": {
                "name": [MODULES],
                "state": "present",
                "update_cache": True,
                "cache_valid_time": 3600,
            },
            "when": "e2c_modules.rc != 0",
            "failed_when": False,
        },
    ]


def _configured(wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tasks that put settings into the engine's configuration and leave all others in it as they are."""
    if not wanted:
        return []
    earlier = "(e2c_daemon.content | default('e30=') | b64decode | from_json)"
    tasks: list[dict[str, Any]] = [
        {
            "name": "read the configuration of the engine",
            "ansible.builtin.slurp": {"src": _CONFIGURATION},
            "register": "e2c_daemon",
            "failed_when": False,
            "check_mode": False,
        },
        {
            "name": "make the folder of the configuration",
            "ansible.builtin.file": {"path": "/etc/docker", "state": "directory", "mode": "0755"},
        },
    ]
    if "data-root" in wanted:
        tasks.append(
            {
                "name": "make the folder of images and containers",
                "ansible.builtin.file": {"path": wanted["data-root"], "state": "directory", "mode": "0711"},
            }
        )
    tasks.append(
        {
            "name": "configure the engine",
            "ansible.builtin.copy": {
                "dest": _CONFIGURATION,
                "content": f"{{{{ {earlier} | combine({json.dumps(dict(wanted))}) | to_nice_json }}}}\n",
                "mode": "0644",
            },
            "register": "e2c_configured",
        }
    )
    return tasks


def _started() -> list[dict[str, Any]]:
    changed = "e2c_configured is defined and e2c_configured is changed"
    return [
        {
            "name": "start the engine",
            "ansible.builtin.service": {
                "name": "docker",
                "state": f"{{{{ 'restarted' if {changed} else 'started' }}}}",
                "enabled": True,
            },
        },
        {
            "name": "wait for the engine",
            "ansible.builtin.command": "docker info",
            "register": "e2c_engine",
            "retries": READY_S,
            "delay": 1,
            "until": "e2c_engine.rc == 0",
            "changed_when": False,
        },
    ]


def _nvidia(asked: bool | None) -> list[dict[str, Any]]:
    if asked is False:
        return []
    when = [] if asked else ["e2c_nvidia.stat.exists"]
    return [
        {
            "name": "look for an NVIDIA processor",
            "ansible.builtin.stat": {"path": "/proc/driver/nvidia"},
            "register": "e2c_nvidia",
        },
        {
            "name": "install NVIDIA's toolkit for containers",
            "ansible.builtin.apt": {"name": ["nvidia-container-toolkit"], "state": "present"},
            "when": when,
        },
        {
            "name": "let containers use NVIDIA processors",
            "ansible.builtin.shell": "nvidia-ctk runtime configure --runtime=docker && service docker restart",
            "when": when,
        },
    ]


def _login(credentials: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": "log in for pulling images",
            "ansible.builtin.command": {
                "argv": ["docker", "login", "--username", credentials["login"], "--password-stdin"],
                "stdin": credentials["password"],
            },
            "no_log": True,
            "changed_when": False,
        }
    ]


def _registry(address: str) -> list[dict[str, Any]]:
    port = address.rpartition(":")[2]
    run = (
        f"docker run --detach --name e2c-registry --restart always --publish {port}:5000 "
        f"--env REGISTRY_PROXY_REMOTEURL={CACHED} registry:2"
    )
    return [
        {"name": "start the registry", "ansible.builtin.shell": f"docker start e2c-registry || {run}"},
        {
            "name": "wait for the registry",
            "ansible.builtin.wait_for": {"host": "127.0.0.1", "port": int(port), "timeout": READY_S},
        },
    ]


def _swarm(hosts: Sequence[Host]) -> list[Play]:
    manager, *others = hosts
    active = "docker info --format '{{ '{{' }}.Swarm.LocalNodeState{{ '}}' }}' | grep -qx active"
    address = _address(manager)
    made = [
        _play(
            "swarm",
            [manager.key],
            [
                {
                    "name": "begin the swarm",
                    "ansible.builtin.shell": f"{active} || docker swarm init --advertise-addr {address}",
                },
                {
                    "name": "ask for the token of the swarm",
                    "ansible.builtin.command": "docker swarm join-token --quiet worker",
                    "register": "e2c_token",
                    "changed_when": False,
                    "no_log": True,
                },
            ],
        )
    ]
    if others:
        token = f"{{{{ hostvars[{manager.key!r}].e2c_token.stdout }}}}"
        join = f"{active} || docker swarm join --token {token} {_bracketed(address)}:2377"
        task = {"name": "join the swarm", "ansible.builtin.shell": join, "no_log": True}
        made.append(_play("swarm", [host.key for host in others], [task]))
    return made


def _address(host: Host) -> str:
    return host.addresses.v4 or host.addresses.v6 or host.address


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address
