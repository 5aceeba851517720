"""Tests that share something costly run in one worker."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("alone")
def test_the_scheduler_finds_groups_at_the_end_of_the_name(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", False):
        pytest.skip("only `--dist loadgroup` has groups")
    assert request.node.nodeid.endswith("groups_at_the_end_of_the_name@alone")
