"""Runs of a workflow: their plan, their order, their outcome, and going on where a process was killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from experiment_bookings import Bookings, in_a_child, killed

from e2c.errors import ProvenanceError, RemoteError, ScenarioError, StateError
from e2c.experiment import releasing, run_records, runs, serving, steps, work
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment, find
from e2c.experiment.failure import OnFailure
from e2c.experiment.runs import Pace
from e2c.experiment.state import BackgroundTask, now
from e2c.model.plan import Stage
from e2c.model.run import Run, planned
from e2c.remote.results import TaskResult

ENV = """\
small: {epochs: 1, rate: 0.5, quick: true, version: "01"}
large: {epochs: 10, rate: 1.5, quick: false, version: "yes"}
"""
Launched = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Launched:
    """Stages as they are run: name, folder, and variables for all hosts."""
    found: Launched = []

    def run_stage(_: object, stage: str, __: object, **given: Any) -> None:
        found.append((stage, given["folder"].name, dict(given["extra_vars"])))

    monkeypatch.setattr(work, "run_stage", run_stage)
    return found


@pytest.fixture
def configured(scenario: Path, testbeds: dict[str, Bookings]) -> Path:
    (scenario / "workflow_env.yaml").write_text(ENV)
    return scenario


@pytest.fixture
def told() -> list[Event]:
    return []


def deploy(
    scenario: Path,
    told: list[Event],
    chosen: Sequence[Run],
    pace: Pace = runs.AT_ONCE,
    wish: OnFailure = OnFailure(keep=True),  # noqa: B008 - it cannot be changed
) -> Experiment:
    return steps.deploy_all(
        scenario,
        scenario / "artifacts",
        testbed=None,
        wish=wish,
        destroy_after=False,
        observe=told.append,
        chosen=chosen,
        pace=pace,
    )


def outcomes(experiment: Experiment) -> list[tuple[str, str]]:
    return [(record.identity, record.outcome) for record in experiment.state.runs]


def at(stage: str, folder: str, fault: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens when a stage of a run begins."""
    before = work.run_stage

    def run_stage(plays: Any, name: Any, hosts: Any, **given: Any) -> None:
        before(plays, name, hosts, **given)
        if (name, given["folder"].name) == (stage, folder):
            results = fault()
            given["outcome"].extend(results if isinstance(results, list) else [])

    monkeypatch.setattr(work, "run_stage", run_stage)


def broken() -> list[TaskResult]:
    return [TaskResult(play=0, host="cloud.a.1.1", task="train", status="failed", rc=3)]


def test_each_repetition_is_prepared_and_each_configuration_runs_in_it(
    configured: Path, told: list[Event], launched: Launched
) -> None:
    experiment = deploy(configured, told, planned(1, ["small", "large"]))
    assert [(stage, folder) for stage, folder, _ in launched] == [
        ("prepare", "repeat-1"),
        ("launch", "small"),
        ("finalize", "small"),
        ("launch", "large"),
        ("finalize", "large"),
        ("prepare", "repeat-2"),
        ("launch", "small"),
        ("finalize", "small"),
        ("launch", "large"),
        ("finalize", "large"),
    ]
    assert outcomes(experiment) == [(f"repeat-{n}/{name}", "done") for n in (1, 2) for name in ("small", "large")]
    (table,) = [event for event in told if event.kind == "table"]
    assert [row[:2] for row in table.rows[1:]] == outcomes(experiment)
    variables = launched[-2][2]
    assert {name: value for name, value in variables.items() if not name.endswith("_dir")} == {
        "current_repeat": 2,
        "app_conf": "large",
        "env_epochs": 10,
        "env_rate": 1.5,
        "env_quick": False,
        "env_version": "yes",
    }
    assert type(variables["env_rate"]) is float
    assert variables["working_dir"] == str(configured / "artifacts")
    assert launched[-1][2]["working_dir"] == str(experiment.folder / "repeat-2" / "large")
    assert "env_epochs" not in launched[0][2]
    phases = [(record.phase, record.run) for record in experiment.state.phases[4:]]
    assert phases[:4] == [("prepare", "repeat-1"), *((phase, "repeat-1/small") for phase in runs.RUN_PHASES)]


@pytest.mark.parametrize("stage", ["launch", "finalize"])
def test_killed_in_the_third_run_the_same_command_goes_on_there(
    configured: Path, told: list[Event], launched: Launched, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    chosen = planned(1, ["small", "large"])
    with monkeypatch.context() as patched:
        count = iter(range(9))
        at(stage, "small", lambda: killed() if next(count) else None, patched)
        assert in_a_child(lambda: deploy(configured, told, chosen)) == -signal.SIGKILL
    experiment = deploy(configured, told, chosen)
    expected = [("launch", "small")] if stage == "launch" else []
    expected += [("finalize", "small"), ("launch", "large"), ("finalize", "large")]
    assert [(name, folder) for name, folder, _ in launched] == expected
    assert "done already: repeat-1/small, repeat-1/large" in [event.text for event in told]
    third = "repeat-2/small~2" if stage == "launch" else "repeat-2/small"
    assert outcomes(experiment)[-2:] == [(third, "done"), ("repeat-2/large", "done")]
    if stage == "launch":
        warnings = [event.text for event in told if event.kind == "warning"]
        assert any("launch of repeat-2/small did not end well; it runs again" in text for text in warnings)
    with pytest.raises(StateError, match="was run already"):
        deploy(configured, told, chosen)


def test_what_was_changed_runs_again_and_what_is_new_is_added(
    configured: Path, told: list[Event], launched: Launched
) -> None:
    deploy(configured, told, planned(0, ["small"]))
    launched.clear()
    deploy(configured, told, planned(0, ["small", "large"]))
    assert [folder for stage, folder, _ in launched if stage == "launch"] == ["large"]
    launched.clear()
    (configured / "workflow_env.yaml").write_text(ENV.replace("epochs: 10", "epochs: 11"))
    experiment = deploy(configured, told, planned(0, ["small", "large"]))
    assert [(stage, given["env_epochs"]) for stage, _, given in launched] == [("launch", 11), ("finalize", 11)]
    assert outcomes(experiment) == [("small", "done"), ("large", "done"), ("large~2", "done")]
    launched.clear()
    (configured / "artifacts" / "app.py").write_text("print()")
    deploy(configured, told, planned(0, ["small", "large"]))
    assert [stage for stage, _, _ in launched] == ["prepare", "launch", "finalize", "launch", "finalize"]


def test_a_run_that_fails_is_saved_and_ends_the_experiment(
    configured: Path, told: list[Event], launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    monkeypatch.setattr(serving, "savers", lambda record, **_: [lambda *_: saved.append(record.identity)])
    at("launch", "small", broken, monkeypatch)
    with pytest.raises(RemoteError, match=r"launch failed on cloud\.a\.1\.1"):
        deploy(configured, told, planned(0, ["small", "large"]))
    experiment = find(configured, told.append)
    assert experiment is not None
    assert outcomes(experiment) == [("small", "failed")]
    assert experiment.state.runs[0].reason.startswith("launch failed on cloud.a.1.1")
    assert [(stage, folder) for stage, folder, _ in launched][1:] == [("launch", "small"), ("finalize", "small")]
    assert saved == ["small"]
    (table,) = [event for event in told if event.kind == "table"]
    assert table.failed
    assert [row[:2] for row in table.rows[1:]] == [("small", "failed"), ("large", "not begun")]


def test_keep_going_runs_the_others_and_a_second_command_only_what_failed(
    configured: Path, told: list[Event], launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = planned(0, ["small", "large"])
    with monkeypatch.context() as patched:
        at("launch", "small", broken, patched)
        with pytest.raises(RemoteError, match=r"1 of 2 runs failed:\nsmall: launch failed"):
            deploy(configured, told, chosen, Pace(keep_going=True))
    launched.clear()
    experiment = deploy(configured, told, chosen)
    assert [(stage, folder) for stage, folder, _ in launched] == [("launch", "small"), ("finalize", "small")]
    assert outcomes(experiment) == [("small", "failed"), ("large", "done"), ("small~2", "done")]


def test_a_backup_that_fails_fails_its_run_and_is_all_that_is_left_to_do(
    configured: Path, told: list[Event], launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ProvenanceError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(serving, "savers", lambda record, **_: [full])
        with pytest.raises(ProvenanceError, match="disk is full"):
            deploy(configured, told, planned())
    launched.clear()
    assert outcomes(deploy(configured, told, planned())) == [("run", "done")]
    assert launched == []


def test_a_run_lasts_as_asked_then_pauses_then_is_finalized(
    configured: Path, told: list[Event], launched: Launched
) -> None:
    def pause() -> None:
        order.append(([stage for stage, _, _ in launched], any("the run lasts 0.2 s" in one.text for one in told)))

    order: list[Any] = []
    deploy(configured, told, planned(), Pace(duration_s=0.2, pause=pause))
    assert order == [(["prepare", "launch"], True)]


@pytest.mark.parametrize(("name", "near"), [("smal", r"Did you mean 'small'\? It has: small, large"), ("x", "It has")])
def test_an_unknown_configuration_is_refused_before_anything_is_acquired(
    configured: Path, told: list[Event], asked: list[str], name: str, near: str
) -> None:
    with pytest.raises(ScenarioError, match=near):
        deploy(configured, told, planned(0, ["small", name]))
    assert [what for what in asked if "acquire" in what] == []
    assert list(configured.glob("2*")) == []


def test_ctrl_c_between_runs_leaves_the_rest_to_the_next_command(
    configured: Path, told: list[Event], launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Experiment) -> None:
        raise KeyboardInterrupt

    chosen = planned(0, ["small", "large"])
    with monkeypatch.context() as patched:
        patched.setattr(runs, "describe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            deploy(configured, told, chosen)
    launched.clear()
    assert outcomes(deploy(configured, told, chosen)) == [("small", "done"), ("large", "done")]
    assert [folder for _, folder, _ in launched] == ["large", "large"]


@pytest.mark.parametrize(("error", "fetched"), [(KeyboardInterrupt, True), (SystemExit, False)])
def test_ctrl_c_in_a_launch_fetches_and_saves_before_the_hosts_go(
    configured: Path,
    told: list[Event],
    launched: Launched,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    fetched: bool,
) -> None:
    def interrupted() -> None:
        raise error

    saved: list[str] = []
    monkeypatch.setattr(serving, "savers", lambda record, **_: [lambda *_: saved.append(record.identity)])
    at("launch", "small", interrupted, monkeypatch)
    with pytest.raises(error):
        deploy(configured, told, planned(0, ["small", "large"]), wish=OnFailure())
    table = next(event.rows for event in told if event.kind == "table")
    assert [row[:2] for row in table[1:]] == [("small", "interrupted"), ("large", "not begun")]
    experiment = find(configured, told.append)
    assert experiment is not None
    assert experiment.state.released
    assert [(stage, folder) for stage, folder, _ in launched][2:] == ([("finalize", "small")] if fetched else [])
    assert saved == ["small"]
    assert [(record.outcome, record.reason) for record in experiment.state.runs] == [("failed", "interrupted")]


def test_single_steps_take_up_runs_with_the_values_as_they_are_now(
    configured: Path, told: list[Event], launched: Launched
) -> None:
    deploy(configured, told, planned())
    experiment = steps.take_up(configured, "workflow", told.append, app_conf=["small"])
    runs.launch_alone(experiment, Run(app_conf="small"))
    assert [run.identity for run in run_records.pending(experiment)] == ["small"]
    (configured / "workflow_env.yaml").write_text(ENV.replace("epochs: 1,", "epochs: 7,"))
    experiment = steps.take_up(configured, "finalize", told.append, begun=True)
    steps.finalize(experiment, run_records.pending(experiment), limit_s=None)
    stage, folder, given = launched[-1]
    assert (stage, folder, given["env_epochs"]) == ("finalize", "small", 7)
    assert outcomes(experiment) == [("run", "done"), ("small", "done")]
    assert [run.identity for run in run_records.pending(experiment)] == ["small"], "the last one, when none is open"
    assert [run.identity for run in run_records.pending(experiment, ["large", "small"])] == ["large", "small"]
    (configured / "workflow_env.yaml").write_text("large: {epochs: 1}\n")
    with pytest.raises(ScenarioError, match="no configuration named 'small'"):
        steps.take_up(configured, "finalize", told.append, begun=True)


def test_that_nothing_was_launched_is_told_and_what_lies_there_is_saved(
    configured: Path, told: list[Event], launched: Launched
) -> None:
    experiment = deploy(configured, told, planned(0, ["small"]))
    del told[:]
    steps.finalize(experiment, [Run(app_conf="small"), Run(app_conf="large")], limit_s=None)
    said = [event.text for event in told if event.kind == "warning"]
    assert said == ["large was not launched; what lies on the hosts now is saved"]
    assert [(stage, folder) for stage, folder, _ in launched[-2:]] == [("finalize", "small"), ("finalize", "large")]


def test_a_launch_that_was_killed_is_told_by_finalize_and_stays_a_failure(
    configured: Path, told: list[Event], launched: Launched
) -> None:
    small = Run(app_conf="small")
    experiment = deploy(configured, told, planned(0, ["small"]))
    run_records.begin(experiment, small)  # as a process that is killed in its launch leaves it
    steps.finalize(experiment, [small], limit_s=None)
    text = "small has failed, and what there is of it is saved: its launch was cut off"
    assert text in [one.text for one in told]
    for _ in range(2):
        assert outcomes(experiment) == [("small", "done"), ("small~2", "failed")]
        assert experiment.state.runs[-1].reason == "its launch was cut off"
        runs.conclude(experiment, small)
    run_records.begin(experiment, Run(app_conf="large"))
    assert run_records.pending(experiment) == (Run(app_conf="large"),), "what was saved is not saved again"


def test_a_launch_that_failed_stays_the_reason(
    configured: Path, told: list[Event], launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> None:
        raise RemoteError("the launch failed")

    small = Run(app_conf="small")
    experiment = deploy(configured, told, planned(0, ["large"]))
    experiment = steps.take_up(configured, "workflow", told.append, app_conf=["small"])
    with monkeypatch.context() as patched:
        at("launch", "small", failing, patched)
        with pytest.raises(RemoteError):
            runs.launch_alone(experiment, small)
    record = experiment.state.runs[-1]
    assert (record.outcome, record.reason) == ("begun", "the launch failed.")
    at("finalize", "small", broken, monkeypatch)
    with pytest.raises(RemoteError, match="finalize failed"):
        runs.conclude(experiment, small)
    assert experiment.state.runs[-1].reason == record.reason
    runs.launch(experiment, small, begun=True)
    assert (experiment.state.runs[-1].outcome, experiment.state.runs[-1].reason) == ("launched", "")


def test_background_tasks_count_for_their_attempt_and_those_of_prepare_at_the_end(
    configured: Path, told: list[Event], launched: Launched
) -> None:
    def task(run: str, stage: Stage) -> BackgroundTask:
        return BackgroundTask(
            host="h", job=f"{run}-{stage}", task=stage, stage=stage, started=now(), limit_s=9, ended=True, rc=3, run=run
        )

    experiment = deploy(configured, told, planned(0, ["small"]))
    small = Run(app_conf="small")
    experiment.update(background=(task("small", "launch"), task("run", "prepare")))
    with pytest.raises(RemoteError, match="'launch' rc 3"):
        runs.conclude(experiment, small)
    runs.launch_alone(experiment, small)
    with pytest.raises(RemoteError, match="'prepare' rc 3"):
        steps.finalize(experiment, [small], limit_s=None)
    assert outcomes(experiment) == [("small", "failed"), ("small~2", "done")]
    runs.run_stage(experiment, "prepare", Run())
    assert experiment.state.background == ()


def test_nothing_temporary_of_a_killed_run_is_left_in_its_folder(configured: Path, told: list[Event]) -> None:
    experiment = deploy(configured, told, planned(1, ["small"]))
    left = [experiment.folder / place / ".ansible-x" for place in ("", "repeat-1", "repeat-2/small")]
    for folder in left:
        folder.mkdir()
    releasing.destroy(configured, told.append).require(configured)
    assert [folder for folder in left if folder.exists()] == []


def test_more_variables_and_a_run_of_any_name(configured: Path, told: list[Event], launched: Launched) -> None:
    experiment = deploy(configured, told, planned())
    config: Mapping[str, Any] = {"layers": [8, 16], "rate": 0.1}
    record = runs.execute(experiment, Run(label="trial-3"), extra_vars={"optimization_config": config})
    assert (record.identity, record.outcome, record.folder) == ("trial-3", "done", "trial-3")
    assert launched[-1][2]["optimization_config"] == config
    assert launched[-1][1] == "trial-3"
