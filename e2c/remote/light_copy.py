"""Ansible's ``copy`` of one file of ordinary size: the same result with one connection instead of five.

Whatever is not known here is left to Ansible's own.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shlex
from pathlib import Path
from typing import Any

from e2c.remote import light, light_file

_KNOWN = frozenset(["src", "content", "dest", "mode"])
LARGEST = 1 << 20
"""Bytes; more is better sent by sftp."""


def run(action: Any, task_vars: dict[str, Any]) -> Any:
    """The result of a task.

    Args:
        action: Ansible's ``ActionBase`` of the task.
    """
    found = _lightly(action, task_vars)
    return light.ansibles(action, "copy").run(task_vars=task_vars) if found is None else found


def _lightly(action: Any, task_vars: dict[str, Any]) -> dict[str, Any] | None:
    arguments = action._task.args
    interpreter = light.interpreter(action, task_vars, _KNOWN)
    dest, content, source = (arguments.get(name) for name in ("dest", "content", "src"))
    mode = _mode(arguments.get("mode"))
    if interpreter is None or not isinstance(dest, str) or mode == _UNKNOWN or (content is None) == (source is None):
        return None
    data = content.encode() if isinstance(content, str) else _file(action, source)
    if data is None or action._task.diff or len(data) > LARGEST:
        return None
    name = os.path.basename(source) if isinstance(source, str) else ""
    if not name and dest.endswith("/"):
        return None
    asked = {"dest": dest, "name": name, "mode": mode, "size": len(data)}
    code = f"{Path(light_file.__file__).read_text(encoding='utf-8')}\n\nplace(**{asked!a})\n"
    environment = action._compute_environment_string()
    command = f"{environment} {shlex.quote(interpreter)} -IS -c {shlex.quote(code)}".strip()
    # without any input Ansible would ask for a terminal
    answer = action._low_level_execute_command(command, in_data=data) if data else None
    _, mark, said = (answer or {"stdout": ""})["stdout"].rpartition(light.MARK)
    known = ast.literal_eval(said.strip()) if mark else None
    if known is None:
        return None  # nothing was done, or only half: Ansible's own says why it cannot be done
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    summed = {"checksum": digest, "md5sum": hashlib.md5(data, usedforsecurity=False).hexdigest()}
    return {**known, **summed, "src": source, "path": known["dest"], "failed": False}


_UNKNOWN = -1


def _mode(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value, 8) if isinstance(value, str) and re.fullmatch("0?[0-7]{3,4}", value) else _UNKNOWN


def _file(action: Any, source: Any) -> bytes | None:
    if not isinstance(source, str) or source.endswith("/"):
        return None
    try:
        path = action._find_needle("files", source)
        if not os.path.isfile(path) or os.path.getsize(path) > LARGEST:
            return None
        return Path(action._loader.get_real_file(path)).read_bytes()
    except Exception:  # noqa: BLE001 - Ansible's own says what is wrong with it
        return None
