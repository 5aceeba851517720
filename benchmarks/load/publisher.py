"""A client whose messages are encoded before the clock starts: ``python publisher.py JSON``, then commands by lines.

Each line is a JSON object: what to send next (see :class:`Traffic`). The answer is ``encoded`` and, after one more
line, the figures as JSON. Encoder, sender and connection are those of provlight; only capture is left out.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from provlight.outbox import Outbox
from provlight.report import Report
from provlight.sender import Sender
from provlight.transport.mqtt import MqttTransport
from provlight.wire import TASK_BEGIN, TASK_END, Encoder, Record, SetShape

LIMIT_S = 600.0
Bodies = list[tuple[bytes, int]]


@dataclass(frozen=True)
class Traffic:
    """What is sent.

    Args:
        tasks: how many, each with a record for its beginning and one for its end.
        per_message: records in a message.
        attributes: values that a record has.
        apart: all beginnings are stored before the first end is sent, in portions of ``portion`` tasks.
        dependencies: each task names the one before it.
        old: each task names one of the first tasks.
        pause_s: between the messages; 0 sends as quickly as the broker takes them.
    """

    tasks: int
    per_message: int
    attributes: int
    apart: bool = False
    dependencies: bool = False
    old: bool = False
    pause_s: float = 0.0
    portion: int = 1 << 14


class Publisher:
    """One client of the wire."""

    def __init__(self, client: str, port: int, user: str, password: str) -> None:
        self._encoder = Encoder(client, about={"host": "bench"})
        self._outbox = Outbox(1 << 40)
        self._report = Report()
        self._chance = random.Random(client)
        self._tasks = 0
        self._seq = 0
        self._sender = Sender(
            self._outbox,
            lambda: MqttTransport("127.0.0.1", port, "1", user, password),
            client,
            self._encoder.announcements,
            self._report,
        )
        self._outbox.on_add = self._sender.wake
        self._sender.start()

    def encode(self, traffic: Traffic) -> list[Bodies]:
        """The messages in phases: each is stored before the next one is sent."""
        if not traffic.apart:
            return [self._bodies(self._together(traffic), traffic.per_message)]
        phases = []
        left = traffic.tasks
        while left:
            count = min(left, traffic.portion)
            pairs = [self._task(traffic) for _ in range(count)]
            phases += [self._bodies(iter(side), traffic.per_message) for side in zip(*pairs, strict=True)]
            left -= count
        return phases

    def send(self, phases: list[Bodies], pause_s: float) -> dict[str, Any]:
        """Send and wait until all is acknowledged, which is after its commit."""
        waits = []
        cpu, began = time.process_time(), time.time()
        for bodies in phases:
            for body, records in bodies:
                asked = time.perf_counter()
                self._outbox.add(body, records)
                if pause_s:
                    self._settle()
                    waits.append(time.perf_counter() - asked)
                    time.sleep(pause_s)
            self._settle()
        return {
            "began": began,
            "ended": time.time(),
            "cpu_s": time.process_time() - cpu,
            "waits_s": waits,
            "lost": self._report.lost_records,
        }

    def _settle(self) -> None:
        if not self._outbox.wait_for(lambda: self._outbox.empty, LIMIT_S):
            raise SystemExit(f"not everything is stored after {LIMIT_S:g} s: {self._report.last_error}")

    def _bodies(self, records: Iterator[Record], per_message: int) -> Bodies:
        bodies = []
        while batch := list(islice(records, per_message)):
            self._seq += 1
            bodies.append((self._encoder.encode(self._seq, batch), len(batch)))
        return bodies

    def _together(self, traffic: Traffic) -> Iterator[Record]:
        for _ in range(traffic.tasks):
            yield from self._task(traffic)

    def _task(self, traffic: Traffic) -> tuple[Record, Record]:
        self._tasks += 1
        number, count = self._tasks, traffic.attributes
        named = (number % 1000 + 1,) if traffic.old else (number - 1,) if traffic.dependencies and number > 1 else ()
        now_us, values = time.time_ns() // 1000, self._chance.random
        flow = f"bench{count}"
        used = [(_shape("used", count), [values() for _ in range(count)])]
        generated = [(_shape("generated", count), [values() for _ in range(count)])]
        return (
            Record(TASK_BEGIN, flow, "step", number, now_us, named, "", used),
            Record(TASK_END, flow, "step", number, now_us + 1500, (), "", generated),
        )


@lru_cache
def _shape(what: str, count: int) -> SetShape:
    return SetShape(f"{what}{count}", None, count)


def main() -> None:
    asked = json.loads(sys.argv[1])
    publisher = Publisher(asked["client"], asked["port"], asked["user"], os.environ["BENCH_PASSWORD"])
    for line in sys.stdin:
        traffic = Traffic(**json.loads(line))
        phases = publisher.encode(traffic)
        size = sum(len(body) for bodies in phases for body, _ in bodies)
        print("encoded", flush=True)
        sys.stdin.readline()
        print(json.dumps({**publisher.send(phases, traffic.pause_s), "bytes": size}), flush=True)


if __name__ == "__main__":
    main()
