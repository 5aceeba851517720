"""Every record whose call returned is stored exactly once, whatever is killed; the long form is faults_campaign.py."""

from __future__ import annotations

import os
import shutil

import pytest
from faults_campaign import TARGETS, run

pytestmark = [pytest.mark.root, pytest.mark.broker, pytest.mark.monetdb, pytest.mark.timeout(600)]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nftables")
def test_nothing_is_lost_or_doubled_when_everything_is_killed() -> None:
    outcome = run(kills=40, seed=20261121)

    assert outcome.faults == []
    assert sum(outcome.kills.values()) == 40
    assert set(outcome.kills) == set(TARGETS)
    assert outcome.tasks > 1000
