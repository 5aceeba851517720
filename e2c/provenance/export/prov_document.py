"""Captured provenance as W3C PROV documents, by the package ``prov``.

Names are made of the numbers that the database gives, so any tag or identity is safe; what people read is the label.
Names of attributes are theirs, with every character but ASCII letters, digits and ``_`` as ``%XX`` of its UTF-8.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from prov.constants import PROV
from prov.model import Namespace, ProvDocument

from e2c.provenance.export.facts import Element, File, Run, SetInfo, Task
from e2c.provenance.export.records import Records
from e2c.provenance.progress import Progress

VOCABULARY = "urn:x-e2c:provenance#"
"""Namespace of our own types and attributes."""

MAX_PAIRS = 1000
"""A task that derived more pairs of elements than this has each derived from the set instead."""


def documents(records: Records, part_tasks: int, progress: Progress) -> Iterator[ProvDocument]:
    """Documents of at most so many tasks, each complete with the agents, plans and sets that it names."""
    part = _Part(records)
    try:
        yield from _parts(records, part, part_tasks, progress)
    finally:
        gc.enable()


def _parts(records: Records, part: _Part, part_tasks: int, progress: Progress) -> Iterator[ProvDocument]:
    runs: set[int] = set()
    for block in records.blocks(progress):
        for start in range(0, len(block), part_tasks):
            tasks = block[start : start + part_tasks]
            if part.tasks and part.tasks + len(tasks) > part_tasks:
                yield part.finish()
                part.begin()
            new = {task.run for task in tasks if task.run is not None} - runs
            runs |= new
            part.add(tasks, records.runs(new))
    for others in records.other_runs(runs):
        if part.runs > part_tasks:
            yield part.finish()
            part.begin()
        part.add([], records.runs(others))
    yield part.finish()


@lru_cache(maxsize=1 << 14)
def local(name: str) -> str:
    """A text as the local part of a qualified name; different texts give different names."""
    return "".join(
        one if one.isascii() and (one.isalnum() or one == "_") else "".join(f"%{byte:02X}" for byte in one.encode())
        for one in name
    )


class _Part:
    """One document."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.begin()

    def begin(self) -> None:
        """Begin a new document. The one before is freed now: it holds cycles, which nothing else would look for."""
        self._document = document = ProvDocument()
        self.tasks = self.runs = 0
        base = f"urn:uuid:{self._records.id}#"
        self._data: Namespace = document.add_namespace("data", base)
        self._attribute: Namespace = document.add_namespace("attribute", f"{base}attribute.")
        self._extra: Namespace = document.add_namespace("extra", f"{base}extra.")
        self._own: Namespace = document.add_namespace("e2c", VOCABULARY)
        self._terms: Namespace = document.add_namespace("dcterms", "http://purl.org/dc/terms/")
        self._elements: set[tuple[int, int]] = set()
        self._sets: set[int] = set()
        self._clients: set[int] = set()
        self._hosts: dict[str, Any] = {}
        self._plans: set[Any] = set()
        gc.collect()
        gc.disable()  # everything that is made stays until the part is written

    def finish(self) -> ProvDocument:
        """The whole document."""
        document, own = self._document, self._own
        for number in sorted(self._sets):
            info = self._records.sets[number]
            flow = self._records.flows[info.flow].tag
            document.collection(
                self._set(info), [("prov:label", info.tag), ("prov:type", own["DataSet"]), (own["dataflow"], flow)]
            )
        users: dict[str, Any] = {}
        for client in self._records.clients(self._clients).values():
            name = self._data[f"client.{client.id}"]
            document.agent(
                name, [("prov:type", PROV["SoftwareAgent"]), ("prov:type", own["Client"]), ("prov:label", client.name)]
            )
            user = users.setdefault(client.user, self._data[f"user.{local(client.user)}"])
            document.actedOnBehalfOf(name, user)
        for text, name in users.items():
            document.agent(name, [("prov:type", own["User"]), ("prov:label", text)])
        for text, name in self._hosts.items():
            document.agent(name, [("prov:type", own["Host"]), ("prov:label", text)])
        gc.enable()
        return document

    def add(self, tasks: Iterable[Task], runs: Iterable[Run]) -> None:
        """Add tasks and executions."""
        for run in runs:
            self._run(run)
            self.runs += 1
        for task in tasks:
            self._task(task)
            self.tasks += 1

    # ---------------------------------------------------------------------------------------------------- inside

    def _run(self, run: Run) -> None:
        own = self._own
        name = self._data[f"workflow.{run.id}"]
        about: list[tuple[Any, Any]] = [("prov:type", own["Workflow"]), ("prov:label", run.tag)]
        about += [(own[key], value) for key, value in (("status", run.status), ("error", run.error)) if value]
        self._document.activity(name, run.started, run.ended, about)
        if run.client is not None:
            self._clients.add(run.client)
            self._document.wasAssociatedWith(name, self._data[f"client.{run.client}"], self._version(run.version))

    def _task(self, task: Task) -> None:
        document, data, own = self._document, self._data, self._own
        name = data[f"task.{task.id}"]
        flow, step = self._records.steps[task.step]
        about: list[tuple[Any, Any]] = [
            ("prov:type", own["Task"]),
            ("prov:label", task.key),
            (own["transformation"], step),
            (own["dataflow"], self._records.flows[flow].tag),
        ]
        known = (
            ("status", task.status),
            ("error", task.error),
            ("workflow", task.workflow),
            ("run", task.run_name),
            ("host", task.host),
        )
        about += [(own[key], value) for key, value in known if value is not None]
        about += [(self._extra[local(key)], value) for key, value in task.extras]
        about += [(own["dependency"], key) for key, other in task.dependencies if other is None]
        if task.parent is not None:
            about.append((self._terms["isPartOf"], data[f"task.{task.parent}"]))
        elif task.run is not None:
            about.append((self._terms["isPartOf"], data[f"workflow.{task.run}"]))
        document.activity(name, task.started, task.ended, about)
        if task.client is not None:
            self._clients.add(task.client)
            document.wasAssociatedWith(name, data[f"client.{task.client}"], self._version(task.version))
        self._performed(task, name)
        for element in task.used:
            document.used(name, self._element(element))
        for element in task.made:
            document.wasGeneratedBy(self._element(element), name)
        for file in task.files:
            entity = self._file(file)
            if file.made:
                document.wasGeneratedBy(entity, name)
            else:
                document.used(name, entity)
        for other in dict.fromkeys(number for _, number in task.dependencies if number is not None):
            document.wasInformedBy(name, data[f"task.{other}"])
        self._derivations(task, name)

    def _performed(self, task: Task, name: Any) -> None:
        """The host on which a task ran, and the programs that it followed."""
        host = None
        if task.host is not None:
            host = self._hosts.setdefault(task.host, self._data[f"host.{local(task.host)}"])
        programs = self._records.programs.get(task.step, ())
        for number, label, path in programs:
            program = self._data[f"program.{number}"]
            if program not in self._plans:
                self._plans.add(program)
                about = [("prov:type", PROV["Plan"]), ("prov:type", self._own["Program"]), ("prov:label", label)]
                self._document.entity(program, [*about, (self._own["path"], path)])
            self._document.wasAssociatedWith(name, host, program)
        if host is not None and not programs:
            self._document.wasAssociatedWith(name, host)

    def _derivations(self, task: Task, activity: Any) -> None:
        for number, source in task.derivations:
            derived = [element for element in task.made + task.used if element.set.id == number]
            flow = self._records.steps[task.step][0]
            tag = source.lower()
            sources = [element for element in task.used if element.set.tag == tag and element.set.id != number]
            named = next((info for info in self._records.sets.values() if (info.flow, info.tag) == (flow, tag)), None)
            for element in derived:
                entity = self._name(element)
                if named is None:
                    self._document.entity(entity, [(self._own["derivedFrom"], source)])
                elif not sources or len(sources) * len(derived) > MAX_PAIRS:
                    self._sets.add(named.id)
                    self._document.wasDerivedFrom(entity, self._set(named), activity)
                else:
                    for one in sources:
                        self._document.wasDerivedFrom(entity, self._name(one), activity)

    def _version(self, number: int) -> Any:
        version = self._records.versions[number]
        name = self._data[f"dataflow.{version.flow}.version.{number}"]
        if name not in self._plans:
            self._plans.add(name)
            own = self._own
            about: list[tuple[Any, Any]] = [("prov:type", PROV["Plan"]), ("prov:type", own["Dataflow"])]
            about.append(("prov:label", self._records.flows[version.flow].tag))
            about.append((self._terms["created"], version.created))
            known = (("digest", version.digest), ("definition", version.definition))
            about += [(own[key], value) for key, value in known if value is not None]
            self._document.entity(name, about)
        return name

    def _element(self, element: Element) -> Any:
        name = self._name(element)
        if (element.set.id, element.id) not in self._elements:
            self._elements.add((element.set.id, element.id))
            self._sets.add(element.set.id)
            about: list[tuple[Any, Any]] = [("prov:type", self._own["Element"])]
            about += [(self._attribute[local(one.name)], value) for one, value in element.values]
            self._document.entity(name, about)
            self._document.hadMember(self._set(element.set), name)
        return name

    def _name(self, element: Element) -> Any:
        return self._data[f"element.{element.set.id}.{element.id}"]

    def _set(self, info: SetInfo) -> Any:
        return self._data[f"set.{info.id}"]

    def _file(self, file: File) -> Any:
        own = self._own
        name = self._data[f"file.{file.id}"]
        about: list[tuple[Any, Any]] = [("prov:type", own["File"]), ("prov:label", file.name), (own["path"], file.path)]
        known = (("size", file.size), ("sha256", file.digest), ("problem", file.problem), ("attribute", file.attribute))
        about += [(own[key], value) for key, value in known if value is not None]
        self._document.entity(name, about)
        if file.set is not None:
            self._sets.add(file.set.id)
            self._document.hadMember(self._set(file.set), name)
        return name
