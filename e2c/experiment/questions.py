"""Questions to the dataflow database of an experiment, which run on its host: SQL, and the service's own commands."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from e2c.errors import E2CError, QueryError, StateError
from e2c.experiment.experiment import living
from e2c.model.host import Host
from e2c.provenance.command.query import END
from e2c.provenance.queries.answer import Answer, received
from e2c.remote import shell
from e2c.services import provenance


def database_host(scenario: Path) -> Host:
    """The host of a scenario's provenance service.

    Raises:
        StateError: nothing is deployed, or it captures no provenance.
    """
    experiment = living(scenario, lambda _: None)
    for record in experiment.state.services:
        if record.name == "provenance":
            return experiment.hosts[record.host]
    raise StateError(
        "the scenario captures no provenance", where=str(scenario), hint="Add `provenance:` to layers_services.yaml"
    )


@contextmanager
def query(host: Host, sql: str, limit_s: float) -> Iterator[Answer]:
    """Answer one statement; rows come as they are asked for.

    When the block is left before the last row, by an exception too, the statement is stopped.

    Args:
        limit_s: time that it may take, in seconds.

    Raises:
        QueryError: the database refused it, or it took too long.
        StateError: the host does not answer.
    """
    remote = provenance.command(host, "query", "--format", "raw", "--timeout", f"{limit_s:g}", "-")
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*shell.ssh_arguments(host), remote], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it says why on stderr
                process.stdin.write(f"{sql}{END}".encode(errors="surrogateescape"))
                process.stdin.flush()
            pieces = _pieces(process, errors, host)
            yield received(pieces)
        finally:
            with suppress(OSError):
                process.stdin.close()  # the other end stops the statement
            process.stdout.close()
            if process.poll() is None:
                process.terminate()
            process.wait()


def _pieces(process: subprocess.Popen[bytes], errors: IO[bytes], host: Host) -> Iterator[bytes]:
    assert process.stdout is not None
    while piece := process.stdout.read1(1 << 18):  # type: ignore[attr-defined]
        yield piece
    if process.wait() != 0:
        errors.seek(0)
        raise _failure(process.returncode, errors.read().decode(errors="replace"), host)


def _failure(code: int, text: str, host: Host) -> E2CError:
    words = text.strip()
    if code == shell.SSH_FAILED:
        return StateError("the provenance host does not answer", where=host.key, why=words)
    return QueryError(words.removeprefix("e2c.provenance: ").rstrip("."))


def forward(scenario: Path, arguments: Sequence[str]) -> int:
    """Run a command of the service on its host; output goes where ours goes. Returns its exit code.

    Raises:
        StateError: nothing is deployed, it captures no provenance, or its host does not answer.
    """
    host = database_host(scenario)
    sys.stdout.flush()
    done = subprocess.run([*shell.ssh_arguments(host), provenance.command(host, *arguments)], check=False)
    if done.returncode == shell.SSH_FAILED:
        raise StateError("the provenance host does not answer", where=host.key)
    return done.returncode
