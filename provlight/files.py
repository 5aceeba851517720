"""Files as values: path, size and digest of what a task read or wrote.

The call itself only asks the file system for size and time. The digest is computed by the thread that makes batches, in
pieces, and only if the file is still the one that was captured.
"""

from __future__ import annotations

import os
import stat

from .forking import undisturbed
from .shapes import MAX_COLUMN, MAX_NAME, WireError, as_list, as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union
else:
    from .namedtuples import NamedTuple

EXTRA = "files"
"""Name of the additional column that carries what is known of a record's files."""

DIGEST_BYTES = 64 << 20
"""Largest file whose digest is computed unasked."""

_PIECE = 1 << 18


class File:
    """A file as the value of an attribute: the attribute holds the path, the table ``file`` its size and digest.

    Args:
        path: path of the file. It is looked at when the :class:`~provlight.Data` is made.
        digest: whether to compute the SHA-256 of its content; without it, of files up to 64 MiB.

    Raises:
        TypeError: ``path`` is no path.
    """

    __slots__ = ("digest", "path")

    def __init__(self, path: Union[str, bytes, "os.PathLike[Any]"], digest: Optional[bool] = None) -> None:
        self.path = os.fsdecode(path)
        self.digest = digest

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return "File({!r})".format(self.path)


class FileFact(NamedTuple):
    """What is known of one file, as both ends of the wire take it."""

    tag: str  # of the set
    attribute: Union[str, int]  # its name, or its place from 0 among positional values
    path: str  # absolute
    size: Optional[int]  # in bytes, None when there is no such file
    digest: Optional[bytes]  # SHA-256
    problem: str  # why size or digest are missing, else empty


class Observed:
    """A file as it was at the call; :meth:`fact` adds the digest later."""

    __slots__ = ("_changed_ns", "_fact", "_inode", "_wanted", "problem")

    def __init__(self, file: File, tag: str, attribute: Union[str, int]) -> None:
        self.problem = ""
        size: Optional[int] = None
        self._wanted = False
        self._inode = self._changed_ns = 0
        path = file.path
        try:
            path = os.path.abspath(path)
            found = os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            self.problem = getattr(error, "strerror", None) or str(error)
        else:
            if stat.S_ISREG(found.st_mode):
                size = found.st_size
                self._inode, self._changed_ns = found.st_ino, found.st_mtime_ns
                self._wanted = file.digest if file.digest is not None else size <= DIGEST_BYTES
                if not self._wanted and file.digest is None:
                    self.problem = "larger than {} bytes: no digest".format(DIGEST_BYTES)
            else:
                self.problem = "not a regular file"
        self._fact = FileFact(tag, attribute, path, size, None, self.problem)

    @property
    def missing(self) -> bool:
        """Whether there was no file at the call."""
        return self._fact.size is None

    @property
    def path(self) -> str:
        """Its absolute path."""
        return self._fact.path

    def fact(self) -> FileFact:
        """What is known now; reads the file the first time."""
        if self._wanted:
            self._wanted = False
            digest, problem = self._digested()
            self._fact = self._fact._replace(digest=digest, problem=problem)
        return self._fact

    def _digested(self) -> Tuple[Optional[bytes], str]:
        with undisturbed:
            import hashlib

        sum_of = hashlib.sha256()
        left = self._fact.size or 0
        try:
            with open(self._fact.path, "rb", buffering=0) as file:
                if not self._same(os.fstat(file.fileno())):
                    return None, "changed before its digest was computed"
                while left > 0:
                    piece = file.read(min(_PIECE, left))
                    if not piece:
                        break
                    left -= len(piece)
                    sum_of.update(piece)
                if left or not self._same(os.fstat(file.fileno())):
                    return None, "changed while its digest was computed"
        except OSError as error:
            return None, "its digest could not be computed: {}".format(error.strerror or error)
        return sum_of.digest(), ""

    def _same(self, found: os.stat_result) -> bool:
        return (found.st_ino, found.st_mtime_ns, found.st_size) == (self._inode, self._changed_ns, self._fact.size)


class Files:
    """The files of one record, on their way to the wire."""

    __slots__ = ("_observed",)

    def __init__(self, observed: Sequence[Observed]) -> None:
        self._observed = observed

    def to_wire(self) -> List[List[Any]]:
        """Lists and scalars for MessagePack."""
        return [list(one.fact()) for one in self._observed]


def from_wire(value: Any) -> List[FileFact]:
    """Inverse of :meth:`Files.to_wire`; checks everything.

    Raises:
        WireError: malformed.
    """
    found = []
    for item in as_list(value, None, "files"):
        tag, attribute, path, size, digest, problem = as_list(item, 6, "a file")
        if type(attribute) is not int or not 0 <= attribute < MAX_COLUMN:
            as_text(attribute, "the attribute of a file")
        if size is not None and (type(size) is not int or not 0 <= size < 1 << 63):
            raise WireError("the size of a file must be a number of bytes")
        if digest is not None and (type(digest) is not bytes or len(digest) != 32):
            raise WireError("the digest of a file must have 32 bytes")
        names = (as_text(tag, "the set of a file"), as_text(path, "the path of a file"), as_text(problem, "a problem"))
        if len(names[0]) > MAX_NAME:
            raise WireError("the tag of a set is too long")
        found.append(FileFact(names[0], attribute, names[1], size, digest, names[2]))
    return found
