"""Captured provenance as OpenLineage events, one JSON object a line.

A task is a run of the job ``<dataflow>.<transformation>``; the ids of runs are made of the database and the task, so
the same task has the same id in every export. Events come task by task, not in the order of their times.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import quote

import e2c
from e2c.provenance.export.facts import Element, Run, SetInfo, Task
from e2c.provenance.export.records import Records
from e2c.provenance.progress import Progress

PRODUCER = f"urn:x-e2c:export:{e2c.__version__}"
SPECIFICATION = "https://openlineage.io/spec"
EVENT_SCHEMA = f"{SPECIFICATION}/2-0-2/OpenLineage.json#/$defs/RunEvent"
JOBS = "e2c"
"""Namespace of jobs."""

_FACETS = {
    "schema": "facets/1-0-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
    "parent": "1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet",
    "errorMessage": "facets/1-0-0/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
    "outputStatistics": "1-0-1/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet",
    "jobType": "facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
}

_ENDS = {"FINISHED": "COMPLETE", "FAILED": "FAIL"}


def write(records: Records, out: BinaryIO, progress: Progress) -> int:
    """Write all events. Returns their number.

    Raises:
        ProvenanceError: the database does not answer.
        OSError: ``out`` cannot be written.
    """
    events = _Events(records)
    count = 0
    for event in events.all(progress):
        out.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")
        count += 1
    return count


class _Events:
    """The events of one export."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._schemas: dict[int, dict[str, Any]] = {}
        self._tags: dict[int, str] = {}  # of executions

    def all(self, progress: Progress) -> Iterator[dict[str, Any]]:
        """Events of executions and tasks."""
        runs: set[int] = set()
        for block in self._records.blocks(progress):
            new = {task.run for task in block if task.run is not None} - runs
            runs |= new
            known = self._records.runs(new)
            for run in known:
                yield from self._run(run)
            self._tags |= {run.id: run.tag for run in known}
            for task in block:
                yield from self._task(task)
        for others in self._records.other_runs(runs):
            for run in self._records.runs(others):
                yield from self._run(run)

    def _run(self, run: Run) -> Iterator[dict[str, Any]]:
        begun = run.started or run.ended or self._records.versions[run.version].created
        job = {"namespace": JOBS, "name": run.tag, "facets": {"jobType": _job_type("DAG")}}
        about: dict[str, Any] = {"runId": self._id("workflow", run.id)}
        yield _event("START", begun, about, job, [], [])
        if run.ended is not None:
            if run.error is not None:
                about = {**about, "facets": {"errorMessage": _error(run.error)}}
            yield _event(_ENDS.get(run.status or "", "COMPLETE"), run.ended, about, job, [], [])

    def _task(self, task: Task) -> Iterator[dict[str, Any]]:
        begun = task.started or task.ended or self._records.versions[task.version].created
        job = {"namespace": JOBS, "name": self._job(task.step), "facets": {"jobType": _job_type("TASK")}}
        facets = self._facets(task)
        run = {"runId": self._id("task", task.id), "facets": facets}
        inputs = self._data(task, task.used, made=False)
        yield _event("START", begun, run, job, inputs, [])
        if task.ended is not None:
            if task.error is not None:
                run = {**run, "facets": {**facets, "errorMessage": _error(task.error)}}
            outputs = self._data(task, task.made, made=True)
            yield _event(_ENDS.get(task.status or "", "COMPLETE"), task.ended, run, job, inputs, outputs)

    def _facets(self, task: Task) -> dict[str, Any]:
        own = {
            "key": task.key,
            "workflow": task.workflow,
            "run": task.run_name,
            "host": task.host,
            "dependencies": [self._id("task", number) for _, number in task.dependencies if number is not None],
            "dependencyKeys": [key for key, _ in task.dependencies],
            "extra": dict(task.extras),
        }
        facets = {"e2c_task": {"_producer": PRODUCER, "_schemaURL": "urn:x-e2c:openlineage:task", **own}}
        if task.parent is not None and task.parent_step is not None:
            facets["parent"] = _parent(self._id("task", task.parent), self._job(task.parent_step))
        elif task.run is not None:
            facets["parent"] = _parent(self._id("workflow", task.run), self._tags[task.run])
        return facets

    def _data(self, task: Task, elements: list[Element], *, made: bool) -> list[dict[str, Any]]:
        """The sets of which a task has elements, and its files."""
        counts = Counter(element.set.id for element in elements)
        out = []
        for number, count in counts.items():
            info = self._records.sets[number]
            data = {
                "namespace": f"urn:uuid:{self._records.id}",
                "name": f"{self._records.flows[info.flow].tag}.{info.tag}",
                "facets": {"schema": self._schema(info)},
            }
            if made:
                data["outputFacets"] = {"outputStatistics": _facet("outputStatistics", rowCount=count)}
            out.append(data)
        for file in task.files:
            if file.made == made:
                host = quote(task.host or "localhost", safe="")
                about = {"path": file.path, "size": file.size, "sha256": file.digest, "problem": file.problem}
                facet = {"_producer": PRODUCER, "_schemaURL": "urn:x-e2c:openlineage:file", **about}
                out.append({"namespace": f"file://{host}", "name": file.path, "facets": {"e2c_file": facet}})
        return out

    def _schema(self, info: SetInfo) -> dict[str, Any]:
        known = self._schemas.get(info.id)
        if known is None:
            fields = [{"name": one.name, "type": one.type} for one in info.attributes]
            known = self._schemas[info.id] = _facet("schema", fields=fields)
        return known

    def _job(self, step: int) -> str:
        flow, tag = self._records.steps[step]
        return f"{self._records.flows[flow].tag}.{tag}"

    def _id(self, kind: str, number: int) -> str:
        return str(uuid.uuid5(self._records.id, f"{kind}.{number}"))


def _event(
    kind: str,
    time: datetime,
    run: dict[str, Any],
    job: dict[str, Any],
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "run": run,
        "job": job,
        "inputs": inputs,
        "outputs": outputs,
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
    }


def _facet(name: str, **content: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{SPECIFICATION}/{_FACETS[name]}", **content}


def _parent(run: str, job: str) -> dict[str, Any]:
    return _facet("parent", run={"runId": run}, job={"namespace": JOBS, "name": job})


def _error(message: str) -> dict[str, Any]:
    return _facet("errorMessage", message=message, programmingLanguage="Python")


def _job_type(kind: str) -> dict[str, Any]:
    return _facet("jobType", processingType="BATCH", integration="E2C", jobType=kind)
