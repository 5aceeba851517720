"""Runs on a host: finds and ends what a stage of the workflow has left running there, and says what became of it.

Standard library of Python 3.7 only: its text is sent over ssh, with a call of one of its functions after it. Processes
are known by the job identifiers of Ansible's ``async_wrapper``, by marks in their environment, and as descendants of
those.
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
WRITE_S = 5.0


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


def begun(marks: list[str]) -> dict[str, list[Any]]:
    """Jobs that run now and have one of these marks in their environment: its mark, and its time limit in seconds."""
    files = os.listdir(FOLDER) if os.path.isdir(FOLDER) else []
    found: dict[str, list[Any]] = {}
    for one in processes().values():
        place = next((place for place, word in enumerate(one.words) if word.endswith(b"async_wrapper.py")), None)
        mark = next((mark for mark in marks if mark.encode() in one.environment), None)
        if mark is not None and place is not None and len(one.words) > place + 2:
            number, limit = (one.words[place + more].decode() for more in (1, 2))
            names = [name for name in files if name.startswith(f"{number}.") and running(result(name))]
            found.update((name, [mark, int(limit)]) for name in names)
    return found


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


def writing(jobs: list[str]) -> bool:
    """Some of these jobs have not told yet how they ended."""
    return any(text and running(text) for text in map(result, jobs))


def commands_of(those: list[Process]) -> list[Process]:
    """Without the processes that write down what the commands print."""
    return [one for one in those if not one.keeper]


def stop(jobs: list[str], marks: list[str], grace_s: float) -> dict[str, Any]:
    """End them: SIGTERM to the commands, so that they can save what they have, then SIGKILL to those that are left.

    What writes down how they ended gets time for that before it is killed as well.
    """
    over = [job for job in jobs if result(job) and not running(result(job))]
    asked: set[int] = set()
    now = time.time()
    last, end = now + 3 * grace_s, now + grace_s
    commands = commands_of(chosen(jobs, marks))
    while commands or writing(jobs):
        new = [one for one in commands if one.pid not in asked]
        if new:  # a wrapper may begin its command only now; it gets its time as well
            send(new, signal.SIGTERM)
            asked.update(one.pid for one in new)
            end = min(time.time() + grace_s, last)
        if time.time() > (end if commands else end + WRITE_S):
            break
        time.sleep(STEP_S)
        commands = commands_of(chosen(jobs, marks))
    end = time.time() + KILL_S
    while commands and time.time() < end:
        send(commands, signal.SIGKILL)
        time.sleep(STEP_S)
        commands = commands_of(chosen(jobs, marks))
    end = time.time() + WRITE_S
    while writing(jobs) and time.time() < end and chosen(jobs, marks):
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
        "stopped": len(asked),
        "over": over,
        "left": [b" ".join(one.words).decode("utf-8", "replace").strip() for one in left],
        "jobs": {job: result(job) for job in jobs},
    }
