"""The Grid'5000 API: a client with time limits, and the jobs of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from grid5000 import Grid5000
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from e2c.environments import naming
from e2c.environments.g5k import credentials, refusals
from e2c.environments.limits import limits
from e2c.errors import TestbedError
from e2c.model.frozen import Frozen
from e2c.model.reservation import Reservation

LIVING = frozenset({"waiting", "hold", "tolaunch", "toackreservation", "launching", "running", "suspended", "resuming"})
"""States, in lower case, of jobs that hold or will hold machines. OAR frees those of all others by itself."""
MOST_JOBS = 500
"""The API gives no more at a time."""
RECENT_JOBS = 50

T = TypeVar("T")


class Job(Frozen):
    """A job as the API tells it.

    Attributes:
        site, uid: its number is unique on its site only.
        state: in lower case.
        starts: when it started or is scheduled to; ``None`` while OAR does not know.
        started: it ran.
        nodes: its machines, once it has them.
        events: what happened to it, OAR's words.
    """

    site: str
    uid: int
    name: str
    state: str
    starts: float | None
    started: bool
    walltime_s: int
    types: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    @property
    def ends(self) -> float | None:
        """When its walltime is over."""
        return None if self.starts is None else self.starts + self.walltime_s

    @property
    def living(self) -> bool:
        """It holds machines, or will."""
        return self.state in LIVING

    def __str__(self) -> str:
        return f"Grid'5000 job {self.uid} ({self.site})"

    def reservation(self) -> Reservation:
        """The job as a reservation."""
        return Reservation(
            provider="g5k",
            site=self.site,
            id=str(self.uid),
            name=self.name,
            state=self.state,
            starts=self.starts,
            ends=self.ends,
        )


def read(site: str, told: dict[str, Any]) -> Job:
    """A job from the API's JSON."""
    starts = told.get("started_at") or told.get("scheduled_at")
    return Job(
        site=site,
        uid=int(told["uid"]),
        name=str(told.get("name") or ""),
        state=str(told.get("state") or "").lower(),
        starts=float(starts) if starts else None,
        started=bool(told.get("started_at")),
        walltime_s=int(told.get("walltime") or 0),
        types=tuple(map(str, told.get("types") or ())),
        nodes=tuple(map(str, told.get("assigned_nodes") or ())),
        events=tuple(refusals.words(event.get("description")) for event in told.get("events") or ()),
    )


def bounded(client: Grid5000) -> Grid5000:
    """The client with a time limit for each request; safe requests are repeated once or twice, submissions never."""
    client.timeout = limits().api_timeout
    retry = Retry(
        total=2, connect=1, read=1, status=2, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504),
        raise_on_status=False,
    )  # fmt: skip
    for scheme in ("http://", "https://"):
        client.session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=20))
    return client


def connect() -> Grid5000:
    """A client with the user's credentials; nothing is asked yet.

    Raises:
        TestbedError: there are no credentials, or they cannot be used.
    """
    options = credentials.read().options
    try:
        return bounded(Grid5000(**options))
    except (TypeError, ValueError) as error:
        raise TestbedError(
            "the Grid'5000 credentials cannot be used",
            where=str(credentials.file()),
            why="a key of it has a wrong value",
            hint=credentials.HOW,
        ) from error


def place(client: Grid5000) -> str:
    """Name of the machine that the API is asked at."""
    return str(urlsplit(client._uri).hostname)


def call(doing: str, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call the client and turn what it raises into a sentence that begins with ``doing``.

    Raises:
        TestbedError: the call failed.
    """
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise refusals.translate(error, doing) from error


def site_names(client: Grid5000) -> list[str]:
    """Names of all sites.

    Raises:
        TestbedError: the API cannot be used.
    """
    return [str(site["uid"]) for site in call("its sites could not be read", client.http_list, "/sites")]


def living(client: Grid5000, sites: Sequence[str] | None, name: str) -> tuple[list[Job], dict[str, TestbedError]]:
    """Living jobs of the user with that name, oldest first, and the sites that did not answer.

    Args:
        sites: where to look; ``None``: everywhere.

    Raises:
        TestbedError: not even the sites are known.
    """
    # without a filter by state: the API cannot be asked for jobs in `toLaunch`
    query = {"name": name, "user": credentials.read().username, "limit": MOST_JOBS}
    return _everywhere(client, sites, [query], lambda job: job.name == name)


def living_of(client: Grid5000, scenario: str) -> tuple[list[Job], dict[str, TestbedError]]:
    """Living jobs of a scenario, whatever their names begin with, and the sites that did not answer."""
    user = credentials.read().username
    settled = {"user": user, "state": "waiting,hold,launching,running,suspended,resuming", "limit": MOST_JOBS}
    recent = {"user": user, "limit": RECENT_JOBS}
    return _everywhere(client, None, [settled, recent], lambda job: naming.is_of(job.name, scenario))


def _everywhere(
    client: Grid5000, sites: Sequence[str] | None, queries: Iterable[dict[str, Any]], wanted: Callable[[Job], bool]
) -> tuple[list[Job], dict[str, TestbedError]]:
    places = site_names(client) if sites is None else list(sites)
    found: dict[tuple[str, int], Job] = {}
    silent: dict[str, TestbedError] = {}
    with ThreadPoolExecutor(max(1, len(places)), thread_name_prefix="g5k") as pool:
        asked = [(site, pool.submit(partial(_ask, client, site, query))) for site in places for query in queries]
        for site, answer in asked:
            try:
                found |= {(site, job.uid): job for job in answer.result() if job.living and wanted(job)}
            except TestbedError as error:
                silent[site] = error
    return [found[key] for key in sorted(found)], silent


def _ask(client: Grid5000, site: str, query: dict[str, Any]) -> list[Job]:
    doing = f"the jobs on {site} could not be read"
    return [read(site, told) for told in call(doing, client.http_list, f"/sites/{site}/jobs", query_data=query)]


def job(client: Grid5000, site: str, uid: int) -> Job:
    """A job by its number.

    Raises:
        TestbedError: it could not be read.
    """
    doing = f"job {uid} on {site} could not be read"
    return read(site, call(doing, client.http_get, f"/sites/{site}/jobs/{uid}"))
