"""Jinja in workflow.yaml: its syntax, and the variables it names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from e2c.config.compose import Node
from e2c.config.document import Document
from e2c.config.filters import FILTERS, TESTS, is_filter, is_test
from e2c.config.keywords import CONDITIONS, PLAY_KEYWORDS, TASK_KEYWORDS
from e2c.config.names import is_identifier
from e2c.config.problems import Path, Problem, nearest, shown, suggestion

RUN_VARIABLES = frozenset(
    {"working_dir", "scenario_dir", "artifacts_dir", "current_repeat", "app_conf", "optimization_config", "_self"}
)
"""Variables that every play has from us."""
_ANSIBLE = """
    cycler dict environment group_names groups hostvars inventory_dir inventory_file inventory_hostname
    inventory_hostname_short item joiner lipsum lookup namespace now omit play_hosts playbook_dir q query range
    role_name role_names role_path undef vars
"""
ANSIBLE_VARIABLES = frozenset(_ANSIBLE.split())
"""Variables and functions that Ansible has everywhere; ``ansible_...`` too."""
_NOT_VARIABLES = frozenset({"hosts", "tasks", "block", "rescue", "always", "async_val", "loop_with"})
"""Further names that Ansible keeps for itself."""
ENV_PREFIX = "env_"
HOST_ENTRIES = frozenset(
    {
        *("_id", "layer_id", "service_id", "machine_id", "url", "url4", "url6", "gateway"),
        *("__address__", "__address4__", "__address6__", "__g5k_ipv6_address__"),
        *("__monitoring_address__", "__monitoring_device__"),
        *("sub_service", "sub_service_id"),
    }
)
"""Entries of ``_self`` and of the variables of ``depends_on``; plugins of services may add others."""

_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_VARIABLE = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*)")
_GUARDS = frozenset({"default", "d", "defined", "undefined"})
_ENTRY = re.compile(r"(?<![.\w])([A-Za-z_]\w*)\.(\w+)", re.ASCII)
_SIMPLE = re.compile(r"[^{}#%]*(\{\{ *[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)* *\}\}[^{}#%]*)*")
"""Plain variables, which are read without Jinja: its import takes longer than the rest of a check."""
_WORDS = "true false none True False None and or not in is if else for recursive"
_JINJA_WORDS = frozenset(_WORDS.split())


def is_template(value: object) -> bool:
    """Whether text holds Jinja."""
    return isinstance(value, str) and _TEMPLATE.search(value) is not None


def strings(node: Node, path: Path) -> Iterator[tuple[Path, Node, bool]]:
    """All text below a node, with its path and whether it is a condition, which Ansible reads as an expression."""
    stack: list[tuple[Path, Node, bool]] = [(path, node, False)]
    while stack:
        where, inner, condition = stack.pop()
        if isinstance(inner.value, dict):
            for key, (_, value) in inner.value.items():
                stack.append(((*where, key), value, key in CONDITIONS))
        elif isinstance(inner.value, list):
            stack += [((*where, place), value, condition) for place, value in enumerate(inner.value)]
        elif isinstance(inner.value, str):
            yield where, inner, condition


def check_templates(
    document: Document,
    path: Path,
    known: Collection[str],
    *,
    hosts: Collection[str] = (),
    open_ended: bool = False,
) -> Iterator[Problem]:
    """Problems of all templates below a path.

    Args:
        document: workflow.yaml.
        path: a play.
        known: variables that the play has.
        hosts: those of them that describe one host, beside ``_self``.
        open_ended: the play gets variables that cannot be known from the file.
    """
    node = None if document.large else document.node(path)
    found: list[tuple[Path, str, _Template]] = []
    for where, text, condition in strings(node, path) if node else ():
        if condition or is_template(text.value):
            source = f"{{{{ {text.value} }}}}" if condition and not is_template(text.value) else text.value
            found.append((where, source, _read(source)))
    guarded = frozenset().union(*(template.guarded for _, _, template in found))
    for where, source, template in found:
        if template.fault:
            message = f"{_named(where)} is not a template that can be read: {template.fault}"
            yield document.problem(where, "jinja", message, "Check its braces and quotes")
            continue
        yield from _unknown_words(document, where, template)
        yield from _unknown_entries(document, where, source, hosts)
        if not open_ended:
            yield from _unknown(document, where, template.variables - guarded, known)


def _unknown_words(document: Document, where: Path, template: _Template) -> Iterator[Problem]:
    for what, names, known, exists in (
        ("filter", template.filters, FILTERS, is_filter),
        ("test", template.tests, TESTS, is_test),
    ):
        for name in sorted(names):
            if not exists(name):
                message = f"{shown(name)} is no {what} of the installed Ansible"
                hint = suggestion(name, known, "Install the collection that has it, or check its name")
                yield document.problem(where, "filter-unknown", message, hint, severity="warning")


def _unknown_entries(document: Document, where: Path, source: str, hosts: Collection[str]) -> Iterator[Problem]:
    for name, entry in _ENTRY.findall(source):
        near = nearest(entry, HOST_ENTRIES, cutoff=0.75) if name == "_self" or name in hosts else None
        if near and entry not in HOST_ENTRIES:
            message = f"{name} has no entry {shown(entry)}, unless a plugin of the service gives it one"
            yield document.problem(
                where, "variable-attribute", message, f"Did you mean {f'{name}.{near}'!r}?", severity="warning"
            )


def _unknown(document: Document, where: Path, names: Collection[str], known: Collection[str]) -> Iterator[Problem]:
    for name in sorted(names):
        if name in known or name in ANSIBLE_VARIABLES or name in RUN_VARIABLES or name.startswith("ansible_"):
            continue
        near = nearest(name, [*known, *RUN_VARIABLES])
        hint = f"Did you mean {near!r}?" if near else "Define it with vars, register, set_fact or depends_on"
        yield document.problem(
            where, "variable-unknown", f"nothing defines the variable {shown(name)}", hint, severity="warning"
        )


def _named(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "this")


@dataclass(frozen=True)
class _Template:
    """What a template is made of.

    Attributes:
        fault: why it cannot be read; empty when it can.
        variables, filters, tests: their names.
        guarded: variables that it expects to be missing: it gives them a default, or asks whether they are defined.
    """

    fault: str = ""
    variables: frozenset[str] = frozenset()
    filters: frozenset[str] = frozenset()
    tests: frozenset[str] = frozenset()
    guarded: frozenset[str] = frozenset()


class _Anything(dict[str, Any]):
    """Lets Jinja pass every filter and test, because those of Ansible are not at hand."""

    def get(self, *_: Any) -> Any:
        return str


@cache
def _environment() -> Any:
    from jinja2 import Environment

    made = Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=False)  # noqa: S701 - parsed, never rendered
    made.filters, made.tests = _Anything(), _Anything()
    return made


@lru_cache(maxsize=1024)
def _read(source: str) -> _Template:
    if _SIMPLE.fullmatch(source):
        names = frozenset(_VARIABLE.findall(source))
        if not names & _JINJA_WORDS:
            return _Template(variables=names)
    from jinja2 import TemplateSyntaxError, meta, nodes

    try:
        tree = _environment().parse(source)
        return _Template(
            variables=frozenset(meta.find_undeclared_variables(tree)),
            filters=frozenset(node.name for node in tree.find_all(nodes.Filter)),
            tests=frozenset(node.name for node in tree.find_all(nodes.Test)),
            guarded=frozenset(
                name.name
                for node in tree.find_all((nodes.Filter, nodes.Test))
                if node.name in _GUARDS and node.node is not None
                for name in (node.node, *node.node.find_all(nodes.Name))
                if isinstance(name, nodes.Name)
            ),
        )
    except TemplateSyntaxError as error:
        return _Template(fault=(error.message or "wrong syntax").rstrip("."))
    except RecursionError:
        return _Template(fault="it is nested too deeply")
    except ValueError:
        return _Template(fault="it holds a number that is too long")


def is_reserved(name: str) -> bool:
    """Whether a variable of that name would hide one of ours or of Ansible's, or is no name at all."""
    return (
        name in RUN_VARIABLES
        or name in ANSIBLE_VARIABLES
        or name in PLAY_KEYWORDS
        or name in TASK_KEYWORDS
        or name in _NOT_VARIABLES
        or name in _JINJA_WORDS
        or name.startswith(("ansible_", ENV_PREFIX))
        or not is_identifier(name)
    )
