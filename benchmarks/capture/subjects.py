"""What is compared: ways to capture one task that uses some attributes and generates as many.

Runs inside the measured processes, on a testbed's hosts too, so it needs the standard library only and imports each
library where it is used.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Values = Mapping[str, float]
Work = Callable[[Values], Values]
VARIANTS = 256
"""Different sets of values: more than tasks in a message, so that no encoding profits from repetition."""


def workload(attributes: int, seed: int, duration_s: float = 0.0) -> tuple[list[dict[str, float]], Work]:
    """What tasks use, to be taken in turn, and the task itself: it sleeps if asked, and returns values made before."""
    import random

    names = [f"a{number}" for number in range(attributes)]
    draw = random.Random(seed).random
    used = [{name: draw() for name in names} for _ in range(VARIANTS)]
    outcomes = itertools.cycle([{name: draw() for name in names} for _ in range(VARIANTS)])

    def work(values: Values) -> Values:
        del values
        if duration_s:
            time.sleep(duration_s)
        return next(outcomes)

    return used, work


class Bare:
    """The task alone."""

    def __init__(self, work: Work, attributes: int, options: Mapping[str, Any]) -> None:
        del attributes, options
        self._work = work

    def task(self, number: int, values: Values) -> None:
        """Run one task and capture it."""
        del number
        self._work(values)

    def alone(self, number: int, values: Values) -> None:
        """Run the same task without capture, called in the same way."""
        del number
        self._work(values)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is delivered; returns whether it is."""
        del timeout_s
        return True

    def close(self) -> str:
        """End the capture; returns what went wrong, if anything did."""
        return ""


class ProvLight(Bare):
    """ProvLight; its settings are in the environment, as on a device."""

    def __init__(self, work: Work, attributes: int, options: Mapping[str, Any]) -> None:
        from provlight import Data, Task, Workflow

        super().__init__(work, attributes, options)
        self._data, self._task = Data, Task
        self._workflow = Workflow(f"bench{attributes}").begin()
        self._used, self._generated = f"used{attributes}", f"generated{attributes}"
        self._lost = False

    def task(self, number: int, values: Values) -> None:
        workflow = self._workflow
        task = self._task(number, workflow, "step").begin([self._data(self._used, workflow.id, [], values)])
        outcome = self._work(values)
        task.end([self._data(self._generated, workflow.id, [], outcome)])

    def flush(self, timeout_s: float) -> bool:
        import provlight

        return bool(provlight.flush(timeout_s))

    def close(self) -> str:
        import provlight

        self._workflow.end()
        delivered = self.flush(60)
        counts = provlight.stats()
        wrong = {name: counts.get(name) for name in ("lost", "misuses", "ignored") if counts.get(name)}
        if not delivered:
            wrong["pending"] = counts.get("pending")
        return json.dumps(wrong) if wrong else ""


class Flowcept(Bare):
    """Flowcept's task decorator on a function with one argument, which holds all attributes: its cheapest use.

    Its settings file says whether it keeps messages or sends them.
    """

    def __init__(self, work: Work, attributes: int, options: Mapping[str, Any]) -> None:
        from flowcept import Flowcept as Controller
        from flowcept import flowcept_task
        from flowcept.flowceptor.adapters.instrumentation_interceptor import InstrumentationInterceptor

        super().__init__(work, attributes, options)
        self._controller = Controller(start_persistence=False, save_workflow=False, check_safe_stops=False)
        self._controller.start()
        self._buffer = InstrumentationInterceptor.get_instance()._mq_dao.buffer
        self._step = self._function(attributes)
        self._captured = flowcept_task(self._step)

    def _function(self, attributes: int) -> Callable[..., Values]:
        del attributes
        work = self._work

        def step(values: Values) -> Values:
            return work(values)

        return step

    def task(self, number: int, values: Values) -> None:
        del number
        self._captured(values)

    def alone(self, number: int, values: Values) -> None:
        del number
        self._step(values)

    def flush(self, timeout_s: float) -> bool:
        """Where messages are sent, have its own thread send the rest now; there is no public call for this."""
        deadline = time.monotonic() + timeout_s
        while any(getattr(self._buffer, "_buffers", ())):
            if time.monotonic() > deadline:
                return False
            self._buffer._swap_event.set()
            time.sleep(0.002)
        return True

    def close(self) -> str:
        self._controller.stop()
        return ""


class FlowceptNamed(Flowcept):
    """The same on a function with a parameter for each attribute, so that Flowcept stores them one by one."""

    def _function(self, attributes: int) -> Callable[..., Values]:
        parameters = ", ".join(f"a{number}" for number in range(attributes))
        scope: dict[str, Any] = {"work": self._work}
        exec(f"def step({parameters}):\n    return work(None)\n", scope)
        function: Callable[..., Values] = scope["step"]
        return function

    def task(self, number: int, values: Values) -> None:
        del number
        self._captured(**values)

    def alone(self, number: int, values: Values) -> None:
        del number
        self._step(**values)


class OpenLineage(Bare):
    """OpenLineage's client with its asynchronous HTTP transport: a START and a COMPLETE event for each task."""

    def __init__(self, work: Work, attributes: int, options: Mapping[str, Any]) -> None:
        import attr
        from openlineage.client import OpenLineageClient, event_v2
        from openlineage.client.generated.base import RunFacet
        from openlineage.client.transport.async_http import AsyncHttpConfig, AsyncHttpTransport
        from openlineage.client.uuid import generate_new_uuid

        @attr.define
        class Attributes(RunFacet):
            values: Any = attr.field(factory=dict)

        super().__init__(work, attributes, options)
        url = f"http://{options['host']}:{options['port']}"
        self._transport = AsyncHttpTransport(AsyncHttpConfig(url=url))
        self._client = OpenLineageClient(transport=self._transport)
        self._v2, self._facet, self._identity = event_v2, Attributes, generate_new_uuid
        self._job = event_v2.Job(namespace="bench", name="step")

    def task(self, number: int, values: Values) -> None:
        del number
        identity = str(self._identity())
        self._emit(self._v2.RunState.START, identity, "used", values)
        outcome = self._work(values)
        self._emit(self._v2.RunState.COMPLETE, identity, "generated", outcome)

    def _emit(self, state: Any, identity: str, name: str, values: Values) -> None:
        run = self._v2.Run(runId=identity, facets={name: self._facet(values=values)})
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = self._v2.RunEvent(eventType=state, eventTime=moment, run=run, job=self._job, producer="urn:bench")
        self._client.emit(event)

    def flush(self, timeout_s: float) -> bool:
        return bool(self._transport.wait_for_completion(timeout=timeout_s))

    def close(self) -> str:
        self.flush(60)
        counts = self._transport.get_stats()
        self._transport.close(timeout=10)
        return json.dumps(counts) if counts["failed"] or counts["pending"] else ""


class HttpJson(Bare):
    """A client in the manner of DfAnalyzer's: one POST at the beginning and one at the end, each awaited.

    It is leaner than the original, which sends the inputs again with the end.
    """

    KEEP_ALIVE = True

    def __init__(self, work: Work, attributes: int, options: Mapping[str, Any]) -> None:
        import http.client

        super().__init__(work, attributes, options)
        self._connect = lambda: http.client.HTTPConnection(options["host"], options["port"], timeout=120)
        self._connection = self._connect()
        self._dataflow = f"bench{attributes}"
        self._used, self._generated = f"used{attributes}", f"generated{attributes}"

    def task(self, number: int, values: Values) -> None:
        began = time.strftime("%Y-%m-%d %H:%M:%S")
        self._save(number, "RUNNING", self._used, values, [])
        outcome = self._work(values)
        times = [{"startTime": began, "endTime": time.strftime("%Y-%m-%d %H:%M:%S")}]
        self._save(number, "FINISHED", self._generated, outcome, times)

    def _save(self, number: int, status: str, tag: str, values: Values, performances: Sequence[Any]) -> None:
        message = {
            "tag": "step",
            "dependency": {"tags": [], "ids": []},
            "sets": [{"tag": tag, "elements": [[str(value) for value in values.values()]]}],
            "status": status,
            "dataflow": self._dataflow,
            "transformation": "step",
            "id": str(number),
            "performances": performances,
        }
        self._post(json.dumps(message).encode())

    def _post(self, body: bytes) -> None:
        self._connection.request("POST", "/pde/task/json", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the server answers {answer.status}")
        if not self.KEEP_ALIVE:
            self._connection.close()  # the next request connects anew

    def close(self) -> str:
        self._connection.close()
        return ""


class HttpJsonNew(HttpJson):
    """The same with a connection for each POST, as the original does."""

    KEEP_ALIVE = False


class HttpJsonRequests(HttpJson):
    """The same with ``requests.post``, the original's HTTP library."""

    def __init__(self, work: Work, attributes: int, options: Mapping[str, Any]) -> None:
        import requests

        super().__init__(work, attributes, options)
        self._requests = requests
        self._url = f"http://{options['host']}:{options['port']}/pde/task/json"

    def _post(self, body: bytes) -> None:
        self._requests.post(self._url, data=body, headers={"Content-Type": "application/json"}).raise_for_status()


SUBJECTS: dict[str, type[Bare]] = {
    "provlight": ProvLight,
    "provlight-memory": ProvLight,
    "provlight-record": ProvLight,
    "flowcept": FlowceptNamed,
    "flowcept-dict": Flowcept,
    "flowcept-redis": FlowceptNamed,
    "openlineage": OpenLineage,
    "http": HttpJson,
    "http-new": HttpJsonNew,
    "http-requests": HttpJsonRequests,
}


def numbers() -> Iterator[int]:
    """Identities of tasks."""
    return itertools.count(1)
