"""The reference: E2Clab 3.7.0's translator, posting to a service that stores each message in a transaction."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import peers
from recorder import TABLES
from stand import HERE, ROOT, Stand


class Peer:
    """Its translator, and the service that it posts to."""

    def __init__(self, stand: Stand, translator: subprocess.Popen[str]) -> None:
        self._stand = stand
        self._translator = translator

    def rate(self, messages: int, attributes: int) -> float:
        """Messages each second, all of them stored."""
        before = self._stored(attributes)
        assert self._translator.stdin is not None
        assert self._translator.stdout is not None
        self._translator.stdin.write(json.dumps([messages, attributes]) + "\n")
        self._translator.stdin.flush()
        line = self._translator.stdout.readline()
        if not line:
            sys.exit("the peer's translator ended")
        found = json.loads(line)
        if self._stored(attributes) - before != found["messages"]:
            sys.exit("not all messages of the peer are stored")
        return float(found["messages"] / found["wall_s"])

    def _stored(self, attributes: int) -> int:
        return int(self._stand.ask(f"SELECT count(*) FROM {TABLES[attributes]}")[0][0])


def environment() -> Path:
    """Python of the environment in which the peer is installed."""
    return peers.environment(HERE / "requirements.txt", HERE / "requirements-alone.txt")


@contextlib.contextmanager
def standing(stand: Stand, python: Path) -> Iterator[Peer]:
    """The peer, until the block is left."""
    command = [sys.executable, str(HERE / "recorder.py"), str(stand.folder.root)]
    with subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as recorder:
        assert recorder.stdout is not None
        port = recorder.stdout.readline().split()[1]
        with subprocess.Popen(
            [str(python), str(HERE / "translating.py"), port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as translator:
            yield Peer(stand, translator)
