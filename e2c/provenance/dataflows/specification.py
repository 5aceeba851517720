"""Specification files of dataflows: evaluated in a process of their own, or read as the JSON they give."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from e2c.errors import DataflowError
from e2c.provenance.dataflows.dataflow import parse

MAX_OUTPUT = 16 << 20
"""Longest evaluated dataflow, in bytes of JSON."""

MEMORY_LIMIT = 2 << 30
"""Address space of the evaluating process, in bytes."""


def evaluate(path: Path, timeout_s: float) -> list[dict[str, Any]]:
    """Run a specification file in a process of its own and collect the dataflows it saves.

    Args:
        path: a Python file that uses ``dfa_lib_python`` or ``provlight.dataflow``.
        timeout_s: limit in seconds; the process and all it started are killed afterwards.

    Returns:
        The dataflows in the JSON form of ``dfa_lib_python``, checked by
        :func:`~e2c.provenance.dataflows.dataflow.parse`.

    Raises:
        DataflowError: the file is missing, fails, takes too long, saves nothing, or declares something impossible.
    """
    path = Path(path)
    if not path.is_file():
        raise DataflowError(
            "the dataflow specification does not exist", where=str(path), hint="Check `dataflow_spec` and its folder"
        )
    root = str(Path(__file__).resolve().parents[3])
    search = os.pathsep.join(item for item in (root, os.environ.get("PYTHONPATH", "")) if item)
    process = subprocess.Popen(
        [sys.executable, "-m", "provlight.dataflow.evaluate", str(path.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=path.resolve().parent,
        env={**os.environ, "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )
    resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise DataflowError(
            f"the dataflow specification did not end within {timeout_s:g} s",
            where=str(path),
            hint="A specification only declares; take long work out of it",
        ) from error
    finally:
        with suppress(ProcessLookupError):  # nothing of it is left: what we want
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise DataflowError(
            "the dataflow specification failed",
            where=str(path),
            why=lines[-1] if lines else f"exit code {process.returncode}",
        )
    return read(output, str(path))


def read(document: bytes, where: str) -> list[dict[str, Any]]:
    """Dataflows of a JSON document: ``{"dataflows": [...]}``, a list, or a single dataflow.

    Raises:
        DataflowError: not JSON, or wrong.
    """
    if len(document) > MAX_OUTPUT:
        raise DataflowError(f"the dataflow has more than {MAX_OUTPUT} bytes", where=where)
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise DataflowError("the dataflow is not JSON", where=where, why=str(error)) from error
    if isinstance(value, dict):
        value = value.get("dataflows", [value])
    try:
        parse(value)
    except DataflowError as error:
        raise DataflowError(error.what, where=where, why=error.why, hint=error.hint) from error
    found: list[dict[str, Any]] = value
    return found
