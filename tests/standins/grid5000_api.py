"""Plays the parts of the Grid'5000 REST API that EnOSlib calls: reference, jobs, deployments, firewall, vlans."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from grid5000_jobs import Deployment, Job
from grid5000_park import ENVIRONMENT, Busy, Impossible, Park, read_date, read_resources, read_walltime, write_date
from grid5000_reference import VLANS, items, refusal
from grid5000_vlans import Vlans
from standins_http import Answer, Request

_OAR = "Request to http://api-proxy/oarapi/jobs.json failed with status 400: "


class Grid5000Api(Vlans):
    """The API; jobs go ``waiting``, ``launching``, ``running``, ``terminated``.

    Attributes:
        start_after_s: jobs start so long after their submission, also those that have a date in the near future;
            ``None``: at their date.
        launching_s: how long a job is ``launching``; 0: it is never seen so.
        deploy_s: how long a deployment lasts.
        jobs: every job, by its number.
        deployments: every deployment, by its name.
        fewer: how many machines the next jobs lack of what they asked.
        failing_nodes: nodes on which deployments fail; ``deployments_fail``: all of it does.
        extendable: whether OAR grants more walltime.
        error_after: the next jobs go to ``error`` after so many looks at them.
        listeners: called with ``running`` or ``ended`` and the job, ``deployed`` and the deployment, ``firewall`` and
            the job, ``vlan`` and node, interface and VLAN.
    """

    def __init__(
        self,
        *,
        clusters: dict[str, tuple[str, int]] | None = None,
        users: dict[str, str] | None = None,
        network: tuple[str, str] = ("172.16.64.0/20", "172.16.79.254"),
    ) -> None:
        super().__init__({"jdoe": "g5k-secret"} if users is None else users)
        self.park = Park(clusters or {"gros": ("nancy", 4), "taurus": ("lyon", 2), "paravance": ("rennes", 2)}, network)
        self.deployments: dict[str, Deployment] = {}
        self._behave()
        self.listeners: list[Callable[[str, Any], None]] = []

    def _behave(self) -> None:
        self.start_after_s: float | None = 0
        self.launching_s = 0.0
        self.deploy_s = 0.0
        self.fewer = 0
        self.failing_nodes: set[str] = set()
        self.deployments_fail = False
        self.extendable = True
        self.error_after: int | None = None
        self.taken_vlans.clear()
        self.refused_in_vlans.clear()

    def reset(self) -> None:
        """Well and open again, and nothing is reserved."""
        super().reset()
        for job in self.living():
            self.end(job)
        self._behave()
        for node in self.park.nodes.values():
            node.hard, node.busy = "alive", []
        self.park.single.clear()

    @property
    def uri(self) -> str:
        """What goes into ``.python-grid5000.yaml``."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def living(self) -> list[Job]:
        """Jobs that have not ended."""
        with self.lock:
            self.tick()
            return [job for job in self.jobs.values() if job.living]

    def occupy(self, node: str, starts: float, ends: float, queue: str = "default") -> None:
        """Somebody else reserves a node (seconds since the epoch)."""
        self.park.nodes[node].busy.append(Busy(starts, ends, queue))

    def end(self, job: Job, state: str = "terminated", said: str = "") -> None:
        """End a job, as an administrator or a breakdown would, with OAR's words about it."""
        with self.lock:
            if job.living:
                job.events += [said] if said else []
                job.state = state
                job.stopped = self.clock.now()
                job.firewall.clear()
                self.leave_vlans(job.nodes)
                self.tell("ended", job)

    def tick(self) -> None:
        now = self.clock.now()
        for job in list(self.jobs.values()):
            if job.state == "waiting" and now >= job.begins and job.nodes:
                job.state = "launching"
            if job.state == "launching" and now >= job.begins + self.launching_s:
                job.state, job.started = "running", now
                self.tell("running", job)
            if job.state == "running" and now >= (job.started or 0) + job.walltime:
                self.end(job)
        for deployment in self.deployments.values():
            if deployment.status == "processing" and now >= deployment.ends:
                deployment.status = "error" if deployment.whole_fails else "terminated"
                self.tell("deployed", deployment)

    def tell(self, what: str, subject: Any) -> None:
        for listener in self.listeners:
            listener(what, subject)

    # --- routes

    def _job(self, site: str, uid: str) -> Job:
        job = self.jobs.get(int(uid))
        if job is None or job.site != self._site(site):
            raise refusal(404, "Not Found", f"Couldn't find OAR::Job with 'job_id'={uid}")
        return job

    def _own_job(self, request: Request, site: str, uid: str) -> Job:
        job = self._job(site, uid)
        if job.user != request.user:
            raise refusal(403, "Forbidden", "Not authorized to modify a job that belongs to somebody else.")
        return job

    def _status(self, request: Request, site: str, cluster: str | None = None) -> Answer:
        chosen = [cluster] if cluster else [name for name, home in self.park.clusters.items() if home == site]
        nodes = {}
        for node in (node for name in chosen for node in self.park.cluster_nodes(self._cluster(site, name))):
            held = [job for job in self.jobs.values() if job.living and node.fqdn in job.nodes]
            reservations = [{**job.summary(), "links": []} for job in held]
            reservations += [
                {
                    "queue": busy.queue,
                    "scheduled_at": int(busy.starts),
                    "walltime": int(busy.ends - busy.starts),
                    "state": "running",
                }
                for busy in node.busy
            ]
            free = self._free(node.fqdn, self.clock.now(), 1)
            nodes[node.fqdn] = {
                "hard": node.hard,
                "soft": "free" if free else "busy",
                "reservations": reservations,
                "comment": "OK",
            }
        return Answer(200, {"uid": int(self.clock.now()), "nodes": nodes, "disks": {}})

    def _list_jobs(self, request: Request, site: str) -> Answer:
        self._site(site)
        query = request.query
        states = query["state"].split(",") if query.get("state") else None
        found = [
            job.summary()
            for job in sorted(self.jobs.values(), key=lambda job: -job.uid)
            if job.site == site
            and (states is None or job.state in states)
            and ("name" not in query or job.name == query["name"])
            and ("user" not in query or job.user == query["user"])
            and ("queue" not in query or job.queue == query["queue"])
        ]
        return items(found, request)

    def _free(self, node: str, start: float, walltime: float) -> bool:
        held = [
            (job.started or job.starts, (job.started or job.starts) + job.walltime)
            for job in self.jobs.values()
            if job.living and node in job.nodes
        ]
        held += [(busy.starts, busy.ends) for busy in self.park.nodes[node].busy if busy.queue != "besteffort"]
        return all(start + walltime <= begin or start >= end for begin, end in held)

    def _submit(self, request: Request, site: str) -> Answer:
        self._site(site)
        asked = request.json
        now = self.clock.now()
        try:
            criteria, walltime = read_resources(asked["resources"])
        except (KeyError, ValueError) as error:
            raise refusal(400, "Bad Request", f"{_OAR}Bad resource request: {error}") from error
        date = read_date(asked["reservation"]) if asked.get("reservation") else None
        if date is not None and date < now - 1:
            raise refusal(400, "Bad Request", f"{_OAR}Reservation too old")
        starts = now if date is None else date
        try:
            nodes = self.park.choose(site, criteria, lambda node: self._free(node, starts, walltime))
        except Impossible:
            message = (
                f"{_OAR}There are not enough resources for your request\nOAR_JOB_ID=-5\nOarsub failed: please verify"
            )
            raise refusal(
                400, "Bad Request", f"{message} your request syntax or ask for support to your admin."
            ) from None
        kinds = [criterion.vlan for criterion in criteria if criterion.vlan]
        vlans = self.free_vlans(site, kinds)
        if nodes is None or vlans is None:
            later = self._next_start(site, criteria, starts, walltime)
            if date is not None:
                told = f"Reservation not valid --> KO (This reservation could run at {write_date(later)})"
                raise refusal(400, "Bad Request", f"{_OAR}{told}")
            starts = later
            nodes = self.park.choose(site, criteria, lambda node: self._free(node, starts, walltime)) or []
            begins = starts
        else:
            begins = starts if self.start_after_s is None else now + self.start_after_s
        job = Job(
            uid=1_930_000 + len(self.jobs),
            site=site,
            user=request.user or "anonymous",
            name=asked.get("name"),
            types=list(asked.get("types") or []),
            queue=asked.get("queue") or "default",
            project=asked.get("project") or "inria",
            command=asked.get("command", ""),
            resources=asked["resources"],
            submitted=now,
            starts=starts,
            begins=begins,
            walltime=walltime,
            nodes=nodes[: len(nodes) - self.fewer] if self.fewer else nodes,
            vlans=vlans or [VLANS[kind][0] for kind in kinds],
            subnets=["10.158.0.0/22" for c in criteria if c.kind == "slash_22"],
            error_after=self.error_after,
        )
        self.jobs[job.uid] = job
        return Answer(201, job.details(), headers={"location": f"/stable/sites/{site}/jobs/{job.uid}"})

    def _next_start(self, site: str, criteria: list[Any], after: float, walltime: int) -> float:
        ends = [busy.ends for node in self.park.nodes.values() for busy in node.busy]
        ends += [(job.started or job.starts) + job.walltime for job in self.jobs.values() if job.living]
        for end in sorted(end for end in ends if end > after):
            if self.park.choose(site, criteria, lambda node, end=end: self._free(node, end, walltime)) is not None:
                return float(int(end) + 1)
        return max([after + 7200, *ends]) + 1

    def _look(self, request: Request, site: str, uid: str) -> Answer:
        job = self._job(site, uid)
        job.looks += 1
        if job.error_after is not None and job.looks > job.error_after:
            self.end(job, "error", "the bipbip processus timed out during its execution")
        return Answer(200, job.details())

    def _delete(self, request: Request, site: str, uid: str) -> Answer:
        job = self._own_job(request, site, uid)
        if not job.living:
            raise refusal(400, "Bad Request", f"Deleting job {uid} failed: This job was already killed")
        self.end(job, "error")  # what OAR calls a job that its user killed
        return Answer(202, headers={"location": f"/stable/sites/{site}/jobs/{uid}"})

    def _walltime(self, request: Request, site: str, uid: str) -> Answer:
        job = self._job(site, uid)
        told = str(dt.timedelta(seconds=job.walltime))
        possible = "UNLIMITED" if self.extendable else "0:0:0"
        return Answer(200, {"uid": job.uid, "walltime": told, "possible": possible, "pending": "0:0:0"})

    def _change_walltime(self, request: Request, site: str, uid: str) -> Answer:
        job = self._own_job(request, site, uid)
        asked = str(request.json.get("walltime", ""))
        if job.state != "running":
            raise refusal(403, "Forbidden", f"Job {uid} is not running, walltime change is not allowed")
        if not self.extendable:
            return Answer(202, {"uid": job.uid, "status": "Accepted", "walltime": asked})  # and nothing follows
        more = read_walltime(asked.lstrip("+-")) * (-1 if asked.startswith("-") else 1)
        job.walltime = job.walltime + more if asked[:1] in "+-" else more
        return Answer(202, {"uid": job.uid, "status": "Accepted", "walltime": asked})

    def _deploy(self, request: Request, site: str) -> Answer:
        self._site(site)
        asked = request.json
        nodes = asked["nodes"]
        held = {
            node
            for job in self.jobs.values()
            if job.state == "running" and job.deploys and job.user == request.user
            for node in job.nodes
        }
        strangers = [node for node in nodes if node not in held]
        if strangers:
            message = (
                f"Invalid options or invalid rights on nodes. You have no rights to deploy on {', '.join(strangers)}"
            )
            raise refusal(403, "Forbidden", message)
        if not ENVIRONMENT.fullmatch(asked["environment"]):
            raise refusal(400, "Bad Request", f"The environment '{asked['environment']}' does not exist")
        deployment = Deployment(
            uid=f"D-{len(self.deployments):08x}-stand-in",
            site=site,
            user=request.user or "anonymous",
            nodes=nodes,
            environment=asked["environment"],
            version=asked.get("version"),
            key=asked.get("key", ""),
            vlan=str(asked["vlan"]) if asked.get("vlan") else None,
            ends=self.clock.now() + self.deploy_s,
            failing=[node for node in nodes if node in self.failing_nodes],
            whole_fails=self.deployments_fail,
        )
        self.deployments[deployment.uid] = deployment
        return Answer(201, deployment.details())

    def _look_deployment(self, request: Request, site: str, uid: str) -> Answer:
        if uid not in self.deployments:
            raise refusal(404, "Not Found", f"Deployment {uid} does not exist.")
        return Answer(200, self.deployments[uid].details())

    def _list_deployments(self, request: Request, site: str) -> Answer:
        return items([one.details() for one in self.deployments.values() if one.site == site], request)

    def _rules(self, request: Request, site: str, uid: str) -> Answer:
        return Answer(200, self._own_job(request, site, uid).firewall)

    def _open(self, request: Request, site: str, uid: str) -> Answer:
        job = self._own_job(request, site, uid)
        if job.state != "running":
            raise refusal(403, "Forbidden", f"Job {uid} is not running")
        own = {f"{node.partition('.')[0]}-ipv6.{node.partition('.')[2]}" for node in job.nodes}
        rules = request.json
        for rule in rules:
            strangers = [address for address in rule["addr"] if address not in own]
            if strangers or not rule["addr"]:
                raise refusal(403, "Forbidden", f"Addresses {strangers} do not belong to job {uid}")
            if rule in job.firewall:
                raise refusal(409, "Conflict", "Rule already exists")
        job.firewall += rules
        self.tell("firewall", job)
        return Answer(201, rules)

    def _shut(self, request: Request, site: str, uid: str) -> Answer:
        job = self._own_job(request, site, uid)
        job.firewall.clear()
        self.tell("firewall", job)
        return Answer(204)

    def _metrics(self, request: Request, site: str) -> Answer:
        nodes = self.jobs[int(request.query["job_id"])].nodes if request.query.get("job_id") else []
        names = [name for name in request.query.get("metrics", "").split(",") if name]
        values = [
            {
                "timestamp": "2026-11-21T12:00:00+01:00",
                "device_id": node.partition(".")[0],
                "metric_id": name,
                "value": 100,
            }
            for node in nodes
            for name in names
        ]
        return Answer(200, values)

    def _share(self, request: Request, site: str) -> Answer:
        return Answer(201, {})

    _routes = (
        *Vlans._routes,
        ("GET", "/sites/([^/]+)/status", _status),
        ("GET", "/sites/([^/]+)/clusters/([^/]+)/status", _status),
        ("GET", "/sites/([^/]+)/jobs", _list_jobs),
        ("POST", "/sites/([^/]+)/jobs", _submit),
        ("GET", r"/sites/([^/]+)/jobs/(\d+)", _look),
        ("DELETE", r"/sites/([^/]+)/jobs/(\d+)", _delete),
        ("GET", r"/sites/([^/]+)/jobs/(\d+)/walltime", _walltime),
        ("POST", r"/sites/([^/]+)/jobs/(\d+)/walltime", _change_walltime),
        ("POST", "/sites/([^/]+)/deployments", _deploy),
        ("GET", "/sites/([^/]+)/deployments", _list_deployments),
        ("GET", "/sites/([^/]+)/deployments/([^/]+)", _look_deployment),
        ("GET", r"/sites/([^/]+)/firewall/(\d+)", _rules),
        ("POST", r"/sites/([^/]+)/firewall/(\d+)", _open),
        ("DELETE", r"/sites/([^/]+)/firewall/(\d+)", _shut),
        ("GET", "/sites/([^/]+)/metrics", _metrics),
        ("POST", "/sites/([^/]+)/storage/.*", _share),
    )
