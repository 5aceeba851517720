"""Ansible's ``shell`` and ``command`` where they ask for nothing special: the same result, for less of everything.

A module of Ansible is unpacked and compiled anew on each host for each task, which takes a quarter of a second of its
processor: longer than most commands last. Whatever is not known here is left to Ansible's own.
"""

from __future__ import annotations

import ast
import datetime
import shlex
from pathlib import Path
from typing import Any

from ansible.module_utils.common.text.converters import to_text

from e2c.remote import light_command, overlong

MARK = "=== e2c "
_KNOWN = frozenset(["_raw_params", "_uses_shell", "chdir", "executable"])
_NOT_FOUND = (126, 127)


def run(action: Any, name: str, task_vars: dict[str, Any]) -> Any:
    """The result of a task.

    Args:
        action: Ansible's ``ActionBase`` of the task, whose module is ``name``.
    """
    shell = name == "shell" or bool(action._task.args.get("_uses_shell"))
    found = _lightly(action, task_vars, shell=shell)
    return ansibles(action, name).run(task_vars=task_vars) if found is None else found


def ansibles(action: Any, name: str) -> Any:
    """Ansible's own action of that name, for the same task."""
    parts = {
        "task": action._task,
        "connection": action._connection,
        "play_context": action._play_context,
        "loader": action._loader,
        "templar": action._templar,
        "shared_loader_obj": action._shared_loader_obj,
    }
    return action._shared_loader_obj.action_loader.get(f"ansible.builtin.{name}", **parts)


def interpreter(action: Any, task_vars: dict[str, Any], known: frozenset[str]) -> str | None:
    """Path of the host's Python, where a task may be done lightly; ``None``: it asks for something special."""
    task, become, path = action._task, action._connection.become, task_vars.get("ansible_python_interpreter")
    special = task.async_val or task.check_mode or not known.issuperset(task.args)
    if special or action._connection.transport != "ssh" or (become is not None and become.name != "sudo"):
        return None
    return path if isinstance(path, str) and path.startswith("/") else None


def _lightly(action: Any, task_vars: dict[str, Any], *, shell: bool) -> dict[str, Any] | None:
    """``None`` where it is for Ansible's own action."""
    arguments, python = action._task.args, interpreter(action, task_vars, _KNOWN)
    text = arguments.get("_raw_params")
    if python is None or not isinstance(text, str) or not text.strip() or (arguments.get("executable") and not shell):
        return None
    words = [arguments.get("executable") or action._play_context.executable, "-c", text] if shell else shlex.split(text)
    return _run(action, python, words, text if shell else words, task_vars, expand=not shell)


def _run(
    action: Any, python: str, words: list[str], shown: Any, task_vars: dict[str, Any], *, expand: bool
) -> dict[str, Any] | None:
    asked = {"words": words, "chdir": action._task.args.get("chdir") or "", "expand": expand}
    source = Path(light_command.__file__).read_text(encoding="utf-8")
    script = f"{source}\n\nrun(**{asked!a})\n"
    environment = action._compute_environment_string()
    command = f"{environment} {shlex.quote(python)} -IS -".strip()
    answer = action._low_level_execute_command(command, in_data=script.encode())
    _, mark, said = answer["stdout"].rpartition(MARK)
    if not mark:
        if answer["rc"] in _NOT_FOUND:
            return None  # no such interpreter: Ansible says what to do about it
        words_ = answer["stderr"].strip() or answer["stdout"].strip()
        return {"failed": True, "rc": answer["rc"], "msg": f"the command did not report back: {words_}"}
    code, out, err, began, ended, seconds, failure = ast.literal_eval(said.strip())
    stdout, stderr = (to_text(text).rstrip("\r\n") for text in (out, err))
    task = action._task
    if not (task.register or task.failed_when or task.changed_when or task.until or task.no_log):
        # nobody asks for all of it, which would go through Ansible line by line
        named = task_vars.get("inventory_hostname", ""), overlong.called(task)
        stdout, stderr = overlong.kept(stdout, *named, "stdout"), overlong.kept(stderr, *named, "stderr")
    return _result(code, stdout, stderr, began, ended, seconds, failure, shown)


def _result(
    code: int | None, stdout: str, stderr: str, began: str, ended: str, seconds: float, failure: str, shown: Any
) -> dict[str, Any]:
    result: dict[str, Any] = {"cmd": shown, "rc": code, "stdout": stdout, "stderr": stderr, "msg": failure}
    result |= {"stdout_lines": stdout.splitlines(), "stderr_lines": stderr.splitlines()}
    if failure:
        return {**result, "changed": False, "failed": True, "start": None, "end": None, "delta": None}
    delta = str(datetime.timedelta(seconds=seconds))
    result |= {"changed": True, "start": began, "end": ended, "delta": delta}
    return {**result, "failed": True, "msg": "non-zero return code"} if code else result
