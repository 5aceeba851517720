"""Saving what an experiment brought: the dataflow database, and the manifest that tells how it came about."""

from __future__ import annotations

from pathlib import Path

from e2c.errors import E2CError
from e2c.experiment import results
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment, provider
from e2c.services import provenance

DRAIN_S = 120
SCENARIO_FILES = ("layers_services", "network", "workflow", "workflow_env")


def back_up(experiment: Experiment) -> None:
    """Copy the provenance database and what testbeds have measured into the output folder, and write the manifest.

    Raises:
        E2CError: something could not be saved; everything else was.
    """
    failures: list[E2CError] = []
    try:
        with experiment.phase("backup"):
            for save in (_provenance, _measurements):
                try:
                    save(experiment)
                except E2CError as error:
                    failures.append(error)
            for failure in failures[1:]:
                experiment.observe(Event("warning", "backup", str(failure)))
            if failures:
                raise failures[0]
    finally:
        results.write_manifest(experiment.folder, experiment.state, _inputs(experiment))


def _provenance(experiment: Experiment) -> None:
    plan = experiment.plan.provenance
    for service in experiment.state.services:
        if service.name == "provenance":
            provenance.backup(
                experiment.hosts[service.host],
                experiment.folder / "provenance-data",
                DRAIN_S,
                experiment.progress("backup"),
                [experiment.hosts[key] for key in plan.agents] if plan is not None else (),
            )


def _measurements(experiment: Experiment) -> None:
    for claim in experiment.state.claims:
        collect = getattr(provider(claim.provider), "collect", None)  # of testbeds that measure
        if collect is not None:
            folder = experiment.folder / "monitoring-data" / f"{claim.provider}-data"
            collect(claim, folder, experiment.watch("backup"))


def _inputs(experiment: Experiment) -> dict[str, Path]:
    """Files that decide the experiment, by a name that does not depend on where they lie."""
    names = [f"{name}{end}" for name in SCENARIO_FILES for end in (".yaml", ".yml")]
    files = {name: experiment.scenario / name for name in names}
    artifacts = Path(experiment.state.artifacts or experiment.scenario)
    if artifacts != experiment.scenario:
        files |= {f"artifacts/{path.relative_to(artifacts)}": path for path in sorted(artifacts.rglob("*"))}
    return {name: path for name, path in files.items() if path.is_file()}
