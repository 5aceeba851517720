"""What the service outlives: kills at any moment, parts that end again and again, a disk that is full."""

from __future__ import annotations

import ast
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from provenance_application import command
from provenance_parts import Database, Device, Publisher, Service, begin

import e2c.provenance
from e2c.errors import ProvenanceError
from e2c.provenance.connections import connect, dial
from e2c.provenance.folder import ADMIN, READER, DataFolder
from e2c.provenance.queries import ask
from e2c.provenance.reporting.status import report
from e2c.provenance.serving.children import FAILING


def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.monetdb
@pytest.mark.broker
def test_a_first_start_that_was_killed_leaves_nothing_open(tmp_path: Path) -> None:
    """Moments from before the database exists to after it listens: afterwards nobody gets in with a known password."""
    reached = set()
    signs: list[Callable[[DataFolder], bool]] = [
        lambda folder: True,
        lambda folder: folder.secrets.exists(),
        lambda folder: folder.farm.exists(),
        lambda folder: folder.database_endpoint.exists(),
    ]
    for number, (sign, delay) in enumerate(itertools.product(signs, (0, 0.05, 0.15))):
        folder = DataFolder(tmp_path / f"data{number}")
        module = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(folder.root), "--mqtt-port", "0"]
        process = subprocess.Popen(module, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        until(lambda sign=sign, folder=folder: sign(folder))  # type: ignore[misc]
        time.sleep(delay)
        process.kill()
        process.communicate(timeout=30)
        reached.add((folder.secrets.exists(), folder.farm.exists(), folder.database_endpoint.exists()))
        again = subprocess.Popen(module, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert again.stdout is not None
            assert again.stdout.readline().startswith("ready "), again.communicate(timeout=30)
            port = json.loads(folder.database_endpoint.read_text())["port"]
            for user in (ADMIN, READER):
                for password in ("monetdb", "0", "", user):
                    with pytest.raises(ProvenanceError, match="invalid credentials"):
                        dial(port, user, password)
            connect(folder).close()
            with ask(folder, "SELECT count(*) FROM task") as answer:
                assert list(answer.rows) == [(0,)]
        finally:
            again.terminate()
            again.communicate(timeout=60)
        shutil.rmtree(folder.root)
    assert len(reached) >= 2, "the moments are all alike"


@pytest.mark.monetdb
def test_a_database_whose_making_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    """As MonetDB leaves it when it is killed between its log and the catalogue of the log: it never opens."""
    folder = DataFolder(tmp_path / "data")
    folder.make()
    folder.passwords()
    command = [sys.executable, "-m", "e2c.provenance.serving.database", str(folder.root), "0"]

    def start() -> str:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        process.kill()
        process.communicate(timeout=30)
        return line

    assert start().startswith("ready ")
    assert not folder.unfinished.exists()
    for path in (folder.farm / "bat").rglob("*"):
        if path.is_file():
            path.unlink()
    assert not start(), "a damaged database is not thrown away"
    folder.unfinished.touch()
    assert start().startswith("ready ")


@pytest.mark.monetdb
def test_who_knocks_while_it_starts_for_the_first_time_is_refused(tmp_path: Path) -> None:
    """The passwords are there before the port is: no moment at which a known one is let in."""
    folder = DataFolder(tmp_path / "data")
    folder.make()
    folder.passwords()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    module = [sys.executable, "-m", "e2c.provenance.serving.database", str(folder.root), str(port)]
    process = subprocess.Popen(module, stdout=subprocess.PIPE, text=True)
    answers: set[str | None] = set()
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + 60
        while not select.select([process.stdout], [], [], 0)[0] or len(answers) < 2:
            assert time.monotonic() < deadline
            for user, password in ((ADMIN, "monetdb"), (READER, READER)):
                with pytest.raises(ProvenanceError) as refused:
                    dial(port, user, password)
                answers.add(refused.value.why)
        assert process.stdout.readline() == f"ready {port}\n"
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert any("invalid credentials" in (answer or "") for answer in answers)
    assert "Connection refused" in answers


@pytest.mark.monetdb
@pytest.mark.broker
def test_a_part_that_ends_again_and_again_is_told(serve: Callable[..., Service]) -> None:
    service = serve()
    for count in range(1, FAILING + 1):
        pid = service.children()["translator"]
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: service.children()["translator"] not in (pid, None))  # type: ignore[misc]
        assert _part(service.folder, "translator")["restarts"] == count
    part = _part(service.folder, "translator")
    assert part["state"] == "failing"
    assert part["failures"] == FAILING
    assert part["last_end"].startswith("signal 9")
    shown = command("status", service.folder).stdout
    assert f"the translator ended {FAILING} times in a row, at last with signal 9" in shown
    # It is started again all the same, after a while that grows.
    until(lambda: bool(report(service.folder)["healthy"]))


def _part(folder: DataFolder, name: str) -> dict[str, Any]:
    (part,) = [part for part in report(folder)["children"] if part["name"] == name]
    return dict(part)


@pytest.mark.monetdb
@pytest.mark.broker
def test_state_that_a_power_cut_left_empty_is_no_hindrance(serve: Callable[..., Service]) -> None:
    first = serve()
    first.end(signal.SIGKILL)
    for path in (
        first.folder.supervisor,
        first.folder.database_endpoint,
        first.folder.service,
        first.folder.translator,
    ):
        path.write_text("")
    time.sleep(0.5)  # the children of the killed one go by themselves, which nothing remembers now
    second = serve(port=first.port)
    assert report(second.folder)["healthy"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    root = tmp_path / "small"
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(root)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a file system of its own needs root")
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


@pytest.mark.monetdb
@pytest.mark.broker
def test_on_a_full_disk_clients_keep_what_they_have(small_disk: Path) -> None:
    service = Service(small_disk)
    device = Device()
    publisher = Publisher(device, "127.0.0.1", service.port)
    try:
        publisher.send(device.batch(begin("first", 1, 2, 3, 4)))
        publisher.finish(20)
        with (small_disk / "fill").open("wb", buffering=0) as fill, suppress(OSError):
            while True:
                fill.write(bytes(1 << 16))
        for number in range(100):
            publisher.send(device.batch(*[begin(f"{number}.{one}", 1, 2, 3, 4) for one in range(100)]))
        log = service.folder.log("translator")
        until(lambda: "wait for space on the disk" in log.read_text() or not log.read_text())
        found = report(service.folder)
        assert found["disk_full"]
        assert not found["healthy"]
        assert "the disk is full" in command("status", service.folder).stdout
        assert service.process.poll() is None
        (small_disk / "fill").unlink()
        subprocess.run(["mount", "-o", "remount,size=512m", str(small_disk)], check=True)
        publisher.finish(60)
        with ask(service.folder, "SELECT count(*), count(DISTINCT key) FROM task") as answer:
            assert list(answer.rows) == [(10_001, 10_001)]
        with ask(service.folder, "SELECT count(*) FROM rejected") as answer:
            assert list(answer.rows) == [(0,)]
        until(lambda: bool(report(service.folder)["healthy"]))
    finally:
        publisher.close()
        assert service.end() == 0


def test_the_dump_is_never_the_one_of_the_libraries() -> None:
    """``monetdbe_dump_database`` rounds doubles, and loses timestamps and sequences."""
    package = Path(e2c.provenance.__file__).parent
    used = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.update(node.value.split())
    assert "monetdbe_open" in used
    assert {name for name in used if name.startswith("monetdbe_dump")} == set()
    assert not [name for name in used if "sys.dump_database" in name]


@pytest.mark.monetdb
def test_a_read_sees_what_was_committed_since_the_last_one(database: Database) -> None:
    """Each question has a snapshot of its own, which ends with it: nothing old is seen, and nothing is held."""
    store = database.store()
    try:
        device = Device()
        counts = []
        for number in range(3):
            with ask(database.folder, "SELECT count(*) FROM task") as answer:
                counts += [next(answer.rows)[0]]
                store.store([device.batch(begin(number, 1, 2, 3, 4))])
    finally:
        store.close()
    assert [count - counts[0] for count in counts] == [0, 1, 2]
    # No session is left behind: more questions than the server has places (64).
    for _ in range(80):
        with ask(database.folder, "SELECT 1") as answer:
            assert list(answer.rows) == [(1,)]
