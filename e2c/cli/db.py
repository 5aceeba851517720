"""``e2clab db``: the dataflow database as a place to be in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Work in the dataflow database.", no_args_is_help=True, rich_markup_mode=None)


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="db")


@app.callback()
def group() -> None:
    """Work in the dataflow database."""


@app.command()
def shell(
    scenario_dir: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SCENARIO_DIR]",
            exists=True,
            file_okay=False,
            resolve_path=True,
            help="Folder of a deployed scenario.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False, help="Data folder of `e2clab provenance serve`, instead."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, max=86_400, help="Time that a statement may take.")
    ] = 300,
) -> None:
    r"""Ask in SQL, one statement after the other.

    Only reading is possible. Statements end with a semicolon; \? shows the other commands, \d the tables. Statements
    can also come from a pipe; then the first one that fails ends it, with an exit code that is not 0.
    """
    if (scenario_dir is None) == (data is None):
        raise typer.BadParameter("name a SCENARIO_DIR, or a data folder with --data")
    from e2c.provenance.command.console import Shell

    if data is not None:
        from e2c.provenance.folder import DataFolder
        from e2c.provenance.queries import Session

        with Session(DataFolder(data.absolute())) as session:
            raise typer.Exit(Shell(session.ask, timeout).run())
    from e2c.experiment import questions

    assert scenario_dir is not None
    host = questions.database_host(scenario_dir)
    raise typer.Exit(Shell(lambda sql, limit_s: questions.query(host, sql, limit_s), timeout).run())
