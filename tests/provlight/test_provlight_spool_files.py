"""The files of a spool: found whole, torn anywhere, damaged anywhere, held by one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from provlight_broker import ROOT

from provlight.encoding import Encoder
from provlight.outbox import Entry
from provlight.report import Report
from provlight.spool import SpoolError, check, folders, purge
from provlight.spool.folder import ClientFolder
from provlight.spool.orphan import OrphanOutbox
from provlight.spool.outbox import Bounds, SpoolOutbox
from provlight.spool.segment import ENTRY_SIZE
from provlight.wire import TASK_BEGIN, Record, frame, open_message

CLIENT = "0123456789abcdef"
BOUNDS = Bounds(disk=1 << 24, memory=1 << 20)


def outbox(spool: Path, client: str = CLIENT, bounds: Bounds = BOUNDS) -> tuple[SpoolOutbox, Encoder, Report]:
    encoder, report = Encoder(client), Report()
    return (
        SpoolOutbox(str(spool), client, {"host": "h", "pid": "7"}, bounds, True, encoder.known, report),
        encoder,
        report,
    )


def put(to: SpoolOutbox, encoder: Encoder, first: int, count: int) -> None:
    for number in range(first, first + count):
        record = Record(TASK_BEGIN, "w", "t", number, number, (), "", [])
        to.add(encoder.encode(to.next_seq, [record] * 3), 3)
        to.commit()


def left_behind(spool: Path, count: int = 5) -> Path:
    """A client's folder whose process died with so many batches of three records in it."""
    to, encoder, _ = outbox(spool)
    put(to, encoder, 0, count)
    to.close()
    return spool / CLIENT


def adopted(folder: Path) -> tuple[OrphanOutbox, Report]:
    found = ClientFolder.adopt(str(folder))
    assert found is not None
    report = Report()
    return OrphanOutbox(found, report), report


def taken(orphan: OrphanOutbox) -> list[Entry]:
    """Every batch, each acknowledged before the next is asked for, as a translator would in the worst case."""
    entries = []
    while True:
        entry = orphan.after(orphan.base - 1)
        if entry is None:
            return entries
        assert entry.seq == orphan.base
        entries.append(entry)
        assert orphan.acknowledge(entry.seq) == 1


def lost(entry: Entry) -> int:
    return open_message(frame(entry.body, entry.seq)).decode({}).lost


def test_an_orphan_gives_back_what_was_put_in_and_is_removed_when_it_is_empty(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    (info,) = folders(str(tmp_path))
    assert (info.batches, info.records, info.first, info.last, info.owned) == (5, 15, 1, 5, False)
    assert (info.host, info.pid) == ("h", 7)
    assert check(str(folder)) == []
    orphan, report = adopted(folder)
    assert [(entry.seq, entry.records) for entry in taken(orphan)] == [(seq, 3) for seq in range(1, 6)]
    assert orphan.stored == 15
    orphan.close()
    assert list(tmp_path.iterdir()) == []
    assert report.lost == {}


def test_what_was_acknowledged_is_not_sent_again(tmp_path: Path) -> None:
    to, encoder, _ = outbox(tmp_path)
    put(to, encoder, 0, 5)
    assert to.acknowledge(3) == 3
    to.close()
    (info,) = folders(str(tmp_path))
    assert (info.batches, info.first, info.last) == (2, 4, 5)
    orphan, _ = adopted(tmp_path / CLIENT)
    assert [entry.seq for entry in taken(orphan)] == [4, 5]
    orphan.close()


@pytest.mark.parametrize("damage", [b"", b"\0" * 12, b"\xff" * 12, b"short"])
def test_a_damaged_note_of_the_acknowledged_only_sends_more(tmp_path: Path, damage: bytes) -> None:
    folder = left_behind(tmp_path)
    (folder / "acked").write_bytes(damage)
    orphan, _ = adopted(folder)
    assert [entry.seq for entry in taken(orphan)] == [1, 2, 3, 4, 5]
    orphan.close()


def test_a_file_torn_at_any_byte_gives_back_every_batch_in_front_of_it(tmp_path: Path) -> None:
    folder = left_behind(tmp_path, 3)
    (file,) = folder.glob("*.seg")
    whole = file.read_bytes()
    sizes, ends = _entries(folder)
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        orphan, report = adopted(folder)
        entries = _peeked(orphan)
        complete = sum(end <= size for end in ends)
        assert [entry.seq for entry in entries if entry.records] == list(range(1, complete + 1))
        # Of a batch whose fields were written, the number of records is known: it is told as lost.
        started = sum(end - body <= size for body, end in zip(sizes, ends, strict=True))
        assert [lost(entry) for entry in entries if not entry.records] == [3] * (started - complete)
        assert report.lost_records == 3 * (started - complete)
        _release(orphan)
    assert size > 200


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(at=st.integers(0), bits=st.integers(1, 255))
def test_flipped_bits_cost_one_batch_or_what_follows_in_the_file_and_never_go_out(
    tmp_path_factory: pytest.TempPathFactory, at: int, bits: int
) -> None:
    spool = tmp_path_factory.mktemp("spool")
    folder = left_behind(spool, 4)
    (file,) = folder.glob("*.seg")
    good = {entry.seq: entry.body for entry in _peeked_in(folder)}
    data = bytearray(file.read_bytes())
    data[at % len(data)] ^= bits
    file.write_bytes(bytes(data))
    assert check(str(folder)) != []
    orphan, report = adopted(folder)
    entries = taken(orphan)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    for entry in entries:
        assert entry.body == good[entry.seq] if entry.records else lost(entry) == 3
    assert sum(not entry.records for entry in entries) <= 1
    assert 3 * sum(not entry.records for entry in entries) == report.lost_records
    orphan.close()
    assert list(spool.iterdir()) == []


def test_a_gap_between_segments_is_left_to_the_translator_to_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    to, _, _ = outbox(tmp_path, bounds=Bounds(disk=1, memory=1))  # the smallest segments
    body = os.urandom(40000)
    for _ in range(6):
        to.add(body, 1)
        to.commit()
    to.close()
    files = sorted((tmp_path / CLIENT).glob("*.seg"))
    assert len(files) == 3
    data = bytearray(files[1].read_bytes())
    data[10] ^= 1  # its head
    files[1].write_bytes(bytes(data))
    assert len(check(str(tmp_path / CLIENT))) == 2
    orphan, _ = adopted(tmp_path / CLIENT)
    assert [orphan.after(0).seq, orphan.after(1).seq, orphan.after(2)] == [1, 2, None]  # type: ignore[union-attr]
    assert orphan.acknowledge(2) == 2
    assert orphan.base == 5  # as the next message's frame will say
    assert [entry.seq for entry in taken(orphan)] == [5, 6]
    orphan.close()
    assert [record.message for record in caplog.records if "is damaged" in record.message]
    assert list(tmp_path.iterdir()) == []


def test_nothing_readable_is_removed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = left_behind(tmp_path)
    (file,) = folder.glob("*.seg")
    file.rename(folder / "00000000000000000015.seg")
    (folder / "acked").unlink(missing_ok=True)
    orphan, _ = adopted(folder)
    assert orphan.empty
    orphan.close()
    assert "is damaged" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    to, encoder, _ = outbox(tmp_path)
    put(to, encoder, 0, 1)
    folder = tmp_path / CLIENT
    assert ClientFolder.adopt(str(folder)) is None
    assert folders(str(tmp_path))[0].owned
    with pytest.raises(SpoolError, match="belongs to a living process"):
        purge(str(folder))
    to.close()
    first = ClientFolder.adopt(str(folder))
    assert first is not None
    assert ClientFolder.adopt(str(folder)) is None
    first.release()
    assert purge(str(folder)).records == 3
    assert list(tmp_path.iterdir()) == []
    assert ClientFolder.adopt(str(folder)) is None


ADOPT = """
import sys
from provlight.spool.folder import ClientFolder
print(ClientFolder.adopt(sys.argv[1]) is not None)
"""


def test_another_process_is_refused_until_the_owner_is_gone(tmp_path: Path) -> None:
    def asked() -> str:
        command = [sys.executable, "-c", ADOPT, str(tmp_path / CLIENT)]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()

    to, encoder, _ = outbox(tmp_path)
    put(to, encoder, 0, 1)
    assert asked() == "False"
    to.close()
    assert asked() == "True"


@pytest.mark.root
def test_folders_of_other_users_are_sent_on_demand_only(tmp_path: Path) -> None:
    """In the background, a process of root would publish as its own what anybody puts into a shared spool."""
    folder = left_behind(tmp_path)
    os.chown(folder, 65534, 65534)
    assert ClientFolder.adopt(str(folder)) is None
    found = ClientFolder.adopt(str(folder), any_user=True)
    assert found is not None
    found.release()


def test_links_in_a_spool_are_not_followed(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / "acked").symlink_to(victim)
    orphan, _ = adopted(folder)
    assert len(taken(orphan)) == 5
    orphan.close()
    assert victim.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_a_child_keeps_no_file_of_the_spool(tmp_path: Path) -> None:
    to, encoder, _ = outbox(tmp_path)
    put(to, encoder, 0, 1)
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        links = [
            os.readlink(f"/proc/self/fd/{name}")
            for name in os.listdir("/proc/self/fd")
            if int(name) > 2 and os.path.lexists(f"/proc/self/fd/{name}")
        ]
        os.write(writable, b"1" if any(str(tmp_path) in link for link in links) else b"0")
        os._exit(0)
    assert os.read(readable, 1) == b"0"
    assert os.waitpid(child, 0)[1] == 0
    put(to, encoder, 1, 1)  # and the parent goes on
    assert to.kept == 6
    to.close()
    os.close(readable)
    os.close(writable)


def test_what_is_no_spool_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "0123456789abcdef").symlink_to(tmp_path / "lost+found")
    with pytest.raises(SpoolError, match="cannot be read"):
        folders(str(tmp_path))
    for path in (tmp_path, tmp_path / "lost+found", tmp_path / "none", tmp_path / CLIENT):
        with pytest.raises(SpoolError, match="not the folder of a client"):
            purge(str(path))
        with pytest.raises(SpoolError, match="not the folder of a client"):
            check(str(path))
    with pytest.raises(SpoolError, match="cannot be read"):
        folders(str(tmp_path / "none"))


def test_what_a_death_left_of_a_folder_in_the_making_is_removed(tmp_path: Path) -> None:
    from provlight.spool.folder import remove_unfinished

    for name in ("old", "young"):
        (tmp_path / f".new-{name}").mkdir()
        (tmp_path / f".new-{name}" / "lock").touch()
    os.utime(tmp_path / ".new-old", (0, 0))
    remove_unfinished(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [".new-young"]


def _peeked(orphan: OrphanOutbox) -> list[Entry]:
    entries, entry = [], orphan.after(0)
    while entry is not None:
        entries.append(entry)
        entry = orphan.after(entry.seq)
    return entries


def _peeked_in(folder: Path) -> list[Entry]:
    orphan, _ = adopted(folder)
    entries = _peeked(orphan)
    _release(orphan)
    return entries


def _release(orphan: OrphanOutbox) -> None:
    """Let go of the folder as a death would: nothing is removed."""
    orphan._segments.close()
    orphan._folder.release()


def _entries(folder: Path) -> tuple[list[int], list[int]]:
    """Size of each body, and where it ends in the file."""
    sizes = [len(entry.body) for entry in _peeked_in(folder)]
    (file,) = folder.glob("*.seg")
    end, ends = file.stat().st_size, []
    for size in reversed(sizes):
        ends.append(end)
        end -= size + ENTRY_SIZE
    return sizes, ends[::-1]
