"""Which tasks are exported."""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import datetime, timezone

from e2c.provenance.export.snapshot import Fields, Snapshot
from e2c.provenance.names import literal

SELECTED = "tmp.selected"
"""Temporary table of the ids of the selected tasks."""


@dataclass(frozen=True)
class Selection:
    """Tasks of a workflow, of a dataflow, of a run, or that began in a span of time; without any of them, all.

    Args:
        workflow: identity of the workflow, as the application gave it.
        dataflow: tag.
        since: first moment, UTC.
        until: first moment that no longer counts, UTC.
        run: name of the run.
    """

    workflow: str | None = None
    dataflow: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    run: str | None = None

    @property
    def any(self) -> bool:
        """Whether something is left out."""
        return any(value is not None for value in (self.workflow, self.dataflow, self.since, self.until, self.run))

    def apply(self, found: Snapshot) -> None:
        """Make the table of the selected tasks, for the life of the snapshot."""
        if not self.any:
            return
        found.execute(f"CREATE LOCAL TEMPORARY TABLE {SELECTED} (id INTEGER) ON COMMIT DELETE ROWS")
        conditions = []
        if self.workflow is not None:
            conditions.append(f"workflow = {literal(self.workflow)}")
        if self.dataflow is not None:
            versions = (
                'SELECT v.version FROM "public".dataflow_version AS v JOIN "public".dataflow AS f ON f.id = v.df_id '
                f"WHERE f.tag = {literal(self.dataflow.lower())}"
            )
            conditions.append(f"df_version IN ({versions})")
        if self.run is not None:
            conditions.append(f"run = {literal(self.run)}")
        if self.since is not None:
            conditions.append(f"coalesce(started, ended) >= {_moment(self.since)}")
        if self.until is not None:
            conditions.append(f"coalesce(started, ended) < {_moment(self.until)}")
        found.execute(f'INSERT INTO {SELECTED} SELECT id FROM "public".task WHERE {" AND ".join(conditions)}')

    def condition(self, column: str) -> str | None:
        """A condition on a column that names a task; None where nothing is left out."""
        return f"{column} IN (SELECT id FROM {SELECTED})" if self.any else None

    def tasks(self, found: Snapshot) -> array[int]:
        """Ids of the selected tasks, in their order."""
        ids: array[int] = array("i")

        def row(fields: Fields) -> None:
            ids.append(int(fields[0]))

        source = SELECTED if self.any else '"public".task'
        found.stream(f"SELECT id FROM {source}", row)
        return array("i", sorted(ids))


def _moment(value: datetime) -> str:
    naive = value.astimezone(timezone.utc).replace(tzinfo=None)
    return f"TIMESTAMP '{naive.isoformat(sep=' ', timespec='microseconds')}'"
