"""What a configuration becomes, and what an optimizer is good for while it holds nothing."""

from __future__ import annotations

import fractions
import pickle
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import e2c
from e2c.errors import ScenarioError, StateError
from e2c.optimizer.configuration import plain, variables


def test_values_keep_their_kind_and_those_of_numpy_become_plain() -> None:
    given = {
        "rate": 0.5,
        "steps": 3,
        "fast": True,
        "name": "a b",
        "nothing": None,
        "layers": (8, [16, numpy.int64(32)]),
        "deep": {"x": numpy.float64(0.25), 7: numpy.array([1, 2])},
        "chosen": numpy.str_("adam"),
        "on": numpy.bool_(True),
    }
    found = plain(given)
    assert found == {
        "rate": 0.5,
        "steps": 3,
        "fast": True,
        "name": "a b",
        "nothing": None,
        "layers": [8, [16, 32]],
        "deep": {"x": 0.25, "7": [1, 2]},
        "chosen": "adam",
        "on": True,
    }
    kinds = [type(found[name]) for name in ("rate", "steps", "fast", "name", "chosen", "on")]
    assert kinds == [float, int, bool, str, str, bool]
    assert type(found["deep"]["x"]) is float


@pytest.mark.parametrize("value", [object(), {1, 2}, fractions.Fraction(1, 2), b"bytes", [object()]])
def test_what_plays_cannot_take_is_one_sentence(value: object) -> None:
    with pytest.raises(ScenarioError, match=r"optimization_config: odd.* has a value that plays cannot take"):
        plain({"odd": value})


def test_each_value_is_a_variable_where_its_name_is_one() -> None:
    given = {"rate": 0.5, "learning-rate": 1, "2x": 2, "für": 3}
    assert variables(given) == {"optimization_config": given, "env_rate": 0.5, "env_2x": 2}


def test_nothing_is_launched_or_asked_before_it_is_prepared(tmp_path: Path) -> None:
    optimizer = e2c.Optimizer(tmp_path, tmp_path)
    for call in (lambda: optimizer.launch({}), lambda: optimizer.query("SELECT 1")):
        with pytest.raises(StateError, match=r"holds no hosts.*Call prepare"):
            call()
    optimizer.finalize()
    with pytest.raises(NotImplementedError):
        optimizer.run()
    with pytest.raises(ValueError, match="negative"):
        e2c.Optimizer(tmp_path, tmp_path, repeat=-1)
    with pytest.raises(ScenarioError, match="layers_services"):
        optimizer.prepare()
    with pytest.raises(StateError, match="no such scenario folder"):
        e2c.Optimizer(tmp_path / "nowhere", tmp_path).prepare()


def test_it_is_sent_to_other_processes_as_long_as_it_holds_nothing(tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(e2c.Optimizer(tmp_path, tmp_path / "artifacts", duration=2, repeat=1)))
    assert (copy.scenario_dir, copy.artifacts_dir) == (tmp_path, tmp_path / "artifacts")
    copy.finalize()


def test_it_costs_nothing_until_it_is_asked_for() -> None:
    program = (
        "import sys, e2c; light = len(sys.modules); assert 'pydantic' not in sys.modules; "
        "e2c.Optimizer; assert len(sys.modules) > light + 100; e2c.nonsense"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.strip().endswith("AttributeError: module 'e2c' has no attribute 'nonsense'")
