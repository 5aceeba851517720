"""Checks of workflow.yaml that need more than one of its mappings."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path as FilePath
from typing import Any

from e2c.config.document import Document
from e2c.config.files import is_folder
from e2c.config.keywords import PLAY_KEYWORDS
from e2c.config.names import is_identifier
from e2c.config.problems import Path, Problem, shown
from e2c.config.scenario import Scenario
from e2c.config.task_checks import TaskCheck
from e2c.config.templates import ENV_PREFIX, check_templates, is_reserved
from e2c.config.validate import unknown_key
from e2c.config.workflow import DependsOn, Play
from e2c.model.plan import STAGES

_ENV_VARIABLE = re.compile(rf"\b{ENV_PREFIX}\w+")
_ENDS_IN_DIGIT = re.compile(r"\b[A-Za-z_]\w*\d\b")
_NUMBERS = re.compile(r"\d+(?:_\d+)?")
_FROM_ELSEWHERE = frozenset({"vars_files", "vars_prompt", "roles"})
_TASK_LISTS = ("pre_tasks", "post_tasks", "handlers")


def check_workflow(scenario: Scenario) -> Iterator[Problem]:
    """All problems that one mapping alone does not show."""
    document, workflow = scenario.documents["workflow"], scenario.workflow
    assert workflow is not None
    if not workflow.plays:
        yield document.problem(
            (), "workflow-empty", "the file has no play, so nothing runs", "Add one", severity="warning"
        )
    shared = _shared(scenario, document)
    for place, play in enumerate(workflow.plays):
        yield from _play(scenario, play, (place,), document)
        hosts = {dependency.prefix for dependency in play.depends_on if dependency.grouping != "asarray"}
        yield from check_templates(
            document, (place,), _variables(play, shared), hosts=hosts, open_ended=shared.open_ended
        )
    stages = {stage for play in workflow.plays for stage in STAGES if getattr(play, stage)}
    if stages and "launch" not in stages:
        message = "no play has launch, so no application runs"
        yield document.problem((), "workflow-no-launch", message, "Add launch: to a play", severity="warning")


def _play(scenario: Scenario, play: Play, path: Path, document: Document) -> Iterator[Problem]:
    known = [*Play.model_fields, *sorted(PLAY_KEYWORDS)]
    for key in play.metadata():
        if key == "tasks":
            message = "tasks: has no stage"
            yield document.problem(
                (*path, key), "play-tasks", message, "Write prepare:, launch: or finalize: instead", key=True
            )
        elif key not in PLAY_KEYWORDS:
            yield unknown_key(document, (*path, key), known, what="keyword")
    keywords = {key: value for key, value in play.metadata().items() if key in PLAY_KEYWORDS}
    yield from TaskCheck(document, {}).keywords(keywords, path)
    if not any(getattr(play, stage) for stage in STAGES):
        message = f"the play for {shown(play.hosts)} has no task, so it does nothing"
        yield document.problem(path, "play-empty", message, "Add launch: with tasks", severity="warning")
    for stage in STAGES:
        if stage in play.model_fields_set:
            if not getattr(play, stage) and any(getattr(play, other) for other in STAGES):
                message = f"{stage} has no task, so it does nothing"
                hint = f"Add a task, or remove {stage}"
                yield document.problem((*path, stage), "stage-empty", message, hint, severity="warning", key=True)
            yield from TaskCheck(document, _roots(scenario, stage)).tasks(getattr(play, stage), (*path, stage))
    for section in _TASK_LISTS:
        if section in play.metadata():
            yield from TaskCheck(document, {}).tasks(play.metadata()[section], (*path, section))
    yield from _dependencies(play, path, document)


def _roots(scenario: Scenario, stage: str) -> dict[str, FilePath]:
    roots = {"scenario_dir": scenario.directory}
    if scenario.artifacts is not None and is_folder(scenario.artifacts):
        roots["artifacts_dir"] = scenario.artifacts
        if stage != "finalize":  # there it is the output folder, which does not exist yet
            roots["working_dir"] = scenario.artifacts
    return {name: folder.absolute() for name, folder in roots.items()}


def _dependencies(play: Play, path: Path, document: Document) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    own = play.metadata().get("vars")
    for place, dependency in enumerate(play.depends_on):
        inside = (*path, "depends_on", place)
        where = (*inside, "prefix")
        for key in dependency.metadata():
            yield unknown_key(document, (*inside, key), DependsOn.model_fields, warn=True)
        prefix = dependency.prefix
        if not is_identifier(prefix):
            message = f"the prefix {shown(prefix)} cannot be the name of a variable"
            yield document.problem(where, "prefix", message, "Use letters, digits and '_', and no digit first")
        elif is_reserved(prefix):
            yield document.problem(
                where, "prefix", f"the prefix {shown(prefix)} hides a variable that plays have", "Take another name"
            )
        elif prefix in seen:
            line = document.position((*path, "depends_on", seen[prefix], "prefix"))[0]
            message = f"the prefix {shown(prefix)} is used already in line {line}"
            yield document.problem(where, "prefix-twice", message, "Give each its own prefix")
        elif prefix in (own if isinstance(own, dict) else ()):
            message = f"the prefix {shown(prefix)} is also a variable of the play's vars, which hides it"
            yield document.problem(where, "prefix-twice", message, "Rename one of them")
        seen.setdefault(prefix, place)
        if "array_info" in dependency.model_fields_set and dependency.grouping != "asarray":
            message = f"array_info has no effect on {dependency.grouping}"
            hint = "Remove it; it is for asarray"
            yield document.problem((*inside, "array_info"), "key-unused", message, hint, severity="warning", key=True)


@dataclass(frozen=True)
class _Shared:
    """Variables that the plays of a file give each other.

    Attributes:
        names: variables of every play: facts and registered results stay with the host.
        open_ended: some play gets variables that cannot be known from the file.
        numbered: words of the file that end in a digit, sorted; none where templates are not checked.
    """

    names: frozenset[str]
    open_ended: bool
    numbered: tuple[str, ...] = ()


def _shared(scenario: Scenario, document: Document) -> _Shared:
    names: set[str] = set()
    open_ended = False
    for play in scenario.workflow.plays if scenario.workflow else ():
        stages = [getattr(play, stage) for stage in STAGES]
        names |= _defined([*stages, *play.metadata().values()])
        open_ended = open_ended or bool(_FROM_ELSEWHERE & set(play.metadata())) or _includes(stages)
    if scenario.workflow_env is not None:
        names |= {f"{ENV_PREFIX}{key}" for values in scenario.workflow_env.configurations.values() for key in values}
    else:  # without that file at hand, any may be meant
        names |= {word for line in document.lines for word in _ENV_VARIABLE.findall(line)}
    words = {word for line in document.lines for word in _ENDS_IN_DIGIT.findall(line)} if not document.large else ()
    return _Shared(frozenset(names), open_ended, tuple(sorted(words)))


def _variables(play: Play, shared: _Shared) -> set[str]:
    """Variables that a play's templates may name."""
    own = play.metadata().get("vars")
    names = {*shared.names, *(own if isinstance(own, dict) else ())}
    for dependency in play.depends_on:
        names.add(dependency.prefix)
        if dependency.grouping == "aggregate":  # its names hold the numbers of hosts
            names.update(_numbered(dependency.prefix, shared.numbered))
    return names


def _numbered(prefix: str, words: tuple[str, ...]) -> Iterator[str]:
    """Those of the words, which are sorted, that are the prefix and a host's numbers."""
    for word in islice(words, bisect_left(words, prefix), None):
        if not word.startswith(prefix):
            return
        if _NUMBERS.fullmatch(word, len(prefix)):
            yield word


def _defined(value: Any) -> set[str]:
    found: set[str] = set()
    stack = [value]
    while stack:
        inner = stack.pop()
        if isinstance(inner, (list, tuple)):
            stack += inner
        elif isinstance(inner, dict):
            for key, child in inner.items():
                if key in ("register", "loop_var", "index_var") and isinstance(child, str):
                    found.add(child)
                elif key in ("vars", "set_fact", "ansible.builtin.set_fact") and isinstance(child, dict):
                    found |= {name for name in child if isinstance(name, str)}
                elif key in ("set_fact", "ansible.builtin.set_fact") and isinstance(child, str):
                    found |= {word.split("=")[0] for word in child.split() if "=" in word}
                stack.append(child)
    return found


_INCLUDES = {
    "include_vars",
    "include_role",
    "import_role",
    "include_tasks",
    "import_tasks",
    "add_host",
    "group_by",
    "set_stats",
}
"""Modules that give plays variables which the file does not name."""


def _includes(value: Any) -> bool:
    stack = [value]
    while stack:
        inner = stack.pop()
        if isinstance(inner, (list, tuple)):
            stack += inner
        elif isinstance(inner, dict):
            if _INCLUDES & {str(key).rpartition(".")[2] for key in inner}:
                return True
            stack += inner.values()
    return False
