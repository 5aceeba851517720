"""The provenance service on a real host: started, refused, backed up."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError, ProvenanceError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost, ProvenancePlan
from e2c.provenance.serving import libmonetdb
from e2c.remote import shell
from e2c.services import provenance
from e2c.services.shipment import device_bundle, service_archive

pytestmark = [pytest.mark.netns, pytest.mark.broker, pytest.mark.monetdb]

KEYS = ("edge.worker.1.1", "provenance_service.1")
PLAN = ProvenancePlan(
    host=KEYS[1], agents=KEYS[:1], topics={KEYS[0]: 2}, ipv=6, parallelism=2, dataflow_spec="spec.py", dataflows=()
)


def quiet(_: str) -> None:
    """Nobody watches."""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, Host]]:
    local = LocalProvider()
    try:
        local.check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    claim = local.claim(experiment=str(tmp_path), scenario=str(tmp_path), job_name="test", walltime_s=60, settings={})
    planned = [PlannedHost(key=key, layer=None, service="x", testbed="local", provider="local") for key in KEYS]
    try:
        yield {host.key: host for host in local.acquire(claim, planned, quiet).hosts}
    finally:
        local.release(claim, quiet)


def test_agents_reach_the_service_by_tls(hosts: dict[str, Host]) -> None:
    plan = PLAN.model_copy(update={"tls": True})
    record = provenance.deploy(plan, hosts, libmonetdb.fetch(), quiet)
    server, agent = hosts[KEYS[1]], hosts[KEYS[0]]
    assert record.endpoints["mqtt"] == f"mqtts://[{server.addresses.v6}]:1883"
    assert provenance.environment(plan, hosts)[KEYS[0]]["PROVLIGHT_TLS_CA"] == "/etc/provlight/ca.pem"
    capture = "import provlight; provlight.Task(1, 'w', 't', []).begin(); print(provlight.flush(20))"
    encrypted = shell.run(agent, f'. ~/.bashrc; python3 -c "{capture}"')
    assert encrypted.stderr == ""
    assert encrypted.stdout.strip() == "True"
    environment = "unset PROVLIGHT_TLS_CA; export PROVLIGHT_FLUSH_TIMEOUT=1"
    plain = shell.run(agent, f'. ~/.bashrc; {environment}; python3 -c "{capture.replace("20", "1")}"')
    assert plain.stdout.strip() == "False"
    assert provenance.health(server)["healthy"] is True


def test_agents_find_library_and_settings_in_every_kind_of_shell(
    hosts: dict[str, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = provenance.deploy(PLAN, hosts, libmonetdb.fetch(), quiet)
    server, agent = hosts[KEYS[1]], hosts[KEYS[0]]
    assert record.endpoints["mqtt"] == f"mqtt://[{server.addresses.v6}]:1883"
    assert provenance.health(server)["healthy"] is True
    code = "import provlight, os; print(provlight.__name__, os.environ.get('PROVLIGHT_SERVER_TOPIC'))"
    for line in (f'python -c "{code}"', f'bash -lc "python -c \\"{code}\\""', f'. ~/.bashrc && python3 -c "{code}"'):
        result = shell.run(agent, line)
        assert result.ok, result.stderr
        assert result.stdout.strip() == "provlight 2", line
    bare = shell.run(agent, f'env -i /usr/bin/python3 -c "{code}"')
    assert bare.stdout.strip() == "provlight None"
    assert shell.run(agent, "stat -c %a /etc/provlight/credentials").stdout.strip() == "600"

    # Of a process that was killed while the broker could not be reached, the backup still gets the records.
    killed = (
        "import os, provlight; provlight.configure(server_port=1, durability='record'); "
        "provlight.Task(7, 'w', 'training').begin(); os.kill(os.getpid(), 9)"
    )
    assert shell.run(agent, f'. ~/.bashrc; python3 -c "{killed}"; [ $? = 137 ]').ok
    assert shell.run(agent, "ls /var/spool/provlight").stdout.strip()

    files = provenance.backup(server, tmp_path / "data", 20, quiet, [agent])
    assert shell.run(agent, "ls /var/spool/provlight").stdout == ""
    (tasks,) = [file for file in files if file.name == "task.csv"]
    assert len(tasks.read_text().splitlines()) == 2
    assert files[0].read_text().startswith("-- e2c provenance dump ")
    assert {"task.csv", "dataflow.csv", "datapackage.json", "provenance.prov.json"} <= {file.name for file in files}
    document = json.loads((tmp_path / "data" / "provenance.prov.json").read_text())
    assert [one["prov:label"] for name, one in document["activity"].items() if ":task." in name] == ["7"]

    # Beyond a size the PROV documents are left out, and it is said how to get them.
    said: list[str] = []
    monkeypatch.setattr(provenance, "PROV_TASKS", 0)
    without = provenance.backup(server, tmp_path / "large", 20, said.append, [agent], whole=tmp_path / "data")
    assert not any(file.name.endswith(".prov.json") for file in without)
    assert re.search("no PROV-JSON, because 1 tasks are more than 0.*provenance import", said[-1])
    monkeypatch.undo()

    # One dump is enough for several runs, and the one before stays until the next is whole.
    dump, note = tmp_path / "data" / provenance.DUMP, tmp_path / "large" / provenance.ELSEWHERE
    assert without[0] == dump
    assert not (tmp_path / "large" / provenance.DUMP).exists()
    assert (note.parent / note.read_text().splitlines()[-1]).resolve() == dump.resolve()
    before = dump.read_bytes()
    code = "/opt/e2c/e2c/provenance/copies/dump.py"
    assert shell.run(server, f"cp {code} {code}.kept; echo 'raise SystemExit(3)' >{code}").ok
    with pytest.raises(ProvenanceError, match=f"the SQL dump failed.*{dump} is still the one of before"):
        provenance.backup(server, tmp_path / "large", 20, quiet, [agent], whole=tmp_path / "data")
    assert dump.read_bytes() == before
    assert shell.run(server, f"mv {code}.kept {code}").ok

    # What a host cannot send is said and kept, and costs nothing of the rest.
    assert shell.run(agent, f'. ~/.bashrc; python3 -c "{killed}"; [ $? = 137 ]').ok
    assert shell.run(agent, "sed -i 2s/.*/wrong/ /etc/provlight/credentials").ok
    with pytest.raises(ProvenanceError, match=f"spool of {KEYS[0]} did not reach the database.*refuses") as caught:
        provenance.backup(server, tmp_path / "again", 5, quiet, [agent])
    archive = tmp_path / "again" / f"spool-{KEYS[0]}.tar"
    assert str(archive) in str(caught.value)
    with tarfile.open(archive) as kept:
        assert any(name.endswith(".seg") for name in kept.getnames())
    assert (tmp_path / "again" / "task.csv").exists()


def test_a_port_in_use_is_one_sentence(hosts: dict[str, Host]) -> None:
    server = hosts[KEYS[1]]
    listen = "import socket; socket.create_server(('0.0.0.0', 1883)).accept()"
    assert shell.run(server, f'setsid -f python3 -c "{listen}" >/dev/null 2>&1 </dev/null').ok
    with pytest.raises(ProvenanceError) as caught:
        provenance.deploy(PLAN, hosts, libmonetdb.fetch(), quiet)
    words = str(caught.value)
    assert "1883" in words
    assert words.startswith(f"{KEYS[1]}: the provenance service did not start: ")
    assert "\n" not in words
    left = shell.run(server, "pgrep -af 'mosquitto|e2c.provenance' | grep -v pgrep")
    assert left.stdout == ""


def test_an_address_family_that_is_missing_is_said_before_anything_is_installed(hosts: dict[str, Host]) -> None:
    server = hosts[KEYS[1]]
    blind = server.model_copy(update={"addresses": server.addresses.model_copy(update={"v6": None})})
    with pytest.raises(ProvenanceError, match=r"no IPv6 address.*ipv: 4"):
        provenance.deploy(PLAN, {**hosts, KEYS[1]: blind}, Path("/nonexistent"), quiet)


def test_archives_are_the_same_each_time() -> None:
    libraries = libmonetdb.fetch()
    assert len(service_archive(libraries)) > 1_000_000
    assert device_bundle() == device_bundle()
    assert len(device_bundle()) < 400_000
