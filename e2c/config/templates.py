"""Jinja in workflow.yaml: its syntax, and the variables it names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache, lru_cache
from typing import Any

from e2c.config.compose import Node
from e2c.config.document import Document
from e2c.config.keywords import CONDITIONS
from e2c.config.names import is_identifier
from e2c.config.problems import Path, Problem, nearest, shown

RUN_VARIABLES = frozenset(
    {"working_dir", "scenario_dir", "artifacts_dir", "current_repeat", "app_conf", "optimization_config", "_self"}
)
"""Variables that every play has from us."""
_ANSIBLE = """
    environment group_names groups hostvars inventory_dir inventory_file inventory_hostname inventory_hostname_short
    item lookup now omit play_hosts playbook_dir q query role_name role_names role_path undef vars
"""
ANSIBLE_VARIABLES = frozenset(_ANSIBLE.split())
"""Variables and functions that Ansible has everywhere; ``ansible_...`` too."""
ENV_PREFIX = "env_"

_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_VARIABLE = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*)")
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


def check_templates(document: Document, path: Path, known: Collection[str], *, open_ended: bool) -> Iterator[Problem]:
    """Problems of all templates below a path.

    Args:
        document: workflow.yaml.
        path: a play.
        known: variables that the play has.
        open_ended: the play gets variables that cannot be known from the file.
    """
    node = document.node(path)
    for where, text, condition in strings(node, path) if node else ():
        if not condition and not is_template(text.value):
            continue
        source = f"{{{{ {text.value} }}}}" if condition and not is_template(text.value) else text.value
        fault, names = _read(source)
        if fault:
            yield document.problem(
                where, "jinja", f"{_named(where)} is not a template that can be read: {fault}", "Check its braces"
            )
        elif not open_ended:
            yield from _unknown(document, where, names, known)


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


@cache
def _environment() -> Any:
    from jinja2 import Environment

    return Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=False)  # noqa: S701 - parsed, never rendered


@lru_cache(maxsize=1024)
def _read(source: str) -> tuple[str | None, frozenset[str]]:
    """Why a template cannot be read, if so, and the variables it names."""
    if _SIMPLE.fullmatch(source):
        names = frozenset(_VARIABLE.findall(source))
        if not names & _JINJA_WORDS:
            return None, names
    from jinja2 import TemplateSyntaxError, meta

    try:
        tree = _environment().parse(source)
        return None, frozenset(meta.find_undeclared_variables(tree))
    except TemplateSyntaxError as error:
        return (error.message or "wrong syntax").rstrip("."), frozenset()
    except RecursionError:
        return "it is nested too deeply", frozenset()


def is_reserved(name: str) -> bool:
    """Whether a variable of that name would hide one of ours or of Ansible's, or is no name at all."""
    return (
        name in RUN_VARIABLES
        or name in ANSIBLE_VARIABLES
        or name.startswith(("ansible_", ENV_PREFIX))
        or not is_identifier(name)
    )
