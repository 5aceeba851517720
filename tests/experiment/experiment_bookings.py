"""Two testbeds that book in a file each, so that what a test leaves booked can be counted whoever died meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2c.environments.base import Acquisition, Claim, Finding, Progress, Watch
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation

SCENARIO = """\
environment:
  job_name: life
  walltime: "01:00:00"
  g5k: {cluster: gros}
  iotlab: {}
layers:
- name: cloud
  services:
  - name: server
    environment: g5k
- name: edge
  services:
  - name: client
    environment: iotlab
    archi: "m3:at86rf231"
"""


class Bookings:
    """A provider whose hosts are never there: what counts is what it books.

    Attributes:
        asked: what was asked of it, in order, shared with other providers.
        faults: by the name of an action, what it does in place of its work.
        walltime_s: length of reservations.
    """

    def __init__(self, name: str, folder: Path, asked: list[str], *, reserves: bool = True) -> None:
        self.name = name
        self.reserves = reserves
        self.file = folder / f"{name}.json"
        self.asked = asked
        self.faults: dict[str, Callable[[], None]] = {}
        self.walltime_s = 3600.0

    @property
    def booked(self) -> dict[str, float]:
        """End of each living reservation, by job name."""
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    def book(self, jobs: Mapping[str, float]) -> None:
        self.file.write_text(json.dumps(jobs))

    def _did(self, action: str) -> None:
        self.asked.append(f"{self.name} {action}")
        if action in self.faults:
            self.faults[action]()

    def check(self, settings: Mapping[str, Any]) -> None:
        self._did("check")

    def examine(self, settings: Mapping[str, Any]) -> list[Finding]:
        return []

    def claim(
        self, *, experiment: str, scenario: str, job_name: str, walltime_s: int, settings: Mapping[str, Any]
    ) -> Claim:
        return Claim(
            provider=self.name,
            experiment=experiment,
            scenario=scenario,
            job_name=f"{job_name}@{scenario}",
            walltime_s=walltime_s,
        )

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
        jobs = self.booked
        if claim.job_name not in jobs:
            self.book({**jobs, claim.job_name: time.time() + self.walltime_s})
        for reservation in self.reservations(claim):
            watch.reserved(reservation)
        self._did("acquire")
        return Acquisition()

    def enable_netem(self, claim: Claim, hosts: Sequence[Host], progress: Progress) -> str:
        return "kernel"

    def release(self, claim: Claim, progress: Progress) -> list[str]:
        self._did("release")
        jobs = self.booked
        if jobs.pop(claim.job_name, None) is None:
            return []
        self.book(jobs)
        return [f"{self.name} job {claim.job_name}"]

    def reservations(self, claim: Claim) -> list[Reservation]:
        self._did("reservations")
        return [
            Reservation(provider=self.name, site="nancy", id="17", name=name, state="running", ends=ends)
            for name, ends in self.booked.items()
            if name == claim.job_name
        ]

    def extend(self, claim: Claim, seconds: int, progress: Progress) -> list[Reservation]:
        self._did("extend")
        self.book({claim.job_name: self.booked[claim.job_name] + seconds})
        return self.reservations(claim)

    def find(self, scenario: str) -> list[Claim]:
        self._did("find")
        claims = [
            self.claim(experiment="lost", scenario=scenario, job_name="life", walltime_s=1, settings={}),
        ]
        return [claim for claim in claims if claim.job_name in self.booked]


def refusal() -> None:
    """A testbed that cannot."""
    raise TestbedError("the cluster is on fire", hint="Try another one")


def killed() -> None:
    """The process dies at once, as by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(action: Callable[[], object]) -> int:
    """Run something that may kill its process, in one of its own; returns how that ended (minus the signal)."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
