"""What runs are called, and where their results lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2c.config.names import OUTPUT_NAMES, configuration_fault
from e2c.model.run import UNNAMED, Run, planned

names = st.text("abR1_.+=-", min_size=1, max_size=8).filter(lambda name: configuration_fault(name) is None)


@settings(deadline=None, max_examples=60)
@given(more=st.integers(0, 12), configurations=st.lists(names, max_size=6))
def test_runs_have_folders_of_their_own_and_come_in_order(more: int, configurations: list[str]) -> None:
    made = planned(more, configurations)
    once = list(dict.fromkeys(configurations)) or [""]
    assert [(run.repeat, run.app_conf) for run in made] == [
        (repeat, name) for repeat in range(1, more + 2) for name in once
    ]
    folders = [run.name for run in made]
    assert len(set(folders)) == len({run.identity for run in made}) == len(made)
    for folder in folders:
        parts = Path(folder).parts
        assert not Path(folder).is_absolute()
        assert not {"..", "."} & set(parts)
        assert not OUTPUT_NAMES & set(parts), "nothing else that is written has its name"
    above = {str(parent) for folder in folders for parent in Path(folder).parents}
    assert not above & (set(folders) - {""}), "no run's folder lies in that of another"
    assert (made[0].name == "") == (len(made) == 1 and once == [""])


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (Run(), ""),
        (Run(app_conf="large"), "large"),
        (Run(repeat=2, repeats=3), "repeat-2"),
        (Run(repeat=2, repeats=3, app_conf="large"), "repeat-2/large"),
        (Run(repeat=2, repeats=3, app_conf="large", label="trial-7"), "trial-7"),
    ],
)
def test_names(run: Run, name: str) -> None:
    assert run.name == name
    assert run.identity == (name or UNNAMED)


def test_no_configuration_is_called_like_a_run_without_one() -> None:
    for run in (*planned(), *planned(11)):
        assert configuration_fault(run.identity) is not None
        assert configuration_fault(f"{run.identity}-small") is None
