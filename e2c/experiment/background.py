"""Background tasks of the workflow (``async`` with ``poll: 0``): known by name, waited for, collected, stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from e2c.errors import RemoteError
from e2c.experiment.events import Event, Observer
from e2c.experiment.record import OUTPUT_FILE, append
from e2c.experiment.state import BackgroundTask, moment, now
from e2c.model.host import Host
from e2c.model.plan import Stage
from e2c.remote import background
from e2c.remote.background import JobState
from e2c.remote.overlong import shortened, unused
from e2c.remote.results import TaskResult
from e2c.remote.watching import Watcher

FOLDER = "background"
"""Folder of what they printed, in the output folder of the run."""
MARK = "E2C_STAGE"
"""Environment variable of everything that a stage starts on hosts."""
GRACE_S = 30
STEP_S = 1.0
BY_YOU = "stopped by you"
UNHEARD = "a task that nobody heard of"
"""What a background task is called whose host knows it, but which the command that began it was not told of."""

Save = Callable[[tuple[BackgroundTask, ...]], None]


def mark(folder: Path, stage: str) -> str:
    """Value of the variable :data:`MARK` for a stage of the run with that output folder."""
    return f"{stage}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def started(results: Sequence[TaskResult], stage: Stage) -> tuple[BackgroundTask, ...]:
    """The background tasks that a stage began."""
    return tuple(
        BackgroundTask(
            host=result.at or result.host,
            job=result.job,
            task=result.task,
            stage=stage,
            started=moment(result.ended),
            limit_s=result.limit_s,
        )
        for result in results
        if result.job and not result.failed
    )


def unheard(
    hosts: Mapping[str, Host], marks: Mapping[str, tuple[Stage, str]], known: Sequence[BackgroundTask]
) -> tuple[tuple[BackgroundTask, ...], dict[str, str]]:
    """Background tasks that run on hosts and that the command which began them was not told of before it was killed.

    Args:
        marks: stage and run of what is looked for, by :func:`mark`.
        known: tasks that are known.

    Returns:
        The tasks; and why hosts did not answer.
    """
    found, silent = background.begun(hosts, [f"{MARK}={mark}" for mark in marks])
    heard = {(task.host, task.job) for task in known}
    more = []
    for host, jobs in found.items():
        for job, (text, limit) in sorted(jobs.items()):
            if (host, job) not in heard:
                stage, run = marks[text.removeprefix(f"{MARK}=")]
                more.append(
                    BackgroundTask(host=host, job=job, task=UNHEARD, stage=stage, started=now(), limit_s=limit, run=run)
                )
    return tuple(more), silent


def wait(
    tasks: Sequence[BackgroundTask],
    hosts: Mapping[str, Host],
    *,
    folder: Path,
    limit_s: float | None,
    lost_s: float,
    observe: Observer,
    save: Save,
) -> tuple[BackgroundTask, ...]:
    """Wait for background tasks to end, each at most its own time limit, and collect their output.

    A host that does not answer is told at once; the tasks of the others are waited for all the same, and it is given
    up when it has been silent for a while.

    Args:
        tasks: all background tasks of the run; those that ended are kept as they are.
        hosts: hosts by service key.
        folder: output folder; see :func:`collect`.
        limit_s: limit for the whole wait in seconds; ``None``: only the tasks' own limits.
        lost_s: seconds of silence after which a host is given up.
        observe: receives what is being waited for.
        save: called with the new list whenever a task ended.

    Returns:
        The tasks, ended or not.
    """
    board = _Board(tasks, folder, observe, save)
    deadline = None if limit_s is None else time.monotonic() + limit_s
    silent: dict[str, tuple[float, str]] = {}
    board.rows()
    board.tell()
    open_hosts = {task.host: hosts[task.host] for task in board.open() if task.host in hosts}
    for task in board.open():
        if task.host not in hosts:
            board.end(task, JobState(ended=True, reason="its host is no more part of the experiment"))
    with Watcher(open_hosts, lambda host: background.follow([task.job for task in board.open(host.key)])) as watcher:
        while board.open():
            for notice in watcher.next(STEP_S):
                found = background.followed(notice.text) if notice.kind == "line" else None
                if found is not None:
                    board.end_job(notice.key, *found)
                elif notice.kind == "lost":
                    silent[notice.key] = time.monotonic(), notice.text
                    board.lost(notice.key, notice.text, lost_s)
                elif notice.kind == "back":
                    silent.pop(notice.key, None)
                    board.back(notice.key)
            for task in board.open():
                since, why = silent.get(task.host, (None, ""))
                if since is not None and time.monotonic() - since > lost_s:
                    text = f"its host has not answered for {lost_s:g} s: {why}"
                    board.end(task, JobState(ended=True, reason=text))
                elif _age(task) > task.limit_s + GRACE_S:
                    # async_wrapper itself ends the task at its limit; the grace is for it to write its last words
                    board.end(task, JobState(ended=True, reason=f"still running after its limit of {task.limit_s} s"))
            if deadline is not None and time.monotonic() > deadline:
                break
    return board.tasks


def stop(
    tasks: Sequence[BackgroundTask],
    hosts: Mapping[str, Host],
    *,
    marks: Iterable[str],
    folder: Path,
    observe: Observer,
    save: Save,
    why: str = BY_YOU,
) -> tuple[BackgroundTask, ...]:
    """End background tasks that still run, and whatever else a stage left running, and collect their output.

    Their commands get SIGTERM and a few seconds to save what they have. Hosts that do not answer are told.

    Args:
        tasks: all background tasks of the run; those that ended are kept as they are.
        hosts: all hosts by service key.
        marks: see :func:`mark`.
        folder, observe, save: as for :func:`wait`.
        why: the reason that is told and kept.
    """
    board = _Board(tasks, folder, observe, save)
    jobs: dict[str, list[str]] = {}
    for task in board.open():
        jobs.setdefault(task.host, []).append(task.job)
    observe(Event("wait", "launch", f"stopping what runs on {len(hosts)} host{'' if len(hosts) == 1 else 's'}"))
    for key, found in background.stop(hosts, jobs, [f"{MARK}={mark}" for mark in marks]).items():
        if found.reason:
            observe(Event("warning", "launch", f"{key}: nothing could be stopped there: {found.reason}", failed=True))
            continue
        if found.left:
            observe(Event("warning", "launch", f"{key}: still runs: {'; '.join(found.left)}", failed=True))
        elif found.processes:
            names = ", ".join(sorted({task.task for task in board.open(key) if task.job not in found.over}))
            what = names or f"{found.processes} process{'' if found.processes == 1 else 'es'}"
            observe(Event("step", "launch", f"{key}: stopped {what}"))
        for job, state in found.jobs.items():
            board.end_job(key, job, state, stopped="" if job in found.over else why)
    return board.tasks


def require_ended(tasks: Sequence[BackgroundTask]) -> None:
    """Raise one error naming each background task that failed or did not end; those that the user stopped are none."""
    bad = [task for task in tasks if not task.stopped and (not task.ended or task.rc != 0)]
    if bad:
        raise RemoteError(
            "a background task failed" if len(bad) == 1 else f"{len(bad)} background tasks failed",
            why="; ".join(
                f"{task.host}: {task.task!r} "
                + (f"rc {task.rc}" if task.rc is not None else (task.reason or "still running"))
                for task in bad
            ),
            hint=f"What they printed is in {FOLDER}/ of the output folder of the run",
        )


def collect(folder: Path, task: BackgroundTask, state: JobState) -> None:
    """Write what a task printed to ``background/<host>-<task>.out`` (and ``.err``), and how it ended to
    ``workflow-validate.out``."""
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    path = unused(place, f"{task.host}-{task.task}")
    path.write_text(_whole_lines(state.stdout), encoding="utf-8", errors="surrogateescape")
    if state.stderr:
        path.with_name(f"{path.name.removesuffix('.out')}.err").write_text(
            _whole_lines(state.stderr), encoding="utf-8", errors="surrogateescape"
        )
    returned: dict[str, Any] = {"host": task.host, "task": task.task, "status": _status(task)}
    where = f"all of it is in {FOLDER}/{path.name}"
    returned |= {"rc": task.rc, "stdout": shortened(state.stdout, where), "stderr": shortened(state.stderr, where)}
    returned["ansible_job_id"] = task.job
    returned["output"] = f"{FOLDER}/{path.name}"
    if task.reason:
        returned["msg"] = task.reason
    append(
        folder / OUTPUT_FILE,
        [{"TASK": f"{task.stage.upper()} (background)", "HOSTS": [task.host], "RETURN": [returned]}],
    )


def _status(task: BackgroundTask) -> str:
    return "STOPPED" if task.stopped else "OK" if task.rc == 0 else "FAILED"


class _Board:
    """The tasks as they are now, and whoever wants to know of changes."""

    def __init__(self, tasks: Iterable[BackgroundTask], folder: Path, observe: Observer, save: Save) -> None:
        self._by_job = {(task.host, task.job): task for task in tasks}
        self._folder = folder
        self._observe = observe
        self._save = save

    @property
    def tasks(self) -> tuple[BackgroundTask, ...]:
        return tuple(self._by_job.values())

    def open(self, host: str | None = None) -> list[BackgroundTask]:
        return [task for task in self.tasks if not task.ended and host in (None, task.host)]

    def end_job(self, host: str, job: str, state: JobState, *, stopped: str = "") -> None:
        task = self._by_job.get((host, job))
        if task is not None and not task.ended and state.ended:
            self.end(task, state, stopped=stopped)

    def end(self, task: BackgroundTask, state: JobState, *, stopped: str = "") -> None:
        reason = "; ".join(filter(None, [stopped, state.reason]))
        ended = task.model_copy(update={"ended": True, "rc": state.rc, "reason": reason, "stopped": bool(stopped)})
        collect(self._folder, ended, state)
        self._by_job[task.host, task.job] = ended
        self._save(self.tasks)
        said = f"rc {state.rc}" if state.rc is not None else state.reason
        words = (state.stderr or "").strip().splitlines()
        if state.rc and words and not stopped:
            said += f": {words[-1]}"
        bad = state.rc != 0 and not stopped
        text = f"{task.host}: {task.task}: {stopped or 'ended'}, {said}"
        mood = "failed" if bad else "ok"
        self._observe(Event("task", task.stage, text, bad, _age(task), host=task.host, task=task.task, state=mood))
        rest = [one.task for one in self.open(task.host)]
        if rest:
            self._row(task.host)
        self.tell()

    def tell(self) -> None:
        """What is waited for, now."""
        open_ = self.open()
        if open_:
            names = ", ".join(sorted({f"{task.host} ({task.task})" for task in open_}))
            self._observe(Event("wait", "launch", f"background tasks run: {names}"))

    def rows(self) -> None:
        """What each host runs, now."""
        for host in dict.fromkeys(task.host for task in self.open()):
            self._row(host)

    def _row(self, host: str) -> None:
        mine = self.open(host)
        names = ", ".join(dict.fromkeys(task.task for task in mine))
        age = max(map(_age, mine))
        self._observe(
            Event("wait", "launch", f"{host}: {names}", seconds=age, host=host, task=names, state="background")
        )

    def lost(self, host: str, why: str, lost_s: float) -> None:
        names = ", ".join(sorted({task.task for task in self.open(host)}))
        if not names:
            return
        text = f"{host}: does not answer any more ({why}) while it runs {names}"
        text += f"; it is given up after {lost_s:g} s of silence (E2C_LOST_TIMEOUT), the others are waited for"
        self._observe(Event("warning", "launch", text, failed=True, host=host, task=names, state="lost"))

    def back(self, host: str) -> None:
        names = ", ".join(sorted({task.task for task in self.open(host)}))
        if not names:
            return
        self._observe(Event("step", "launch", f"{host}: answers again", host=host, task=names, state="background"))


def _age(task: BackgroundTask) -> float:
    return (datetime.now(timezone.utc) - datetime.fromisoformat(task.started)).total_seconds()


def _whole_lines(text: str) -> str:
    return f"{text}\n" if text and not text.endswith("\n") else text
