"""Tables on a terminal: what applications named cannot command it, and columns stand where they should."""

from __future__ import annotations

from e2c.provenance.command.cells import printable, table
from e2c.provenance.queries.drawing import dot
from e2c.provenance.queries.lineage import Lineage

HOSTILE = "\x1b[2Jred\x07\u202e\t\n"


def test_names_and_values_cannot_command_the_terminal() -> None:
    lines = list(table([HOSTILE, "n"], [[printable(HOSTILE), "1"], [printable("列🎉"), "23"]], [False, True]))
    assert not any(sign in line for line in lines for sign in "\x1b\x07\u202e\t\n")
    assert lines == [
        r"\x1b[2Jred\x07\x202e\t\n   n",
        "------------------------  --",
        r"\x1b[2Jred\x07\x202e\t\n   1",
        "列🎉                      23",
    ]


def test_neither_does_the_text_for_graphviz() -> None:
    task = {"id": 1, "key": HOSTILE, "transformation": '"\\', "status": "FAILED", "duration": None, "host": HOSTILE}
    text = dot(Lineage(1, [task | {"distance": 0}], []))
    assert not any(sign in text for sign in "\x1b\x07\t")
    assert r"\"\\ " in text
