"""The reference of the database, made from a database: ``python -m e2c.provenance.dataflows.reference DOCS``.

It starts a database in a temporary folder, declares the tutorial's dataflow, and reads tables, columns and comments. It
writes the tables into ``reference/database.md``, between two marks, and the diagram into ``images/schema.svg``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from e2c.provenance.connections import connect, rows
from e2c.provenance.dataflows import diagram, schema
from e2c.provenance.dataflows.catalogue import Catalogue
from e2c.provenance.dataflows.dataflow import parse
from e2c.provenance.folder import DataFolder

BEGIN, END = "<!-- made by python -m e2c.provenance.dataflows.reference: begin -->", "<!-- end -->"

PUBLISHED = {
    "dataflow": "id tag",
    "dataflow_version": "version df_id",
    "data_transformation": "id df_id tag",
    "program": "id df_id name path",
    "use_program": "dt_id program_id",
    "data_set": "id df_id tag",
    "data_dependency": "id previous_dt_id next_dt_id ds_id",
    "extractor": "id ds_id tag cartridge extension",
    "extractor_combination": "id ds_id outer_ext_id inner_ext_id keys key_types",
    "attribute": "id ds_id extractor_id name type",
    "task": "id identifier df_version dt_id status workspace computing_resource output_msg error_msg",
    "file": "id task_id name path",
    "performance": "id task_id subtask_id method description starttime endtime invocation",
}
"""DfAnalyzer's tables and columns, in its order."""

REFERENCES = {
    "df_id": "dataflow",
    "df_version": "dataflow_version",
    "dt_id": "data_transformation",
    "previous_dt_id": "data_transformation",
    "next_dt_id": "data_transformation",
    "parent_dt_id": "data_transformation",
    "program_id": "program",
    "ds_id": "data_set",
    "extractor_id": "extractor",
    "outer_ext_id": "extractor",
    "inner_ext_id": "extractor",
    "attribute_id": "attribute",
    "task_id": "task",
    "subtask_id": "task",
    "parent_id": "task",
    "producer_id": "task",
    "named_by": "task_dependency",
    "consumer_id": "task",
    "dependency_id": "task",
    "training_task_id": "task",
    "element_id": "ds_training_input",
    "client_id": "client",
}
"""What the columns refer to. The tables have no foreign keys, which would cost at each row; there is one writer."""

EXAMPLE: dict[str, Any] = {
    "tag": "model_training",
    "transformations": [
        {
            "tag": "training",
            "sets": [
                {
                    "tag": "training_input",
                    "type": "INPUT",
                    "attributes": [
                        {"name": name, "type": "NUMERIC"}
                        for name in ("kernel_size", "num_kernels", "length_of_strides", "pooling_size")
                    ],
                }
            ],
        }
    ],
}
"""A dataflow with one set, of which the diagram shows the table."""

_TYPES = {"int": "INTEGER", "bigint": "BIGINT", "varchar": "TEXT", "clob": "TEXT", "char": "TEXT", "double": "DOUBLE"}


@dataclass(frozen=True)
class Column:
    """A column as the database describes it."""

    name: str
    type: str
    meaning: str
    added: bool  # not DfAnalyzer's


@dataclass(frozen=True)
class Table:
    """A table or view as the database describes it."""

    name: str
    view: bool
    meaning: str
    columns: tuple[Column, ...]


def read() -> list[Table]:
    """Start a database and read the description of its tables: those of DfAnalyzer first, then this service's."""
    with tempfile.TemporaryDirectory(prefix="e2c-reference-") as root:
        folder = DataFolder(Path(root) / "data")
        folder.make()
        folder.passwords()
        command = [sys.executable, "-m", "e2c.provenance.serving.database", str(folder.root), "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            if not server.stdout.readline().startswith("ready"):
                raise RuntimeError(server.communicate()[1])
            connection = connect(folder)
            try:
                (example,) = parse([EXAMPLE])
                Catalogue(connection).declare(example)
                return _described(connection)
            finally:
                connection.close()
        finally:
            server.terminate()
            server.communicate(timeout=60)


def _described(connection: Any) -> list[Table]:
    found: dict[str, Table] = {}
    for name, view, meaning, column, kind, said in rows(
        connection,
        "SELECT t.name, t.query IS NOT NULL, tm.remark, c.name, c.type, cm.remark FROM sys.tables AS t "
        "JOIN sys.schemas AS s ON s.id = t.schema_id JOIN sys.columns AS c ON c.table_id = t.id "
        "LEFT JOIN sys.comments AS tm ON tm.id = t.id LEFT JOIN sys.comments AS cm ON cm.id = c.id "
        "WHERE s.name = 'public' ORDER BY t.id, c.number",
    ):
        table = found.get(name, Table(name, view, meaning or "", ()))
        added = name not in PUBLISHED or column not in PUBLISHED[name].split()
        one = Column(column, _TYPES.get(kind, kind.upper()), said or "", added)
        found[name] = replace(table, columns=(*table.columns, one))
    order = [*PUBLISHED, *(name for name in found if name not in PUBLISHED)]
    return [found[name] for name in order if name in schema.names() or name == "ds_training_input"]


def markdown(tables: list[Table]) -> str:
    """The tables as a section of the reference."""
    parts = []
    for title, said, chosen in (
        ("System tables", "DfAnalyzer's, with its columns first.", [one for one in tables if one.name in PUBLISHED]),
        (
            "Tables of this service",
            "",
            [one for one in tables if one.name not in PUBLISHED and one.name in schema.names()],
        ),
    ):
        parts.append(f"## {title}\n" + (f"\n{said}\n" if said else ""))
        for table in chosen:
            parts.append(f"### {table.name}\n\n{'A view. ' if table.view else ''}{table.meaning}\n")
            lines = ["| column | type | meaning |", "|---|---|---|"]
            for column in table.columns:
                mark = "*added* " if column.added and table.name in PUBLISHED else ""
                lines.append(f"| `{column.name}` | {column.type} | {mark}{column.meaning} |")
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def merged(page: str, section: str) -> str:
    """The page with the section between its marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has not the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write page and diagram."""
    docs = Path(arguments[0])
    tables = read()
    page = docs / "reference" / "database.md"
    page.write_text(merged(page.read_text(encoding="utf-8"), markdown(tables)), encoding="utf-8")
    (docs / "images" / "schema.svg").write_text(drawn(tables), encoding="utf-8")
    return 0


def drawn(tables: list[Table]) -> str:
    """The diagram."""
    boxes = [
        diagram.Box(
            table.name,
            "view" if table.view else "table",
            tuple(
                diagram.Row(column.name, column.type, column.added, REFERENCES.get(column.name))
                for column in table.columns
            ),
        )
        for table in tables
    ]
    return diagram.draw(boxes, LAYOUT)


LAYOUT = (
    ("program", "use_program", "dataflow", "dataflow_version", "workflow", "undeclared"),
    ("data_transformation", "data_dependency", "data_set", "extractor_combination", "extractor"),
    ("ds_training_input", "attribute", "exact_value", "derivation", "file", "task_link"),
    ("task", "task_dependency", "task_extra", "performance", "awaited_task"),
    ("client", "client_shape", "loss", "rejected", "awaited_set"),
    ("task_load", "monitoring_sample"),
)
"""Columns of the diagram; a table that is not named here comes last."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
