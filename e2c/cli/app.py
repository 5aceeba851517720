"""``e2clab``: the commands and how their errors look."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import click
import typer

from e2c import __version__
from e2c.cli import (
    check,
    check_testbeds,
    completion,
    db,
    deploy,
    edit,
    execute,
    extend,
    finalize,
    init,
    inspect,
    layers_services,
    network,
    output,
    provenance,
    query,
    release,
    render,
    schema,
    services,
    ssh,
    status,
    variables,
    workflow,
)
from e2c.errors import E2CError

INTERRUPTED = 130
TERMINATED = 143
BROKEN_PIPE = 141
OUR_FAULT = 70
MUTED = "Without effect: what EnOSlib and Ansible print is never shown. Known so that command lines of E2Clab work."

app = typer.Typer(
    name="e2clab",
    help="Edge-to-cloud experiments: rehearsed on a laptop, run on testbeds, with provenance that answers SQL.",
    epilog="A scenario is a folder with layers_services.yaml, network.yaml and workflow.yaml.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Allow it, or name another place"),
    **dict.fromkeys((errno.EROFS, errno.ENOTDIR), "Name another place"),
    errno.ENAMETOOLONG: "Choose a shorter name",
}
"""What to do about errors of files, by their number."""


class TerminatedError(BaseException):
    """SIGTERM or SIGHUP: unwinds as Ctrl-C does, so that everything acquired is released."""


def _version(asked: bool) -> None:
    if asked:
        render.data(f"e2clab {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    context: typer.Context,
    testbed: Annotated[
        str | None,
        typer.Option(
            envvar="E2C_TESTBED",
            help="Play every testbed of the scenario on this one: `local` is a rehearsal.",
            autocompletion=completion.rehearsals,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", "-d", help="Show where an error came from.")] = False,
    __: Annotated[bool, typer.Option("--mute_enoslib", "-e", hidden=True, help=MUTED)] = False,
    ___: Annotated[bool, typer.Option("--mute_ansible", "-a", hidden=True, help=MUTED)] = False,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that hold for every command."""
    desk = context.ensure_object(render.Desk)
    desk.testbed, desk.quiet, desk.debug = testbed, quiet, debug
    variables.check(context.invoked_subcommand)


for module in (
    init,
    edit,
    check,
    check_testbeds,
    schema,
    deploy,
    layers_services,
    network,
    workflow,
    finalize,
    extend,
    release,
    status,
    inspect,
    ssh,
    execute,
    query,
    db,
    services,
    output,
    provenance,
):
    module.register(app)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TerminatedError


def main() -> NoReturn:
    """Run the command line; every failure ends here as one message and an exit code."""
    gc.set_threshold(100_000, 20, 20)  # starting makes many objects that stay; searching them took a tenth of the time
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    desk = render.Desk()
    try:
        sys.exit(_run(desk))
    finally:
        render.waiting.stop()


def _run(desk: render.Desk) -> int:
    try:
        result = app(standalone_mode=False, obj=desk)
        if result == INTERRUPTED:  # Typer turns Ctrl-C into this value
            render.failure("interrupted")
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        if getattr(error, "possibilities", None):  # Click tells them itself since 8.4, and Typer has told them already
            error.message = error.message.partition(" Did you mean")[0]  # type: ignore[misc]
        error.show()
        return error.exit_code
    except TerminatedError:
        render.failure("terminated")
        return TERMINATED
    except (KeyboardInterrupt, click.Abort):  # older versions of Typer
        render.failure("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone; the interpreter must not complain about it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except E2CError as error:
        if desk.debug:
            render.trace(error)
        found = getattr(error, "problems", None)  # a ProblemsError, whose module would make every start slower
        if found:
            render.refused(found)
        else:
            render.failure(str(error))
        return error.exit_code
    except OSError as error:
        text = _of_this_machine(error)
        if text is None:
            render.our_fault(error)
            return OUR_FAULT
        render.failure(text)
        return 1
    except Exception as error:  # noqa: BLE001 - whatever is left is a fault of this program, and must look like one
        if desk.debug:
            render.trace(error)
        render.our_fault(error)
        return OUR_FAULT


def _of_this_machine(error: OSError) -> str | None:
    """What the user can do about an error of this machine's files; ``None`` where that is nothing."""
    if error.errno == errno.ENOENT and _homeless():
        return "the current folder does not exist any more. Go to another one (`cd ~`), then repeat"
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    return f"{error.filename or 'a file'} cannot be used: {error.strerror}. {remedy}, then repeat"


def _homeless() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
