"""Selectors: Ansible host patterns over service keys, layers, services, roles and testbeds.

Terms are joined by ``,`` or ``:``. Plain terms add hosts, ``&term`` keeps those that are also in the term, ``!term``
removes its hosts, in that order whatever the order in the pattern. A term is a name, a glob (``*``, ``?``, ``[abc]``),
``all``, or a regular expression after ``~``; a name or glob may end in a subscript ``[n]``, ``[-n]``, ``[n:m]`` (``m``
included) or ``[n:]``. Case is ignored on both sides. Hosts come in the order of the plan, each once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Protocol

from e2c.config.problems import nearest
from e2c.errors import ScenarioError

MAX_LENGTH = 1000
PROPOSED_FROM = 500
"""Hosts whose names are compared with a name that is not known."""

_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]", re.DOTALL)
_EVERY = frozenset({"all", "*"})


class Selectable(Protocol):
    """What a selector chooses from: planned hosts and acquired hosts alike."""

    @property
    def key(self) -> str: ...
    @property
    def layer(self) -> str | None: ...
    @property
    def service(self) -> str: ...
    @property
    def roles(self) -> tuple[str, ...]: ...
    @property
    def testbed(self) -> str: ...


class SelectorError(ScenarioError):
    """A pattern that cannot be read."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a pattern.

    Attributes:
        text: the term as written, without its sign and subscript.
        sign: empty, ``&`` or ``!``.
        matcher: what a name must match; ``None``: every host of a layer.
        first, last: subscript, both included; ``None``: no subscript. ``last`` is -1 for the end.
    """

    text: str
    sign: str
    matcher: re.Pattern[str] | None
    first: int | None = None
    last: int | None = None


class Roster:
    """Hosts by every name that a selector may use, so that many patterns are resolved quickly.

    Args:
        hosts: the hosts, in the order in which they are chosen.
    """

    def __init__(self, hosts: Sequence[Selectable]) -> None:
        self.hosts = tuple({host.key: host for host in hosts}.values())
        self._layered = frozenset(place for place, host in enumerate(self.hosts) if host.layer is not None)
        self._places: dict[str, set[int]] = {}
        for place, host in enumerate(self.hosts):
            for name in names(host):
                lowered = name.lower()
                self._places.setdefault(lowered, set()).add(place)
                if " " in lowered:
                    self._places.setdefault("_".join(lowered.split()), set()).add(place)

    def select(self, pattern: str) -> tuple[str, ...]:
        """Keys of the hosts that a pattern chooses, in the order of the hosts; empty when it chooses none.

        Raises:
            SelectorError: the pattern cannot be read.
        """
        terms = parse(pattern)
        chosen: set[int] = set()
        for term in [term for term in terms if not term.sign] or [Term("all", "", None)]:
            chosen.update(self._chosen(term))
        for term in terms:
            if term.sign == "&":
                chosen.intersection_update(self._chosen(term))
        for term in terms:
            if term.sign == "!":
                chosen.difference_update(self._chosen(term))
        return tuple(self.hosts[place].key for place in sorted(chosen))

    def unmatched(self, pattern: str) -> list[Term]:
        """Terms of a pattern that match no host.

        Raises:
            SelectorError: the pattern cannot be read.
        """
        return [term for term in parse(pattern) if not self._chosen(term)]

    def proposal(self, text: str) -> str | None:
        """What the user probably meant by a term that matches nothing."""
        known: dict[str, None] = {}
        for host in self.hosts[:PROPOSED_FROM]:
            parts = host.key.split(".")
            ends = (".".join(parts[:end]) for end in range(1, len(parts)))
            known.update(dict.fromkeys((*names(host), *(f"{start}.*" for start in ends))))
        return f"{text.lower()}.*" if f"{text.lower()}.*" in known else nearest(text, known)

    def _chosen(self, term: Term) -> Sequence[int]:
        if term.matcher is None:
            found = self._layered
        else:
            match = term.matcher.match
            found = frozenset().union(*(places for name, places in self._places.items() if match(name)))
        if term.first is None:
            return tuple(found)
        ordered = sorted(found)
        if term.last is None:
            return ordered[term.first : term.first + 1 or None] if -len(ordered) <= term.first < len(ordered) else ()
        return ordered[term.first : len(ordered) if term.last == -1 else term.last + 1]


def select(pattern: str, hosts: Sequence[Selectable]) -> list[str]:
    """Keys of the hosts that a pattern chooses, in the order of ``hosts``; empty when it chooses none.

    ``all`` and ``*`` mean the hosts of all layers; hosts of the experiment's own services are chosen by name only.

    Raises:
        SelectorError: the pattern cannot be read.
    """
    return list(Roster(hosts).select(pattern))


@lru_cache(maxsize=1024)
def parse(pattern: str) -> tuple[Term, ...]:
    """The terms of a pattern.

    Raises:
        SelectorError: it is empty, too long, has brackets that do not match, or a bad regular expression.
    """
    if len(pattern) > MAX_LENGTH:
        raise SelectorError(f"the pattern has more than {MAX_LENGTH} characters")
    terms = tuple(_term(text) for text in _split(pattern))
    if not terms:
        raise SelectorError(
            "the pattern is empty", hint="Write a layer, a service key such as cloud.master.*, a role, or all"
        )
    return terms


def names(host: Selectable) -> tuple[str, ...]:
    """Every name by which a selector may choose a host, as the scenario spells them."""
    layer = (host.layer,) if host.layer else ()
    return (host.key, *layer, host.service, *host.roles, host.testbed)


def _split(pattern: str) -> list[str]:
    terms, depth, current = [], 0, ""
    for char in pattern:
        if char in ",:" and not depth:
            terms.append(current)
            current = ""
            continue
        depth += (char in "[(") - (char in "])")
        if depth < 0:
            raise SelectorError(f"the pattern {pattern!r} closes a bracket that it does not open")
        current += char
    if depth:
        raise SelectorError(f"the pattern {pattern!r} opens a bracket that it does not close")
    return [term.strip() for term in (*terms, current) if term.strip()]


def _term(text: str) -> Term:
    sign = text[0] if text[0] in "!&" else ""
    body = text[len(sign) :].strip()
    if not body:
        raise SelectorError(f"nothing follows {sign!r} in the pattern")
    if body.startswith("~"):
        try:
            return Term(body, sign, re.compile(body[1:], re.IGNORECASE))
        except re.error as error:
            raise SelectorError(f"the regular expression {body[1:]!r} cannot be read", why=str(error)) from None
    first: int | None = None
    last: int | None = None
    subscript = _SUBSCRIPT.fullmatch(body)
    if subscript:
        body, single, start, end = subscript.groups()
        first = int(single if single is not None else start)
        last = None if single is not None else int(end or -1)
    lowered = "_".join(body.lower().split())
    matcher = None if lowered in _EVERY else re.compile(translate(lowered))
    return Term(body, sign, matcher, first, last)
