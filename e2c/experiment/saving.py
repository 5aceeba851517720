"""Saving what an experiment brought: the dataflow database, and the manifest that tells how it came about."""

from __future__ import annotations

from pathlib import Path

from e2c.errors import E2CError
from e2c.experiment import inputs, results, serving
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment, provider
from e2c.model.run import RunRecord

SCENARIO_FILES = ("layers_services", "network", "workflow", "workflow_env")


def back_up(experiment: Experiment, record: RunRecord | None = None, *, wait: bool = True) -> None:
    """Copy what services and testbeds have gathered into the output folder; see also :func:`describe`.

    Args:
        record: a run, which gets its own records in its own folder; ``None``: everything, in the experiment's folder.
        wait: for the sample of monitoring that is being taken.

    Raises:
        E2CError: something could not be saved; everything else was.
    """
    failures: list[E2CError] = []
    with experiment.phase("backup", record.run if record else None):
        folder = experiment.folder / (record.folder if record else "")
        for save in (*serving.savers(record, wait=wait), _measurements):
            try:
                save(experiment, folder)
            except E2CError as error:
                failures.append(error)
        for failure in failures[1:]:
            experiment.observe(Event("warning", "backup", str(failure)))
        if failures:
            raise failures[0]


def describe(experiment: Experiment) -> None:
    """Write the manifest, which tells how the experiment came about."""
    results.write_manifest(experiment.folder, experiment.state, _inputs(experiment))


def _measurements(experiment: Experiment, folder: Path) -> None:
    for claim in experiment.state.claims:
        collect = getattr(provider(claim.provider), "collect", None)  # of testbeds that measure
        if collect is not None:
            collect(claim, folder / "monitoring-data" / f"{claim.provider}-data", experiment.watch("backup"))


def _inputs(experiment: Experiment) -> dict[str, Path]:
    """Files that decide the experiment, by a name that does not depend on where they lie."""
    names = [f"{name}{end}" for name in SCENARIO_FILES for end in (".yaml", ".yml")]
    files = {name: experiment.scenario / name for name in names}
    artifacts = Path(experiment.state.artifacts or experiment.scenario)
    if artifacts != experiment.scenario:
        files |= {f"artifacts/{name}": Path(path) for name, path in sorted(inputs.files(artifacts))}
    files |= {f"services/{path.name}": path for path in serving.sources(experiment.state)}
    return {name: path for name, path in files.items() if path.is_file()}
