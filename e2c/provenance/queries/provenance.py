"""``queries.open(folder)``: the questions that are asked most, each a method."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2c.errors import ProvenanceError, QueryError
from e2c.provenance.folder import DataFolder
from e2c.provenance.queries.answer import DEFAULT_LIMIT_S, Answer, Session

if TYPE_CHECKING:
    from e2c.provenance.queries.lineage import Lineage

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """The whole result of a statement.

    ``rows`` are named tuples; a column whose name is no Python name has its place instead, as in ``_3``.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def dicts(self) -> list[Row]:
        """Each row as a dictionary."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    @property
    def value(self) -> Any:
        """The only value, where there is one row with one column.

        Raises:
            QueryError: there are more, or none.
        """
        if len(self.rows) != 1 or len(self.columns) != 1:
            raise QueryError(f"the result has {len(self.rows)} rows and {len(self.columns)} columns, not one value")
        return self.rows[0][0]

    def frame(self) -> Any:
        """The result as a pandas data frame.

        Raises:
            ProvenanceError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ProvenanceError(
                "data frames need pandas, which is not installed", hint="Install it: `pip install pandas`"
            ) from error
        return pandas.DataFrame(self.rows, columns=list(self.columns))


def gathered(answer: Answer) -> Result:
    """All rows of an answer."""
    names = [name if name.isidentifier() else "" for name in answer.columns]
    row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    return Result(answer.columns, [row._make(values) for values in answer.rows])


class Provenance:
    """A dataflow database that answers. Made by :func:`open_folder`; each method may take as long as ``limit_s``."""

    def __init__(self, session: Session, limit_s: float = DEFAULT_LIMIT_S) -> None:
        self._session = session
        self._limit_s = limit_s

    def sql(self, statement: str, /, **parameters: Any) -> Result:
        """The rows of one statement.

        Args:
            parameters: values of ``:name`` in it: numbers, texts, truth values, dates, None, lists of these.

        Raises:
            QueryError: it was refused, or took too long.
        """
        with self._session.ask(statement, self._limit_s, parameters) as answer:
            return gathered(answer)

    def tasks(self, **filters: Any) -> list[Row]:
        """Tasks, newest first.

        Args:
            filters: ``dataflow``, ``workflow``, ``transformation``, ``status``, ``client``, ``run``: texts; ``since``:
                a time; ``limit``: most rows; ``sort``: ``started``, ``ended``, ``duration`` or ``id``.
        """
        from e2c.provenance.queries.tasks import Filters, listed

        return listed(self, Filters(**filters))

    def task(self, identity: int | str, **narrowed: str | None) -> Row:
        """Everything of a task.

        Args:
            identity: the ``id`` of its row, or as text the identity that the application gave it.
            narrowed: ``transformation``, ``workflow``, ``client`` or ``run``, where the identity is not the only one;
                without a run, the task of the newest one that has it.

        Raises:
            QueryError: there is no such task, or there are several.
        """
        from e2c.provenance.queries.tasks import find, whole

        return whole(self, find(self, identity, **narrowed).id)

    def lineage(
        self, identity: int | str, *, up: bool = True, down: bool = True, depth: int | None = None, **narrowed: Any
    ) -> Lineage:
        """What a task came from, and what came of it.

        Args:
            identity: as for :meth:`task`, with ``narrowed``.
            depth: most steps in each direction; None follows to the ends.

        Raises:
            QueryError: there is no such task, or there are several.
        """
        from e2c.provenance.queries.lineage import follow
        from e2c.provenance.queries.tasks import find

        return follow(self, find(self, identity, **narrowed).id, up=up, down=down, depth=depth)

    def compare(self, first: int | str, second: int | str, **narrowed: Any) -> Row:
        """Two tasks side by side; when there are no such tasks two workflows, or two runs.

        Raises:
            QueryError: one of them is not there, or there are several.
        """
        from e2c.provenance.queries.compare import compare

        return compare(self, first, second, **narrowed)

    def runs(self) -> list[Row]:
        """Runs that have tasks, the newest first; ``run`` is None for tasks that are part of no named one."""
        from e2c.provenance.queries.listing import listed

        return listed(self, "runs")

    def timeline(self, **filters: Any) -> list[Row]:
        """When tasks ran, by host and client; filters as for :meth:`tasks`."""
        from e2c.provenance.queries.timeline import lanes

        return lanes(self, **filters)

    def dicts(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of one statement as dictionaries."""
        with self._session.ask(statement, self._limit_s, parameters or {}) as answer:
            return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def columns(self, statement: str) -> list[Sequence[Any]]:
        """The columns of one statement's result: the fastest form."""
        with self._session.ask(statement, self._limit_s) as answer:
            gathered: list[list[Any]] = [[] for _ in answer.columns]
            for block in answer.blocks:
                for column, values in zip(gathered, block, strict=True):
                    column.extend(values)
            return [*gathered]


@contextmanager
def open_folder(data: str | Path | DataFolder, limit_s: float = DEFAULT_LIMIT_S) -> Iterator[Provenance]:
    """Open the database of a running service.

    Args:
        data: the folder of ``serve --data``.
        limit_s: time that a statement may take, in seconds.

    Raises:
        ProvenanceError: the database does not answer.
    """
    folder = data if isinstance(data, DataFolder) else DataFolder(Path(data).absolute())
    with Session(folder) as session:
        yield Provenance(session, limit_s)
