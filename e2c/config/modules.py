"""Arguments of Ansible's own modules: which there are, which a task cannot do without, and what they may be."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from e2c.config.document import Document
from e2c.config.keywords import TRUTHS, short
from e2c.config.module_table import Option, options
from e2c.config.problems import Path, Problem, listed, shown, suggestion
from e2c.config.templates import is_template
from e2c.config.validate import unknown_key

FREE_FORM = frozenset({"command", "shell", "script", "raw"})
"""Modules whose argument is the command line itself."""
_ONE_WORD = frozenset(
    {"include_tasks", "import_tasks", "include_role", "import_role", "include_vars", "import_playbook", "meta"}
)
"""Modules that also take a text without ``=``."""
_OPEN = frozenset({"add_host", "gather_facts", "package", "service", "set_fact", "set_stats", *_ONE_WORD})
"""Modules that take arguments of any name, or hand them on to another module."""

EITHER: dict[str, tuple[str, ...]] = {
    "add_host": ("name", "host", "hostname"),
    "copy": ("src", "content"),
    "package": ("name",),
    "pip": ("name", "requirements"),
    "service": ("name",),
}
"""Arguments of which a task must have one, beside those that are required."""

_PLACES = frozenset({"src", "dest", "path", "url", "name"})
"""Arguments that are one text, but for a few modules."""
_MANY = frozenset({"apt", "dnf", "dnf5", "find", "package", "pip"})
"""Modules that take a list for one of these."""


def check_arguments(document: Document, task: dict[str, Any], module: str, path: Path) -> Iterator[Problem]:
    """Problems of the arguments of a task's module."""
    name, value, where = short(module), task[module], (*path, module)
    known = options(name)
    extra = task.get("args")
    if known is None or (is_template(value) and name not in FREE_FORM and "=" not in value):
        return
    if value is not None and not isinstance(value, (dict, str)):
        wanted = "a command line" if name in FREE_FORM else "a mapping (key: value)"
        message = f"the arguments of {name} must be {wanted}, not {shown(value)}"
        yield document.problem(where, "module-arguments", message)
        return
    beside = extra if isinstance(extra, dict) else {}
    if name in FREE_FORM:
        given = value if isinstance(value, dict) else {}
        if not (value if isinstance(value, str) and value.strip() else "") and not {"cmd", "argv"} & {*given, *beside}:
            message = f"{name} has no command"
            yield document.problem(where, "module-arguments", message, f"Write it as {name}: COMMAND", key=True)
        yield from _values(document, given, where, name, known)
        yield from _values(document, beside, (*path, "args"), name, known)
        return
    given, inline = arguments(name, value)
    if inline and value and name not in _ONE_WORD and not given and not is_template(value):
        message = f"the arguments of {name} must be key: value, not {shown(value)}"
        hint = f"Known here: {', '.join(_first(known))}"
        yield document.problem(where, "module-arguments", message, hint)
        return
    yield from _values(document, given, where, name, known, inline=inline)
    yield from _values(document, beside, (*path, "args"), name, known)
    if not is_template(extra) and name not in _ONE_WORD:
        yield from _lacking(document, {**beside, **given}, where, name, known)


def _first(known: dict[str, Option]) -> list[str]:
    return sorted({option.names[0] for option in known.values()})


def _lacking(
    document: Document, given: dict[str, Any], where: Path, name: str, known: dict[str, Option]
) -> Iterator[Problem]:
    required = (option.names for option in dict.fromkeys(known.values()) if option.required)
    wanted = [] if name in _OPEN else list(required)
    if name in EITHER:
        wanted.append(EITHER[name])
    for choice in wanted:
        if all(given.get(key) is None for key in choice):
            message = f"the task has no {listed(choice)} for {name}"
            last = next((key for key in reversed(given) if document.node((*where, key))), None)
            place = (*where, last) if last else where
            line, column = document.position(place, key=True)
            yield document.at(line, column, "module-arguments", message, f"Add {choice[0]}:", path=where)


def _values(
    document: Document,
    given: dict[str, Any],
    where: Path,
    name: str,
    known: dict[str, Option],
    *,
    inline: bool = False,
) -> Iterator[Problem]:
    """Problems of arguments; those written in one line have no place of their own."""
    for key, value in given.items():
        place = where if inline else (*where, key)
        if key not in known:
            if name not in _OPEN and not is_template(key):
                yield _unknown(document, place, key, name, known)
            continue
        option = known[key]
        if value is None or is_template(value):
            continue
        fault = hint = ""
        if option.truth and not (isinstance(value, (bool, int)) or str(value).lower() in TRUTHS):
            fault = "true or false"
        elif option.number and not re.fullmatch(r"[-+]?[0-9]+", str(value)):
            fault = "a whole number"
        elif option.choices and isinstance(value, str) and value not in option.choices:
            fault = listed(option.choices)
            hint = suggestion(value, option.choices)
        elif key in _PLACES and not _is_place(value, name) and (option.required or key != "name"):
            fault = "text"
        if fault:
            message = f"{key} of {name} must be {fault}, not {shown(value)}"
            yield document.problem(place, "module-arguments", message, hint)
        elif key == "mode" and (digits := _missing_zero(document, place, value, inline=inline)):
            message = f"the mode {digits} is read as the decimal number {digits}, which is not the mode 0{digits}"
            yield document.problem(place, "file-mode", message, f'Write "0{digits}"', severity="warning")


def _is_place(value: Any, name: str) -> bool:
    lists = name in _MANY
    return (isinstance(value, str) and bool(value.strip())) or (lists and isinstance(value, list))


def _unknown(document: Document, place: Path, key: str, name: str, known: dict[str, Option]) -> Problem:
    if place[-1] == key:
        return unknown_key(document, place, sorted(known), what="argument")
    message = f"the argument {shown(key)} is not known in {name}"
    return document.problem(
        place, "unknown-key", message, suggestion(key, known, f"Known here: {', '.join(_first(known))}")
    )


def _missing_zero(document: Document, place: Path, value: Any, *, inline: bool) -> str:
    """A file mode written as three digits without the zero that makes it octal."""
    node = document.node(place)
    if inline or isinstance(value, bool) or not isinstance(value, int) or node is None:
        return ""
    return node.text if re.fullmatch(r"[1-7][0-7]{2,3}", node.text) else ""


MAX_LINE = 10_000
"""Characters of arguments in one line that are taken apart."""


def arguments(module: str, value: Any) -> tuple[dict[str, Any], bool]:
    """Arguments of a module, and whether they are written in one line (``copy: src=a dest=b``)."""
    if isinstance(value, dict):
        return value, False
    if not isinstance(value, str) or len(value) > MAX_LINE:
        return {}, True
    try:
        words = shlex.split(value) if "{{" not in value else _split(value)
    except ValueError:
        return {}, True
    if module == "script":
        return ({"src": words[0]} if words else {}), True
    return dict(word.split("=", 1) for word in words if "=" in word), True


def _split(text: str) -> list[str]:
    """Words of a line in which blanks inside ``{{ }}`` do not separate."""
    return [re.sub(r"[\"']", "", word) for word in re.findall(r"(?:\{\{[^{}]*\}\}|[^\s])+", text)]
