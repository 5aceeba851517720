"""Arguments of the modules that almost every workflow uses: which there are, and which a task cannot do without.

The names are those of ansible-core 2.17; a test compares them with the installed one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from e2c.config.document import Document
from e2c.config.keywords import short
from e2c.config.problems import Path, Problem, listed, shown
from e2c.config.templates import is_template
from e2c.config.validate import unknown_key

_FILE = "attr attributes group mode owner selevel serole setype seuser unsafe_writes"
_ARGUMENTS = {
    "command": "argv chdir cmd creates expand_argument_vars removes stdin stdin_add_newline strip_empty_ends",
    "shell": "chdir cmd creates executable removes stdin stdin_add_newline",
    "script": "chdir cmd creates decrypt executable removes",
    "raw": "executable",
    "copy": (
        f"{_FILE} backup checksum content decrypt dest directory_mode follow force local_follow remote_src src validate"
    ),
    "template": (
        f"{_FILE} backup block_end_string block_start_string comment_end_string comment_start_string dest "
        "follow force lstrip_blocks newline_sequence output_encoding src trim_blocks validate "
        "variable_end_string variable_start_string"
    ),
    "fetch": "dest fail_on_missing flat src validate_checksum",
    "file": (
        f"{_FILE} access_time access_time_format dest follow force modification_time modification_time_format "
        "name path recurse src state"
    ),
    "get_url": (
        f"{_FILE} backup checksum ciphers client_cert client_key decompress dest force force_basic_auth "
        "headers http_agent password timeout tmp_dest unredirected_headers url url_password url_username "
        "use_gssapi use_netrc use_proxy username validate_certs"
    ),
    "unarchive": (
        f"{_FILE} copy creates decrypt dest exclude extra_opts include io_buffer_size keep_newer list_files "
        "remote_src src validate_certs"
    ),
}
ARGUMENTS = {module: frozenset(names.split()) for module, names in _ARGUMENTS.items()}
"""Names of arguments per module."""

FREE_FORM = frozenset({"command", "shell", "script", "raw"})
"""Modules whose argument is the command line itself."""

REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "copy": (("dest",), ("src", "content")),
    "template": (("src",), ("dest",)),
    "fetch": (("src",), ("dest",)),
    "file": (("path", "dest", "name"),),
    "get_url": (("url",), ("dest",)),
    "unarchive": (("src",), ("dest",)),
}
"""Arguments of which a task must have one each."""

_PLACES = frozenset({"src", "dest", "path", "url", "name"})


def check_arguments(document: Document, task: dict[str, Any], module: str, path: Path) -> Iterator[Problem]:
    """Problems of the arguments of a task's module."""
    name, value, where = short(module), task[module], (*path, module)
    if name not in ARGUMENTS or (is_template(value) and name not in FREE_FORM):
        return
    if name in FREE_FORM and not value and not task.get("args"):
        yield document.problem(
            where, "module-arguments", f"{name} has no command", "Write it after the module", key=True
        )
        return
    if name in FREE_FORM and not isinstance(value, dict) and not isinstance(task.get("args"), dict):
        if not isinstance(value, str) or not value.strip():
            message = f"{name} must be a command line, not {shown(value)}"
            yield document.problem(where, "module-arguments", message, "Write the command after it")
        return
    if value is not None and not isinstance(value, (dict, str)):
        message = f"the arguments of {name} must be a mapping (key: value), not {shown(value)}"
        yield document.problem(where, "module-arguments", message)
        return
    given, inline = arguments(name, value)
    for key in given if isinstance(value, dict) else ():
        if key not in ARGUMENTS[name]:
            yield unknown_key(document, (*where, key), sorted(ARGUMENTS[name]), what="argument")
    extra = task.get("args")
    every = {**(extra if isinstance(extra, dict) else {}), **given}
    for choice in REQUIRED.get(name, ()):
        if not any(key in every for key in choice) and not is_template(extra):
            message = f"the task has no {listed(choice)} for {name}"
            yield document.problem(where, "module-arguments", message, f"Add {choice[0]}:", key=True)
    for key in _PLACES & set(given):
        if not isinstance(given[key], str) or not given[key].strip():
            place = where if inline else (*where, key)
            yield document.problem(place, "module-arguments", f"{key} of {name} must be text, not {shown(given[key])}")


def arguments(module: str, value: Any) -> tuple[dict[str, Any], bool]:
    """Arguments of a module, and whether they are written in one line (``copy: src=a dest=b``)."""
    if isinstance(value, dict):
        return value, False
    if not isinstance(value, str):
        return {}, True
    try:
        words = shlex.split(value) if "{{" not in value else _words(value)
    except ValueError:
        return {}, True
    if module == "script":
        return ({"src": words[0]} if words else {}), True
    return dict(word.split("=", 1) for word in words if "=" in word), True


def _words(text: str) -> list[str]:
    """Words of a line in which blanks inside ``{{ }}`` do not separate."""
    return [re.sub(r"[\"']", "", word) for word in re.findall(r"(?:\{\{.*?\}\}|[^\s])+", text)]
