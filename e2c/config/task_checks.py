"""The shape of Ansible tasks: one module, known keywords, numbers where numbers belong, files that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from e2c.config.document import Document
from e2c.config.files import entries, exists, within
from e2c.config.keywords import (
    BLOCK_KEYWORDS,
    CONDITIONS,
    FLAGS,
    INCLUDES,
    LOCAL_SOURCES,
    LOOKUPS,
    LOOP_CONTROLS,
    MODULES,
    TASK_KEYWORDS,
    TEXTS,
    TRUTHS,
    WHOLE_NUMBERS,
    is_module,
    short,
)
from e2c.config.modules import arguments, check_arguments
from e2c.config.names import is_identifier
from e2c.config.problems import Path, Problem, nearest, shown
from e2c.config.surprises import surprises
from e2c.config.templates import is_template
from e2c.config.validate import unknown_key

_ROOT = re.compile(r"\{\{\s*(working_dir|artifacts_dir|scenario_dir)\s*\}\}")
_SECTIONS = ("block", "rescue", "always")


class TaskCheck:
    """Checks the tasks of one stage.

    Args:
        document: workflow.yaml.
        roots: folder on this machine per variable (``working_dir`` ...) that is known before a run.
    """

    def __init__(self, document: Document, roots: dict[str, FilePath]) -> None:
        self.document = document
        self.roots = roots

    def tasks(self, tasks: Any, path: Path) -> Iterator[Problem]:
        """Problems of a list of tasks."""
        if not isinstance(tasks, (list, tuple)):
            yield self.document.problem(path, "type", f"{path[-1]} must be a list of tasks, not {shown(tasks)}")
            return
        for place, task in enumerate(tasks):
            if isinstance(task, dict):
                yield from self._task(task, (*path, place))
            else:
                message = f"a task must be a mapping (module: arguments), not {shown(task)}"
                yield self.document.problem((*path, place), "type", message)

    def _task(self, task: dict[str, Any], path: Path) -> Iterator[Problem]:
        if "block" in task:
            for key in task:
                if key not in BLOCK_KEYWORDS:
                    yield unknown_key(self.document, (*path, key), sorted(BLOCK_KEYWORDS), what="keyword")
            yield from self.keywords(task, path)
            for section in _SECTIONS:
                if section in task:
                    yield from self.tasks(task[section], (*path, section))
            return
        yield from self.keywords(task, path)
        for key in ("rescue", "always"):
            if key in task:
                message = f"{key} has no block: beside it"
                yield self.document.problem((*path, key), "task-module", message, "Put the tasks in block:", key=True)
                return
        candidates = [key for key in task if key not in TASK_KEYWORDS and not key.startswith("with_")]
        if "action" in task or "local_action" in task:
            for key in candidates:
                yield unknown_key(self.document, (*path, key), sorted(TASK_KEYWORDS), what="keyword")
            return
        known = [key for key in candidates if is_module(key)]
        if len(known) > 1:
            message = f"the task has two modules, {shown(known[0])} and {shown(known[1])}"
            yield self.document.problem((*path, known[1]), "task-modules", message, "Make a task of each", key=True)
            return
        module = known[0] if known else _likely_module(candidates)
        for key in candidates:
            if key != module:
                yield unknown_key(self.document, (*path, key), sorted({*TASK_KEYWORDS, *MODULES}), what="keyword")
        if module is None:
            if not candidates:
                yield self.document.problem(
                    path, "task-module", "the task names no module", "Add one, as shell: COMMAND"
                )
            return
        if not known:
            yield self._unknown_module(module, path)
        yield from check_arguments(self.document, task, module, path)
        yield from self._source(module, task, path)

    def _unknown_module(self, module: str, path: Path) -> Problem:
        near = nearest(short(module), MODULES, cutoff=0.7)
        hint = f"Did you mean {near!r}?" if near else "Install the collection that has it, or check its name"
        message = f"{shown(module)} is no module of the installed Ansible"
        return self.document.problem((*path, module), "module-unknown", message, hint, severity="warning", key=True)

    def keywords(self, task: dict[str, Any], path: Path) -> Iterator[Problem]:
        """Problems of the values of keywords, of a task, a block or a play."""
        for key, value in task.items():
            where = (*path, key)
            wanted = _WANTED.get(key)
            if is_template(value):
                continue
            if key in WHOLE_NUMBERS:
                yield from self._number(value, where)
                yield from surprises(self.document, where)
            elif key.startswith("with_") and key[5:] not in LOOKUPS:
                near = nearest(key[5:], LOOKUPS, cutoff=0.75)
                if near:
                    message = f"{shown(key)} loops over nothing that the installed Ansible knows"
                    hint = f"Did you mean 'with_{near}'?"
                    yield self.document.problem(where, "module-unknown", message, hint, severity="warning", key=True)
            elif key in FLAGS and not (isinstance(value, bool) or str(value).lower() in TRUTHS):
                yield self.document.problem(where, "type", f"{key} must be true or false, not {shown(value)}")
            elif key in CONDITIONS and not isinstance(value, (bool, str, list)):
                yield self.document.problem(where, "type", f"{key} must be a condition, not {shown(value)}")
            elif key == "register" and not is_identifier(str(value)):
                message = f"register is {shown(value)}, which cannot be the name of a variable"
                yield self.document.problem(
                    where, "register", message, "Use letters, digits and '_', and no digit first"
                )
            elif key in TEXTS and not isinstance(value, (str, int, float)):
                yield self.document.problem(where, "type", f"{key} must be text, not {shown(value)}")
            elif wanted is not None and value is None:
                message = f"{key} has no value, so it has no effect"
                yield self.document.problem(where, "null", message, "Write one, or remove the key", severity="warning")
            elif wanted is not None and not isinstance(value, wanted[0]):
                yield self.document.problem(where, "type", f"{key} must be {wanted[1]}, not {shown(value)}", wanted[2])
            elif key == "environment" and isinstance(value, list):
                for place, entry in enumerate(value):
                    if not isinstance(entry, dict) and not is_template(entry):
                        message = (
                            f"entry {place + 1} of environment must be a mapping (NAME: value), not {shown(entry)}"
                        )
                        yield self.document.problem((*where, place), "type", message)
            elif key == "vars" and isinstance(value, dict):
                yield from self._variables(value, where)
            elif key == "loop_control":
                for name in value:
                    if name not in LOOP_CONTROLS:
                        yield unknown_key(self.document, (*where, name), sorted(LOOP_CONTROLS))

    def _variables(self, variables: dict[str, Any], where: Path) -> Iterator[Problem]:
        for name in variables:
            if not is_identifier(name):
                message = f"{shown(name)} cannot be the name of a variable"
                hint = "Use letters, digits and '_', and no digit first"
                yield self.document.problem((*where, name), "variable-name", message, hint, key=True)

    def _number(self, value: Any, where: Path) -> Iterator[Problem]:
        key = where[-1]
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,12}\s*", value):
            number = int(value)
        if number is None:
            what = "a whole number of seconds" if key in _SECONDS else "a whole number"
            yield self.document.problem(where, "type", f"{key} must be {what}, not {shown(value)}")
        elif number < 0:
            yield self.document.problem(where, "out-of-range", f"{key} must be at least 0, not {number}")

    def _source(self, module: str, task: dict[str, Any], path: Path) -> Iterator[Problem]:
        if short(module) not in LOCAL_SOURCES:
            return
        given, inline = arguments(short(module), task[module])
        extra = task.get("args")
        given = {**(extra if isinstance(extra, dict) else {}), **given}
        key = "file" if short(module) in INCLUDES else "src"
        source = given.get(key)
        if key == "file" and source is None and inline and isinstance(task[module], str) and "=" not in task[module]:
            source = task[module]
        if str(given.get("remote_src", "no")).lower() in ("yes", "true", "on", "1") or not isinstance(source, str):
            return
        if key == "src" or _ROOT.search(source):
            yield from self._file(source, (*path, module) if inline else (*path, module, key))

    def _file(self, source: str, where: Path) -> Iterator[Problem]:
        used: list[str] = _ROOT.findall(source)
        plain = _ROOT.sub(lambda match: str(self.roots.get(match[1], match[0])), source)
        if is_template(plain) or "://" in plain:
            return
        path = FilePath(plain)
        if not path.is_absolute():
            hint = f'Write "{{{{ working_dir }}}}/{plain}"'
            yield self.document.problem(
                where, "source-relative", f"the file {shown(source)} is looked for beside no file of yours", hint
            )
            return
        roots = [self.roots[name] for name in used]
        artifacts = self.roots.get("artifacts_dir")
        if roots and not within(path, roots):
            message = f"the file {shown(source)} lies outside the artifacts folder"
            yield self.document.problem(where, "artifact", message, "Put it into the artifacts folder")
        elif not exists(path) and roots:
            near = nearest(path.name, entries(path.parent))
            hint = f"Did you mean {near!r}?" if near else "Put it into the artifacts folder"
            yield self.document.problem(where, "artifact", f"the file {shown(source)} does not exist", hint)
        elif artifacts is not None and not roots:
            what = "lies outside the artifacts folder" if exists(path) else "does not exist on this machine"
            hint = "Put it into the artifacts folder, so that the scenario can move"
            yield self.document.problem(
                where, "artifact-outside", f"the file {shown(source)} {what}", hint, severity="warning"
            )


_WANTED: dict[str, tuple[tuple[type, ...], str, str]] = {
    "vars": ((dict, list), "a mapping (name: value)", ""),
    "environment": ((dict, list), "a mapping (NAME: value)", ""),
    "args": ((dict,), "a mapping (key: value)", ""),
    "module_defaults": ((dict, list), "a mapping (module: arguments)", ""),
    "loop": ((list,), "a list", "Write the entries in brackets: [a, b]"),
    "loop_control": ((dict,), "a mapping (key: value)", ""),
    "tags": ((str, int, list), "a name or a list of names", ""),
    "notify": ((str, list), "the name of a handler or a list of them", ""),
    "roles": ((list,), "a list of roles", ""),
    "vars_files": ((str, list), "a list of files", ""),
    "collections": ((str, list), "a list of collections", ""),
}
MAX_LIKELY = 100
"""Keys of a task of which one may be a misspelled module."""
_SECONDS = ("async", "poll", "delay", "timeout")


def _likely_module(candidates: list[str]) -> str | None:
    """The one of several unknown keys that stands for the module: the one that is no misspelled keyword."""
    others = [
        key
        for key in candidates[:MAX_LIKELY]
        if nearest(key, TASK_KEYWORDS, cutoff=0.75) is None or nearest(key, MODULES, cutoff=0.75)
    ]
    return others[0] if others else candidates[0] if len(candidates) == 1 and "." in candidates[0] else None
