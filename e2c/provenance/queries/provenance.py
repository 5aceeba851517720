"""``queries.open(folder)``: the questions that are asked most, each a method."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2c.errors import ProvenanceError
from e2c.provenance.folder import DataFolder
from e2c.provenance.queries.answer import DEFAULT_LIMIT_S, Session

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
            names = [name if name.isidentifier() else "" for name in answer.columns]
            row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            return Result(answer.columns, [row._make(values) for values in answer.rows])

    def tasks(self, **filters: Any) -> list[Row]:
        """Tasks, newest first.

        Args:
            filters: ``dataflow``, ``workflow``, ``transformation``, ``status``, ``client``: texts; ``since``: a time;
                ``limit``: most rows; ``sort``: ``started``, ``ended``, ``duration`` or ``id``.
        """
        from e2c.provenance.queries.tasks import Filters, listed

        return listed(self, Filters(**filters))

    def task(self, identity: int | str, **narrowed: str | None) -> Row:
        """Everything of a task.

        Args:
            identity: the ``id`` of its row, or as text the identity that the application gave it.
            narrowed: ``transformation``, ``workflow`` or ``client``, where the identity is not the only one.

        Raises:
            QueryError: there is no such task, or there are several.
        """
        from e2c.provenance.queries.tasks import find, whole

        return whole(self, find(self, identity, **narrowed))

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

        return follow(self, find(self, identity, **narrowed), up=up, down=down, depth=depth)

    def compare(self, first: int | str, second: int | str, **narrowed: Any) -> Row:
        """Two tasks side by side, or two workflows when there are no such tasks.

        Raises:
            QueryError: one of them is not there, or there are several.
        """
        from e2c.provenance.queries.compare import compare

        return compare(self, first, second, **narrowed)

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
