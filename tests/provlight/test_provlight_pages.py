"""The pages about ProvLight: their programs run, and they name everything there is."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import provlight
from provlight import command
from provlight.transport import memory

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference" / "provlight.md"
PAGES = (REFERENCE, ROOT / "docs" / "howto" / "capture.md")


def programs(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_programs_of_the_page_run_and_capture(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    provlight.configure(transport="memory", linger_ms=5)
    names: dict[str, object] = {"__name__": "page", "train": lambda size, count: 0.9}
    for program in programs(page):
        exec(compile(program, str(page), "exec"), names)
        if "train_and_test" in names:
            assert names["train_and_test"](3) == 0.9  # type: ignore[operator]
    assert provlight.flush(10)
    assert len(memory.records()) >= 4
    assert (provlight.stats()["misuses"], provlight.stats()["lost"]) == ({}, {})


def test_everything_public_is_in_the_reference() -> None:
    page = REFERENCE.read_text()
    for name in provlight.__all__:
        assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", page), name
    for kind in (provlight.Task, provlight.Workflow):
        for name in vars(kind):
            if not name.startswith("_"):
                assert f"`{name}" in page, name


def _parsers(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _parsers(inner, f"{path} {name}")


def test_every_command_and_option_is_in_the_reference() -> None:
    page = REFERENCE.read_text()
    commands = dict(_parsers(command._parser(), "provlight"))
    assert len(commands) == 8
    for path, parser in commands.items():
        if not any(isinstance(action, argparse._SubParsersAction) for action in parser._actions):
            assert f"`{path}" in page, path
            assert parser.description
        for action in parser._actions:
            for option in action.option_strings:
                assert option in ("-h", "--help") or option in page, (path, option)
                assert action.help, (path, option)
