"""The figures of each client, and their text for Prometheus, read by a parser that knows only the format."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from provenance_application import command
from provenance_parts import Device, Publisher, Service, begin, end

from e2c.provenance.folder import DataFolder
from e2c.provenance.reporting.exposition import text
from e2c.provenance.reporting.status import drain, report

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def parse(document: str) -> Samples:
    """Metrics of a text in the exposition format 0.0.4; fails on whatever the format does not allow."""
    assert document.endswith("\n")
    found: Samples = {}
    types: dict[str, str] = {}
    helped: list[str] = []
    for line in document.splitlines():
        if line.startswith("#"):
            _, word, name, rest = line.split(" ", 3)
            assert re.fullmatch(NAME, name)
            assert name not in found, "help and type come before the samples"
            if word == "HELP":
                assert name not in helped
                helped.append(name)
                assert rest
            else:
                assert word == "TYPE"
                assert name not in types
                assert rest in ("counter", "gauge")
                types[name] = rest
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        name, inner, value = sample.groups()
        assert name in types
        assert name in helped
        assert list(found) in ([*found], [*found, name])
        assert name not in found or name == list(found)[-1], "samples of a metric stand together"
        assert (types[name] == "counter") == name.endswith("_total")
        labels = []
        rest = inner or ""
        while rest:
            label = LABEL.match(rest)
            assert label, rest
            labels.append((label[1], re.sub(r'\\["\\n]', lambda escape: ESCAPES[escape[0]], label[2])))
            rest = rest[label.end() :]
        assert len({key for key, _ in labels}) == len(labels)
        key = tuple(sorted(labels))
        assert key not in found.setdefault(name, {}), "each sample once"
        found[name][key] = float(value)
    return found


def of(samples: Samples, name: str, **labels: str) -> float:
    (value,) = [
        value for key, value in samples[f"e2c_provenance_{name}"].items() if labels.items() <= dict(key).items()
    ]
    return value


def get(url: str) -> tuple[str, str]:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


@pytest.mark.broker
@pytest.mark.monetdb
def test_figures_of_each_client(serve: Callable[..., Service]) -> None:
    service = serve("--metrics", "0")
    now_us = time.time_ns() // 1000
    device = Device("edge", host='a "quoted\\ \n host')
    publisher = Publisher(device, "127.0.0.1", service.port)
    try:
        publisher.send(
            device.batch(begin(1, 1, 2, 3, 4, at=now_us - 9_000_000), end(1, 0.5, 1.0, at=now_us - 5_000_000))
        )
        publisher.send(device.batch(begin(2, "not a number", 2, 3, 4, at=now_us - 5_000_000)))
        publisher.finish(20)
    finally:
        publisher.close()
    drain(service.folder, 30)

    (client,) = report(service.folder)["clients"]
    assert [client[name] for name in ("received", "stored", "rejected", "lost")] == [3, 2, 1, 0]
    stored_us = time.time_ns() // 1000
    assert 5.0 <= client["lag_s"] <= (stored_us - now_us) / 1e6 + 5.0  # the newest of the last transaction

    printed = command("status", service.folder, "--format", "prometheus")
    assert printed.returncode == 0
    content_type, served = get(service.information["endpoints"]["metrics"])
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    for document in (printed.stdout, served):
        samples = parse(document)
        who = {"user": "edge", "client": device.name, "host": 'a "quoted\\ \n host'}
        assert of(samples, "records_received_total", **who) == 3
        assert of(samples, "records_stored_total", **who) == 2
        assert of(samples, "records_rejected_total", **who) == 1
        assert of(samples, "records_lost_total", **who) == 0
        assert of(samples, "client_lag_seconds", **who) == client["lag_s"]
        assert of(samples, "healthy") == 1
        assert of(samples, "part_up", part="database") == 1
        assert of(samples, "part_restarts_total", part="translator") == 0
        assert of(samples, "disk_free_bytes") > 0
        seen = of(samples, "client_last_seen_timestamp_seconds", **who)
        assert now_us / 1e6 <= seen <= time.time()

    table = command("status", service.folder).stdout
    assert re.search(r"^user +client +host +received +stored +rejected +lost +lag_s +last_seq +last_seen$", table, re.M)


@pytest.mark.broker
@pytest.mark.monetdb
def test_the_server_of_figures_is_supervised_and_slow_readers_hold_up_nothing(serve: Callable[..., Service]) -> None:
    service = serve("--metrics", "[::1]:0")
    url = service.information["endpoints"]["metrics"]
    assert url.startswith("http://[::1]:")
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("::1", port), 10) as silent:  # says nothing
        assert of(parse(get(url)[1]), "healthy") == 1
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(url.replace("/metrics", "/"))
        os.kill(service.children()["metrics"], signal.SIGKILL)
        del silent
    deadline = time.monotonic() + 30
    while True:
        assert time.monotonic() < deadline
        try:
            samples = parse(get(service_url(service))[1])
        except (OSError, ValueError):
            time.sleep(0.05)
        else:
            break
    assert of(samples, "part_restarts_total", part="metrics") == 1


def service_url(service: Service) -> str:
    """Where the figures are now: with port 0 asked for, a restart may find another."""
    port = json.loads(service.folder.metrics.read_text())["port"]
    return f"http://[::1]:{port}/metrics"


@pytest.mark.broker
@pytest.mark.monetdb
def test_figures_of_a_service_that_is_down(serve: Callable[..., Service]) -> None:
    service = serve()
    service.end()
    done = command("status", service.folder, "--format", "prometheus")
    assert done.returncode == 1
    samples = parse(done.stdout)
    assert of(samples, "healthy") == 0
    assert of(samples, "part_up", part="broker") == 0
    assert "e2c_provenance_records_received_total" not in samples


def test_numbers_and_empty_parts() -> None:
    document: dict[str, Any] = {
        "healthy": False,
        "free_bytes": 12,
        "children": [],
        "health": {},
        "translator": {"messages": 1 << 60},
        "clients": [
            {
                "user": "",
                "client": "c",
                "host": None,
                "lag_s": None,
                "last_seen": "2026-01-02T03:04:05.000006Z",
                "received": 1 << 60,
                "stored": 0,
                "rejected": 0,
                "lost": 0,
            }
        ],
    }
    samples = parse(text(document))
    assert of(samples, "messages_total") == float(1 << 60)
    assert of(samples, "client_last_seen_timestamp_seconds", host="") == 1767323045.000006
    assert "e2c_provenance_client_lag_seconds" not in samples
    assert "e2c_provenance_part_up" not in samples


@pytest.mark.parametrize("asked", ["x", "70000", "localhost:1", "::1:9", "1.2.3.4:", ""])
def test_a_wrong_address_of_figures(tmp_path: Any, asked: str) -> None:
    done = command("serve", DataFolder(tmp_path / "data"), f"--metrics={asked}", "--mqtt-port", "0")
    assert done.returncode == 1
    assert "--metrics" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_taken_port_of_figures(tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("serve", DataFolder(tmp_path / "data"), "--metrics", str(port), "--mqtt-port", "0")
    assert done.returncode == 1
    assert f"--metrics cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
