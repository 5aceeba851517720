"""Selectors: Ansible host patterns over service keys, layers, services, roles and testbeds.

Terms are joined by ``,`` or ``:``. Plain terms add hosts, ``&term`` keeps those that are also in the term, ``!term``
removes its hosts, in that order whatever the order in the pattern. A term is a name, a glob (``*``, ``?``, ``[abc]``),
``all``, or a regular expression after ``~``; a name or glob may end in a subscript ``[n]``, ``[-n]``, ``[n:m]`` (``m``
included) or ``[n:]``. Case is ignored on both sides. Hosts come in the order of the plan, each once.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, lru_cache
from itertools import islice
from typing import Protocol

from e2c.config.problems import nearest
from e2c.errors import ScenarioError
from e2c.plan.expressions import Matcher, NotFollowed, compiled, plain

MAX_LENGTH = 1000
PROPOSED_FROM = 500
"""Hosts whose names are compared with a name that is not known."""
MAX_LISTED = 20
"""Layers that a message lists."""
MAX_COMPARED = 10_000_000
"""Names that all patterns of a scenario together are compared with, and hosts that they choose."""
COMPLEX = 200
"""Plain names that one name costs where the expression is not plain."""

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
        matcher: what a name must match; ``None``: the name itself, or every host of a layer if ``start`` is empty.
        start: what a name begins with, all lower case.
        first, last: subscript, both included; ``None``: no subscript. ``last`` is -1 for the end.
        cost: what it takes to match one name.
    """

    text: str
    sign: str
    matcher: Matcher | None
    start: str = ""
    first: int | None = None
    last: int | None = None
    cost: int = 1


class Roster:
    """Hosts by every name that a selector may use, so that many patterns are resolved quickly.

    Args:
        hosts: the hosts, in the order in which they are chosen.
    """

    def __init__(self, hosts: Sequence[Selectable]) -> None:
        self.hosts = tuple({host.key: host for host in hosts}.values())
        self._layered = tuple(place for place, host in enumerate(self.hosts) if host.layer is not None)
        self._places: dict[str, list[int]] = {}
        for place, host in enumerate(self.hosts):
            lowered = dict.fromkeys(name.lower() for name in names(host))
            for name in (*lowered, *("_".join(name.split()) for name in lowered if " " in name)):
                places = self._places.setdefault(name, [])
                if not places or places[-1] != place:
                    places.append(place)
        self._names = sorted(self._places)
        self._found: dict[Term, Sequence[int]] = {}
        self._selected: dict[str, tuple[str, ...]] = {}
        self._left = MAX_COMPARED

    def select(self, pattern: str) -> tuple[str, ...]:
        """Keys of the hosts that a pattern chooses, in the order of the hosts; empty when it chooses none.

        Raises:
            SelectorError: the pattern cannot be read, or the patterns so far took too much.
        """
        if pattern not in self._selected:
            self._selected[pattern] = tuple(self.hosts[place].key for place in self._select(parse(pattern)))
        return self._selected[pattern]

    def select_but(self, pattern: str, left_out: frozenset[str]) -> tuple[str, ...]:
        """As :meth:`select`, without some keys."""
        chosen = self.select(pattern)
        return tuple(key for key in chosen if key not in left_out) if left_out else chosen

    def _select(self, terms: Sequence[Term]) -> list[int]:
        chosen: set[int] = set()
        for term in [term for term in terms if not term.sign] or [Term("all", "", None)]:
            chosen.update(self._chosen(term))
        for term in terms:
            if term.sign == "&":
                chosen.intersection_update(self._chosen(term))
        for term in terms:
            if term.sign == "!":
                chosen.difference_update(self._chosen(term))
        return sorted(chosen)

    def unmatched(self, pattern: str) -> list[Term]:
        """Terms of a pattern that match no host.

        Raises:
            SelectorError: the pattern cannot be read, or the patterns so far took too much.
        """
        return [term for term in parse(pattern) if not self._chosen(term)]

    def proposal(self, text: str) -> str | None:
        """What the user probably meant by a term that matches nothing."""
        known = self._proposals
        return f"{text.lower()}.*" if f"{text.lower()}.*" in known else nearest(text, known)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the first layers, as many as a sentence bears, as the scenario spells them."""
        return tuple(islice(dict.fromkeys(host.layer for host in self.hosts if host.layer), MAX_LISTED))

    @cached_property
    def _proposals(self) -> dict[str, None]:
        """What may be proposed, shared names first, because only so many are compared."""
        shared: dict[str, None] = {}
        keys: dict[str, None] = {}
        for host in self.hosts[:PROPOSED_FROM]:
            key, *others = names(host)
            parts = key.split(".")
            ends = (".".join(parts[:end]) for end in range(1, len(parts)))
            shared.update(dict.fromkeys((*others, *(f"{start}.*" for start in ends))))
            keys[key] = None
        return {**shared, **keys}

    def matching(self, term: Term) -> list[Selectable]:
        """The hosts that one term matches, whatever its sign."""
        return [self.hosts[place] for place in self._chosen(term)]

    def _chosen(self, term: Term) -> Sequence[int]:
        found = self._found.get(term)
        if found is None:
            found = self._found[term] = self._subscripted(term, self._matching(term))
        self._spend(len(found))
        return found

    def _matching(self, term: Term) -> Sequence[int]:
        if term.matcher is None:
            return self._places.get(term.start, ()) if term.start else self._layered
        first = bisect_left(self._names, term.start)
        last = bisect_left(self._names, f"{term.start}\U0010ffff")
        self._spend((last - first) * term.cost)
        matched = [self._places[name] for name in self._names[first:last] if term.matcher(name)]
        self._spend(sum(map(len, matched)))
        return sorted(set().union(*matched))

    @staticmethod
    def _subscripted(term: Term, found: Sequence[int]) -> Sequence[int]:
        if term.first is None:
            return found
        if term.last is None:
            return found[term.first : term.first + 1 or None] if -len(found) <= term.first < len(found) else ()
        return found[term.first : len(found) if term.last == -1 else term.last + 1]

    def _spend(self, number: int) -> None:
        self._left -= number
        if self._left < 0:
            raise SelectorError(
                f"the scenario has too many different patterns for its {len(self.hosts)} hosts",
                hint="Choose hosts by layer, service or role, which needs no comparing",
            )


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
        return _expression(body, sign)
    first: int | None = None
    last: int | None = None
    subscript = _SUBSCRIPT.fullmatch(body)
    if subscript:
        body, single, start, end = subscript.groups()
        first = int(single if single is not None else start)
        last = None if single is not None else int(end or -1)
    lowered = "_".join(body.lower().split())
    if lowered in _EVERY:
        return Term(body, sign, None, "", first, last)
    literal = re.split(r"[*?[]", lowered, maxsplit=1)[0]
    try:
        matcher = None if literal == lowered else re.compile(translate(lowered)).match
    except re.error as error:
        raise SelectorError(f"the pattern {body!r} cannot be read", why=str(error)) from None
    return Term(body, sign, matcher, literal, first, last)


def _expression(body: str, sign: str) -> Term:
    text = body[1:]
    try:
        return Term(body, sign, compiled(text), cost=1 if plain(text) else COMPLEX)
    except re.error as error:
        why, hint = str(error), ""
    except NotFollowed as error:
        why, hint = (
            f"it {error} and has many choices or repetitions",
            "Write it more simply, or join patterns by & and !",
        )
    raise SelectorError(f"the regular expression {text!r} cannot be read", why=why, hint=hint)
