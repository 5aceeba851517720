"""The outbox on a disk that is small, full, read-only, or not there."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import provlight
from provlight import Task
from provlight.batcher import Batcher
from provlight.buffer import Buffer
from provlight.encoding import Encoder
from provlight.outbox import Entry
from provlight.report import Report
from provlight.spool import check, folders
from provlight.spool import outbox as module
from provlight.spool.outbox import Bounds, SpoolOutbox
from provlight.wire import TASK_BEGIN, frame, open_message

CLIENT = "0123456789abcdef"
BODY = b"body" * 1000


def outbox(spool: Path, disk: int = 1 << 24, memory: int = 1 << 20, sync: bool = True) -> tuple[SpoolOutbox, Report]:
    report = Report()
    return SpoolOutbox(str(spool), CLIENT, {}, Bounds(disk, memory), sync, list, report), report


def put(to: SpoolOutbox, count: int, body: bytes = BODY) -> None:
    for _ in range(count):
        to.add(body, 2)
        to.commit()


def held(to: SpoolOutbox) -> list[Entry]:
    found, entry = [], to.after(0)
    while entry is not None:
        found.append(entry)
        entry = to.after(entry.seq)
    return found


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.just("add"), st.just("commit"), st.integers(0, 40))))
def test_sequence_numbers_stay_contiguous_whatever_is_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[object]
) -> None:
    to, _ = outbox(tmp_path_factory.mktemp("spool"), disk=1, sync=False)
    body = b"x" * 30000
    added: list[int] = []
    committed: list[int] = []
    for step in steps:
        if step == "add":
            added.append(to.add(body, 2))
        elif step == "commit":
            to.commit()
            committed += added
            added = []
        else:
            assert isinstance(step, int)
            to.acknowledge(step)
            committed = [seq for seq in committed if seq > step]
        assert [entry.seq for entry in held(to)] == committed
        assert to.base == (committed + added + [to.next_seq])[0]
        assert to.empty is not bool(committed + added)
        assert to.kept == 2 * len(committed)
    to.close()


def test_nothing_goes_out_before_it_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(module, "_fdatasync", synced.append)
    to, _ = outbox(tmp_path)
    for _ in range(10):
        to.add(BODY, 2)
    assert held(to) == []
    assert (to.empty, synced) == (False, [])
    to.commit()
    assert [entry.seq for entry in held(to)] == list(range(1, 11))
    assert len(synced) == 1
    to.close()
    careless, _ = outbox(tmp_path / "other", sync=False)
    put(careless, 3)
    assert (len(held(careless)), len(synced)) == (3, 1)
    careless.close()


def test_acknowledged_segments_are_deleted_and_bodies_are_read_back(tmp_path: Path) -> None:
    to, report = outbox(tmp_path, disk=1)  # the smallest segments, of 64 KiB
    bodies = [os.urandom(5000) for _ in range(1000)]
    for body in bodies:
        put(to, 1, body)
    folder = tmp_path / CLIENT
    assert len(list(folder.glob("*.seg"))) > 50
    assert to._cache_bytes <= 1 << 20
    assert [entry.body for entry in held(to)] == bodies
    for last in range(100, 1001, 100):
        to.acknowledge(last)
        kept = sum(path.stat().st_size for path in folder.glob("*.seg"))
        assert kept < (1000 - last) * 5100 + 2 * (70 << 10)
    assert (to.empty, to.stored, report.lost) == (True, 2000, {})
    to.close()
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_rots_while_it_waits_becomes_a_counted_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CACHE_BYTES", 0)
    to, report = outbox(tmp_path)
    put(to, 3)
    (file,) = (tmp_path / CLIENT).glob("*.seg")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    with file.open("r+b") as opened:
        opened.write(data)
    assert len(check(str(tmp_path / CLIENT))) == 1
    entries = held(to)
    assert [entry.records for entry in entries] == [2, 2, 0]
    assert open_message(frame(entries[2].body, 1)).decode({}).lost == 2
    assert report.lost == {"the spool was damaged": 2}
    assert to.acknowledge(3) == 3
    assert to.stored == 4
    to.close()


def test_a_full_spool_keeps_the_oldest_and_one_tombstone_tells_of_the_rest(tmp_path: Path) -> None:
    report = Report()
    encoder = Encoder(CLIENT)
    to = SpoolOutbox(str(tmp_path), CLIENT, {}, Bounds(1 << 16, 1 << 20), False, encoder.known, report)
    buffer = Buffer(1 << 24, 0.001)
    batcher = Batcher(buffer, to, encoder, 16, report)
    to.on_room = batcher.room
    batcher.start()
    text = "x" * 200

    def capture(first: int, count: int) -> None:
        for number in range(first, first + count):
            task = f"{number}{os.urandom(100).hex()}"
            buffer.append((TASK_BEGIN, "w", "t", task, number, (), text, [], None), 100)
        assert to.wait_for(lambda: batcher.handled >= first + count, 10)

    capture(0, 2000)
    lost = report.lost["the outbox was full"]
    assert 0 < lost < 2000
    assert [entry.records > 0 for entry in held(to)] == [True] * (to.next_seq - 1)
    assert sum(entry.records for entry in held(to)) == 2000 - lost
    assert folders(str(tmp_path))[0].bytes < (1 << 16) + 20000
    last = to.next_seq
    to.acknowledge(last - 1)
    assert to.wait_for(lambda: to.after(last - 1) is not None, 10)
    entry = to.after(last - 1)
    assert entry is not None
    assert open_message(frame(entry.body, last)).decode({}).lost == lost
    buffer.close()
    batcher.join(10)
    to.close()


def test_what_others_have_in_the_spool_counts(tmp_path: Path) -> None:
    to, _ = outbox(tmp_path, disk=1 << 20)
    put(to, 1)
    assert not to.full
    to.others = 1 << 20
    assert to.full
    to.close()


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_spool_that_cannot_be_made_is_said_once_and_memory_is_used(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    (tmp_path / "spool").touch()
    to, _ = outbox(tmp_path / "spool" if kind == "file" else tmp_path / "spool" / "deep", memory=3 * len(BODY))
    put(to, 3)
    assert len(held(to)) == 3
    assert to.full
    assert to.kept == 0
    assert to.figures()["in_memory"] == 3
    assert to.acknowledge(2) == 2
    assert (len(held(to)), to.full) == (1, False)
    (said,) = [record.message for record in caplog.records]
    assert "cannot be written" in said
    assert "Records wait in memory" in said
    (tmp_path / "spool").unlink()
    put(to, 1)  # now there is a way
    assert to.figures()["in_memory"] == 0
    assert (to.kept, [entry.seq for entry in held(to)]) == (4, [3, 4])
    to.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.root
def test_a_full_disk_is_said_once_and_the_spool_goes_on_when_there_is_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [os.urandom(7000) for _ in range(100)]
    to, report = outbox(small_disk / "spool")
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    for body in bodies[:60]:
        put(to, 1, body)
    on_disk = to.kept // 2
    assert 20 < on_disk < 60
    assert to.figures()["in_memory"] == 60 - on_disk
    assert [entry.body for entry in held(to)] == bodies[:60]
    assert check(str(small_disk / "spool" / CLIENT)) == []
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert to.acknowledge(on_disk - 1) == on_disk - 1
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    for body in bodies[60:]:
        put(to, 1, body)
    assert to.figures()["in_memory"] == 0
    assert [entry.body for entry in held(to)] == bodies[on_disk - 1 :]
    assert check(str(small_disk / "spool" / CLIENT)) == []
    assert to.acknowledge(100) == 101 - on_disk
    assert (to.stored, report.lost) == (200, {})
    to.close()
    assert list((small_disk / "spool").iterdir()) == []


@pytest.mark.root
def test_a_read_only_disk_costs_nothing_while_the_process_lives(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    to, _ = outbox(small_disk / "spool")
    put(to, 3)
    assert [entry.seq for entry in held(to)] == [1, 2, 3]
    assert to.acknowledge(3) == 3
    assert to.stored == 6
    assert len(caplog.records) == 1
    assert "Read-only file system" in caplog.text
    to.close()


def test_a_write_that_fails_half_way_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    to, _ = outbox(tmp_path)
    put(to, 3)
    (file,) = (tmp_path / CLIENT).glob("*.seg")
    size = file.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + len(BODY) // 2, hard))
    try:
        put(to, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.stat().st_size == size
    assert to.figures()["in_memory"] == 1
    put(to, 1)
    assert to.figures()["in_memory"] == 0
    assert [entry.seq for entry in held(to)] == [1, 2, 3, 4, 5]
    assert check(str(tmp_path / CLIENT)) == []
    to.close()


@pytest.mark.root
def test_calls_return_and_go_on_when_the_disk_is_full(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``durability="record"`` promises what it can, and says when it cannot."""
    provlight.configure(
        server_url="127.0.0.1:1", spool_dir=str(small_disk / "spool"), durability="record", flush_timeout=0
    )
    for number in range(60):
        Task(number, "w", os.urandom(100).hex(), [os.urandom(100).hex() for _ in range(60)]).begin()
    figures = provlight.stats()["spool"]
    assert figures["in_memory"] > 0
    assert figures["batches"] > 0
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


def test_durability_of_records_without_a_spool_is_said(caplog: pytest.LogCaptureFixture) -> None:
    provlight.configure(transport="memory", durability="record")
    Task(1, "w", "t").begin()
    assert "set PROVLIGHT_SPOOL_DIR" in caplog.text
    assert provlight.flush(10)


def test_other_transports_leave_the_spool_alone(tmp_path: Path) -> None:
    """An orphan that went to the screen would never reach the database."""
    provlight.configure(transport="memory", spool_dir=str(tmp_path / "spool"))
    Task(1, "w", "t").begin()
    assert provlight.flush(10)
    assert not (tmp_path / "spool").exists()
    assert "spool" not in provlight.stats()
