"""What takes the place of batches that the disk did not give back."""

from __future__ import annotations

from provlight.envelope import TOMBSTONE, seal
from provlight.outbox import Entry

UNREADABLE = "the spool was damaged"
"""Reason of a loss."""


def lost_batch(client: str, seq: int, records: int) -> Entry:
    """The tombstone of a batch of which only the number of its records is known."""
    return Entry(seq, seal(client, seq, TOMBSTONE, records, [[], {}, UNREADABLE], [], False), 0)
