"""Records kept in this process, for the tests of applications::

provlight.configure(transport="memory")
run_my_application()
provlight.flush()
assert [record.task for record in provlight.transport.memory.records()] == [1, 1]
"""

from __future__ import annotations

from typing import List

from provlight.shapes import Record
from provlight.wire import Batch

from . import Link, Transport
from .local import LocalLink

_batches: List[Batch] = []


def batches() -> List[Batch]:
    """The batches received since :func:`clear`."""
    return list(_batches)


def records() -> List[Record]:
    """The records received since :func:`clear`, in the order of capture."""
    return [record for batch in _batches for record in batch.in_order()]


def clear() -> None:
    """Forget everything received."""
    _batches.clear()


class MemoryTransport(Transport):
    """Links into :func:`records`."""

    def connect(self, client: str) -> Link:  # noqa: ARG002 there is one process
        """Open a link. Never fails."""
        return _MemoryLink()


class _MemoryLink(LocalLink):
    def take(self, batch: Batch) -> None:
        _batches.append(batch)
