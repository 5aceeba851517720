"""Programs for hosts: an archive made from what is installed here, so that hosts need no Internet."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from e2c.errors import ProvenanceError

SKIPPED = {"__pycache__", "tests"}
COLLECTOR = "dool/__main__.py"
"""Program of the collector in its archive."""


def service_archive(libraries: Path) -> bytes:
    """The provenance service as a gzipped tar: this distribution without the lab, and the few packages it needs.

    Args:
        libraries: folder of the MonetDB libraries (``monetdbe.libs``).
    """
    files: list[tuple[Path, str]] = []
    lab = _package("e2c")
    files += [(lab / name, f"e2c/{name}") for name in ("__init__.py", "errors.py")]
    files += _tree(lab / "provenance", "e2c/provenance")
    for name in ("provlight", "paho", "pymonetdb", "msgpack", "prov"):
        files += _tree(_package(name), name)
    files += _tree(libraries, "monetdbe.libs")
    return _archive(files)


def collector_archive() -> bytes:
    """The collector of monitoring as a gzipped tar; it needs nothing but Python 3."""
    return _archive(_tree(_package("dool"), "dool"))


def device_bundle() -> bytes:
    """The capture library as one zip for ``PYTHONPATH``, made by ``provlight`` itself.

    Raises:
        ProvenanceError: it could not be made.
    """
    made = subprocess.run(
        [sys.executable, "-m", "provlight.bundle", "/dev/stdout"], capture_output=True, check=False, timeout=60
    )
    if made.returncode != 0:
        raise ProvenanceError("cannot make the ProvLight bundle", why=made.stderr.decode(errors="replace").strip())
    return made.stdout


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ProvenanceError(
            f"Python package {name} is not installed", hint="Install this distribution with its dependencies"
        )
    return Path(spec.submodule_search_locations[0])


def _tree(root: Path, name: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        if path.is_file() and not SKIPPED & set(inner.parts):
            yield path, f"{name}/{inner}"


def _archive(files: Iterable[tuple[Path, str]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for path, name in files:
            information = archive.gettarinfo(str(path), arcname=name)
            information.uid = information.gid = 0
            information.uname = information.gname = "root"
            with path.open("rb") as file:
                archive.addfile(information, file)
    return buffer.getvalue()
