"""``python -m e2c.optimizer SCENARIO_DIR``: free what a program held that has ended."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from e2c.errors import E2CError
from e2c.experiment import releasing
from e2c.experiment.events import Event
from e2c.experiment.lock import locked


def main(arguments: Sequence[str]) -> int:
    """Free a scenario; what was freed is said on the standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m e2c.optimizer",
        description="Free whatever a scenario holds, as `e2clab destroy` does. A program that ends without having "
        "called `Optimizer.finalize()` starts this.",
    )
    parser.add_argument("scenario", type=Path, metavar="SCENARIO_DIR", help="folder of the scenario")
    scenario = parser.parse_args(arguments).scenario

    def observe(event: Event) -> None:
        if event.kind == "warning" or event.failed:
            sys.stderr.write(f"e2c: {event.text}\n")

    try:
        with locked(scenario):
            done = releasing.destroy(scenario, observe)
        for clause in done.freed:
            sys.stderr.write(f"e2c: released {clause}\n")
        done.require(scenario)
    except E2CError as error:
        sys.stderr.write(f"e2c: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
