"""A short run of the fuzzer; a long one is ``python tests/config/config_fuzzer.py --minutes 10``."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_fuzzer import Fuzzer


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
def test_damaged_scenarios_end_in_a_verdict(seed: int, tmp_path: Path) -> None:
    found = Fuzzer(tmp_path, seed).run(inputs=100)

    assert found.faults == {}
    assert found.inputs == 100
    assert len(found.codes) > 10  # the damage reaches beyond the parser
