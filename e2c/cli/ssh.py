"""``e2clab ssh``."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import click
import typer
from typer.core import TyperCommand

from e2c.cli import completion, render
from e2c.cli.arguments import ScenarioDir

if TYPE_CHECKING:
    from e2c.experiment.experiment import Experiment
    from e2c.model.host import Host

COMMAND = "e2c.cli.ssh.command"
INTERRUPTED = 130


class WithCommand(TyperCommand):
    """A command line that may end in ``-- COMMAND...``, which is kept apart from its own arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put what follows ``--`` aside."""
        if "--" in args:
            place = args.index("--")
            ctx.meta[COMMAND] = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage, with what may follow."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ssh", cls=WithCommand)(ssh)


def ssh(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    host: Annotated[
        str | None,
        typer.Argument(
            metavar="[HOST]",
            help="A service key, or whatever selects one host; without it a menu.",
            autocompletion=completion.hosts,
        ),
    ] = None,
    forward: Annotated[
        bool, typer.Option("--forward", "-f", help="Forward a port of this machine to one of the host, until Ctrl-C.")
    ] = False,
    local_port: Annotated[
        int | None,
        typer.Option("--local-port", "-l", metavar="PORT", min=1, max=65535, help="Port of this machine."),
    ] = None,
    remote_port: Annotated[
        int | None, typer.Option("--remote-port", "-r", metavar="PORT", min=1, max=65535, help="Port of the host.")
    ] = None,
) -> None:
    """Log in to a host, or run a command there.

    Jump hosts and keys are those of the deployment. The exit code is that of the login shell or of the command; 255
    when ssh itself fails. One word after -- is a shell command line; several words are passed on unchanged. Of -l and
    -r one is enough where both ports are the same.
    """
    from e2c.experiment import report
    from e2c.remote import shell

    words: list[str] = context.meta.get(COMMAND, [])
    ports = _ports(forward, local_port, remote_port, words)
    experiment = report.reachable(scenario_dir)
    chosen = _one(experiment, host) if host else _menu(experiment)
    if ports:
        raise typer.Exit(_forward(chosen, *ports))
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    command = shell.ssh_arguments(chosen, tty=terminal)
    code = _run([*command, report.line(words)] if words else command)
    if code == shell.SSH_FAILED and not words:
        render.note(f"{chosen.key}: ssh ended with an error; see `e2clab status {scenario_dir}`")
    raise typer.Exit(code)


def _ports(forward: bool, local: int | None, remote: int | None, words: Sequence[str]) -> tuple[int, int] | None:
    asked = local or remote
    if asked is None:
        if forward:
            raise typer.BadParameter("--forward needs a port: -l LOCAL_PORT, -r REMOTE_PORT")
        return None
    if words:
        raise typer.BadParameter("a port is forwarded, or a command is run, but not both")
    return local or asked, remote or asked


def _one(experiment: Experiment, selector: str) -> Host:
    from e2c.errors import StateError
    from e2c.experiment import report
    from e2c.remote.shell import some

    hosts, _ = report.choose(experiment, selector)
    if len(hosts) > 1:
        names = some([host.key for host in hosts], ", ")
        raise StateError(f"{selector!r} means {len(hosts)} hosts", why=names, hint="Name one of them")
    return hosts[0]


def _menu(experiment: Experiment) -> Host:
    from e2c.errors import StateError

    hosts = experiment.state.hosts
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise StateError(
            "no host is named, and there is no terminal to choose one on",
            hint=f"Name one of {', '.join(host.key for host in hosts)}",
        )
    wide, number_wide = max(len(host.key) for host in hosts), len(str(len(hosts)))
    for number, host in enumerate(hosts, 1):
        render.note(f"{number:{number_wide}}  {host.key:{wide}}  {host.addresses.v4 or host.address}")
    choice = typer.prompt("Which host", type=click.IntRange(1, len(hosts)), err=True)
    return hosts[int(choice) - 1]


def _forward(host: Host, local: int, remote: int) -> int:
    from e2c.errors import E2CError
    from e2c.remote import shell

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", local))
        except OSError as error:
            raise E2CError(
                f"port {local} of this machine cannot be used", why=error.strerror, hint="Choose another with -l"
            ) from error
    text = f"localhost:{local} leads to port {remote} of {host.key}; Ctrl-C ends it"
    # ssh itself says so, once it is true; a connection that is shared would outlive the command with its ports
    said = ["-o", "PermitLocalCommand=yes", "-o", f"LocalCommand=echo '{text}' >&2"]
    alone = ["-S", "none", "-o", "ControlMaster=no", "-o", "ExitOnForwardFailure=yes"]
    program, *arguments = shell.ssh_arguments(host)
    code = _run([program, *alone, *said, "-N", "-L", f"{local}:localhost:{remote}", *arguments])
    return 0 if code == INTERRUPTED else code


def _run(command: Sequence[str]) -> int:
    """Run ssh on our terminal; its exit code, or that of an interrupt."""
    from e2c.errors import MissingToolError

    interrupted = False

    def note_it(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True  # ssh gets the signal too, and decides

    sys.stdout.flush()
    before = signal.signal(signal.SIGINT, note_it)
    try:
        process = subprocess.Popen(command)
        try:
            code = process.wait()
        finally:
            if process.poll() is None:  # SIGTERM
                process.terminate()
                process.wait()
    except FileNotFoundError as error:
        raise MissingToolError("there is no ssh on this machine", hint="Install openssh-client") from error
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted and (code < 0 or code == 255):
        return INTERRUPTED
    return 128 - code if code < 0 else code
