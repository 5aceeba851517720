"""Captured provenance as Workflow Run RO-Crates, profile Provenance Run Crate 0.5, by the package ``rocrate``.

A dataflow is the ``ComputationalWorkflow``, a transformation its tool, a task the ``CreateAction`` of that tool, an
execution of the application the ``CreateAction`` of the workflow. Values of attributes are ``PropertyValue``, each an
example of its ``FormalParameter``. Files stay where they were captured; the crate says where, how large, and which.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import e2c
from e2c.errors import ProvenanceError
from e2c.provenance.export.facts import AttributeInfo, Element, File, Run, Task
from e2c.provenance.export.records import Records
from e2c.provenance.progress import Progress

PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
)
"""Profiles to which every crate conforms."""

CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
PARAMETER_PROFILE = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
LICENSE = "Not stated by the experiment"

_STATUS = {"FINISHED": "CompletedActionStatus", "FAILED": "FailedActionStatus", "RUNNING": "ActiveActionStatus"}
_TYPES = {"NUMERIC": "Float", "FILE": "File", "RDFILE": "File"}

Reference = dict[str, str]


def require() -> None:
    """See that the package is there.

    Raises:
        ProvenanceError: it is not.
    """
    try:
        import rocrate.rocrate  # noqa: F401
    except ImportError as error:
        raise ProvenanceError(
            "RO-Crates need the Python package rocrate", hint="Install it: pip install 'e2c[ro-crate]'"
        ) from error


def write(records: Records, destination: Path, part_tasks: int, progress: Progress) -> int:
    """Write a crate into an existing folder, or several into ``part-0001``... Returns their number.

    Raises:
        ProvenanceError: the database does not answer.
        OSError: a file cannot be written.
    """
    several = len(records.tasks) > part_tasks
    count = 0
    part: list[Task] = []

    def finish() -> None:
        nonlocal count
        count += 1
        _Crate(records, part).write(destination / f"part-{count:04}" if several else destination)
        part.clear()

    for block in records.blocks(progress):
        for task in block:
            part.append(task)
            if len(part) == part_tasks:
                finish()
    if part or not count:
        finish()
    return count


class _Crate:
    """One crate, in memory."""

    def __init__(self, records: Records, tasks: list[Task]) -> None:
        from rocrate.model.computerlanguage import ComputerLanguage
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate

        self._entity = ContextEntity
        self._records = records
        self._crate = crate = ROCrate(version="1.1")
        self._known: set[str] = set()
        crate.metadata.extra_contexts.append(CONTEXT)
        crate.name = "Provenance of an edge-to-cloud experiment"
        crate.description = f"{len(tasks)} tasks captured by ProvLight and exported by e2c {e2c.__version__}"
        crate.license = LICENSE
        crate.root_dataset["conformsTo"] = [
            self._add(url, "CreativeWork", name=name, version=version) for url, name, version in PROFILES
        ]
        language = {"name": "Dataflow specification", "alternateName": "dfa_lib", "version": "1"}
        self._language = crate.add(ComputerLanguage(crate, "#dataflow-language", properties=language))
        self._engine = self._add("#e2c", "SoftwareApplication", name="e2c", softwareVersion=e2c.__version__)
        flows = list(dict.fromkeys(records.steps[task.step][0] for task in tasks)) or list(records.flows)
        self._workflows = {flow: self._workflow(flow, place == 0) for place, flow in enumerate(flows)}
        self._clients = records.clients({task.client for task in tasks if task.client is not None})
        self._executions(tasks)

    def write(self, folder: Path) -> None:
        """Write the crate."""
        self._crate.write(folder)

    # ---------------------------------------------------------------------------------------- what could happen

    def _workflow(self, flow: int, main: bool) -> Reference:
        """The file of a dataflow, with its steps, tools and parameters."""
        records = self._records
        steps = {number: tag for number, (owner, tag) in records.steps.items() if owner == flow}
        versions = [version for version in records.versions.values() if version.flow == flow]
        definition = versions[-1].definition if versions else None
        if definition is None:  # nobody declared it: what was seen
            definition = json.dumps({"tag": records.flows[flow].tag, "transformations": sorted(steps.values())})
        about = {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": records.flows[flow].tag,
            "conformsTo": {"@id": WORKFLOW_PROFILE},
            "encodingFormat": "application/json",
            "version": versions[-1].digest if versions and versions[-1].digest else "undeclared",
        }
        content = io.StringIO(f"{definition}\n")
        file = self._crate.add_workflow(
            content, f"dataflow-{flow}.json", properties=about, main=main, lang=self._language
        )
        sides: dict[bool, list[Reference]] = {True: [], False: []}
        tools, plan = [], []
        for place, (number, tag) in enumerate(steps.items()):
            parameters = {made: self._parameters(number, made) for made in (True, False)}
            for made in sides:
                sides[made] += [one for one in parameters[made] if one not in sides[made]]
            tool = self._add(
                f"#tool-{number}",
                "SoftwareApplication",
                name=tag,
                input=parameters[False],
                output=parameters[True],
                softwareRequirements=[self._program(*one) for one in records.programs.get(number, ())],
            )
            tools.append(tool)
            plan.append(self._add(f"#step-{number}", "HowToStep", name=tag, position=str(place), workExample=tool))
        file["hasPart"], file["step"] = _one(tools), _one(plan)
        file["output"] = _one(sides[True])
        file["input"] = _one([one for one in sides[False] if one not in sides[True]])
        return {"@id": str(file.id)}

    def _parameters(self, step: int, made: bool) -> list[Reference]:
        sets = [
            info for info in self._records.sets.values() if (step, made) in {(one[0], one[2]) for one in info.links}
        ]
        return [
            self._add(
                f"#parameter-{one.id}",
                "FormalParameter",
                name=f"{info.tag}.{one.name}",
                additionalType=_TYPES.get(one.type, "Text"),
                conformsTo={"@id": PARAMETER_PROFILE},
            )
            for info in sets
            for one in info.attributes
        ]

    def _program(self, number: int, name: str, path: str) -> Reference:
        return self._add(f"#program-{number}", "SoftwareApplication", name=name, description=path)

    # ------------------------------------------------------------------------------------------- what did happen

    def _executions(self, tasks: list[Task]) -> None:
        """Executions of the application, each with its tasks."""
        records = self._records
        groups: dict[tuple[int, int | None], list[Reference]] = {}
        for task in tasks:
            key = records.steps[task.step][0], task.run
            groups.setdefault(key, []).append(self._task(task))
        runs = {run.id: run for run in records.runs({run for _, run in groups if run is not None})}
        mentioned = []
        for (flow, number), controls in groups.items():
            action = self._run(flow, runs.get(number) if number is not None else None)
            mentioned.append(action)
            self._add(
                f"#organize-{flow}-{number or 0}",
                "OrganizeAction",
                name=f"Run of {records.flows[flow].tag} by e2c",
                instrument=self._engine,
                object=controls,
                result=action,
            )
        if not groups:  # nothing was captured
            mentioned = [self._run(flow, None) for flow in self._workflows]
        self._crate.root_dataset["mentions"] = _one(mentioned)

    def _run(self, flow: int, run: Run | None) -> Reference:
        workflow = self._workflows[flow]
        if run is None:
            name = f"Run of {self._records.flows[flow].tag}"
            return self._add(f"#workflow-of-{flow}", "CreateAction", name=name, instrument=workflow)
        return self._add(
            f"#workflow-{run.id}-{flow}",
            "CreateAction",
            name=f"Run of {run.tag}",
            instrument=workflow,
            **self._agents(run.client),
            **_action(run.status, run.error, run.started, run.ended),
        )

    def _task(self, task: Task) -> Reference:
        """The task, and the control of its step. Returns the latter."""
        flow, tag = self._records.steps[task.step]
        del flow
        place = None
        if task.host is not None:
            place = self._add(f"#host-{quote(task.host, safe='')}", "Place", name=task.host)
        action = self._add(
            f"#task-{task.id}",
            "CreateAction",
            name=f"{tag} {task.key}",
            identifier=task.key,
            instrument={"@id": f"#tool-{task.step}"},
            **self._agents(task.client),
            location=place,
            object=[*self._values(task.used), *(self._file(task, one) for one in task.files if not one.made)],
            result=[*self._values(task.made), *(self._file(task, one) for one in task.files if one.made)],
            **_action(task.status, task.error, task.started, task.ended),
        )
        return self._add(
            f"#control-{task.id}",
            "ControlAction",
            name=f"Step of {tag} {task.key}",
            instrument={"@id": f"#step-{task.step}"},
            object=action,
        )

    def _agents(self, number: int | None) -> dict[str, Reference]:
        """The user on whose behalf a task ran, and the client that told of it."""
        client = self._clients.get(number) if number is not None else None
        if client is None:
            return {}
        user = self._add(f"#user-{quote(client.user, safe='')}", "Organization", name=client.user)
        about = {"name": client.name, "description": "ProvLight client", "provider": user}
        return {"agent": user, "participant": self._add(f"#client-{client.id}", "SoftwareApplication", **about)}

    def _values(self, elements: Iterable[Element]) -> list[Reference]:
        return [self._value(element, one, value) for element in elements for one, value in element.values]

    def _value(self, element: Element, attribute: AttributeInfo, value: Any) -> Reference:
        return self._add(
            f"#element-{element.set.id}-{element.id}-{attribute.id}",
            "PropertyValue",
            name=attribute.name,
            value=_json(value),
            exampleOfWork={"@id": f"#parameter-{attribute.id}"},
        )

    def _file(self, task: Task, file: File) -> Reference:
        identity = f"file://{quote(task.host or 'localhost', safe='')}/{quote(file.path.lstrip('/'))}"
        if identity not in self._known:
            self._known.add(identity)
            facts = {"name": file.name, "contentSize": file.size, "sha256": file.digest, "description": file.problem}
            properties = {key: str(value) for key, value in facts.items() if value is not None}
            self._crate.add_file(identity, fetch_remote=False, properties=properties)
        return {"@id": identity}

    def _add(self, identity: str, kind: str, **properties: Any) -> Reference:
        """An entity, made once."""
        if identity not in self._known:
            self._known.add(identity)
            given = {key: _one(value) for key, value in properties.items() if value is not None and value != []}
            self._crate.add(self._entity(self._crate, identity, {"@type": kind, **given}))
        return {"@id": identity}


def _one(value: Any) -> Any:
    """A list of one as that one, as RO-Crate recommends."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _action(status: str | None, error: str | None, started: Any, ended: Any) -> dict[str, Any]:
    return {
        "startTime": None if started is None else started.isoformat(timespec="microseconds"),
        "endTime": None if ended is None else ended.isoformat(timespec="microseconds"),
        "actionStatus": None if status not in _STATUS else f"http://schema.org/{_STATUS[status]}",
        "error": error,
    }


def _json(value: Any) -> Any:
    """A value as JSON has it; what it has not, as XML Schema spells it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    return value
