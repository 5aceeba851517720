"""Commands on hosts over plain OpenSSH: what needs no Python there and must be quick."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from e2c.errors import RemoteError
from e2c.model.host import Host
from e2c.remote import jumps, sockets

CONNECT_TIMEOUT_S = 10
ALIVE_S = 4
FORKS = 20
MOST_NAMED = 5
SSH_FAILED = 255
TIMED_OUT = 124  # what timeout(1) answers
_OPTIONS = (
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null"),
    *("-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"),
    # a host that lost its power says nothing: after three unanswered questions its connection ends
    *("-o", f"ServerAliveInterval={ALIVE_S}", "-o", "ServerAliveCountMax=3"),
)


@dataclass(frozen=True)
class Result:
    """Outcome of one command on one host.

    ``rc`` is the command's exit code; 255 means that ssh itself failed (``stderr`` says why),
    124 that the time limit passed.
    """

    key: str
    rc: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """The command ran and returned 0."""
        return self.rc == 0


def ssh_arguments(host: Host, *, tty: bool = False) -> list[str]:
    """The ``ssh`` command line that reaches a host, without the remote command.

    Host keys are not checked: testbed machines are re-installed between reservations and get new ones.
    """
    arguments = ["ssh", "-o", "BatchMode=yes", *ssh_options(host)]
    if host.control_dir:
        arguments += ["-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", f"ControlPath={control_path(host)}"]
    arguments += _identity(host)
    if tty:
        arguments.append("-t")
    return [*arguments, "-p", str(host.port), "-l", host.user, host.address]


def ssh_options(host: Host) -> list[str]:
    """Options of every ssh connection to a host, whoever makes it: no host keys, limits, and the way through a jump."""
    arguments = list(_OPTIONS)
    if host.jump:
        arguments += ["-o", f"ProxyCommand={jumps.proxy_command(host, [*_OPTIONS, *_identity(host)])}"]
    return arguments


def _identity(host: Host) -> list[str]:
    # not -i, which cannot name a file with a percent sign
    return ["-o", f'IdentityFile="{percent(host.keyfile)}"', "-o", "IdentitiesOnly=yes"] if host.keyfile else []


def percent(text: str) -> str:
    """A text in which ssh shall see percent signs, not the beginning of something to expand."""
    return text.replace("%", "%%")


def as_root(host: Host, command: str) -> str:
    """A shell command as root runs it: through ``sudo`` where the user is someone else."""
    return f"sudo -n -H bash -c {shlex.quote(command)}" if host.sudo else command


def control_path(host: Host) -> str:
    """ControlPath of a host's shared connection (``%C`` is expanded by ssh).

    Machines behind different jump hosts may have the same address, so the jump host is part of it.
    """
    return f"{host.control_dir}/%C{jumps.mark(host)}"


def run(host: Host, command: str, *, stdin: bytes = b"", timeout_s: float = 60) -> Result:
    """Run a shell command on one host; never raises for what happens there.

    Args:
        command: text for root's shell.
        stdin: bytes for its standard input.
        timeout_s: limit in seconds, after which it counts as failed with exit code 124.
    """
    words = [*ssh_arguments(host), as_root(host, command)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return Result(host.key, TIMED_OUT, "", f"no answer within {timeout_s:g} s to: {command}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return Result(host.key, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def run_all(hosts: Iterable[Host], command: str, *, stdin: bytes = b"", timeout_s: float = 60) -> dict[str, Result]:
    """Run one command on many hosts at once; results in the order of the hosts."""
    return run_each(dict.fromkeys(hosts, command), stdin=stdin, timeout_s=timeout_s)


def run_each(
    commands: Mapping[Host, str],
    *,
    stdin: bytes | Mapping[Host, bytes] = b"",
    timeout_s: float = 60,
    at_once: int = FORKS,
) -> dict[str, Result]:
    """Run a command of its own on each host, at once; results in the order given.

    Args:
        commands: text for root's shell on each host.
        stdin: bytes for every standard input, or each host's own.
        timeout_s: limit in seconds for each.
        at_once: how many to ask at the same time, at most.
    """
    if not commands:
        return {}
    inputs = dict.fromkeys(commands, stdin) if isinstance(stdin, bytes) else stdin
    open_jumps(commands)
    with ThreadPoolExecutor(min(at_once, len(commands)), thread_name_prefix="ssh") as pool:
        futures = {
            host.key: pool.submit(run, host, command, stdin=inputs[host], timeout_s=timeout_s)
            for host, command in commands.items()
        }
        try:
            return {key: future.result() for key, future in futures.items()}
        except BaseException:  # what has not begun must not begin after an interrupt
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def require(results: Mapping[str, Result], doing: str, *, hint: str | None = None) -> None:
    """Raise one :class:`RemoteError` that names the hosts where a command failed, five of them at most."""
    failed = [result for result in results.values() if not result.ok]
    if failed:
        raise RemoteError(
            f"{doing} failed on {some([result.key for result in failed], ', ')}",
            why="; ".join(f"{result.key}: {explain(result)}" for result in failed[:MOST_NAMED]),
            hint=hint,
        )


def some(words: Sequence[str], separator: str) -> str:
    """The first five, and how many more there are."""
    more = len(words) - MOST_NAMED
    return separator.join(words[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def explain(result: Result) -> str:
    """The last words of a failed command, or its exit code when it said nothing."""
    words = (result.stderr or result.stdout).strip().splitlines()
    if result.rc == SSH_FAILED:
        return f"ssh: {words[-1].removeprefix('ssh: ') if words else 'connection failed'}"
    return words[-1] if words else f"exit code {result.rc}"


def put(host: Host, data: bytes, path: str, *, mode: int = 0o644, timeout_s: float = 60) -> Result:
    """Write a file on a host, whole or not at all; missing folders are made."""
    target = shlex.quote(path)
    part = shlex.quote(f"{path}.part")
    folder = shlex.quote(str(Path(path).parent))
    command = f"umask 077 && mkdir -p {folder} && cat >{part} && chmod {mode:o} {part} && mv -f {part} {target}"
    return run(host, command, stdin=data, timeout_s=timeout_s)


def fetch(host: Host, command: str, destination: Path, *, timeout_s: float = 600) -> Result:
    """Stream the standard output of a command on a host into a local file, whole or not at all."""
    part = destination.with_name(f"{destination.name}.part")
    try:
        with part.open("wb") as file:
            words = [*ssh_arguments(host), as_root(host, command)]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE)
            try:
                _, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                return Result(host.key, TIMED_OUT, "", f"not finished within {timeout_s:g} s: {command}")
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode == 0:
            part.replace(destination)
        return Result(host.key, process.returncode, "", err.decode(errors="replace"))
    finally:
        part.unlink(missing_ok=True)


def open_jumps(hosts: Iterable[Host]) -> None:
    """Connect to the jump hosts of these hosts, one connection each that all of them share.

    Many at once would each connect anew, which ssh servers refuse beyond ten that have not logged in yet. What fails
    here is told by the hosts themselves, who try again.
    """
    missing = {jumps.socket(host): host for host in hosts if host.jump and host.control_dir}
    for path, host in missing.items():
        if path and not os.path.exists(path):
            command = jumps.master_command(host, [*_OPTIONS, *_identity(host)])
            with contextlib.suppress(subprocess.TimeoutExpired):
                # no pipes: the connection outlives the command, and would hold them open
                subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                    timeout=2 * CONNECT_TIMEOUT_S,
                )


def close(hosts: Iterable[Host]) -> None:
    """End the shared connections, so that no ssh process outlives the experiment."""
    shared = [host for host in hosts if host.control_dir]
    own = [[*ssh_arguments(host)[:-1], "-O", "exit", host.address] for host in shared]
    jumped = {path for path in map(jumps.socket, shared) if path}
    with ThreadPoolExecutor(FORKS, thread_name_prefix="ssh") as pool:
        list(pool.map(sockets.end, own))
        list(pool.map(sockets.end, (["ssh", "-o", f"ControlPath={path}", "-O", "exit", "jump"] for path in jumped)))
