"""The shell: SQL, one statement after the other, on a terminal or from a file, and its commands."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from e2c.errors import E2CError, QueryError
from e2c.provenance.command import output
from e2c.provenance.command.cells import cell, printable
from e2c.provenance.queries.answer import Answer
from e2c.provenance.queries.statement import is_empty, is_open, split

Ask = Callable[[str, float], AbstractContextManager[Answer]]
"""Answers a statement within a number of seconds."""

PROMPT, GOES_ON = "e2c> ", "...> "
FORMATS = ("table", "json", "jsonl", "csv")
HELP = """\
statements end with ;
\\d            tables and views
\\d NAME       columns of a table or view
\\dt  \\dv      tables, views
\\x            each column on a line of its own, on or off
\\f FORMAT     table, json, jsonl or csv
\\limit N      most rows, 0 for all
\\timing       time of each statement, on or off
\\o [FILE]     write results to a file; without FILE, here again
\\i FILE       statements from a file
\\q            leave; so does Ctrl-D
Ctrl-C        stops a statement, or forgets the line"""

KEYWORDS = (
    *("SELECT", "FROM", "WHERE", "GROUP", "BY", "ORDER", "HAVING", "LIMIT", "OFFSET", "JOIN", "LEFT", "INNER", "ON"),
    *("AS", "AND", "OR", "NOT", "NULL", "IS", "IN", "LIKE", "BETWEEN", "DISTINCT", "COUNT", "SUM", "AVG", "MIN", "MAX"),
    *("CASE", "WHEN", "THEN", "ELSE", "END", "WITH", "UNION", "ALL", "DESC", "ASC", "CAST", "COALESCE", "OVER"),
)

_RELATIONS = (
    "SELECT s.name AS \"schema\", t.name, CASE WHEN t.type = 1 THEN 'view' ELSE 'table' END AS kind, "
    "c.remark AS comment "
    "FROM sys.tables AS t JOIN sys.schemas AS s ON s.id = t.schema_id "
    "LEFT JOIN sys.comments AS c ON c.id = t.id WHERE NOT t.system AND s.name <> 'tmp' AND t.type IN ({}) "
    "ORDER BY 1, 3 DESC, 2"
)
_COLUMNS = (
    'SELECT c.name AS "column", c.type, c.type_digits AS digits, c."null" AS nullable, r.remark AS comment '
    "FROM sys.columns AS c JOIN sys.tables AS t ON t.id = c.table_id JOIN sys.schemas AS s ON s.id = t.schema_id "
    "LEFT JOIN sys.comments AS r ON r.id = c.id "
    "WHERE t.name = :name AND s.name = :schema ORDER BY c.number"
)
_NAMES = (
    "SELECT t.name FROM sys.tables AS t WHERE NOT t.system "
    "UNION SELECT c.name FROM sys.columns AS c JOIN sys.tables AS t ON t.id = c.table_id WHERE NOT t.system"
)


class Shell:
    """Reads statements and commands from standard input and answers them.

    Args:
        ask: answers a statement.
        limit_s: time that a statement may take.
    """

    def __init__(self, ask: Ask, limit_s: float = 300.0) -> None:
        self._ask = ask
        self._limit_s = limit_s
        self._interactive = sys.stdin.isatty()
        self._form = "table"
        self._expanded = False
        self._timing = False
        self._most: int | None = None
        self._file: IO[bytes] | None = None
        self._names: list[str] | None = None

    def run(self) -> int:
        """Read to the end. Returns the exit code: not 0 when a statement failed that nobody typed."""
        if not self._interactive:
            try:
                self._script(sys.stdin.read(), "standard input")
            except E2CError as error:
                self._tell(str(error))
                return error.exit_code
            finally:
                self._to_file("")
            return 0
        with self._edited_lines():
            self._talk()
        self._to_file("")
        return 0

    # ------------------------------------------------------------------------------------------------- reading

    def _talk(self) -> None:
        print("Only reading is possible; \\? shows the commands.")
        pending = ""
        while True:
            try:
                line = input(GOES_ON if pending else PROMPT)
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()
                pending = ""
                continue
            try:
                if not pending and line.lstrip().startswith("\\"):
                    if not self._command(line.strip()):
                        return
                    continue
                pending = self._statements(f"{pending}{line}\n")
            except KeyboardInterrupt:
                pending = ""
                self._tell("stopped")
            except (E2CError, OSError) as error:
                pending = ""
                self._tell(str(error))

    def _statements(self, text: str) -> str:
        """Answer what is whole; gives back the rest."""
        if is_open(text):
            return text
        whole, rest = split(text)
        for statement in whole:
            self._answer(statement)
        return "" if is_empty(rest) else rest

    def _script(self, text: str, name: str) -> None:
        pending = ""
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            try:
                if not pending.strip() and line.lstrip().startswith("\\"):
                    if not self._command(line.strip()):
                        return
                    continue
                pending = self._statements(pending + line)
            except QueryError as error:
                error.where = f"{name}, line {number}"
                raise
        if not is_empty(pending):
            self._answer(pending)

    @contextmanager
    def _edited_lines(self) -> Iterator[None]:
        """Lines with history and completion, where this Python has them."""
        try:
            import readline
        except ImportError:
            yield
            return
        kept = history()
        with suppress(OSError):
            readline.read_history_file(kept)
        readline.set_history_length(5000)
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t\n()=<>,;\"'")
        readline.parse_and_bind("tab: complete")
        try:
            yield
        finally:
            with suppress(OSError):
                kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                readline.write_history_file(kept)
                kept.chmod(0o600)

    def _complete(self, text: str, state: int) -> str | None:
        if self._names is None:
            self._names = []
            with suppress(E2CError), self._ask(_NAMES, 10) as answer:
                self._names = sorted(row[0] for row in answer.rows)
        prefix, point, word = text.rpartition(".")
        lower = word.lower()
        found = [f"{prefix}{point}{name}" for name in self._names if name.startswith(lower)]
        if not point:
            found += [
                keyword if text.isupper() else keyword.lower()
                for keyword in KEYWORDS
                if keyword.lower().startswith(lower)
            ]
        return found[state] if state < len(found) else None

    # ------------------------------------------------------------------------------------------------ commands

    def _command(self, line: str) -> bool:
        """Obey a command; False leaves."""
        word, _, argument = line.partition(" ")
        argument = argument.strip().rstrip(";").strip()
        if word == "\\q":
            return False
        if word in ("\\?", "\\h", "\\help"):
            self._say(HELP)
        elif word in ("\\d", "\\dt", "\\dv", "\\d+"):
            if argument:
                self._describe(argument)
            else:
                self._answer(_RELATIONS.format({"\\dt": "0", "\\dv": "1"}.get(word, "0, 1")))
        elif word == "\\x":
            self._expanded = not self._expanded
            self._say(f"each column on its own line: {'on' if self._expanded else 'off'}")
        elif word == "\\timing":
            self._timing = not self._timing
            self._say(f"timing: {'on' if self._timing else 'off'}")
        elif word == "\\f":
            if argument not in FORMATS:
                raise QueryError(f"there is no format {argument!r}", why=f"known are {', '.join(FORMATS)}")
            self._form = argument
        elif word == "\\limit":
            if not argument.isdecimal():
                raise QueryError("\\limit needs a number of rows, 0 for all")
            self._most = int(argument)
        elif word == "\\o":
            self._to_file(argument)
        elif word == "\\i":
            try:
                text = Path(argument).expanduser().read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise QueryError("the file cannot be read", where=argument, why=str(error)) from error
            self._script(text, argument)
        else:
            raise QueryError(f"there is no command {word}", hint="\\? shows them")
        return True

    def _describe(self, name: str) -> None:
        from e2c.provenance.queries.statement import bind

        schema, point, table = name.rpartition(".")
        table = table[1:-1] if table.startswith('"') else table.lower()
        sql = bind(_COLUMNS, {"name": table, "schema": schema.strip('"') if point else "public"})
        with self._ask(sql, self._limit_s) as answer:
            rows = list(answer.rows)
        if not rows:
            raise QueryError(f"there is no table or view {name}", hint="\\d shows which there are")
        self._answer(sql)

    def _to_file(self, name: str) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if name:
            try:
                self._file = Path(name).expanduser().open("wb")
            except OSError as error:
                raise QueryError("the file cannot be written", where=name, why=error.strerror) from error

    # ----------------------------------------------------------------------------------------------- answering

    def _answer(self, sql: str) -> None:
        began = time.monotonic()
        with self._ask(sql, self._limit_s) as answer:
            most = output.most_rows(self._most, self._form, Path("-") if self._file else None)
            with self._out() as out:
                if self._expanded and self._form == "table":
                    limited = output.Limited(answer, most)
                    for place, row in enumerate(limited.rows(), 1):
                        out.write(f"-[ {place} ]-\n".encode())
                        wide = max(map(len, answer.columns))
                        for name, value in zip(answer.columns, row, strict=True):
                            text = printable(cell(value))
                            out.write(f"{printable(name):{wide}}  {text}\n".encode(errors="replace"))
                else:
                    limited = output.write(answer, self._form, out, most)
                if self._interactive and self._form == "table" and not self._file:
                    out.write(f"{limited.taken} row{'' if limited.taken == 1 else 's'}\n".encode())
                out.flush()
        if limited.more:
            self._tell(f"... there are more than these {limited.taken} rows; \\limit 0 gives all")
        if self._timing:
            self._say(f"{time.monotonic() - began:.3f} s")

    @contextmanager
    def _out(self) -> Iterator[Any]:
        sys.stdout.flush()
        yield self._file or sys.stdout.buffer

    def _say(self, text: str) -> None:
        print(text, flush=True)

    def _tell(self, text: str) -> None:
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)


def history() -> Path:
    """The file with the lines that were typed."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "e2c" / "sql_history"
