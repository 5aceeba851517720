from __future__ import annotations

import sys

import click
import pexpect
import pytest
from cli_program import screen, typing_at

from e2c.cli.pausing import pauser

PAUSE = "from e2c.cli.pausing import pauser; pause = pauser(True); print('ready'); pause(); print('goes on')"


def test_a_pause_ends_with_enter_and_not_with_what_was_typed_before() -> None:
    terminal = typing_at(program=[sys.executable, "-c", f"import time; time.sleep(1); {PAUSE}"])
    terminal.send("early\n")
    terminal.expect("press Enter to go on with finalize ")
    assert "goes on" not in terminal.before
    assert terminal.expect(["goes on", pexpect.TIMEOUT], timeout=1) == 1, "what was typed early is no answer"
    terminal.send("\n")
    terminal.expect(pexpect.EOF)
    assert screen(str(terminal.before))[-2:] == ["goes on", ""]


def test_a_pause_is_refused_where_nobody_can_press_enter() -> None:
    assert pauser(False) is None
    with pytest.raises(click.UsageError, match=r"there is none\. Give --duration"):
        pauser(True)
