"""A database that holds everything that is hard to carry: odd texts, odd numbers, every kind of record."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgpack
from provenance_parts import T0, TUTORIAL, Database, Device, begin, end, workflow

from provlight.wire import (
    FILES,
    PARENT,
    PARENT_TRANSFORMATION,
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    WORKFLOW_BEGIN,
    WORKFLOW_END,
    Record,
    SetShape,
)

TEXTS: list[str | None] = [
    "",
    "NULL",
    "null",
    "it's",
    'say "so"',
    "semi;\ncolon",
    "back\\slash\\n",
    "tab\tbed",
    "".join(map(chr, range(1, 32))),
    "".join(map(chr, range(0x7F, 0xA0))),
    "日本語 🎉",
    "e\u0301 \u200f right to left \ufeff",
    "\U0010ffff\ud7ff\ue000",
    "carriage\r\nreturn\r",
    "\r\n",
    "\n",
    "'",
    "\\",
    ",\"',",
    "--; DROP TABLE task;",
    "long " * 50_000,
    None,
]
FLOATS: list[float | None] = [
    0.1,
    2.5,
    1 / 3,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    math.inf,
    -math.inf,
    math.nan,
    None,
    123456789012345678.0,
    -0.0,
    0.0,
    1e16,
    -1e-7,
]
BIG = 2**53 + 1
"""A number that a double cannot hold."""

OTHER = {**TUTORIAL, "tag": "other-flow"}

CLASH = {"tag": "clash", "transformations": [{"tag": "join", "sets": [{"tag": "client", "type": "OUTPUT"}]}]}
"""A set with the name of a system table."""

CHAIN: dict[str, Any] = {
    "tag": "chained flow ü",
    "transformations": [
        {
            "tag": "clean",
            "programs": [{"name": "clean.py", "path": "/opt/clean.py"}],
            "sets": [
                {"tag": "raw", "type": "INPUT", "attributes": [{"name": "file", "type": "FILE"}]},
                {
                    "tag": "cleaned",
                    "type": "OUTPUT",
                    "attributes": [{"name": "Mean Wert %", "type": "NUMERIC"}, {"name": "order", "type": "TEXT"}],
                },
            ],
        },
        {
            "tag": "train",
            "sets": [
                {"tag": "cleaned", "type": "INPUT", "dependency": "clean", "attributes": []},
                {"tag": "model", "type": "OUTPUT", "attributes": [{"name": "score", "type": "NUMERIC"}]},
            ],
        },
    ],
}
PATH = "/data/ro w,ü.csv"


def chain(first: int) -> list[Record]:
    """Two cleanings, and two trainings that use what both made; the second one is a part of the first, and fails."""
    flow = CHAIN["tag"]
    out = []
    for key in (first, first + 1):
        raw = SetShape("raw", None, 1)
        at = T0 + key * 1000
        files = {FILES: msgpack.packb([["raw", 0, PATH, 12, bytes(range(32)), ""]])}
        out.append(Record(TASK_BEGIN, flow, "clean", key, at, (), "", [(raw, [PATH])], files))
        made = SetShape("cleaned", None, 2, 2, ("raw",))
        values = [key + 0.5, f"a {key}", math.nan, "b"]
        out.append(Record(TASK_END, flow, "clean", key, at + 500, (), "", [(made, values)]))
    both = (first, first + 1)
    out.append(Record(TASK_BEGIN, flow, "train", "t1", T0 + 5000, both, "", []))
    parent = {PARENT: "t1", PARENT_TRANSFORMATION: "train", "note": 'extra "ü"'}
    out.append(Record(TASK_BEGIN, flow, "train", "t2", T0 + 6000, both, "", [], parent))
    score = SetShape("model", None, 1)
    out.append(Record(TASK_FAILED, flow, "train", "t2", T0 + 7000, (), "Error: it's\nbroken", [(score, [BIG])]))
    out.append(Record(TASK_END, flow, "train", "t1", T0 + 8000, (), "", [(score, [0.25])]))
    return out


def make_odd_database(root: Path) -> Database:
    """A running database with all of it."""
    server = Database(root, [TUTORIAL, OTHER, CHAIN, CLASH])
    store = server.store()
    device = Device(host="höst")
    shape = SetShape("we;\nird 'set'", ("text", 'num"ber'), 2)
    numbers = [FLOATS[n % len(FLOATS)] for n in range(len(TEXTS))]
    store.store(
        [
            device.batch(
                workflow(WORKFLOW_BEGIN),
                *(begin(n, value, value, n, None, depends=[n - 1]) for n, value in enumerate(FLOATS)),
                *(end(n, error="Error: it's; \n broken" if n % 2 else "") for n in range(len(FLOATS))),
                begin("big", BIG, -BIG, 10**30, 1),
                begin("rejected", "no number", 1, 2, 3),
                *(
                    Record(TASK_END, "odd", "step", n, T0 + n, (), "", [(shape, list(pair))])
                    for n, pair in enumerate(zip(TEXTS, numbers, strict=True))
                ),
                workflow(WORKFLOW_END, at=T0 + 9_000_000),
            ),
            device.batch(begin(1, 2, 3, 4, 5)._replace(workflow="other-flow")),
            device.batch(*chain(1)),
        ]
    )
    settle(store)
    store.close()
    return server


def settle(store: Any) -> None:
    """What refers to other records is resolved."""
    for _ in range(3):
        store.resolve_dependencies()
