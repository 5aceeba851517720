"""Many records, every part killed: each is stored once; the long form is faults_million.py."""

from __future__ import annotations

import os

import pytest
from faults_million import PARTS, run

pytestmark = [pytest.mark.root, pytest.mark.broker, pytest.mark.monetdb, pytest.mark.timeout(600)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_thousands_of_records_are_stored_once_while_every_part_is_killed() -> None:
    report = run(records=15_000, seed=20261121, pause_s=0.7)

    assert report.faults == []
    assert report.records >= 15_000
    assert set(report.kills) == set(PARTS)
    assert all(report.kills.values())
