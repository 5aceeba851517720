"""A copy of the example scenario, released whatever happens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from smoke_commands import EXAMPLE, run_e2clab, traces


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[Path]:
    """A copy of the example; whatever a test leaves deployed is released."""
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    copy = tmp_path / "scenario"
    copied = shutil.ignore_patterns("[0-9]*-[0-9]*", "digits")
    shutil.copytree(EXAMPLE, copy, ignore=copied)
    yield copy
    run_e2clab("destroy", copy)
    assert traces(copy) == []
