"""The workflow: one stage on the hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2c.errors import RemoteError
from e2c.experiment.background import MARK, mark
from e2c.experiment.choice import SECTIONS, WHOLE, Choice, Task, choose
from e2c.experiment.events import Event, Observer
from e2c.experiment.outcome import summary, unreachable
from e2c.experiment.record import OUTPUT_FILE, record
from e2c.model.host import Host
from e2c.model.plan import PlannedPlay, Stage
from e2c.plan.grouping import Dealt, deal, host_variables
from e2c.plan.variables import Extras
from e2c.remote import playbook, shell
from e2c.remote.lookout import lookout
from e2c.remote.results import TaskResult, from_event
from e2c.remote.watching import Notice

ENVIRONMENT_VARIABLE = "e2c_environment"
LIGHT = ("ansible.builtin.shell", "ansible.builtin.command", "ansible.builtin.copy")
TASKS = (*SECTIONS, "tasks", "pre_tasks", "post_tasks", "handlers")


def variable(play: PlannedPlay, name: str) -> str:
    """Name of the host variable that carries what ``depends_on`` of one play gives as ``name``."""
    return f"e2c_play{play.index}_{name}"


def play_variables(
    plays: Sequence[PlannedPlay], hosts: Sequence[Host], extras: Extras | None = None
) -> dict[str, dict[str, Any]]:
    """Host variables, per service key: ``_self``, and what each play's ``depends_on`` deals to its hosts.

    Args:
        extras: what service plugins registered.
    """
    known = host_variables(hosts, extras)
    variables: dict[str, dict[str, Any]] = {key: dict(values) for key, values in known.items()}
    for play in plays:
        for key, values in deal(play, hosts, extras).variables.items():
            variables[key] |= {variable(play, name): value for name, value in values.items()}
    return variables


def ansible_plays(
    plays: Sequence[PlannedPlay],
    stage: Stage,
    hosts: Sequence[Host] = (),
    *,
    choice: Choice = WHOLE,
    environment: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Ansible plays of one stage, in file order; plays without that stage are left out.

    Facts are gathered only where a play asks, because that costs seconds per play. The application's environment, and
    what ``depends_on`` gives, come from host variables, so that each host gets its own.

    Args:
        choice: a part of the stage.
        environment: more environment variables of all tasks.
    """
    return [
        _ansible_play(play, stage, tasks, hosts, choice, environment or {})
        for play, tasks in choose(plays, stage, choice)
    ]


def _ansible_play(
    play: PlannedPlay,
    stage: Stage,
    tasks: Sequence[Task],
    hosts: Sequence[Host],
    choice: Choice,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    keywords = dict(play.keywords)
    own = keywords.pop("environment", [])
    given = [f"{{{{ {ENVIRONMENT_VARIABLE} | default({{}}) }}}}", *([dict(environment)] if environment else [])]
    dealt = deal(play, hosts) if play.depends_on else Dealt({})
    names = {name for values in dealt.variables.values() for name in values}
    # a template that is one variable keeps the variable's type
    learnt = {name: f"{{{{ {variable(play, name)} }}}}" for name in sorted(names)}
    if learnt:
        keywords["vars"] = {**learnt, **keywords.get("vars", {})}
    chosen = play.hosts if choice.hosts is None else [key for key in play.hosts if key in choice.hosts]
    return {
        "name": f"{stage} {play.selector}",
        "hosts": [key for key in chosen if key not in dealt.skipped],
        "gather_facts": False,
        **keywords,
        "environment": [*given, *(own if isinstance(own, list) else [own])],
        "tasks": [dict(task) for task in tasks],
    }


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
    choice: Choice = WHOLE,
    begun: Callable[[Sequence[TaskResult]], None] = lambda _: None,
) -> None:
    """Run a stage and record it, failures included, in ``workflow-validate.out``.

    A host that does not answer any more is told at once. The others go on, with later plays too; after a task that
    failed on all hosts of a play, later plays are left out, except in ``finalize``, which saves what there is.

    Args:
        plays: plays of the plan.
        stage: which of their stages.
        hosts: all acquired hosts.
        folder: output folder of the run.
        extra_vars: variables for all hosts.
        variables: variables per service key.
        observe: receives one event per task and host.
        outcome: receives the results as they come, so that an interrupt loses none of them.
        choice: a part of the stage.
        begun: receives background tasks as they are begun; it may hear of one several times.

    Raises:
        RemoteError: Ansible refused the stage as a whole.
        ScenarioError: there is no such part.
    """
    made = ansible_plays(plays, stage, hosts, choice=choice, environment={MARK: mark(folder, stage)})
    for play, _ in choose(plays, stage, choice):
        left_out = deal(play, hosts).skipped
        if left_out:
            text = f"{shell.some(left_out, ', ')}: left out of the play on {play.selector!r}, because no host that it"
            observe(Event("warning", stage, f"{text} depends on by address_match has their address"))
    if not any(play["hosts"] for play in made):
        return
    lost: dict[str, str] = {}

    def tell(notice: Notice) -> None:
        if notice.kind == "back":
            lost.pop(notice.key, None)
            observe(Event("step", stage, f"{notice.key}: answers again"))
        else:
            lost[notice.key] = notice.text
            text = f"{notice.key}: does not answer any more ({notice.text}); the other hosts go on"
            observe(Event("warning", stage, text, failed=True, host=notice.key, state="lost"))

    wanted = {key: None for play in made for key in play["hosts"]}
    for key in wanted:
        observe(Event("wait", stage, "waits", host=key, state="waiting"))
    observe(Event("wait", stage, "Ansible starts"))
    try:
        with lookout([host for host in hosts if host.key in wanted], tell):
            _run(made, stage, hosts, folder, extra_vars, variables, observe, outcome, begun)
    finally:
        silent = {result.host for result in outcome if result.status == "unreachable"}
        outcome += [unreachable(len(made) - 1, key, why) for key, why in lost.items() if key not in silent]
        record(folder / OUTPUT_FILE, stage, made, extra_vars, outcome)
        if any(result.failed for result in outcome):
            observe(Event("table", stage, f"{stage}, host by host", failed=True, rows=summary(made, outcome)))


def _run(
    made: Sequence[Mapping[str, Any]],
    stage: Stage,
    hosts: Sequence[Host],
    folder: Path,
    extra_vars: Mapping[str, Any],
    variables: Mapping[str, Mapping[str, Any]],
    observe: Observer,
    outcome: list[TaskResult],
    begun: Callable[[Sequence[TaskResult]], None],
) -> None:
    """Run the plays. Ansible ends after one that all its hosts failed in: what shall go on then is given to it anew."""
    left = [index for index, play in enumerate(made) if play["hosts"]]
    while left:
        gone = {result.host for result in outcome if result.failed}
        plays = {index: [key for key in made[index]["hosts"] if key not in gone] for index in left}
        batch = [index for index in left if plays[index]]
        if not batch:
            return
        at_play = [-1]
        jobs: list[TaskResult] = []

        def show(
            event: dict[str, Any],
            batch: list[int] = batch,
            at_play: list[int] = at_play,
            jobs: list[TaskResult] = jobs,
        ) -> None:
            if event["event"] == "play":
                at_play[0] = event["play"]
            elif event["event"] == "start":
                text, host, task = f"{event['host']}: {event['task']}", event["host"], event["task"]
                observe(Event("wait", stage, text, host=host, task=task, state="running"))
            elif event["event"] in ("result", "item"):
                results = from_event({**event, "play": batch[event["play"]]})
                jobs += (result for result in results if result.job)
                if event["event"] == "result":
                    outcome.extend(results)
                    observe(_told(stage, results[0]))

        def keep(jobs: list[TaskResult] = jobs) -> None:
            if jobs:
                begun(tuple(jobs))
                jobs.clear()

        playbook.run(
            [{**shortened(made[index]), "hosts": plays[index]} for index in batch],
            hosts,
            work_dir=folder,
            variables=variables,
            extra_vars=extra_vars,
            observe=show,
            pause=keep,
        )
        if not 0 <= at_play[0] < len(batch) - 1:
            return
        last = batch[at_play[0]]
        here = [result for result in outcome if result.play == last and result.failed]
        fatal = made[last].get("any_errors_fatal") or made[last].get("max_fail_percentage") is not None
        if stage != "finalize" and (fatal or any(result.status == "failed" for result in here)):
            return
        left = batch[at_play[0] + 1 :]


def shortened(part: Mapping[str, Any]) -> dict[str, Any]:
    """A play, block or task with modules named so that Ansible takes ours for them, see :mod:`e2c.remote.light`."""
    made = {_name(name): value for name, value in part.items()}
    for section in TASKS:
        if made.get(section):
            made[section] = [shortened(one) for one in made[section]]
    defaults = made.get("module_defaults")
    if isinstance(defaults, dict):  # Ansible looks for those of the module that it takes
        made["module_defaults"] = {_name(name): value for name, value in defaults.items()}
    return made


def _name(key: str) -> str:
    return f"ansible.legacy.{key.rpartition('.')[2]}" if key in LIGHT else key


def _told(stage: Stage, result: TaskResult) -> Event:
    text = f"{result.host}: {result.task}: {result.status}"
    if result.failed:
        text += f" (rc {result.rc})" if result.rc is not None else ""
        text += f": {result.gist()}" if result.gist() else ""
    state = "background" if result.job and not result.failed else result.status
    return Event("task", stage, text, result.failed, result.seconds, host=result.host, task=result.task, state=state)


def require(results: Sequence[TaskResult], stage: Stage) -> None:
    """Raise one error that shows every failed task: host, task, exit code and what it printed."""
    failed = [result for result in results if result.failed]
    if failed:
        hosts = sorted({result.host for result in failed})
        raise RemoteError(
            f"{stage} failed on {', '.join(hosts)}", why="\n" + "\n".join(result.words() for result in failed)
        )
