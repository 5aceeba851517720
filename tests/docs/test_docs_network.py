"""The scenarios that the page on links shows are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from e2c.config.assignments import KEYS, read_change
from e2c.config.network import Change, Network, Rule
from e2c.config.problems import errors
from e2c.experiment.changes import Record
from e2c.experiment.check import examine

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "network.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
LAYERS = next(block for block in BLOCKS if "layers:" in block)
NETWORKS = [block for block in BLOCKS if "networks:" in block]


@pytest.mark.parametrize("network", NETWORKS, ids=["first", "more", "schedule"])
def test_every_network_file_is_right(network: str, tmp_path: Path) -> None:
    (tmp_path / "layers_services.yaml").write_text(LAYERS)
    (tmp_path / "network.yaml").write_text(network)
    found = examine(tmp_path, tmp_path, "network")
    assert [problem.sentence() for problem in errors(found.problems)] == []


def test_every_key_is_told() -> None:
    assert len(NETWORKS) == 3
    missing = [
        key for model in (Rule, Change, Network) for key in model.model_fields if f"`{key}" not in PAGE and key != "at"
    ]
    assert missing == []


def test_the_changes_by_hand_and_the_record_are_as_they_are_read() -> None:
    given = re.findall(r"network set (\S+) (\S+) (.*?)(?: --symmetric)? --scenario", PAGE)
    assert len(given) == 3
    for src, dst, words in given:
        assert read_change(src, dst, words.split()).values().named
    line = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0]
    assert Record.model_validate_json(line).after_s == 30.121
    assert set(KEYS) <= set(re.findall(r"^\| `(\w+)` ", PAGE, re.MULTILINE))
