"""Questions to a dataflow database, as a user who can only read: SQL, tasks and where they came from."""

from __future__ import annotations

from e2c.provenance.queries.answer import DEFAULT_LIMIT_S, Answer, Session, ask
from e2c.provenance.queries.provenance import Provenance, Result, open_folder

open = open_folder
"""As in ``with queries.open(folder) as provenance``."""

__all__ = ["DEFAULT_LIMIT_S", "Answer", "Provenance", "Result", "Session", "ask", "open", "open_folder"]
