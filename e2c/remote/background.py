"""Background tasks that Ansible left running on hosts (``async`` with ``poll: 0``)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from e2c.model.frozen import Frozen
from e2c.model.host import Host
from e2c.remote import jobs as on_host
from e2c.remote import shell
from e2c.remote.watching import Command

FOLDER = "~/.ansible_async"  # Ansible's own default, where async_wrapper writes one JSON file per job
MARK = "=== e2c job "
GONE = "its process is gone: it was killed, or the host was restarted"
STOP_GRACE_S = 5
"""Seconds that a command has after SIGTERM."""
ANSWER_S = 90
_FOLLOW = """\
read -r -a left; tick=0
cd ~/.ansible_async 2>/dev/null
while [ ${#left[@]} -gt 0 ]; do
  more=()
  for job in "${left[@]}"; do
    alive=1
    if [ $((tick % 10)) = 9 ]; then
      name=${job%%.*}; grep -qse "[${name:0:1}]${name:1}" /proc/[0-9]*/cmdline || alive=
    fi
    head=; { read -r -n 26 -d '' head <"$job"; } 2>/dev/null
    if [ -n "$alive" ] && [ "$head" = '{"started": 1, "finished":' ]; then more+=("$job"); continue; fi
    printf '%s%s ' '=== e2c job ' "$job"; cat "$job" 2>/dev/null; echo
  done
  left=("${more[@]}"); tick=$((tick + 1))
  read -r -t 0.5 _ || [ $? -gt 128 ] || exit 0
done
"""


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


class Stopped(Frozen):
    """What became of the background tasks of a host that were to be ended.

    Attributes:
        processes: how many were asked to end.
        left: command lines of those that could not be ended.
        over: jobs that had ended before.
        jobs: how each job is now.
        reason: why nothing is known, when that is so.
    """

    processes: int = 0
    left: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    jobs: dict[str, JobState] = {}
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
            if result.rc in (shell.SSH_FAILED, shell.TIMED_OUT):
                states[key, job] = JobState(ended=False, reason=shell.explain(result))
            else:
                states[key, job] = state(texts.get(job, ""))
    return states


def follow(jobs: Collection[str]) -> Command | None:
    """What tells, on one host and without being asked, how these jobs have ended: see :func:`followed`.

    The host looks after them itself, twice a second and without starting a program; ``None`` where there are no jobs.
    """
    return Command(f"exec bash -c {shlex.quote(_FOLLOW)}", f"{' '.join(jobs)}\n") if jobs else None


def followed(line: str) -> tuple[str, JobState] | None:
    """The job that a line of :func:`follow` is about, and how it has ended; ``None`` for other lines."""
    if not line.startswith(MARK):
        return None
    job, _, text = line.removeprefix(MARK).partition(" ")
    found = state(text)
    return job, found if found.ended else JobState(ended=True, reason=GONE)


def begun(
    hosts: Mapping[str, Host], marks: Collection[str]
) -> tuple[dict[str, dict[str, tuple[str, int]]], dict[str, str]]:
    """Ask the hosts, all at once, what runs there in the background although nobody may have heard of it.

    Args:
        hosts: by service key.
        marks: what the environment of these tasks has, each as ``NAME=value``.

    Returns:
        By service key and Ansible's job identifier, the mark and the time limit in seconds; and why hosts did not
        answer.
    """
    answers = _ask(hosts, {key: f"print(json.dumps(begun({sorted(marks)!r})))" for key in hosts})
    known, silent = {}, {}
    for key, answer in answers.items():
        if isinstance(answer, str):
            silent[key] = answer
        else:
            known[key] = {job: (mark, limit) for job, (mark, limit) in answer.items()}
    return known, silent


def stop(
    hosts: Mapping[str, Host], jobs: Mapping[str, Collection[str]], marks: Collection[str] = ()
) -> dict[str, Stopped]:
    """End background tasks on all these hosts at once: their commands, all children of them, and Ansible's wrapper.

    Args:
        hosts: by service key.
        jobs: Ansible's job identifiers, by service key.
        marks: what the environment of everything else has that is to be ended, each as ``NAME=value``.
    """
    asked = {key: {"jobs": sorted(jobs.get(key, ())), "marks": sorted(marks), "grace_s": STOP_GRACE_S} for key in hosts}
    answers = _ask(hosts, {key: f"print(json.dumps(stop(**{given!r})))" for key, given in asked.items()})
    return {key: _stopped(answer) for key, answer in answers.items()}


def _ask(hosts: Mapping[str, Host], calls: Mapping[str, str]) -> dict[str, Any]:
    """What a call of :mod:`e2c.remote.jobs` prints on each host, as JSON values; as text why there is no answer."""
    source = Path(on_host.__file__).read_text(encoding="utf-8")
    commands = {host: f"{shlex.quote(host.interpreter)} -IS -" for host in hosts.values()}
    inputs = {host: f"{source}\n\n{calls[key]}\n".encode() for key, host in hosts.items()}
    answers: dict[str, Any] = {}
    for key, result in shell.run_each(commands, stdin=inputs, timeout_s=ANSWER_S).items():
        try:
            answers[key] = json.loads(result.stdout.strip().splitlines()[-1]) if result.ok else shell.explain(result)
        except (IndexError, json.JSONDecodeError):
            answers[key] = shell.explain(result)
    return answers


def _stopped(known: Any) -> Stopped:
    if isinstance(known, str):
        return Stopped(reason=known)
    states = {job: state(text) for job, text in known["jobs"].items()}
    return Stopped(processes=known["stopped"], left=tuple(known["left"]), over=tuple(known["over"]), jobs=states)


def state(text: str) -> JobState:
    """How a job is, from what its file holds."""
    if not text.strip():
        return JobState(ended=True, reason="the host knows nothing of it: its file was removed")
    try:
        known: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        return JobState(ended=False, reason="its file is being written")
    # what a module returns has neither: async_wrapper writes them while it runs
    if "started" in known and not known.get("finished"):
        return JobState(ended=False)
    rc = known.get("rc")
    if rc is None:
        rc = 1 if known.get("failed") else 0
    said = "" if known.get("msg") == "non-zero return code" else known.get("msg")
    return JobState(
        ended=True, rc=rc, stdout=str(known.get("stdout") or ""), stderr=str(known.get("stderr") or said or "")
    )
