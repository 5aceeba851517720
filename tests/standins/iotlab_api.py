"""Plays the parts of the FIT IoT-LAB REST API that EnOSlib calls: experiments, nodes, monitoring profiles."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from typing import Any

from grid5000_park import Busy, write_date
from iotlab_records import ARCHIS, Experiment, Node, read_form, stamp
from standins_http import Answer, Refused, Request, StandInServer

_COMMANDS = "start|stop|reset|flash-idle|profile-reset|debug-start|debug-stop"


def _error(message: str, code: int = 500) -> Refused:
    return Refused(Answer(code, {"code": code, "message": message}))


class IotLabApi(StandInServer):
    """The API; experiments go ``Waiting``, ``Launching``, ``Running``, ``Terminated``.

    Attributes:
        start_after_s: experiments start so long after their submission, also those that have a date in the near
            future; ``None``: at their date.
        launching_s: how long an experiment is ``Launching``; 0: it is never seen so.
        experiments: every experiment, by its number.
        nodes: every node, by its address.
        firmwares: names of those that the testbed stores.
        profiles: monitoring profiles, by name.
        fewer: how many nodes the next experiments lack of what they asked.
        failing_nodes: nodes on which every command fails.
        error_after: the next experiments go to ``Error`` after so many looks at them.
        listeners: called with ``running`` or ``ended``, and the experiment.
    """

    prefix = "/api"

    def __init__(self, *, users: dict[str, str] | None = None, number: int = 4) -> None:
        super().__init__({"jdoe": "iotlab-secret"} if users is None else users)
        self.experiments: dict[int, Experiment] = {}
        self.profiles: dict[str, dict[str, Any]] = {}
        self.firmwares = {"iotlab_m3_tutorial"}
        self.ssh_keys: list[str] = []
        self._behave()
        self.listeners: list[Callable[[str, Experiment], None]] = []
        self.nodes = {
            node.network_address: node
            for site in ("grenoble", "saclay")
            for kind, archi in ARCHIS.items()
            for count in range(1, number + 1)
            for node in [Node(f"{kind}-{count}.{site}.iot-lab.info", archi, site, f"{count:04x}")]
        }

    def _behave(self) -> None:
        self.start_after_s: float | None = 0
        self.launching_s = 0.0
        self.fewer = 0
        self.failing_nodes: set[str] = set()
        self.error_after: int | None = None

    def reset(self) -> None:
        """Well and open again, and nothing is reserved."""
        super().reset()
        for experiment in self.living():
            self.end(experiment)
        self._behave()
        self.profiles.clear()
        for node in self.nodes.values():
            node.busy = []

    @property
    def url(self) -> str:
        """What goes into ``IOTLAB_API_URL``."""
        return f"http://127.0.0.1:{self.port}{self.prefix}/"

    @property
    def jobs(self) -> dict[int, Experiment]:
        """The experiments, under the name that Grid'5000's have."""
        return self.experiments

    def living(self) -> list[Experiment]:
        """Experiments that have not ended."""
        with self.lock:
            self.tick()
            return [experiment for experiment in self.experiments.values() if experiment.living]

    def occupy(self, node: str, starts: float, ends: float) -> None:
        """Somebody else reserves a node (seconds since the epoch)."""
        self.nodes[node].busy.append(Busy(starts, ends))

    def end(self, experiment: Experiment, state: str = "Terminated") -> None:
        """End an experiment, as an administrator or a breakdown would."""
        with self.lock:
            if experiment.living:
                experiment.state = state
                experiment.stopped = self.clock.now()
                self._tell("ended", experiment)

    def tick(self) -> None:
        now = self.clock.now()
        for experiment in list(self.experiments.values()):
            if experiment.state == "Waiting" and now >= experiment.begins and experiment.nodes:
                experiment.state = "Launching"
            if experiment.state == "Launching" and now >= experiment.begins + self.launching_s:
                experiment.state, experiment.started = "Running", now
                self._tell("running", experiment)
            if experiment.state == "Running" and now >= (experiment.started or 0) + experiment.duration * 60:
                self.end(experiment)

    def _tell(self, what: str, experiment: Experiment) -> None:
        for listener in self.listeners:
            listener(what, experiment)

    # --- routes

    def route(self, request: Request) -> Answer:
        for method, pattern, serve in self._routes:
            found = re.fullmatch(pattern, request.path.rstrip("/"))
            if found and method == request.method:
                return serve(self, request, *found.groups())
        raise Refused(self.unknown)

    def _experiment(self, request: Request, number: str) -> Experiment:
        experiment = self.experiments.get(int(number))
        if experiment is None:
            raise _error(f"Unknown experiment {number}", 404)
        if experiment.user != request.user:
            raise _error("This experiment belongs to another user", 403)
        return experiment

    def _user(self, request: Request) -> Answer:
        return Answer(200, {"login": request.user, "email": f"{request.user}@example.org", "groups": []})

    def _keys(self, request: Request) -> Answer:
        return Answer(200, {"sshkeys": self.ssh_keys})

    def _set_keys(self, request: Request) -> Answer:
        self.ssh_keys = request.json["sshkeys"]
        return Answer(204)

    def _sites(self, request: Request) -> Answer:
        return Answer(200, {"items": [{"site": site} for site in sorted({node.site for node in self.nodes.values()})]})

    def _list_nodes(self, request: Request) -> Answer:
        busy = {
            address
            for experiment in self.experiments.values()
            if experiment.state == "Running"
            for address in experiment.nodes
        }
        found = []
        for node in self.nodes.values():
            state = "Busy" if node.state == "Alive" and node.network_address in busy else node.state
            shown = node.description(state)
            if all(shown.get(key) == value for key, value in request.query.items()):
                found.append(shown)
        return Answer(200, {"items": found})

    def _list(self, request: Request) -> Answer:
        states = request.query.get("state", "Running").split(",")
        start, limit = int(request.query.get("offset") or 0), int(request.query.get("limit") or 0)
        found = [
            experiment.summary()
            for experiment in sorted(self.experiments.values(), key=lambda experiment: -experiment.id)
            if experiment.state in states and experiment.user == request.user
        ]
        return Answer(200, {"items": found[start : start + limit] if limit else found[start:]})

    def _running(self, request: Request) -> Answer:
        return Answer(200, {"items": [one.summary() for one in self.experiments.values() if one.state == "Running"]})

    def _gantt(self, request: Request) -> Answer:
        held = [
            {**experiment.summary(), "nodes": experiment.nodes}
            for experiment in self.experiments.values()
            if experiment.living
        ]
        held += [
            {
                "id": 0,
                "user": "somebody",
                "state": "Running",
                "start_date": stamp(busy.starts),
                "submitted_duration": int((busy.ends - busy.starts) / 60),
                "nodes": [node.network_address],
            }
            for node in self.nodes.values()
            for busy in node.busy
        ]
        return Answer(200, {"items": held})

    def _free(self, node: Node, start: float, seconds: float) -> bool:
        held = [
            (one.started or one.starts, (one.started or one.starts) + one.duration * 60)
            for one in self.experiments.values()
            if one.living and node.network_address in one.nodes
        ]
        held += [(busy.starts, busy.ends) for busy in node.busy]
        return all(start + seconds <= begin or start >= end for begin, end in held)

    def _choose(self, asked: dict[str, Any], start: float, seconds: float) -> list[str]:
        if asked["type"] == "physical":
            chosen = [self.nodes.get(address) for address in asked["nodes"]]
            wrong = [a for a, node in zip(asked["nodes"], chosen, strict=True) if node is None or node.state != "Alive"]
            if wrong:
                raise _error(f"Invalid nodes state : [{', '.join(wrong)}]")
            fixed = [node for node in chosen if node is not None]
            return [node.network_address for node in fixed] if all(self._free(n, start, seconds) for n in fixed) else []
        left = sorted((node for node in self.nodes.values() if node.state == "Alive"), key=lambda node: node.number)
        exists, chosen_free = list(left), []
        for alias in asked["nodes"]:
            wanted, number = alias["properties"], int(alias["nbnodes"])
            fits = [n for n in exists if n.archi == wanted["archi"] and n.site == wanted["site"]]
            if len(fits) < number:
                raise _error("There are not enough resources for your request")
            for node in fits[:number]:
                exists.remove(node)
            free = [n for n in left if n in fits + exists and n.archi == wanted["archi"] and n.site == wanted["site"]]
            free = [n for n in free if n.network_address not in chosen_free and self._free(n, start, seconds)]
            if len(free) < number:
                return []
            chosen_free += [node.network_address for node in free[:number]]
        return chosen_free

    def _submit(self, request: Request) -> Answer:
        files = read_form(request)
        asked = json.loads(files.pop("new_exp.json"))
        now, duration = self.clock.now(), int(asked["duration"])
        date = float(asked["reservation"]) if asked.get("reservation") else None
        if date is not None and date < now - 1:
            raise _error("Reservation too old")
        starts = date or now
        nodes = self._choose(asked, starts, duration * 60)
        begins = starts if self.start_after_s is None else now + self.start_after_s
        if not nodes:
            later = self._next_start(asked, starts, duration * 60)
            if date is not None:
                raise _error(f"Reservation not valid --> KO (This reservation could run at {write_date(later)})")
            starts = begins = later
            nodes = self._choose(asked, starts, duration * 60)
        unknown = [
            name["profilename"]
            for name in asked.get("profileassociations") or []
            if name["profilename"] not in self.profiles
        ]
        if unknown:
            raise _error(f"Invalid profile : {', '.join(unknown)}")
        experiment = Experiment(
            id=237_000 + len(self.experiments),
            user=request.user or "anonymous",
            name=asked.get("name"),
            duration=duration,
            asked=asked,
            files=files,
            submitted=now,
            starts=starts,
            begins=begins,
            nodes=nodes[: len(nodes) - self.fewer] if self.fewer else nodes,
            error_after=self.error_after,
        )
        self.experiments[experiment.id] = experiment
        return Answer(200, {"id": experiment.id})

    def _next_start(self, asked: dict[str, Any], after: float, seconds: float) -> float:
        ends = [busy.ends for node in self.nodes.values() for busy in node.busy]
        ends += [(one.started or one.starts) + one.duration * 60 for one in self.experiments.values() if one.living]
        for end in sorted(end for end in ends if end > after):
            if self._choose(asked, end, seconds):
                return float(int(end) + 1)
        return max([after, *ends]) + 1

    def _look(self, request: Request, number: str) -> Answer:
        experiment = self._experiment(request, number)
        experiment.looks += 1
        if experiment.error_after is not None and experiment.looks > experiment.error_after:
            self.end(experiment, "Error")
        return Answer(200, experiment.details())

    def _stop(self, request: Request, number: str) -> Answer:
        experiment = self._experiment(request, number)
        if not experiment.living:
            raise _error("This job was already killed")
        self.end(experiment, "Stopped")
        return Answer(200, {"id": experiment.id, "status": "Delete request registered"})

    def _held_nodes(self, request: Request, number: str) -> Answer:
        experiment = self._experiment(request, number)
        return Answer(200, {"items": [self.nodes[address].description("Alive") for address in experiment.nodes]})

    def _deployment(self, request: Request, number: str) -> Answer:
        return Answer(200, self._result(self._experiment(request, number).nodes))

    def _data(self, request: Request, number: str) -> Answer:
        experiment = self._experiment(request, number)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            text = json.dumps(experiment.details()).encode()
            entry = tarfile.TarInfo(f"{experiment.id}/{experiment.id}.json")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        return Answer(200, buffer.getvalue(), "application/gzip")

    def _result(self, addresses: list[str]) -> dict[str, list[str]]:
        done = [address for address in addresses if address not in self.failing_nodes]
        failed = [address for address in addresses if address in self.failing_nodes]
        return {code: found for code, found in (("0", done), ("1", failed)) if found}

    def _running_nodes(self, request: Request, number: str, asked: list[str]) -> list[str]:
        experiment = self._experiment(request, number)
        if experiment.state != "Running":
            raise _error(f"Experiment {number} is not running")
        strangers = [address for address in asked if address not in experiment.nodes]
        if strangers:
            raise _error(f"Nodes not in experiment : [{', '.join(strangers)}]")
        return asked or experiment.nodes

    def _flash(self, request: Request, number: str, binary: str | None) -> Answer:
        files = read_form(request)
        told = json.loads(files.pop("experiment.json" if binary else "nodes.json"))
        addresses = self._running_nodes(request, number, told["nodes"] if binary else told)
        (firmware,) = files
        if not binary and not files[firmware].startswith((b"\x7fELF", b":")):
            raise _error(f"Invalid firmware : {firmware} is neither ELF nor Intel hex")
        result = self._result(addresses)
        for address in result.get("0", ()):
            self.nodes[address].firmware = firmware
            self.nodes[address].commands.append("flash")
        return Answer(200, result)

    def _flash_stored(self, request: Request, number: str, name: str) -> Answer:
        if name not in self.firmwares:
            raise _error(f"Invalid firmware : {name}")
        result = self._result(self._running_nodes(request, number, request.json or []))
        for address in result.get("0", ()):
            self.nodes[address].firmware = name
            self.nodes[address].commands.append("flash")
        return Answer(200, result)

    def _command(self, request: Request, number: str, command: str) -> Answer:
        result = self._result(self._running_nodes(request, number, request.json or []))
        for address in result.get("0", ()):
            self.nodes[address].commands.append(command)
        return Answer(200, result)

    def _monitor(self, request: Request, number: str, profile: str | None) -> Answer:
        if profile is not None and profile not in self.profiles:
            raise _error(f"Invalid profile : {profile}")
        return self._command(request, number, f"monitoring {profile}")

    def _list_profiles(self, request: Request) -> Answer:
        wanted = request.query.get("archi")
        return Answer(200, [one for one in self.profiles.values() if wanted in (None, one.get("nodearch"))])

    def _add_profile(self, request: Request) -> Answer:
        asked = request.json
        if asked["profilename"] in self.profiles:
            raise _error(f"Profile {asked['profilename']} already exists")
        self.profiles[asked["profilename"]] = asked
        return Answer(200, {"create": asked["profilename"]})

    def _profile(self, request: Request, name: str) -> Answer:
        if name not in self.profiles:
            raise _error(f"Unknown profile {name}", 404)
        return Answer(200, self.profiles[name])

    def _remove_profile(self, request: Request, name: str) -> Answer:
        if self.profiles.pop(name, None) is None:
            raise _error(f"Unknown profile {name}", 404)
        return Answer(200, {"delete": name})

    _routes: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
        ("GET", "/user", _user),
        ("GET", "/user/keys", _keys),
        ("POST", "/user/keys", _set_keys),
        ("GET", "/sites(?:/details)?", _sites),
        ("GET", "/nodes", _list_nodes),
        ("GET", "/experiments", _list),
        ("GET", "/experiments/running", _running),
        ("GET", "/drawgantt/experiments", _gantt),
        ("POST", "/experiments", _submit),
        ("GET", r"/experiments/(\d+)", _look),
        ("DELETE", r"/experiments/(\d+)", _stop),
        ("GET", r"/experiments/(\d+)/nodes", _held_nodes),
        ("GET", r"/experiments/(\d+)/deployment", _deployment),
        ("GET", r"/experiments/(\d+)/data", _data),
        ("POST", r"/experiments/(\d+)/nodes/flash(/binary)?", _flash),
        ("POST", r"/experiments/(\d+)/nodes/flash/([^/]+)", _flash_stored),
        ("POST", rf"/experiments/(\d+)/nodes/({_COMMANDS})", _command),
        ("POST", r"/experiments/(\d+)/nodes/monitoring(?:/([^/]+))?", _monitor),
        ("GET", "/monitoring", _list_profiles),
        ("POST", "/monitoring", _add_profile),
        ("GET", "/monitoring/([^/]+)", _profile),
        ("DELETE", "/monitoring/([^/]+)", _remove_profile),
    )
