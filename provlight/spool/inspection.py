"""Look at a spool without changing it, and delete what is in it."""

from __future__ import annotations

import os

from .descriptors import close_file, open_file
from .folder import (
    ClientFolder,
    SpoolError,
    client_folders,
    is_client_folder,
    is_held,
    read_about,
    read_acked,
    segment_firsts,
)
from .segment import SUFFIX, Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, NamedTuple, Optional
else:
    from provlight.namedtuples import NamedTuple

_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


class SpoolInfo(NamedTuple):
    """What the folder of one client holds."""

    folder: str
    """Its absolute path."""
    client: str
    owned: bool
    """Whether a living process holds it."""
    batches: int
    """Not acknowledged yet."""
    records: int
    """In those batches."""
    bytes: int
    """On the disk."""
    first: int
    last: int
    """First and last sequence number not acknowledged yet; 0 when there are none."""
    oldest: Optional[float]
    """Unix time at which the file of the oldest batch was made; None when there is none."""
    host: str
    pid: int
    partition: str
    broker: str
    """Of the process that captured."""


def folders(spool_dir: str) -> List[SpoolInfo]:
    """What a spool holds, oldest first.

    Raises:
        SpoolError: there is no such folder, or it cannot be read.
    """
    try:
        paths = client_folders(os.path.abspath(spool_dir))
    except OSError as error:
        raise SpoolError("the spool {} cannot be read: {}".format(spool_dir, error.strerror)) from error
    found = []
    for path in paths:
        try:
            found.append(_described(path))
        except FileNotFoundError:  # sent and removed meanwhile
            continue
        except OSError as error:
            raise SpoolError("{} cannot be read: {}".format(path, error.strerror)) from error
    return sorted(found, key=lambda info: (info.oldest is None, info.oldest or 0.0, info.client))


def check(folder: str) -> List[str]:
    """What is damaged in a client's folder, as sentences; none when it is sound. Every byte is read.

    In the folder of a living process, what is being written just now may look damaged.

    Raises:
        SpoolError: it is no client's folder, or it cannot be read.
    """
    path = _client_folder(folder)
    problems: List[str] = []
    try:
        opened = open_file(path, _DIRECTORY)
        try:
            follows = 0
            for segment in _segments(opened):
                if follows and segment.first != follows:
                    problems.append("batches {} to {} are missing".format(follows, segment.first - 1))
                if segment.damage:
                    problems.append("{}: {}".format(segment.name, segment.damage))
                for seq in range(segment.first, segment.last + 1):
                    if segment.read(seq) is None:
                        records = segment.records(seq)
                        problems.append("{}: batch {} ({} records) is damaged".format(segment.name, seq, records))
                follows = segment.last + 1
                segment.close()
        finally:
            close_file(opened)
    except OSError as error:
        raise SpoolError("{} cannot be read: {}".format(path, error.strerror)) from error
    return problems


def purge(folder: str) -> SpoolInfo:
    """Delete a client's folder with the records in it. Returns what it held.

    Raises:
        SpoolError: it is no client's folder, a living process holds it, or it cannot be deleted.
    """
    path = _client_folder(folder)
    try:
        held = ClientFolder.adopt(path, any_user=True)
        if held is None:
            raise SpoolError("{} belongs to a living process: end that first".format(path))
        try:
            info = _described(path, owned=False)
        finally:
            held.remove()
    except SpoolError:
        raise
    except OSError as error:
        raise SpoolError("{} cannot be deleted: {}".format(path, error.strerror)) from error
    if os.path.lexists(path):
        raise SpoolError("{} cannot be deleted".format(path))
    return info


def _client_folder(folder: str) -> str:
    path = os.path.abspath(folder)
    if not is_client_folder(path):
        raise SpoolError("{} is not the folder of a client in a spool".format(folder))
    return path


def _described(path: str, owned: Optional[bool] = None) -> SpoolInfo:
    opened = open_file(path, _DIRECTORY)
    try:
        about, acked = read_about(opened), read_acked(opened)
        batches = records = first = last = 0
        oldest: Optional[float] = None
        for segment in _segments(opened):
            segment.close()
            if segment.last <= acked:
                continue
            begin = max(segment.first, acked + 1)
            batches += segment.last + 1 - begin
            records += segment.records_from(begin)
            first, last = first or begin, segment.last
            oldest = segment.born if oldest is None else oldest
        names = [name for name in os.listdir(opened) if name.endswith(SUFFIX)]
        size = sum(os.stat(name, dir_fd=opened, follow_symlinks=False).st_size for name in names)
    finally:
        close_file(opened)
    pid = about.get("pid", "")
    return SpoolInfo(
        folder=path,
        client=os.path.basename(path),
        owned=is_held(path) if owned is None else owned,
        batches=batches,
        records=records,
        bytes=size,
        first=first,
        last=last,
        oldest=oldest,
        host=about.get("host", ""),
        pid=int(pid) if pid.isdigit() else 0,
        partition=about.get("partition", ""),
        broker=about.get("broker", ""),
    )


def _segments(opened: int) -> List[Segment]:
    segments = []
    for first in segment_firsts(opened):
        segment = Segment(opened, first)
        try:
            segment.scan()
        finally:
            segment.close()
        segments.append(segment)
    return segments
