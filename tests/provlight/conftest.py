"""Fixtures of the room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from provlight_broker import ROOT, Broker, Translator

import provlight
from provlight.transport import memory


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed")
    started = Broker(tmp_path)
    try:
        started.start()
        yield started
    finally:
        started.kill()


@pytest.fixture
def translator(broker: Broker) -> Iterator[Translator]:
    started = Translator(broker)
    yield started
    started.close()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the machine reaches a test, and no test leaves threads or records to the next one."""
    for key in [key for key in os.environ if key.startswith("PROVLIGHT_")]:
        monkeypatch.delenv(key)
    memory.clear()
    yield
    provlight.configure(transport="none", flush_timeout=0)
    memory.clear()


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(program: str, environment: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=timeout, cwd=ROOT
        )

    return run
