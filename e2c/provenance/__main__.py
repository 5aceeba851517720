"""``python -m e2c.provenance``: the provenance service on the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from e2c.errors import E2CError, ProvenanceError
from e2c.provenance.command import backup, query, service

PROGRAM = "e2c.provenance"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand. Returns the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except E2CError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, ProvenanceError) else 1
    except BrokenPipeError:
        # The reader of our output has gone: nothing more to say, not even at exit.
        sys.stdout = None
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="The provenance service: broker, translator and dataflow database, as one supervised process tree.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (service, query, backup):
        group.register(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
