"""YAML text to a tree of values with their places.

The tree is composed from the parser's events rather than by PyYAML's composer, because only so depth, size and
alias expansion are bounded while they grow, and nothing recurses on what the user wrote.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from e2c.config.problems import shown

MAX_DEPTH = 64
MAX_NUMBER = 1000
"""Characters of a number."""
MAX_NODES = 1_200_000
MAX_ALIASED = 100_000
"""Values that all aliases of a file may add together, counted as if each were written out."""
LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""Line ends as YAML counts them."""

_TAG = "tag:yaml.org,2002:"
_TEXTS = frozenset({"str", "timestamp", "merge", "value"})
"""Scalars that stay as written; a date too, because JSON has none."""
_SCALARS = _TEXTS | {"int", "float", "bool", "null"}


class Node:
    """A value of the file: where it starts, and what it is made of.

    Attributes:
        line, column: from 1.
        value: a scalar, a list of nodes, or a mapping from key to (key node, value node).
        text: a scalar as written, without quotes.
        plain: a scalar without quotes.
        kind: what YAML takes a scalar for: ``str``, ``int``, ``float``, ``bool``, ``null`` or ``timestamp``.
        size: values it holds, itself included, aliases written out.
    """

    __slots__ = ("column", "kind", "line", "plain", "size", "text", "value")

    def __init__(
        self, line: int, column: int, value: Any, *, text: str = "", plain: bool = False, kind: str = ""
    ) -> None:
        self.line = line
        self.column = column
        self.value = value
        self.text = text
        self.plain = plain
        self.kind = kind
        self.size = 1


class Refused(Exception):
    """The text cannot be read; the arguments are line, column (0: no place), code, message and hint of the problem."""

    def __init__(self, line: int, column: int, code: str, message: str, hint: str = "") -> None:
        self.args = (line, column, code, message, hint)


def compose(text: str) -> Node | None:
    """The tree of a YAML text; ``None`` when it is empty.

    Raises:
        Refused: it is not YAML, exceeds a limit, or holds what a scenario must not.
    """
    composer = _Composer()
    with _uncollected():
        for event in _events(text):
            composer.take(event)
    root = composer.root
    empty = root is not None and root.value is None and root.plain and not root.text
    return None if empty else root


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: it would search a growing tree, in which nothing is garbage, again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _events(text: str) -> Iterator[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while True:
            event = loader.get_event()
            if event is None:
                return
            yield event
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from None
    except yaml.YAMLError as error:
        raise Refused(0, 0, "yaml-syntax", f"the file is not YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Refused:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    lines = LINE_END.split(text)
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in source[: len(source) - len(source.lstrip())] or "'\\t'" in (error.problem or ""):
        column = source.find("\t") + 1 or column
        return Refused(line, column, "yaml-tab", "a tab stands where YAML wants spaces", "Indent with spaces")
    if re.search(r"[:-]\s+\{\{", source):
        return Refused(
            line, column, "yaml-jinja", "a value that begins with {{ is not quoted", 'Write it in quotes: "{{ ... }}"'
        )
    what = error.problem or "unreadable"
    if error.context and "expected" in what:
        what = f"{error.context}, {what}"
    hint = "Close the quote or bracket" if "quoted scalar" in f"{error.context}" or "flow" in f"{error.context}" else ""
    return Refused(line, column, "yaml-syntax", f"the file is not YAML: {what}", hint)


class _Scalars(SafeConstructor, Resolver):
    """PyYAML's YAML 1.1 rules for scalars, and nothing else of it."""

    def __init__(self) -> None:
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def kind(self, text: str) -> str:
        """What an unquoted scalar without a tag is taken for."""
        for tag, pattern in self.yaml_implicit_resolvers.get(text[:1], ()):
            if pattern.match(text):
                found: str = tag
                return found.removeprefix(_TAG)
        return "str"

    def convert(self, kind: str, text: str) -> Any:
        """The value of a scalar that is no text.

        Raises:
            ValueError, OverflowError, KeyError, IndexError: it is none of its kind.
        """
        if len(text) > MAX_NUMBER:
            raise ValueError
        node = yaml.ScalarNode(f"{_TAG}{kind}", text)
        if kind == "null":
            return None
        if kind == "bool":
            return self.bool_values.get(text.lower(), text)
        return self.construct_yaml_int(node) if kind == "int" else self.construct_yaml_float(node)


class _Composer:
    """Builds nodes from events, within the limits."""

    def __init__(self) -> None:
        self.scalars = _Scalars()
        self.anchors: dict[str, Node | None] = {}
        self.nodes = 0
        self.aliased = 0
        self.root: Node | None = None
        self.open: list[_Open] = []

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._add(self._scalar(event), event.anchor)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._start(event, *_place(event))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            ended = self.open.pop()
            self._add(ended.finish(), ended.anchor)
        elif kind is yaml.AliasEvent:
            self._add(self._alias(event.anchor or "", *_place(event)), None)
        elif kind is yaml.DocumentStartEvent and self.root is not None:
            raise Refused(
                *_place(event), "yaml-documents", "the file holds more than one document", "Keep one, remove the '---'"
            )

    def _scalar(self, event: Any) -> Node:
        text, tag, mark = event.value, event.tag, event.start_mark
        plain = not event.style
        if tag is None or tag == "!":
            kind = self.scalars.kind(text) if plain and tag is None else "str"
        else:
            kind = tag.removeprefix(_TAG)
            if kind == tag or kind not in _SCALARS:
                raise _tag(mark.line + 1, mark.column + 1, tag)
        value = text
        if kind not in _TEXTS:
            try:
                value = self.scalars.convert(kind, text)
            except (ValueError, OverflowError, KeyError, IndexError):
                raise Refused(
                    *_place(event), "yaml-number", f"{shown(text)} is not a number that can be read", "Quote it"
                ) from None
        return Node(mark.line + 1, mark.column + 1, value, text=text, plain=plain, kind=kind)

    def _alias(self, anchor: str, line: int, column: int) -> Node:
        if anchor not in self.anchors:
            raise Refused(
                line, column, "yaml-alias", f"the alias '*{anchor}' names nothing above it", f"Define '&{anchor}' first"
            )
        node = self.anchors[anchor]
        if node is None:
            raise Refused(line, column, "yaml-alias", f"the alias '*{anchor}' contains itself", "Remove it")
        self.aliased += node.size
        if self.aliased > MAX_ALIASED:
            raise Refused(
                line,
                column,
                "yaml-alias-expansion",
                f"aliases would expand to more than {MAX_ALIASED} values",
                "Write fewer of them",
            )
        return node

    def _start(self, event: Any, line: int, column: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", f"{_TAG}{'map' if mapping else 'seq'}"):
            raise _tag(line, column, event.tag)
        if len(self.open) >= MAX_DEPTH:
            raise Refused(
                line, column, "yaml-depth", f"values are nested more than {MAX_DEPTH} deep", "Make the file flatter"
            )
        if event.anchor:
            self.anchors[event.anchor] = None
        self.open.append(_Open(Node(line, column, {} if mapping else []), event.anchor))

    def _add(self, node: Node, anchor: str | None) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Refused(
                node.line, node.column, "yaml-size", f"the file holds more than {MAX_NODES} values", "Make it smaller"
            )
        if anchor:
            self.anchors[anchor] = node
        if self.open:
            self.open[-1].add(node)
        else:
            self.root = node


class _Open:
    """A list or mapping that has not ended yet."""

    def __init__(self, node: Node, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: Node | None = None
        self.merges: list[Node] = []

    def add(self, node: Node) -> None:
        inside = self.node.value
        self.node.size += node.size
        if isinstance(inside, list):
            inside.append(node)
        elif self.key is None:
            self._take_key(node)
        else:
            key, self.key = self.key, None
            if key.plain and key.text == "<<":
                self.merges.append(node)
            else:
                inside[key.text] = (key, node)

    def _take_key(self, node: Node) -> None:
        if isinstance(node.value, (list, dict)):
            what = "a value in braces stands where a key must be"
            raise Refused(
                node.line, node.column, "yaml-key", what, 'Write a value that holds {{ ... }} in quotes: "{{ ... }}"'
            )
        before = self.node.value.get(node.text)
        if before is not None:
            message = f"the key {shown(node.text)} stands twice, first in line {before[0].line}"
            raise Refused(node.line, node.column, "duplicate-key", message, "Remove or rename one of them")
        self.key = node

    def finish(self) -> Node:
        for source in self.merges:
            for merged in source.value if isinstance(source.value, list) else [source]:
                if not isinstance(merged.value, dict):
                    raise Refused(
                        merged.line, merged.column, "yaml-merge", "'<<' wants a mapping to merge", "Name one with '*'"
                    )
                for key, pair in merged.value.items():
                    self.node.value.setdefault(key, pair)
        return self.node


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _tag(line: int, column: int, tag: str) -> Refused:
    name = tag.replace(_TAG, "!!")
    return Refused(
        line, column, "yaml-tag", f"the tag {shown(name)} is not allowed", "Write the value plainly, without a tag"
    )
