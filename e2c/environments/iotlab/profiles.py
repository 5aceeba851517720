"""Names of experiments and monitoring profiles on FIT IoT-LAB. Both hold the mark of the scenario. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from e2c.environments import naming

_OTHER = re.compile(r"[^0-9A-Za-z_]")


def job_name(wanted: str, scenario: str) -> str:
    """The name of a scenario's experiments: only characters that the testbed's own pages accept too."""
    return _OTHER.sub("_", naming.job_name(wanted, scenario))


def is_of(name: str, scenario: str) -> bool:
    """Whether an experiment of that name belongs to the scenario."""
    return name.endswith(f"_{naming.mark(scenario)}")


def profile_names(names: Sequence[str], job: str) -> dict[str, str]:
    """What the profiles of a scenario are called on the testbed, where an account's profiles share one list.

    Args:
        names: as the scenario calls them.
        job: name of the experiment, whose mark they carry.
    """
    return {name: f"e2c{place}_{_OTHER.sub('_', name)}_{_mark(job)}" for place, name in enumerate(names, 1)}


def is_profile_of(name: str, job: str) -> bool:
    """Whether a profile was made for the experiments of that name."""
    return name.startswith("e2c") and name.endswith(f"_{_mark(job)}")


def _mark(job: str) -> str:
    return job[-naming.MARK_LENGTH :]
