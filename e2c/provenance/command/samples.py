"""``samples``: what hosts did, from the files of monitoring into the database."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from typing import TextIO

from e2c.errors import ProvenanceError
from e2c.provenance.command.arguments import Commands, add, folder


def register(commands: Commands) -> None:
    """Add the subcommand."""
    samples = add(commands, "samples", _samples, "load samples of what hosts did; those that are there are passed over")
    samples.add_argument(
        "--load",
        required=True,
        metavar="FILE",
        help="CSV of dstat, each host's after a line "
        '{"host": SERVICE_KEY, "hostname": NAME, "seconds": PERIOD}; - for standard input',
    )


def _samples(options: argparse.Namespace) -> int:
    from e2c.provenance.serving.visit import running
    from e2c.provenance.storing.samples import load

    data = folder(options)
    with ExitStack() as cleanup:
        lines = _opened(options.load, cleanup)
        cleanup.enter_context(running(data))
        done = load(data, lines)
    print(json.dumps(done._asdict()))
    return 0


def _opened(name: str, cleanup: ExitStack) -> TextIO:
    if name == "-":
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        return sys.stdin
    try:
        return cleanup.enter_context(open(name, encoding="utf-8", errors="replace"))
    except OSError as error:
        raise ProvenanceError("the samples cannot be read", where=name, why=error.strerror) from error
