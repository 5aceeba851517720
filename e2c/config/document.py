"""One YAML file: plain data, and the place of every key and value."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from e2c.config.compose import LINE_END, Node, Refused, compose
from e2c.config.problems import Path, Problem, Severity, dotted, printable

MAX_BYTES = 8 * 1024 * 1024
LARGE_BYTES = 1024 * 1024
MAX_SENTENCE = 500
"""Characters of a message, and of a hint."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")
_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


@dataclass(frozen=True)
class Document:
    """A file that was read.

    Attributes:
        file: its path, as the user gave it.
        name: what it is: ``layers_services``, ``network``, ``workflow`` or ``workflow_env``.
        data: its content as JSON would have it: keys are text, dates are text as written.
        root: its content with places; ``None`` when the file is empty.
        lines: its text.
        large: it has more than :data:`LARGE_BYTES`; its templates are not checked.
    """

    file: str
    name: str
    data: Any = None
    root: Node | None = field(default=None, repr=False)
    lines: tuple[str, ...] = field(default=(), repr=False)
    large: bool = False

    def node(self, path: Path) -> Node | None:
        """The value at a path, ``None`` where there is none."""
        node = self.root
        for part in path:
            if node is None:
                return None
            inside = node.value
            if isinstance(inside, dict) and part in inside:
                node = inside[part][1]
            elif isinstance(inside, list) and isinstance(part, int) and part < len(inside):
                node = inside[part]
            else:
                return None
        return node

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value (of its key, if ``key``), or of the nearest thing around it."""
        for end in range(len(path), -1, -1):
            node = self.node(path[:end])
            if node is None:
                continue
            if key and end == len(path) and end:
                parent = self.node(path[: end - 1])
                if parent is not None and isinstance(parent.value, dict):
                    node = parent.value[path[-1]][0]
            return node.line, node.column
        return (1, 1) if self.lines else (0, 0)

    def problem(
        self, path: Path, code: str, message: str, hint: str = "", *, severity: Severity = "error", key: bool = False
    ) -> Problem:
        """A problem at the place of a value, or of its key."""
        line, column = self.position(path, key=key)
        return self.at(line, column, code, message, hint, severity=severity, path=path)

    def at(
        self,
        line: int,
        column: int,
        code: str,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        path: Path = (),
    ) -> Problem:
        """A problem at a line and column, 0 for the file as a whole."""
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        where, message, hint = (_clipped(text) for text in (dotted(path), message, hint))
        return Problem(self.file, line, column, where, severity, code, message, hint, source)


def read(file: FilePath, name: str) -> tuple[Document, list[Problem]]:
    """Read one YAML file.

    Returns the document, whose ``root`` is ``None`` when it could not be read, and what is wrong with it.
    """
    document = Document(str(file), name)
    try:
        content = _content(file)
    except OSError as error:
        why = error.strerror or "it is not a file"
        return document, [document.at(0, 0, "file-unreadable", f"the file cannot be read: {why[0].lower()}{why[1:]}")]
    return parse(content, str(file), name)


def _content(file: FilePath) -> bytes:
    """The bytes of a file, one more than allowed at most.

    Raises:
        OSError: it cannot be read, or is no regular file: a pipe would be waited for, a device may have no end.
    """
    _must_be_regular(os.stat(file))  # before it is opened, which alone can make a device act
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        _must_be_regular(os.fstat(descriptor))  # and after, because the name may mean another file by now
        return stream.read(MAX_BYTES + 1)


def _must_be_regular(status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise OSError(0, f"it is {_KINDS.get(kind, 'a device')}, not a file")


_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


_FILLINGS = {
    "layers_services": "Write the layers and services in it",
    "network": "Write the links in it, or `networks:` alone if there are none",
    "workflow": "Write the plays in it",
    "workflow_env": "Write the configurations in it, or remove it",
}


def parse(content: bytes, file: str, name: str) -> tuple[Document, list[Problem]]:
    """Read YAML that is already in memory; as :func:`read`."""
    text = ""
    try:
        text = _decode(content)
        root = compose(text)
        if root is None:
            raise Refused(0, 0, "file-empty", "the file is empty", _FILLINGS.get(name, "Write its contents"))
        data = _plain(root)
    except Refused as refused:
        document = Document(file, name, lines=tuple(LINE_END.split(text)))
        return document, [document.at(*refused.args)]
    document = Document(file, name, data, root, tuple(LINE_END.split(text)), large=len(content) > LARGE_BYTES)
    if document.large:
        message = f"the file has {len(content) / 1e6:.1f} MB, which is much for a scenario"
        message += ", and its templates are not checked" if name.startswith("workflow") else ""
        return document, [
            document.at(0, 0, "file-large", message, "Use quantity and repeat instead of copies", severity="warning")
        ]
    return document, []


def _clipped(text: str) -> str:
    return printable(text if len(text) <= MAX_SENTENCE else f"{text[:MAX_SENTENCE]}...")


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise Refused(0, 0, "file-too-large", f"the file has more than {MAX_BYTES // 2**20} MiB", "Make it smaller")
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            raise Refused(0, 0, "encoding", f"the file is written in {encoding}", "Save it as UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = _place(before, len(before))
        raise Refused(
            line, column, "encoding", f"byte 0x{content[error.start]:02x} is not UTF-8", "Save the file as UTF-8"
        ) from None
    bad = _UNPRINTABLE.search(text)
    if bad:
        line, column = _place(text, bad.start())
        what = "a NUL byte" if bad.group() == "\0" else f"the control character U+{ord(bad.group()):04X}"
        raise Refused(line, column, "control-character", f"the file has {what}", "Remove it")
    return text


def _place(text: str, index: int) -> tuple[int, int]:
    lines = LINE_END.split(text[:index])
    return len(lines), len(lines[-1]) + 1


def _plain(node: Node) -> Any:
    value = node.value
    if isinstance(value, dict):
        return {key: _plain(inside) for key, (_, inside) in value.items()}
    if isinstance(value, list):
        return [_plain(inside) for inside in value]
    return value
