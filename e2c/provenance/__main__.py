"""``python -m e2c.provenance``: the provenance service on the command line."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence

from e2c.errors import E2CError, ProvenanceError
from e2c.provenance.command import backup, browse, export, query, samples, service, shell

MODULE = "python -m e2c.provenance"
"""How the service is called where the lab is not installed; messages name it so."""


def main(arguments: Sequence[str] | None = None, program: str = MODULE) -> int:
    """Run a subcommand.

    Args:
        program: how this program was called; messages tell the user to type it.

    Returns:
        The exit code.
    """
    options = parser(program).parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except E2CError as error:
        _tell(str(error), program)
        return error.exit_code if isinstance(error, ProvenanceError) else 1
    except BrokenPipeError:
        # The reader of our output has gone: nothing more to say, not even at exit.
        sys.stdout = None
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        _tell(
            f"{error.filename or 'a file'} cannot be written: {error.strerror}. Free some space, then repeat.", program
        )
        return 1
    except KeyboardInterrupt:
        return 130


def parser(program: str) -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=program,
        description="The provenance service: broker, translator and dataflow database, as one supervised process tree.",
    )
    made.set_defaults(program=program)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for group in (service, query, shell, browse, backup, export, samples):
        group.register(commands)
    return made


def _tell(sentence: str, program: str) -> None:
    name = "e2c.provenance" if program == MODULE else "e2clab: error"
    print(f"{name}: {sentence.replace(MODULE, program)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
