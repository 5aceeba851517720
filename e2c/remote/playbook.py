"""Plays through ``ansible-playbook``: its own process, so that it can be stopped and keeps its state to itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from e2c.errors import RemoteError
from e2c.model.host import Host
from e2c.remote import overlong
from e2c.remote.lifeline import die_with_parent
from e2c.remote.results import TaskResult, from_event
from e2c.remote.shell import CONNECT_TIMEOUT_S, control_path, open_jumps, percent, ssh_options

MOST_FORKS = 200
FORK_BYTES = 24 << 20
"""Memory of a process that works on one host, with its ssh: 12 MB measured, and as much again for what it carries."""
STOP_GRACE_S = 10
CHUNK = 1 << 16
_TEMPORARY = ".ansible-"
CALLBACK_DIR = Path(__file__).with_name("callback")
ACTION_DIR = Path(__file__).with_name("action")

Observer = Callable[[dict[str, Any]], None]
"""Receives every event of the callback as it happens."""


def inventory(hosts: Sequence[Host], variables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Ansible inventory of the hosts, named by service key.

    Args:
        hosts: all hosts that plays may name.
        variables: more variables per service key.
    """
    return {"all": {"hosts": {host.key: {**_connection(host), **variables.get(host.key, {})} for host in hosts}}}


def _connection(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_python_interpreter": host.interpreter,
        # plays are written for bash (`source ~/.bashrc && ...`); Ansible's default, /bin/sh, is dash on Debian
        "ansible_shell_executable": "/bin/bash",
        "ansible_ssh_common_args": shlex.join(ssh_options(host)),
    }
    if host.keyfile:
        found["ansible_ssh_private_key_file"] = percent(host.keyfile)
    if host.sudo:
        found["ansible_become"] = True
    if host.control_dir:
        found["ansible_control_path"] = control_path(host).replace("%", "%%")
    return found


def run(
    plays: Sequence[Mapping[str, Any]],
    hosts: Sequence[Host],
    *,
    work_dir: Path,
    variables: Mapping[str, Mapping[str, Any]] | None = None,
    extra_vars: Mapping[str, Any] | None = None,
    observe: Observer = lambda _: None,
    pause: Callable[[], None] = lambda: None,
) -> list[TaskResult]:
    """Run plays in order on hosts; returns what every task did on every host, failures included.

    Args:
        plays: Ansible plays; ``hosts`` in them are lists of service keys.
        hosts: the hosts they may name.
        work_dir: folder for the temporary playbook and inventory.
        variables: host variables per service key.
        extra_vars: variables for all hosts, which win over all others.
        observe: receives each event as it happens.
        pause: called whenever all that has happened until then was observed.

    Raises:
        RemoteError: Ansible refused the plays as a whole (unknown module, bad syntax ...).
    """
    with (
        # processes that are being ended may still write there; clear() removes what that leaves
        TemporaryDirectory(dir=work_dir, prefix=_TEMPORARY, ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as stack,
    ):
        playbook, hosts_file, vars_file = (Path(folder, name) for name in ("play.json", "hosts.json", "vars.json"))
        config = Path(folder, "ansible.cfg")
        config.touch()
        playbook.write_text(json.dumps(list(plays)))
        hosts_file.write_text(json.dumps(inventory(hosts, variables or {})))
        vars_file.write_text(json.dumps(dict(extra_vars or {})))
        command = [
            sys.executable,
            "-m",
            "e2c.remote.starting",
            "-i",
            str(hosts_file),
            "-e",
            f"@{vars_file}",
            str(playbook),
        ]
        open_jumps(hosts)
        reader, writer = os.pipe()
        words = Path(folder, "stderr")  # a file: a pipe that nobody reads meanwhile would block Ansible when full
        try:
            with words.open("wb") as stderr, _deferred():
                process = subprocess.Popen(
                    command,
                    env=_environment(config, writer, len(hosts)) | {overlong.VARIABLE: str(work_dir / overlong.FOLDER)},
                    pass_fds=(writer,),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
                stack.enter_context(_stopping(process))
        finally:
            os.close(writer)
        with os.fdopen(reader, "rb") as events:
            results = _results(events, observe, pause)
            process.wait()
        said = words.read_text(errors="replace")
    if process.returncode != 0 and not any(result.failed for result in results):
        raise RemoteError("Ansible refused the workflow", why=refusal(said) or f"exit code {process.returncode}")
    return results


def clear(work_dir: Path) -> None:
    """Remove the temporary files of plays that were killed, also in the folders of runs (``repeat-2/large``)."""
    for depth in ("", "*/", "*/*/"):
        for folder in work_dir.glob(f"{depth}{_TEMPORARY}*"):
            shutil.rmtree(folder, ignore_errors=True)


def _results(events: BinaryIO, observe: Observer, pause: Callable[[], None]) -> list[TaskResult]:
    results: list[TaskResult] = []
    parts: list[bytes] = []
    while chunk := events.read1(CHUNK):  # type: ignore[attr-defined]
        parts.append(chunk)
        if b"\n" not in chunk:
            continue
        *lines, rest = b"".join(parts).split(b"\n")
        parts = [rest]
        for line in lines:
            event = json.loads(line)
            if event["event"] == "result":
                results += from_event(event)
            observe(event)
        pause()
    return results


def forks(hosts: int) -> int:
    """On how many hosts a task runs at the same time: all of them, as far as half of this machine's memory goes."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(5, min(hosts, MOST_FORKS, memory // 2 // FORK_BYTES))


def _environment(config: Path, events: int, hosts: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        # an ansible.cfg of the user or of the current folder would make runs differ between machines
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_ACTION_PLUGINS": str(ACTION_DIR),
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACK_DIR),
        "ANSIBLE_STDOUT_CALLBACK": "e2c_events",
        "ANSIBLE_LOCAL_TEMP": str(config.parent / "tmp"),
        "ANSIBLE_FORKS": str(forks(hosts)),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
        "ANSIBLE_VARS_ENABLED": "",  # there are no group_vars beside the temporary playbook
        "ANSIBLE_TRANSPORT": "ssh",
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",  # without compression, its default
        "ANSIBLE_TIMEOUT": str(CONNECT_TIMEOUT_S),
        "E2C_EVENTS_FD": str(events),
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


@contextlib.contextmanager
def _deferred() -> Iterator[None]:
    """Signals that come in the block work after it: a process that is being started must be known to who stops it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    come: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    earlier = {number: signal.signal(number, lambda number, _: come.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        for first in come[:1]:
            signal.raise_signal(first)


@contextlib.contextmanager
def _stopping(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the whole process group when the block is left early (Ctrl-C, a fault of ours)."""
    try:
        yield
    finally:
        if process.poll() is None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):  # it may end between poll and kill
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_GRACE_S)
                    break


def refusal(stderr: str) -> str:
    """Ansible's reason without its ornaments: no colour, no path of the temporary playbook, no source excerpt."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", stderr)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("[WARNING]"))
    text = text.split("The error appears to be in")[0].split("The offending line")[0]
    text = text.replace("ERROR! ", "").strip()
    return " ".join(text.split()).rstrip(".")
