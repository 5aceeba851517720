"""``python -m provlight.bundle OUT.zip``: one file that makes a device able to capture.

Put the zip on ``PYTHONPATH``: nothing needs to be installed, compiled or fetched there. It holds this package and a
pure-Python copy of msgpack as ``provlight.vendor.msgpack``, where it hides no module of the application. The same
sources give the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import zipfile
from importlib import import_module
from typing import Dict, Optional, Sequence

_EPOCH = (1980, 1, 1, 0, 0, 0)
_VENDOR = "provlight/vendor/__init__.py"


def build() -> bytes:
    """The bundle.

    Raises:
        OSError: a source cannot be read.
    """
    files = _contents()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.create_system = 3  # Unix, whatever system builds it
            bundle.writestr(info, files[name])
    return buffer.getvalue()


def write(out: str, bundle: bytes) -> None:
    """Write a bundle to a file, whole or not at all; to a device or pipe as it comes; ``-`` is the standard output.

    Raises:
        OSError: it cannot be written.
    """
    if out == "-":
        sys.stdout.buffer.write(bundle)
        sys.stdout.buffer.flush()
    elif os.path.exists(out) and not os.path.isfile(out):
        with open(out, "wb") as device:
            device.write(bundle)
    else:
        target = os.path.realpath(out)
        partial = "{}.{}.part".format(target, os.getpid())
        try:
            with open(partial, "wb") as file:
                file.write(bundle)
            os.replace(partial, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m provlight.bundle",
        description="Make one zip of the capture library, for the PYTHONPATH of a device: Python 3.7 or later, "
        "no compiler, no network.",
    )
    parser.add_argument("out", metavar="OUT.zip", help="the file to write, or - for the standard output")
    out = parser.parse_args(arguments).out
    try:
        bundle = build()
        write(out, bundle)
    except OSError as error:
        sys.stderr.write("the bundle cannot be made: {}\n".format(error))
        return 1
    sys.stderr.write("{} {} bytes\n".format(out, len(bundle)))
    return 0


def _contents() -> Dict[str, bytes]:
    """Bytes of each member, by name."""
    here = os.path.dirname(os.path.abspath(__file__))
    found = _sources(here, "provlight")
    found["provlight/LICENSE"] = _read(os.path.join(here, "LICENSE"))
    found[_VENDOR] = b'"""Copies of other libraries, for devices that have none."""\n'
    msgpack = import_module("provlight.packing").msgpack
    library = os.path.dirname(os.path.abspath(msgpack.__file__))
    found.update(_sources(library, "provlight/vendor/msgpack"))
    parent, version = os.path.dirname(library), ".".join(map(str, msgpack.version))
    metadata = os.path.join(parent, "msgpack-{}.dist-info".format(version))
    for folder in (os.path.join(metadata, "licenses"), metadata):
        licence = os.path.join(folder, "COPYING")
        if os.path.exists(licence):
            found["provlight/vendor/msgpack/COPYING"] = _read(licence)
    return found


def _sources(folder: str, prefix: str) -> Dict[str, bytes]:
    found = {}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        inner = os.path.relpath(root, folder).replace(os.sep, "/")
        for name in names:
            if name.endswith(".py"):
                place = prefix if inner == "." else "{}/{}".format(prefix, inner)
                found["{}/{}".format(place, name)] = _read(os.path.join(root, name))
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
