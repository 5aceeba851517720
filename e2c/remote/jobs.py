"""Runs on a host: ends what a stage of the workflow has left running there, and says what became of it.

Standard library of Python 3.7 only: its text is sent over ssh, with a call of :func:`stop` after it. Processes are
known by the job identifiers of Ansible's ``async_wrapper``, by marks in their environment, and as descendants of those.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from typing import Any

FOLDER = os.path.expanduser("~/.ansible_async")
STEP_S = 0.1
KILL_S = 2.0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


class Process:
    """What /proc tells of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.words = _read(f"/proc/{pid}/cmdline").split(b"\0")
        self.environment = _read(f"/proc/{pid}/environ").split(b"\0")
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        self.state, self.parent, self.session = (fields[0], int(fields[1]), int(fields[3])) if fields else (b"X", 0, 0)

    @property
    def keeper(self) -> bool:
        """It writes down what the command printed, and must outlive it."""
        return any(b"async_wrapper" in word or b"AnsiballZ_" in word for word in self.words[:4])


def processes() -> dict[int, Process]:
    """All that live, by number."""
    found = [Process(int(name)) for name in os.listdir("/proc") if name.isdigit()]
    return {one.pid: one for one in found if one.state not in (b"X", b"Z")}


def chosen(jobs: list[str], marks: list[str]) -> list[Process]:
    """Processes of these jobs, those with a mark, and all that descend from them; never this one's own line."""
    all_ = processes()
    names = {job.partition(".")[0].encode() for job in jobs}
    wanted = {mark.encode() for mark in marks}
    mine = set()
    pid = os.getpid()
    while pid in all_:
        mine.add(pid)
        pid = all_[pid].parent
    wrapped = {one.pid for one in all_.values() if names.intersection(one.words)}
    sessions = {all_[pid].session for pid in wrapped}
    marked = {one.pid for one in all_.values() if wanted.intersection(one.environment)}
    found = wrapped | marked | {one.pid for one in all_.values() if one.session in sessions}
    grown = True
    while grown:
        more = {one.pid for one in all_.values() if one.parent in found} - found
        found |= more
        grown = bool(more)
    return [all_[pid] for pid in sorted(found - mine)]


def send(those: list[Process], number: int) -> None:
    """A signal to each, as far as it still lives."""
    for one in those:
        with contextlib.suppress(OSError):
            os.kill(one.pid, number)


def result(job: str) -> str:
    """The file of a job as it is now."""
    return _read(os.path.join(FOLDER, job)).decode("utf-8", "replace")


def running(text: str) -> bool:
    """That file says that the job has not ended."""
    try:
        known = json.loads(text)
    except ValueError:
        return True
    return "started" in known and not known.get("finished")


def clear(those: list[Process]) -> None:
    """Remove the temporary folders that a killed wrapper would have removed."""
    for one in those:
        for word in one.words:
            folder = os.path.dirname(word.decode("utf-8", "replace"))
            if b"AnsiballZ_" in word and "/ansible-tmp-" in folder:
                shutil.rmtree(folder, ignore_errors=True)


def stop(jobs: list[str], marks: list[str], grace_s: float) -> dict[str, Any]:
    """End them: SIGTERM to the commands, so that they can save what they have; then SIGKILL to all that is left."""
    first = chosen(jobs, marks)
    commands = [one for one in first if not one.keeper]
    send(commands, signal.SIGTERM)
    end = time.time() + grace_s
    while time.time() < end:
        left = chosen(jobs, marks)
        if not [one for one in left if not one.keeper] and not any(running(result(job)) for job in jobs if result(job)):
            break
        time.sleep(STEP_S)
    end = time.time() + KILL_S
    left = chosen(jobs, marks)
    while left and time.time() < end:
        send(left, signal.SIGKILL)
        clear(left)
        time.sleep(STEP_S)
        left = chosen(jobs, marks)
    for job in jobs:
        if running(result(job)) and os.path.exists(os.path.join(FOLDER, job)):
            words = {"failed": 1, "finished": 1, "rc": -int(signal.SIGKILL), "msg": "killed", "ansible_job_id": job}
            with open(os.path.join(FOLDER, job), "w") as file:
                json.dump(words, file)
    return {
        "stopped": len(commands),
        "left": [b" ".join(one.words).decode("utf-8", "replace").strip() for one in left],
        "jobs": {job: result(job) for job in jobs},
    }
