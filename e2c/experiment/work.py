"""The workflow: one stage on the hosts, and the background tasks it leaves running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from e2c.errors import RemoteError
from e2c.experiment.events import Event, Observer
from e2c.experiment.state import BackgroundTask, moment
from e2c.model.host import Host
from e2c.model.plan import PlannedPlay, Stage
from e2c.plan.grouping import Dealt, deal, host_variables
from e2c.remote import background, playbook
from e2c.remote.results import TaskResult, from_event

OUTPUT_FILE = "workflow-validate.out"
POLL_S = 1.0
GRACE_S = 30
ENVIRONMENT_VARIABLE = "e2c_environment"


def variable(play: PlannedPlay, name: str) -> str:
    """Name of the host variable that carries what ``depends_on`` of one play gives as ``name``."""
    return f"e2c_play{play.index}_{name}"


def play_variables(plays: Sequence[PlannedPlay], hosts: Sequence[Host]) -> dict[str, dict[str, Any]]:
    """Host variables, per service key: ``_self``, and what each play's ``depends_on`` deals to its hosts."""
    variables: dict[str, dict[str, Any]] = {key: dict(values) for key, values in host_variables(hosts).items()}
    for play in plays:
        for key, values in deal(play, hosts).variables.items():
            variables[key] |= {variable(play, name): value for name, value in values.items()}
    return variables


def ansible_plays(plays: Sequence[PlannedPlay], stage: Stage, hosts: Sequence[Host] = ()) -> list[dict[str, Any]]:
    """Ansible plays of one stage, in file order; plays without that stage are left out.

    Facts are gathered only where a play asks, because that costs seconds per play. The application's environment, and
    what ``depends_on`` gives, come from host variables, so that each host gets its own.
    """
    made = []
    for play in plays:
        tasks = play.stages.get(stage)
        if not tasks:
            continue
        keywords = dict(play.keywords)
        own = keywords.pop("environment", [])
        environment = [f"{{{{ {ENVIRONMENT_VARIABLE} | default({{}}) }}}}", *(own if isinstance(own, list) else [own])]
        dealt = deal(play, hosts) if play.depends_on else Dealt({})
        names = {name for values in dealt.variables.values() for name in values}
        # a template that is one variable keeps the variable's type
        given = {name: f"{{{{ {variable(play, name)} }}}}" for name in sorted(names)}
        if given:
            keywords["vars"] = {**given, **keywords.get("vars", {})}
        made.append(
            {
                "name": f"{stage} {play.selector}",
                "hosts": [key for key in play.hosts if key not in dealt.skipped],
                "gather_facts": False,
                **keywords,
                "environment": environment,
                "tasks": [dict(task) for task in tasks],
            }
        )
    return made


def run_stage(
    plays: Sequence[PlannedPlay],
    stage: Stage,
    hosts: Sequence[Host],
    *,
    folder: Path,
    extra_vars: Mapping[str, Any],
    variables: Mapping[str, Mapping[str, Any]],
    observe: Observer,
    outcome: list[TaskResult],
) -> None:
    """Run a stage and record it, failures included, in ``workflow-validate.out``.

    Args:
        plays: plays of the plan.
        stage: which of their stages.
        hosts: all acquired hosts.
        folder: output folder.
        extra_vars: variables for all hosts.
        variables: variables per service key.
        observe: receives one event per task and host.
        outcome: receives the results as they come, so that an interrupt loses none of them.

    Raises:
        RemoteError: Ansible refused the stage as a whole.
    """
    made = ansible_plays(plays, stage, hosts)
    if not made:
        return

    def show(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            observe(Event("wait", stage, f"{event['host']}: {event['task']}"))
        elif event["event"] == "result":
            outcome.extend(from_event(event))
            failed = event["status"] in ("failed", "unreachable")
            text = f"{event['host']}: {event['task']}: {event['status']}"
            observe(Event("task", stage, text, failed=failed, seconds=event["seconds"]))

    try:
        playbook.run(made, hosts, work_dir=folder, variables=variables, extra_vars=extra_vars, observe=show)
    finally:
        record(folder / OUTPUT_FILE, stage, made, extra_vars, outcome)


def record(
    path: Path,
    stage: Stage,
    plays: Sequence[Mapping[str, Any]],
    extra_vars: Mapping[str, Any],
    results: Sequence[TaskResult],
) -> None:
    """Append one YAML document per play to a stream that ``yaml.safe_load_all`` reads."""
    documents = [
        {
            "TASK": stage.upper(),
            "ANSIBLE_PLAY": dict(play),
            "EXTRA_VARS": dict(extra_vars),
            "HOSTS": list(play["hosts"]),
            "RETURN": [_returned(result) for result in results if result.play == index],
        }
        for index, play in enumerate(plays)
    ]
    append(path, documents)


def append(path: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    """Append documents to a YAML stream."""
    with path.open("a", encoding="utf-8") as file:
        yaml.safe_dump_all(documents, file, explicit_start=True, sort_keys=False, allow_unicode=True, width=120)


def _returned(result: TaskResult) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "host": result.host,
        "task": result.task,
        "status": result.status.upper(),
        "rc": result.rc,
    }
    fields |= {"stdout": result.stdout, "stderr": result.stderr}
    if result.msg:
        fields["msg"] = result.msg
    if result.job:
        fields["ansible_job_id"] = result.job
    if result.seconds is not None:
        fields["seconds"] = round(result.seconds, 3)
    return fields


def started(results: Sequence[TaskResult], stage: Stage) -> tuple[BackgroundTask, ...]:
    """The background tasks that a stage began."""
    return tuple(
        BackgroundTask(
            host=result.host,
            job=result.job,
            task=result.task,
            stage=stage,
            started=moment(result.ended),
            limit_s=result.limit_s,
        )
        for result in results
        if result.job and not result.failed
    )


def require(results: Sequence[TaskResult], stage: Stage) -> None:
    """Raise one error that shows every failed task: host, task, exit code and what it printed."""
    failed = [result for result in results if result.failed]
    if failed:
        hosts = sorted({result.host for result in failed})
        raise RemoteError(
            f"{stage} failed on {', '.join(hosts)}", why="\n" + "\n".join(result.words() for result in failed)
        )


def wait(
    tasks: Sequence[BackgroundTask],
    hosts: Mapping[str, Host],
    *,
    folder: Path,
    limit_s: float | None,
    observe: Observer,
    save: Callable[[tuple[BackgroundTask, ...]], None],
) -> tuple[BackgroundTask, ...]:
    """Wait for background tasks to end, each at most its own time limit, and record their output.

    Args:
        tasks: all background tasks of the experiment; those that ended are kept as they are.
        hosts: hosts by service key.
        folder: output folder; each ended task is appended to ``workflow-validate.out``.
        limit_s: limit for the whole wait in seconds; ``None``: only the tasks' own limits.
        observe: receives what is being waited for.
        save: called with the new list whenever a task ended.

    Returns:
        The tasks, ended or not.
    """
    current = {(task.host, task.job): task for task in tasks}
    deadline = None if limit_s is None else time.monotonic() + limit_s
    pause = threading.Event()
    while waiting := {key: task for key, task in current.items() if not task.ended}:
        for key, state in background.look(hosts, waiting).items():
            task = waiting[key]
            if state.ended or _overdue(task):
                reason = state.reason or ("" if state.ended else f"still running after its limit of {task.limit_s} s")
                current[key] = task.model_copy(update={"ended": True, "rc": state.rc, "reason": reason})
                append(folder / OUTPUT_FILE, [_document(current[key], state)])
                save(tuple(current.values()))
                bad = state.rc != 0
                text = f"{task.host}: {task.task}: ended, " + (f"rc {state.rc}" if state.rc is not None else reason)
                observe(Event("task", task.stage, text, failed=bad, seconds=_age(task)))
        waiting = {key: task for key, task in current.items() if not task.ended}
        if not waiting or (deadline is not None and time.monotonic() > deadline):
            break
        names = ", ".join(sorted({f"{task.host} ({task.task})" for task in waiting.values()}))
        observe(Event("wait", "launch", f"background tasks run: {names}"))
        pause.wait(POLL_S)
    return tuple(current.values())


def _age(task: BackgroundTask) -> float:
    return (datetime.now(timezone.utc) - datetime.fromisoformat(task.started)).total_seconds()


def _overdue(task: BackgroundTask) -> bool:
    # async_wrapper itself ends the task at its limit; the grace is for it to write its last words
    return _age(task) > task.limit_s + GRACE_S


def _document(task: BackgroundTask, state: background.JobState) -> dict[str, Any]:
    status = "FAILED" if task.rc != 0 else "OK"
    returned = {"host": task.host, "task": task.task, "status": status, "rc": task.rc}
    returned |= {"stdout": state.stdout, "stderr": state.stderr, "ansible_job_id": task.job}
    if task.reason:
        returned["msg"] = task.reason
    return {"TASK": f"{task.stage.upper()} (background)", "HOSTS": [task.host], "RETURN": [returned]}


def require_ended(tasks: Sequence[BackgroundTask]) -> None:
    """Raise one error naming each background task that failed or did not end."""
    bad = [task for task in tasks if not task.ended or task.rc != 0]
    if bad:
        raise RemoteError(
            f"{len(bad)} background task(s) failed",
            why="; ".join(
                f"{task.host}: {task.task!r} "
                + (f"rc {task.rc}" if task.rc is not None else (task.reason or "still running"))
                for task in bad
            ),
            hint=f"Their output is in {OUTPUT_FILE}",
        )
