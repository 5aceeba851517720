"""One booking in the making: what its providers, EnOSlib's copies of them included, share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from grid5000 import Grid5000

from e2c.environments.base import Claim, Watch
from e2c.environments.g5k import api, credentials, dates, jobs
from e2c.environments.g5k.refusals import SilentError
from e2c.environments.limits import Limits, advice, limits
from e2c.errors import TestbedError

SETTLED = frozenset({"waiting", "launching", "running"})
"""States that EnOSlib knows as living; it would submit a second job beside one in another."""
SHORTEST_S, LONGEST_S = 1.0, 15.0
LOST_PAUSES_S = (1.0, 3.0, 6.0)
"""When a submission whose answer was lost is looked for, before it is repeated."""
KAVLANS = "It waits for a free KaVLAN, too, and a site has few: network: shared under monitoring asks for none"
SILENCE = 4
"""How many time limits of a request the API may be silent for while a job is waited for."""


class Session:
    """The jobs of a claim while they are booked and waited for; tells of each state, and bounds each wait."""

    def __init__(self, client: Grid5000, claim: Claim, watch: Watch) -> None:
        self.client = client
        self.claim = claim
        self.watch = watch
        self.bounds: Limits = limits()
        self.key = credentials.private_key(claim.settings, claim.scenario)
        self.username = credentials.read().username
        self.advance = False  # jobs may have a date of their own, from a search for a common time
        self.network = False  # the job asks for a KaVLAN, too
        self._told: dict[tuple[str, int], tuple[Any, ...]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        """EnOSlib copies its providers to try a slot: all copies work on the same jobs."""
        return self

    def tell(self, job: api.Job) -> None:
        """Hand over the reservation, at first and whenever it changed."""
        state = (job.state, job.starts, job.walltime_s)
        if self._told.get((job.site, job.uid)) == state:
            return
        known = self._told.get((job.site, job.uid))
        self._told[job.site, job.uid] = state
        self.watch.reserved(job.reservation())  # written down before anything else
        if known is None:
            self.watch(f"job {job.uid} on {job.site} is named {job.name}")
        if job.state == "running" and (known is None or known[0] != "running") and job.ends is not None:
            self.watch(f"job {job.uid} on {job.site} runs until {dates.here(job.ends)}")

    def living(self, sites: Sequence[str]) -> list[api.Job]:
        """Jobs of the claim on these sites, one per site: a second one is deleted.

        Waits for jobs that are on their way from one state to another.

        Raises:
            TestbedError: a site does not answer, or a job is held.
        """
        deadline = time.monotonic() + self.bounds.release_timeout
        while True:
            found, silent = api.living(self.client, sites, self.claim.job_name)
            if silent:
                raise next(iter(silent.values()))
            kept = jobs.keep_oldest(self.client, found, self.watch)
            for job in kept:
                self.tell(job)
            unsettled = [job for job in kept if job.state not in SETTLED]
            if not unsettled:
                return kept
            job = unsettled[0]
            if job.state == "hold" or time.monotonic() >= deadline:
                raise TestbedError(
                    f"job {job.uid} named {job.name} is there already, but {job.state}",
                    where=f"Grid'5000, {job.site}",
                    hint=f"Let it go with `oarresume {job.uid}` on the frontend of {job.site}, "
                    f"or delete it: e2clab destroy {self.claim.scenario}",
                )
            self.watch.waiting(f"for job {job.uid} on {job.site}, which is {job.state}")
            time.sleep(SHORTEST_S)

    def look_for_lost(self, sites: Sequence[str]) -> bool:
        """Whether a submission whose answer was lost made a job; looks several times.

        Raises:
            TestbedError: nobody can tell, because the API does not answer.
        """
        self.watch(f"the answer to the submission was lost: looking for a job named {self.claim.job_name}")
        trouble: TestbedError | None = None
        for pause in LOST_PAUSES_S:
            time.sleep(pause)
            try:
                found = self.living(sites)
                trouble = None
            except SilentError as error:
                trouble = error
                continue
            if found:
                self.watch(f"it did arrive: job {', '.join(f'{job.uid} ({job.site})' for job in found)}")
                return True
        if trouble is not None:
            raise SilentError(
                "the answer to the submission was lost, and the API does not answer any more",
                where="Grid'5000",
                why=trouble.why,
                hint=f"A job may exist: see https://www.grid5000.fr/status/, then e2clab destroy {self.claim.scenario}",
            ) from trouble
        return False

    def wait(self, waited: Sequence[tuple[str, int]]) -> list[api.Job]:
        """Wait until all these jobs run and return them.

        Raises:
            TestbedError: a job ended before, or does not run in time.
        """
        began = time.monotonic()
        since = time.time()
        deadline = began + self._ahead(since) + self.bounds.start_timeout
        pause = SHORTEST_S
        answered = time.monotonic()
        while True:
            try:
                now = [api.job(self.client, site, uid) for site, uid in waited]
                answered = time.monotonic()
            except SilentError as error:
                if time.monotonic() - answered > self.bounds.api_timeout * SILENCE or time.monotonic() >= deadline:
                    raise
                self.watch.waiting(f"for Grid'5000, which does not answer ({error.why})")
                time.sleep(pause)
                continue
            for job in now:
                self.tell(job)
                if not job.living:
                    raise ended(job, self.claim)
                if self.advance and job.starts is not None:
                    ahead = min(job.starts - since, self.bounds.slot_window)
                    deadline = max(deadline, began + ahead + self.bounds.start_timeout)
            waiting = [job for job in now if job.state != "running"]
            if not waiting:
                return now
            if time.monotonic() >= deadline:
                raise self._late(waiting[0])
            self.watch.waiting(f"for {'; '.join(map(_told, waiting))}; since {dates.here(since)}")
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.5, LONGEST_S)

    def _ahead(self, now: float) -> float:
        """Seconds until the date that the scenario asks for; 0 where it asks for none."""
        return max(0.0, (dates.parse(self.claim.settings.get("reservation")) or now) - now)

    def _late(self, job: api.Job) -> TestbedError:
        scheduled = "OAR gives no date for it" if job.starts is None else f"scheduled for {dates.here(job.starts)}"
        return TestbedError(
            f"job {job.uid} does not run after {self.bounds.start_timeout:g} s: it is {job.state}, {scheduled}",
            where=f"Grid'5000, {job.site}",
            hint=f"{advice('start_timeout')}, or ask for another cluster or a shorter walltime"
            + (f". {KAVLANS}" if self.network else ""),
        )

    def require_running(self, waited: Sequence[tuple[str, int]]) -> None:
        """Refuse to go on with jobs that ended meanwhile.

        Raises:
            TestbedError: one did.
        """
        for site, uid in waited:
            job = api.job(self.client, site, uid)
            self.tell(job)
            if job.state != "running":
                raise ended(job, self.claim)


def _told(job: api.Job) -> str:
    scheduled = "no start estimated yet" if job.starts is None else f"scheduled for {dates.here(job.starts)}"
    return f"job {job.uid} on {job.site}: {job.state}, {scheduled}"


def ended(job: api.Job, claim: Claim) -> TestbedError:
    """The error of a job that does not live any more, with OAR's own words."""
    said = "; ".join(event for event in job.events if event)
    where = f"Grid'5000, {job.site}"
    if job.started and job.ends is not None and time.time() >= job.ends - 1:
        return TestbedError(
            f"the walltime of job {job.uid} was over before its machines were ready",
            where=where,
            why=f"it ran for {dates.duration(job.walltime_s)}, until {dates.here(job.ends)}",
            hint="Write a longer walltime into layers_services.yaml, then deploy again",
        )
    return TestbedError(
        f"job {job.uid} went to {job.state} before its machines were ready",
        where=where,
        why=said or None,
        hint=f"See `oarstat -fj {job.uid}` on the frontend of {job.site}; then deploy {claim.scenario} again",
    )
