"""Files and folders that exist under their names only when they are whole."""

from __future__ import annotations

import glob
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from e2c.errors import ProvenanceError

STANDARD_OUTPUT = "-"


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write, ``-`` for standard output. What has its name is replaced when the new one is whole.

    Raises:
        ProvenanceError: it cannot be written; nothing is left of it, and an earlier file stays.
    """
    if path == STANDARD_OUTPUT:
        with _explained("standard output"):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    path = Path(path)
    if path.is_dir():
        raise ProvenanceError("--output is a folder", where=str(path), hint="Name a file, or - for standard output")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _explained(str(path)):
        try:
            with part.open("wb") as out:
                yield out
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A folder to write into. It must not exist yet, or be empty.

    Raises:
        ProvenanceError: it holds something, or cannot be written; nothing is left of it.
    """
    if path == STANDARD_OUTPUT:
        raise ProvenanceError("this format writes several files", hint="Name a folder with --output")
    path = Path(path)
    with _explained(str(path)):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ProvenanceError(
                "--output exists already and is not an empty folder", where=str(path), hint="Name a new folder"
            )
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            part.replace(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader had enough
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)  # some packages say it in words of their own
        raise ProvenanceError("the output cannot be written", where=where, why=why) from error


class Parts:
    """Files of a document that is too large for one: ``name.ext`` alone, or ``name-0001.ext``, ``name-0002.ext``...

    All of them appear under their names at the end; parts of an earlier export that are no longer needed go.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._written: list[Path] = []

    def __enter__(self) -> Parts:
        if self._path != STANDARD_OUTPUT and Path(self._path).is_dir():
            raise ProvenanceError(
                "--output is a folder", where=self._path, hint="Name a file, or - for standard output"
            )
        return self

    def write(self, text: str) -> None:
        """Write one part.

        Raises:
            ProvenanceError: it cannot be written.
        """
        if self._path == STANDARD_OUTPUT:
            if self._written:
                raise ProvenanceError(
                    "the document has several parts", hint="Name a file with --output, or choose a larger --part-tasks"
                )
            self._written.append(Path(STANDARD_OUTPUT))
            with _explained("standard output"):
                sys.stdout.buffer.write(text.encode())
                sys.stdout.buffer.flush()
            return
        path = Path(self._path)
        part = path.with_name(f".{path.name}.{os.getpid()}.{len(self._written)}.part")
        self._written.append(part)
        with _explained(self._path):
            part.write_bytes(text.encode())

    def finish(self) -> list[Path]:
        """Give the parts their names. Returns them."""
        if self._path == STANDARD_OUTPUT:
            return []
        path = Path(self._path)
        stem, dot, extension = path.name.partition(".")
        count = len(self._written)
        names = (
            [path] if count == 1 else [path.with_name(f"{stem}-{n:04}{dot}{extension}") for n in range(1, count + 1)]
        )
        with _explained(self._path):
            for part, name in zip(self._written, names, strict=True):
                part.replace(name)
            for stale in {path, *path.parent.glob(f"{glob.escape(stem)}-[0-9][0-9][0-9][0-9]{dot}{extension}")} - {
                *names
            }:
                stale.unlink(missing_ok=True)
        return names

    def __exit__(self, *_: object) -> None:
        for part in self._written:
            if part.name.endswith(".part"):
                with suppress(OSError):
                    part.unlink(missing_ok=True)
