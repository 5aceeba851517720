"""``e2clab provenance COMMAND --scenario SCENARIO_DIR``: the same command, on the host of a deployed scenario."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

OPTION = "--scenario"


def scenario_of(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The folder that ``--scenario`` names, and the other arguments."""
    left: list[str] = []
    scenario: str | None = None
    words = iter(arguments)
    for word in words:
        if word == "--":
            left += [word, *words]
        elif word == OPTION:
            scenario = next(words, "")
        elif word.startswith(f"{OPTION}="):
            scenario = word.removeprefix(f"{OPTION}=")
        else:
            left.append(word)
    if scenario is None:
        return None, left
    folder = Path(scenario)
    if not scenario or not folder.is_dir():
        raise typer.BadParameter(f"{OPTION} {scenario} is no folder")
    return folder.resolve(), left


def forward(scenario: Path, arguments: Sequence[str]) -> int:
    """Run a question on the host of a deployed scenario. Returns its exit code."""
    import shutil
    import sys

    from e2c.experiment import questions
    from e2c.provenance.__main__ import parser
    from e2c.provenance.command.browse import NAMES

    if not arguments or arguments[0] not in NAMES:
        raise typer.BadParameter(f"{OPTION} is for {', '.join(NAMES)}; for SQL there is `e2clab query`")
    options = parser("e2clab provenance").parse_args([arguments[0], "--data", ".", *arguments[1:]])  # mistakes end here
    words = list(arguments)
    if arguments[0] == "timeline" and options.width is None and sys.stdout.isatty():
        words += ["--width", str(shutil.get_terminal_size().columns)]
    return questions.forward(scenario, words)
