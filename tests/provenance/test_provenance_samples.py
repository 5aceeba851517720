"""Samples of what hosts did: read, stored once beside the one writer, joined with tasks, copied with the rest."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from provenance_parts import T0, Asker, Database, Device, begin, end

from e2c.errors import ProvenanceError
from e2c.provenance.copies.dump import dump
from e2c.provenance.copies.restore import restore
from e2c.provenance.export.formats import export
from e2c.provenance.export.selection import Selection
from e2c.provenance.folder import DataFolder
from e2c.provenance.queries import ask as ask_reader
from e2c.provenance.storing import samples
from e2c.provenance.storing.dstat import COLUMNS, Reader
from e2c.provenance.storing.samples import Loaded, load
from e2c.provenance.storing.store import Store

pytestmark = pytest.mark.monetdb

GROUPS = '"epoch","total cpu usage",,,,,"memory usage",,,,"dsk/total",,"net/total",\n'
NAMES = '"epoch","usr","sys","idl","wai","stl","used","free","cach","avai","read","writ","recv","send"\n'
PREFACE = '"dool 1.3.8 CSV output"\n"Author:","Scott Baker",,,,"URL:","https://example.org/"\n'
SECOND = T0 // 1_000_000  # T0 is 6 microseconds later


def head(host: str, hostname: str | None = "node", seconds: float = 1) -> str:
    return json.dumps({"host": host, "hostname": hostname, "seconds": seconds}) + "\n"


def sample(at: float, busy: float = 50, used: int = 1_000, received: float = 0) -> str:
    return f"{at:.3f},{busy},5,{95 - busy},0,0,{used},2000,3000,4000,10,20.500,{received},7\n"


def file(host: str, *lines: str, seconds: float = 1) -> list[str]:
    return [head(host, seconds=seconds), *PREFACE.splitlines(True), GROUPS, NAMES, *lines]


# ------------------------------------------------------------------------------------------------------- reading


def test_columns_are_found_by_their_names_whatever_else_is_sampled() -> None:
    groups = (
        '"epoch","system",,"net/eth0",,"net/eth1",,"total cpu usage",,,,,"cpu0 usage",,,,,"dsk/total",,"dsk/sda",\n'
    )
    names = '"epoch","time","int","net/eth0:recv","net/eth0:send","net/eth1:recv","net/eth1:send",'
    names += (
        '"usr","sys","idl","wai","stl","usr","sys","idl","wai","stl","dsk/total:read","dsk/total:writ","read","writ"\n'
    )
    line = "100.25,21-11 23:02:14,9,1,2,30,40,11,12,13,14,15,1,1,1,1,1,5,6,500,600\n"
    (block,) = Reader([head("a", None, 2), groups, names, line]).blocks()

    assert (block.host, block.hostname, block.seconds, block.times_us) == ("a", None, 2.0, [100_250_000])
    assert {name: list(column) for name, column in block.values.items()} == {
        "cpu_user": [11.0],
        "cpu_system": [12.0],
        "cpu_idle": [13.0],
        "cpu_wait": [14.0],
        "cpu_stolen": [15.0],
        "net_received": [31.0],
        "net_sent": [42.0],
        "disk_read": [5.0],
        "disk_written": [6.0],
    }


def test_shares_of_single_processors_are_not_taken_for_the_machine() -> None:
    groups, names = '"epoch","cpu0 usage",,,,,"cpu1 usage",,,,\n', '"epoch","usr","sys","idl","wai","stl",'
    names += '"usr","sys","idl","wai","stl"\n'
    (block,) = Reader([head("a"), groups, names, "1,1,2,3,4,5,6,7,8,9,10\n"]).blocks()

    assert block.values == {}


def test_a_collector_that_began_anew_goes_on_and_damaged_lines_are_counted() -> None:
    other = [GROUPS.replace('"memory usage",,,,', ""), NAMES.replace('"used","free","cach","avai",', "")]
    lines = [
        *file("a", sample(1), "2.000,50,5\n", sample(2.5, float("nan")), sample(3).replace("1000", "many"), sample(4)),
        "\n\n",
        *PREFACE.splitlines(True),
        *other,
        "5.000,50,5,45,0,0,10,20.5,0,7\n",
        "6.000,50,5,45,0,0,10,20.5,0,7,8\n",
        "1e99,50,5,45,0,0,10,20.5,0,7\n",
    ]
    reader = Reader(lines)
    first, second = reader.blocks()

    assert first.times_us == [1_000_000, 4_000_000]
    assert set(first.values) == set(COLUMNS)
    assert second.times_us == [5_000_000]
    assert list(second.values["net_sent"]) == [7.0]
    assert "memory_used" not in second.values
    assert reader.malformed == 5


@pytest.mark.parametrize(
    "lines", [["hello\n"], [sample(1)], ["{]\n"], ["{}\n", sample(1)], ['{"host": "a", "seconds": "x"}\n']]
)
def test_what_does_not_say_whose_it_is_is_refused(lines: list[str]) -> None:
    with pytest.raises(ProvenanceError, match="no samples of hosts"):
        list(Reader(lines).blocks())


# ------------------------------------------------------------------------------------------------------- storing


@pytest.fixture
def folder(database: Database, ask: Asker) -> Iterator[DataFolder]:
    yield database.folder
    ask("DELETE FROM monitoring_sample")


def test_a_sample_is_stored_as_it_is_and_only_once(
    folder: DataFolder, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "TRANSACTION_ROWS", 3)
    lines = [
        *file("edge.a.1.1", *[sample(SECOND + place / 8) for place in range(5)]),
        *file("edge.b.1.1", sample(SECOND, 20.125, 2**40, 0.25), sample(SECOND, 99), "x\n", seconds=60),
    ]
    assert load(folder, lines) == Loaded(6, 1, 0)
    assert load(folder, lines) == Loaded(0, 7, 0)
    assert load(folder, file("edge.a.1.1", sample(SECOND + 2 / 8), sample(SECOND - 1))) == Loaded(1, 1, 0)

    assert ask("SELECT host, count(*) FROM monitoring_sample GROUP BY host ORDER BY host") == [
        ("edge.a.1.1", 6),
        ("edge.b.1.1", 1),
    ]
    ((row),) = ask("SELECT * FROM monitoring_sample WHERE host = 'edge.b.1.1'")
    assert row[1] == "node"
    assert [str(time) for time in row[2:4]] == ["2026-01-02 03:03:05", "2026-01-02 03:04:05"]
    assert row[4:-1] == (60.0, 20.125, 5, 74.875, 0, 0, 2.0**40, 2000, 3000, 4000, 10, 20.5, 0.25, 7)


def test_many_samples_of_one_host_are_stored_in_their_order(folder: DataFolder, ask: Asker) -> None:
    times = range(SECOND, SECOND + 20_000)
    assert load(folder, file("edge.a.1.1", *[sample(at, received=at - SECOND) for at in times])) == Loaded(20_000, 0, 0)
    assert ask(
        "SELECT count(*), min(sampled), max(sampled), count(DISTINCT slot) FROM monitoring_sample WHERE net_received = "
        "EXTRACT(SECOND FROM sampled) + 60 * EXTRACT(MINUTE FROM sampled) + 3600 * EXTRACT(HOUR FROM sampled) - 11045"
    )[0][0] == len(times)


def test_two_that_load_the_same_add_it_once(folder: DataFolder, ask: Asker) -> None:
    lines = file("edge.a.1.1", *[sample(SECOND + place) for place in range(3000)])
    done: list[Loaded] = []
    threads = [threading.Thread(target=lambda: done.append(load(folder, lines))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(done) == [Loaded(0, 3000, 0), Loaded(0, 3000, 0), Loaded(3000, 0, 0)]
    assert ask("SELECT count(*) FROM monitoring_sample") == [(3000,)]


def test_the_writer_is_not_disturbed(
    folder: DataFolder, store: Store, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "TRANSACTION_ROWS", 1000)
    lines = file("edge.a.1.1", *[sample(SECOND + place) for place in range(40_000)])
    done: list[Loaded] = []
    loading = threading.Thread(target=lambda: done.append(load(folder, lines)))
    device = Device()
    loading.start()
    number = 0
    while loading.is_alive() or number < 20:
        number += 1
        store.store(
            [device.batch(begin(f"{device.name}-{number}", 1, 2, 3, 4), end(f"{device.name}-{number}", 0.5, 1))]
        )
    loading.join()

    assert done == [Loaded(40_000, 0, 0)]
    where = f"c.client = '{device.name}' AND t.status = 'FINISHED'"
    assert ask(f"SELECT count(*) FROM task t JOIN client c ON c.id = t.client_id WHERE {where}") == [(number,)]


# --------------------------------------------------------------------------------------------------- with tasks


def test_a_task_is_joined_with_what_its_host_did_meanwhile(folder: DataFolder, store: Store) -> None:
    """A sample counts by the part of its time that the task ran."""
    key, whole = "edge.train.1.1", SECOND * 1_000_000
    device = Device(user=key)
    times = {"long": (1_500_000, 4_000_000), "short": (2_250_000, 2_500_000), "instant": (2_250_000, 2_250_000)}
    times |= {"before": (-9_000_000, -8_000_000), "across": (3_000_000, 3 * 86_400_000_000)}
    names = {name: f"{device.name}-{name}" for name in times}
    records = [begin(names[name], 1, 2, 3, 4, at=whole + first) for name, (first, _) in times.items()]
    records += [end(names[name], 0.5, 1, at=whole + last) for name, (_, last) in times.items()]
    store.store([device.batch(*records, begin(f"{device.name}-running", 1, 2, 3, 4, at=whole))])
    own = [sample(SECOND + place, 10 * place, 100 * place, 1000 * place) for place in range(1, 6)]
    load(
        folder, [*file(key, *own), *file("edge.other.1.1", *[sample(SECOND + place, 90, 9_999) for place in range(9)])]
    )

    statement = (
        "SELECT t.key, l.host, l.samples, l.seconds, l.cpu_avg, l.cpu_max, l.memory_avg, l.memory_max, l.net_received, "
        f"l.net_sent FROM task_load l JOIN task t ON t.id = l.task_id JOIN client c ON c.id = t.client_id "
        f"WHERE c.client = '{device.name}'"
    )
    with ask_reader(folder, statement) as answer:
        found = {row[0].removeprefix(f"{device.name}-"): row[1:] for row in answer.rows}

    assert set(found) == {"long", "short", "instant", "across"}
    assert found["long"][:2] == (key, 3)
    # half of the second that ends at 2, and those that end at 3 and 4
    assert found["long"][2:] == pytest.approx((2.5, 5 + 80 / 2.5, 45, 800 / 2.5, 400, 8000, 17.5))
    assert found["short"][1:] == pytest.approx((1, 0.25, 35, 35, 300, 300, 750, 1.75))
    assert found["instant"][1:] == pytest.approx((1, 0, 35, 35, 300, 300, 0, 0), abs=0.01)
    assert found["across"][1:3] == pytest.approx((2, 2.0))


# --------------------------------------------------------------------------------------------------------- copies


def test_samples_are_in_dumps_imports_and_exports(folder: DataFolder, store: Store, tmp_path: Path) -> None:
    device = Device(user="edge.copied.1.1")
    name = f"{device.name}-task"
    late = T0 + 10_000_000
    store.store([device.batch(begin(name, 1, 2, 3, 4, at=late), end(name, 0.5, 1, at=late + 1_000_000))])
    load(folder, file("edge.copied.1.1", *[sample(SECOND + place) for place in range(30)]))
    load(folder, file("edge.else.1.1", sample(SECOND + 10)))

    path = tmp_path / "dump.sql"
    with path.open("wb") as out:
        dump(folder, out)
    copy = DataFolder(tmp_path / "copy")
    restore(copy, path)
    question = "SELECT count(*), sum(net_sent), min(sampled), max(slot) FROM monitoring_sample"
    with ask_reader(folder, question) as here, ask_reader(copy, question) as there:
        before = list(here.rows)
        assert list(there.rows) == before
    loading = [sys.executable, "-m", "e2c.provenance", "samples", "--data", str(copy.root), "--load", "-"]
    again = "".join(file("edge.copied.1.1", sample(SECOND + 29), sample(SECOND + 30)))
    ended = subprocess.run(loading, input=again, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(ended.stdout) == {"added": 1, "known": 1, "malformed": 0}
    assert before[0][0] == 31

    export(folder, "csv", str(tmp_path / "all"), Selection())
    assert len((tmp_path / "all" / "monitoring_sample.csv").read_text().splitlines()) == 32
    loads = (tmp_path / "all" / "task_load.csv").read_text().splitlines()
    assert loads[0].startswith('"task_id","host","samples"')
    assert any(',"edge.copied.1.1",2,1' in line for line in loads), loads
    again_copy = DataFolder(tmp_path / "again")
    restore(again_copy, tmp_path / "all")

    # of a selection only what its hosts did meanwhile
    since = Selection(workflow="model_training", since=_moment(late), until=_moment(late + 1))
    export(folder, "csv", str(tmp_path / "some"), since)
    lines = (tmp_path / "some" / "monitoring_sample.csv").read_text().splitlines()[1:]
    assert len(lines) == 2
    assert all(line.startswith('"edge.copied.1.1"') for line in lines)


def _moment(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, timezone.utc)
