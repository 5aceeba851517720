"""Spools over a real broker: whoever dies, what was in the spool arrives once and in order."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from provlight_broker import ROOT, Broker, Translator
from provlight_spool_parts import ENDLESS, begun, contiguous, environment, killed, sent

import provlight
from provlight import Data, Task, Workflow
from provlight.settings import Settings
from provlight.spool import drain, folders

pytestmark = pytest.mark.broker

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_twenty_deaths_lose_no_record_whose_call_had_returned(
    broker: Broker, translator: Translator, tmp_path: Path
) -> None:
    """Each process adopts what its killed predecessors left; the broker dies now and then as well."""
    spool = tmp_path / "spool"
    variables = environment(broker, spool, PROVLIGHT_DURABILITY="record")
    captured: list[int] = []
    dice = random.Random(4)
    for life in range(20):
        if life % 6 == 3:
            broker.kill()
        captured += killed(ENDLESS, variables, life * 10**6, dice.randint(1, 60))
        if broker.process is None:
            broker.start()
    sent(broker, spool)
    arrived = begun(translator)
    assert len(arrived) == len(set(arrived))
    assert set(captured) <= set(arrived)
    assert len(arrived) <= len(captured) + 20  # one call may have been under way at each death
    assert contiguous(translator)
    assert translator.gaps == 0
    for batch in translator.batches:
        assert batch.lost == 0
    by_client: dict[str, list[int]] = {}
    for batch in translator.batches:
        by_client.setdefault(batch.client, []).extend(record.task for record in batch.in_order())
    assert all(numbers == sorted(numbers) for numbers in by_client.values())
    assert list(spool.iterdir()) == []


def test_the_next_start_sends_what_a_killed_process_left(
    broker: Broker, translator: Translator, tmp_path: Path, run_python: Run
) -> None:
    spool = tmp_path / "spool"
    variables = environment(broker, spool, PROVLIGHT_DURABILITY="record")
    translator.mute = True
    captured = killed(ENDLESS, variables, 0, 30)
    (orphan,) = folders(str(spool))
    assert not orphan.owned
    assert orphan.records >= 30
    translator.mute = False
    done = run_python("from provlight import Workflow; Workflow('next').begin()", variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(captured) <= set(begun(translator))
    assert contiguous(translator)
    assert list(spool.iterdir()) == []


def test_an_orphan_that_appears_later_is_adopted(
    broker: Broker, translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provlight.spool import adoption

    monkeypatch.setattr(adoption, "LOOK_S", 0.2)
    spool = tmp_path / "spool"
    provlight.configure(**broker.settings(), spool_dir=str(spool))
    Workflow("w").begin()
    assert provlight.flush(30)
    translator.mute = True
    captured = killed(ENDLESS, environment(broker, spool, PROVLIGHT_DURABILITY="record"), 0, 10)
    translator.mute = False
    translator.wait_for(lambda: set(captured) <= set(begun(translator)))
    translator.wait_for(lambda: provlight.stats()["spool"]["adopted"]["folders"] == 1)
    assert provlight.stats()["spool"]["adopted"]["records"] >= 10
    assert provlight.stats()["stored"] == 1


def test_a_database_made_anew_is_told_the_shapes_of_an_orphan(
    broker: Broker, translator: Translator, tmp_path: Path, run_python: Run
) -> None:
    """The batches that announced them are gone; each segment begins with the shapes announced before."""
    spool = tmp_path / "spool"
    program = """
import os, provlight
from provlight import Data, Task
provlight.configure(spool_mb=8)
for number in range(400):
    Task(number, "w", "t").begin([Data("set", "w", [], {"x": os.urandom(4000)})])
assert provlight.flush(60)
os.rename(os.environ["MUTE"] + ".no", os.environ["MUTE"])
for number in range(400, 500):
    Task(number, "w", "t").begin([Data("set", "w", [], {"x": os.urandom(1000)})])
while provlight.stats()["spool"]["in_memory"] or provlight.stats()["captured"] < 500:
    pass
import time; time.sleep(0.3)
os.kill(os.getpid(), 9)
"""
    variables = {"PROVLIGHT_COMPRESS": "off", "PROVLIGHT_RUN": "repeat-1/large"}
    mute = tmp_path / "mute"
    (tmp_path / "mute.no").touch()
    watcher = threading.Thread(target=lambda: _mute_when(mute, translator), daemon=True)
    watcher.start()
    done = run_python(program, environment(broker, spool, MUTE=str(mute), **variables))
    assert done.returncode == -signal.SIGKILL, done.stderr
    watcher.join(10)
    (orphan,) = folders(str(spool))
    assert orphan.records == 100
    assert orphan.first > 1
    translator.last.clear()
    translator.shapes.clear()
    translator.mute = False
    sent(broker, spool)
    assert begun(translator) == list(range(500))
    assert translator.gaps == 1
    told, again = (batch.about for batch in translator.batches if batch.about)
    assert (told["host"], told["run"]) == (again["host"], again["run"]) == (again["host"], "repeat-1/large")


def _mute_when(path: Path, translator: Translator) -> None:
    while not path.exists():
        threading.Event().wait(0.001)
    translator.mute = True


PROGRAM = """
from provlight import Task, Workflow
with Workflow("w") as w:
    for number in range(200):
        Task(number, w, "t").begin()
print("application done")
"""


def test_without_a_broker_the_end_says_where_the_records_are_kept(
    broker: Broker, translator: Translator, tmp_path: Path, run_python: Run
) -> None:
    spool = tmp_path / "spool"
    broker.kill()
    done = run_python(PROGRAM, environment(broker, spool, PROVLIGHT_FLUSH_TIMEOUT="1"))
    assert (done.returncode, done.stdout) == (0, "application done\n")
    assert f"202 are kept in {spool}: the next start or `provlight spool send` sends them" in done.stderr
    assert f"Records wait in the spool {spool}" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    (orphan,) = folders(str(spool))
    assert (orphan.owned, orphan.records, orphan.first) == (False, 202, 1)
    settings = Settings({**broker.settings(), "spool_dir": str(spool)}, {})
    failed = drain(settings, 0.5)
    assert (failed.folders, failed.records, [info.client for info in failed.left]) == (0, 0, [orphan.client])
    assert "cannot be reached" in failed.error
    broker.start()
    sent(broker, spool)
    assert begun(translator) == list(range(200))


def test_a_wrong_password_is_said_once_and_the_records_are_kept(
    broker: Broker, tmp_path: Path, run_python: Run
) -> None:
    spool = tmp_path / "spool"
    broker.credentials.write_text("edge-1\nwrong\n")
    done = run_python(PROGRAM, environment(broker, spool, PROVLIGHT_FLUSH_TIMEOUT="1"))
    assert (done.returncode, done.stdout) == (0, "application done\n")
    assert len(done.stderr.splitlines()) == 2
    assert "not authorized" in done.stderr
    assert "202 are kept in" in done.stderr


@pytest.mark.parametrize("durability", ["batch", "none"])
def test_a_kill_after_the_linger_loses_nothing(
    broker: Broker, translator: Translator, tmp_path: Path, run_python: Run, durability: str
) -> None:
    """What reached the spool outlives the process, whether or not the disk was waited for."""
    spool = tmp_path / "spool"
    broker.kill()
    program = """
import os, time, provlight
from provlight import Task
for number in range(300):
    Task(number, "w", "t").begin()
while provlight.stats()["spool"]["batches"] < 5 or provlight.stats()["spool"]["in_memory"]:
    time.sleep(0.05)
os.kill(os.getpid(), 9)
"""
    done = run_python(program, environment(broker, spool, PROVLIGHT_DURABILITY=durability, PROVLIGHT_BATCH="60"))
    assert done.returncode == -signal.SIGKILL, done.stderr
    broker.start()
    sent(broker, spool)
    assert begun(translator) == list(range(300))


def test_sigterm_loses_nothing_that_is_in_the_spool(broker: Broker, translator: Translator, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    variables = environment(broker, spool, PROVLIGHT_DURABILITY="record")
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, "0", str(10**9)], env=variables, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    printed = [int(process.stdout.readline()) for _ in range(20)]
    process.terminate()
    printed += [int(line) for line in process.stdout.read().rpartition("\n")[0].split()]
    process.stdout.close()
    assert process.wait(30) == -signal.SIGTERM
    if spool.exists():
        sent(broker, spool)
    assert set(printed) <= set(begun(translator))


def test_threads_commit_together(broker: Broker, translator: Translator, tmp_path: Path) -> None:
    """Each call waits for the disk, but not for a write of its own."""
    provlight.configure(**broker.settings(), spool_dir=str(tmp_path / "spool"), durability="record")

    def work(first: int) -> None:
        for number in range(first, first + 40):
            Task(number, "w", "t").begin([Data("set", "w", [], {"x": number})])
            figures = provlight.stats()["spool"]
            assert figures["folder"] is not None

    threads = [threading.Thread(target=work, args=(number * 100,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provlight.flush(30)
    assert len(set(begun(translator))) == len(begun(translator)) == 320
    assert provlight.stats()["batches"] < 320


def test_lost_acknowledgements_are_no_duplicates(broker: Broker, translator: Translator, tmp_path: Path) -> None:
    """The translator stored it, the process died before it heard so: the next one sends it again."""
    spool = tmp_path / "spool"
    captured = killed(ENDLESS, environment(broker, spool, PROVLIGHT_DURABILITY="record"), 0, 40)
    for folder in spool.iterdir():
        (folder / "acked").unlink(missing_ok=True)
    if spool.exists():
        sent(broker, spool)
    arrived = begun(translator)
    assert set(captured) <= set(arrived)
    assert len(arrived) == len(set(arrived))


def test_an_orphan_that_nobody_acknowledges_does_not_hold_up_the_others(
    broker: Broker, translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one of a partition that has no translator any more."""
    from provlight.spool import orphan

    monkeypatch.setattr(orphan, "STALL_S", 1.0)
    spool = tmp_path / "spool"
    translator.mute = True
    for partition in ("1", "2", "1"):
        variables = environment(broker, spool, PROVLIGHT_DURABILITY="record", PROVLIGHT_SERVER_TOPIC=partition)
        killed(ENDLESS, variables, int(partition) * 1000, 5)
    translator.mute = False
    done = drain(Settings({**broker.settings(), "spool_dir": str(spool)}, {}), 60)
    assert (done.folders, [info.partition for info in done.left]) == (2, ["2"])
    assert "not everything was acknowledged" in done.error
