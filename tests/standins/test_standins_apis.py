"""The stand-ins of the APIs: what they refuse, how reservations go by, what can go wrong on demand."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import time
from base64 import b64encode
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from grid5000_api import Grid5000Api
from iotlab_api import IotLabApi
from standins_http import StandInServer

ONE_NODE = "{cluster='gros'}/nodes=1,walltime=01:00:00"


def ask(api: StandInServer, method: str, path: str, body: Any = None, *, login: str = "") -> tuple[int, Any]:
    """One request with a connection of its own."""
    user, password = next(iter((api.users or {}).items()))
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    try:
        headers = {"authorization": "Basic " + b64encode((login or f"{user}:{password}").encode()).decode()}
        data = body if isinstance(body, bytes) else json.dumps(body)
        connection.request(method, f"{api.prefix}{path}", data if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if b"{" in text[:1] or b"[" in text[:1] else text
    finally:
        connection.close()


def submit(api: Grid5000Api, resources: str = ONE_NODE, **more: Any) -> tuple[int, Any]:
    asked = {"name": "test", "types": [], "command": "sleep", "queue": "default", "resources": resources, **more}
    return ask(api, "POST", "/sites/nancy/jobs", asked)


def date(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d %H:%M:%S")


def test_a_job_goes_by_and_holds_its_nodes() -> None:
    with Grid5000Api() as api:
        code, job = submit(api)
        assert (code, job["state"], job["assigned_nodes"]) == (201, "waiting", [])
        path = f"/sites/nancy/jobs/{job['uid']}"
        assert ask(api, "GET", path)[1]["assigned_nodes"] == ["gros-1.nancy.grid5000.fr"]
        assert [job.uid for job in api.living()] == [job["uid"]]
        (listed,) = ask(api, "GET", "/sites/nancy/jobs?name=test&state=waiting,running&user=jdoe")[1]["items"]
        assert "assigned_nodes" not in listed
        assert ask(api, "GET", "/sites/nancy/jobs?name=other")[1]["items"] == []
        status = ask(api, "GET", "/sites/nancy/clusters/gros/status")[1]["nodes"]
        assert [len(node["reservations"]) for node in status.values()] == [1, 0, 0, 0]
        api.forward(3601)
        assert ask(api, "GET", path)[1]["state"] == "terminated"
        assert api.living() == []
        assert ask(api, "DELETE", path)[0] == 400


def test_what_is_refused() -> None:
    with Grid5000Api() as api:
        code, answer = submit(api, "{cluster='gros'}/nodes=5,walltime=1")
        assert (code, "There are not enough resources" in answer["message"]) == (400, True)
        code, answer = submit(api, reservation="2020-01-01 00:00:00")
        assert (code, "Reservation too old" in answer["message"]) == (400, True)
        now = time.time()
        for node in api.park.nodes:
            api.occupy(node, now, now + 7200)
        code, answer = submit(api, reservation=date(now + 60))
        assert f"KO (This reservation could run at {date(int(now + 7200) + 1)})" in answer["message"]
        assert ask(api, "GET", "/sites", login="jdoe:wrong")[0] == 401
        assert api.living() == []
        assert submit(api)[1]["state"] == "waiting"
        (job,) = api.living()
        assert job.state == "waiting"
        api.users = {"other": "x"}
        assert ask(api, "DELETE", f"/sites/nancy/jobs/{job.uid}")[0] == 403


def test_the_answer_is_lost_but_the_job_is_there() -> None:
    with Grid5000Api() as api:
        api.faults.lose("POST", "/jobs$")
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            submit(api)
        assert len(api.living()) == 1
        api.faults.refuse("GET", "/sites", times=1)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(api, "GET", "/sites")
        assert ask(api, "GET", "/sites")[0] == 200
        api.faults.answer("GET", "/sites$", 503, {"message": "maintenance"}, after=1)
        assert ask(api, "GET", "/sites")[0] == 200
        assert ask(api, "GET", "/sites") == (503, {"message": "maintenance"})
        api.close()
        with pytest.raises(ConnectionError):
            ask(api, "GET", "/sites/nancy")
        api.open()
        assert ask(api, "GET", "/sites/nancy")[0] == 200
        api.faults.afterwards("GET", "/sites/nancy$", lambda: api.outage(0.5))
        assert ask(api, "GET", "/sites/nancy")[0] == 200
        code = 0
        while not code:
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                code = ask(api, "GET", "/sites/nancy")[0]
        assert code == 200
        (job,) = api.living()
        api.faults.before("GET", "/jobs/", lambda: api.end(job, "error"), after=1)
        states = [ask(api, "GET", f"/sites/nancy/jobs/{job.uid}")[1]["state"] for _ in range(2)]
        assert states == ["running", "error"]


def test_deployments_and_firewall_want_a_job_that_runs() -> None:
    with Grid5000Api() as api:
        node = "gros-1.nancy.grid5000.fr"
        wish = {"nodes": [node], "environment": "debian11-x64-big", "key": "ssh-ed25519 AAAA"}
        assert ask(api, "POST", "/sites/nancy/deployments", wish)[0] == 403
        number = submit(api, types=["deploy"])[1]["uid"]
        ask(api, "GET", f"/sites/nancy/jobs/{number}")
        api.failing_nodes.add(node)
        made = ask(api, "POST", "/sites/nancy/deployments", wish)[1]
        assert made["status"] == "processing"
        result = ask(api, "GET", f"/sites/nancy/deployments/{made['uid']}")[1]["result"]
        assert result[node]["state"] == "KO"
        rule = {"addr": ["gros-1-ipv6.nancy.grid5000.fr"], "port": [1883], "proto": "tcp"}
        firewall = f"/sites/nancy/firewall/{number}"
        assert ask(api, "POST", firewall, [rule])[0] == 201
        assert ask(api, "POST", firewall, [rule])[0] == 409
        assert ask(api, "GET", firewall)[1] == [rule]
        assert ask(api, "POST", firewall, [{**rule, "addr": ["gros-2-ipv6.nancy.grid5000.fr"]}])[0] == 403
        assert ask(api, "DELETE", firewall)[0] == 204
        assert ask(api, "GET", firewall)[1] == []
        ask(api, "DELETE", f"/sites/nancy/jobs/{number}")


def form(content: dict[str, Any]) -> bytes:
    part = b'--xyz\r\nContent-Disposition: form-data; name="new_exp.json"; filename="new_exp.json"\r\n\r\n'
    return part + json.dumps(content).encode() + b"\r\n--xyz--\r\n"


def test_an_experiment_goes_by_and_its_boards_obey() -> None:
    with IotLabApi() as api:
        wish = {
            "alias": "1",
            "nbnodes": 2,
            "properties": {"archi": "m3:at86rf231", "site": "grenoble", "mobile": False},
        }
        content = {"type": "alias", "name": "test", "duration": 10, "nodes": [wish], "reservation": None}
        number = ask(api, "POST", "/experiments", form(content))[1]["id"]
        path = f"/experiments/{number}"
        assert ask(api, "GET", path)[1]["state"] == "Running"
        held = [node["network_address"] for node in ask(api, "GET", f"{path}/nodes")[1]["items"]]
        assert held == ["m3-1.grenoble.iot-lab.info", "m3-2.grenoble.iot-lab.info"]
        api.failing_nodes.add(held[1])
        assert ask(api, "POST", f"{path}/nodes/reset", [])[1] == {"0": held[:1], "1": held[1:]}
        assert ask(api, "GET", f"{path}/data")[1].startswith(b"\x1f\x8b")
        (drawn,) = ask(api, "GET", "/drawgantt/experiments?start=a&stop=b")[1]["items"]
        assert drawn["nodes"] == held
        api.nodes["m3-3.grenoble.iot-lab.info"].state = "Dead"
        physical = {**content, "type": "physical", "nodes": ["m3-3.grenoble.iot-lab.info"]}
        code, answer = ask(api, "POST", "/experiments", form(physical))
        assert (code, answer["message"]) == (500, "Invalid nodes state : [m3-3.grenoble.iot-lab.info]")
        many = {**content, "nodes": [{**wish, "nbnodes": 9}]}
        assert "not enough resources" in ask(api, "POST", "/experiments", form(many))[1]["message"]
        assert ask(api, "DELETE", path)[0] == 200
        assert ask(api, "DELETE", path)[0] == 500
        assert api.living() == []
