"""Background tasks that Ansible left running on hosts (``async`` with ``poll: 0``)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from e2c.model.frozen import Frozen
from e2c.model.host import Host
from e2c.remote import shell

FOLDER = "~/.ansible_async"  # Ansible's own default, where async_wrapper writes one JSON file per job
MARK = "=== e2c job "


class JobState(Frozen):
    """What a host knows of a background task.

    Attributes:
        ended: it ran to its end, or its host does not know it any more.
        rc: exit code; ``None`` while it runs or when nobody knows.
        stdout, stderr: what it printed, once it ended.
        reason: why nothing is known, when that is so.
    """

    ended: bool
    rc: int | None = None
    stdout: str = ""
    stderr: str = ""
    reason: str = ""


def look(hosts: Mapping[str, Host], jobs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], JobState]:
    """Ask the hosts, all at once, how their background tasks are.

    Args:
        hosts: hosts by service key.
        jobs: pairs of service key and Ansible job identifier.
    """
    by_host: dict[str, list[str]] = {}
    for key, job in jobs:
        by_host.setdefault(key, []).append(job)
    commands = {
        hosts[key]: "; ".join(
            f"echo {shlex.quote(MARK + job)}; cat {FOLDER}/{shlex.quote(job)} 2>/dev/null; echo" for job in wanted
        )
        for key, wanted in by_host.items()
    }
    states: dict[tuple[str, str], JobState] = {}
    for key, result in shell.run_each(commands).items():
        texts = dict(part.split("\n", 1) for part in result.stdout.split(MARK)[1:])
        for job in by_host[key]:
            states[key, job] = _state(result, texts.get(job, ""))
    return states


def _state(result: shell.Result, text: str) -> JobState:
    if result.rc in (shell.SSH_FAILED, shell.TIMED_OUT):
        return JobState(ended=False, reason=shell.explain(result))
    if not text.strip():
        return JobState(ended=True, reason="the host knows nothing of it: it was rebooted or its file removed")
    try:
        known: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        return JobState(ended=False, reason="its file is being written")
    if not known.get("finished") and "rc" not in known:
        return JobState(ended=False)
    rc = known.get("rc")
    if rc is None:
        rc = 1 if known.get("failed") else 0
    return JobState(
        ended=True,
        rc=rc,
        stdout=str(known.get("stdout") or ""),
        stderr=str(known.get("stderr") or known.get("msg") or ""),
    )
