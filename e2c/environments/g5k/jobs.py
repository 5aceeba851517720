"""What is done with jobs that exist: released, lengthened, made one out of two."""

from __future__ import annotations

import time
from collections.abc import Sequence

from grid5000 import Grid5000
from grid5000.exceptions import Grid5000Error

from e2c.environments.base import Claim, Watch
from e2c.environments.g5k import api, dates
from e2c.environments.g5k.refusals import SilentError, translate
from e2c.environments.limits import advice, limits
from e2c.errors import TestbedError
from e2c.model.reservation import Reservation

SHORTEST_S, LONGEST_S = 0.5, 8.0
REPEAT_S = 10.0
"""OAR may take its time to kill a job: deleting it again sooner would only be refused."""
LOOKS_FOR_LOST = 2
LATE_S = 3.0
"""How long a submission whose answer nobody saw may take to show."""
GRANT_S = 30.0


def release(claim: Claim, watch: Watch) -> list[str]:
    """Delete every living job of the claim and wait until none is left; returns what was freed.

    Raises:
        TestbedError: jobs may still hold machines; says which, until when, and how to free them.
    """
    client = api.connect()
    sites = _sites(claim)
    deadline = time.monotonic() + limits().release_timeout
    met: dict[tuple[str, int], api.Job] = {}
    deleted: dict[tuple[str, int], float] = {}
    pause, looks = SHORTEST_S, 0
    trouble: TestbedError | None = None
    while looks < (1 if met else LOOKS_FOR_LOST):
        try:
            living, silent = api.living(client, sites, claim.job_name)
            trouble = next(iter(silent.values()), None)
            met |= {(job.site, job.uid): job for job in living}
            for job in living:
                if time.monotonic() - deleted.get((job.site, job.uid), -REPEAT_S) >= REPEAT_S:
                    watch(f"deleting job {job.uid} on {job.site} ({job.state})")
                    delete(client, job)
                    deleted[job.site, job.uid] = time.monotonic()
            left = living
        except TestbedError as error:
            if not isinstance(error, SilentError):
                raise _held(claim, list(met.values()), error) from error
            trouble, left = error, list(met.values())
        looks = 0 if left or trouble else looks + 1
        if (left or trouble) and time.monotonic() >= deadline:
            raise _held(claim, left or list(met.values()), trouble)
        if left or trouble:
            watch.waiting(_waiting(left, trouble))
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(pause * 2, LONGEST_S)
        elif not met and looks < LOOKS_FOR_LOST:
            time.sleep(min(LATE_S, limits().release_timeout))
    return [str(job) for job in met.values()]


def _sites(claim: Claim) -> list[str] | None:
    return list(claim.resources["sites"]) if claim.resources.get("sites") else None


def _waiting(left: Sequence[api.Job], trouble: TestbedError | None) -> str:
    if trouble is not None:
        return f"Grid'5000 does not answer ({trouble.why}), asking again"
    return f"until {', '.join(f'job {job.uid} on {job.site} is gone ({job.state})' for job in left)}"


def _held(claim: Claim, left: Sequence[api.Job], trouble: TestbedError | None) -> TestbedError:
    named = ", ".join(f"{job.uid} ({job.site})" for job in left)
    ends = [job.ends for job in left if job.ends is not None]
    until = f"until {dates.here(max(ends))}" if ends else f"for {dates.duration(claim.walltime_s)} from their start"
    free = " and ".join(f"`oardel {job.uid}` on the frontend of {job.site}" for job in left)
    free = free or f"`oardel` of every job that `oarstat -u` shows as {claim.job_name} on the sites' frontends"
    why = f"not gone after {limits().release_timeout:g} s" if trouble is None else f"{trouble.what}: {trouble.why}"
    number = "jobs" if len(left) > 1 else "job"
    return TestbedError(
        f"machines MAY STILL BE BOOKED, at most {until}, by {number} {named or claim.job_name}",
        where="Grid'5000",
        why=why,
        hint=f"Repeat e2clab destroy {claim.scenario} later, or free them with {free}. {advice('release_timeout')}",
    )


def delete(client: Grid5000, job: api.Job) -> None:
    """Remove a job's firewall rules, then the job; that it is gone already is fine.

    Raises:
        TestbedError: it could not be deleted.
    """
    if job.state == "running":
        # the rules end with the job: that they cannot be removed must not keep the job alive
        _quietly(client, f"/sites/{job.site}/firewall/{job.uid}")
    try:
        client.http_delete(f"/sites/{job.site}/jobs/{job.uid}")
    except Grid5000Error as error:
        if int(error.response_code or 0) == 404 or "already killed" in str(error):
            return
        raise translate(error, f"job {job.uid} on {job.site} could not be deleted") from error
    except Exception as error:
        raise translate(error, f"job {job.uid} on {job.site} could not be deleted") from error


def _quietly(client: Grid5000, path: str) -> None:
    try:
        client.http_delete(path)
    except Exception:  # noqa: BLE001 - see above
        return


def keep_oldest(client: Grid5000, jobs: Sequence[api.Job], watch: Watch) -> list[api.Job]:
    """One job per site: a submission that was repeated because its answer was lost may have made two.

    Raises:
        TestbedError: one that is too many could not be deleted.
    """
    kept: dict[str, api.Job] = {}
    for job in sorted(jobs, key=lambda job: job.uid):
        if job.site in kept:
            watch(f"job {job.uid} on {job.site} is one too many beside {kept[job.site].uid}: deleting it")
            delete(client, job)
        else:
            kept[job.site] = job
    return list(kept.values())


def extend(claim: Claim, seconds: int, watch: Watch) -> list[Reservation]:
    """Ask OAR to lengthen the running jobs of the claim.

    Raises:
        TestbedError: there is none, or OAR refuses; shows its own words.
    """
    client = api.connect()
    found, silent = api.living(client, _sites(claim), claim.job_name)
    if not found:
        raise next(iter(silent.values()), None) or TestbedError(
            f"no job named {claim.job_name} lives, so there is nothing to lengthen",
            where="Grid'5000",
            hint=f"Its walltime may be over: see e2clab status {claim.scenario}",
        )
    waiting = [job for job in found if job.state != "running"]
    if waiting:
        raise TestbedError(
            f"job {waiting[0].uid} cannot be lengthened",
            where=f"Grid'5000, {waiting[0].site}",
            why=f"it is {waiting[0].state}, and only running jobs can be",
            hint="Wait until it runs, or destroy it and deploy with a longer walltime",
        )
    return [_lengthen(client, job, seconds, watch).reservation() for job in found]


def _lengthen(client: Grid5000, job: api.Job, seconds: int, watch: Watch) -> api.Job:
    path = f"/sites/{job.site}/jobs/{job.uid}/walltime"
    doing = f"job {job.uid} on {job.site} was not lengthened"
    api.call(doing, client.http_post, path, post_data={"walltime": f"+{dates.duration(seconds)}"})
    deadline = time.monotonic() + GRANT_S
    while True:
        now = api.job(client, job.site, job.uid)
        if now.walltime_s >= job.walltime_s + seconds:
            watch(f"job {job.uid} on {job.site} lasts until {_until(now)}")
            return now
        status = api.call(doing, client.http_get, path)
        pending = str(status.get("pending", ""))
        if not _asks(pending):
            raise TestbedError(
                doing,
                where="Grid'5000",
                why=f"OAR does not grant it; possible: {status.get('possible', 'unknown')}",
                hint=f"Ask for less, or see `oarwalltime {job.uid}` on the frontend of {job.site}",
            )
        if time.monotonic() >= deadline:
            watch(f"job {job.uid} on {job.site}: OAR has the request ({pending}) and may grant it later")
            return now
        watch.waiting(f"for OAR to grant {pending} to job {job.uid} on {job.site}")
        time.sleep(1)


def _asks(pending: str) -> bool:
    return any(part.strip("+-0") for part in pending.split(":"))


def _until(job: api.Job) -> str:
    return "an unknown time" if job.ends is None else dates.here(job.ends)
