"""The transport `file` and `provlight replay`: everything once, in order, whatever happened to file or sending."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provlight_broker import ROOT, Broker, Translator

import provlight
from provlight import Data, Task, command
from provlight.encoding import Encoder
from provlight.envelope import frame
from provlight.replay import ClientBatches, Recording, ReplayOutbox
from provlight.transport import LinkError
from provlight.transport.file import HEAD, Damage, FileTransport, Found, entries
from provlight.wire import TASK_BEGIN, Record, SetShape


def capture(path: Path, tasks: range, **more: object) -> str:
    """Capture into a file; returns the client."""
    provlight.configure(transport="file", file=str(path), batch=5, linger_ms=5, **more)
    for number in tasks:
        Task(number, "w", "t").begin(Data("s", "w", [], {"x": number}))
    assert provlight.flush(20)
    stats = provlight.stats()
    assert (stats["stored"], stats["lost"]) == (len(tasks), {})
    provlight.configure(transport="none")
    return str(stats["client"])


def bodies(path: Path) -> list[bytes]:
    return [entry.body for entry in entries(str(path)) if isinstance(entry, Found)]


def encoded(client: str, batches: int, shapes: int = 1) -> list[bytes]:
    encoder = Encoder(client)
    shape = SetShape("s", ("x",), 1)
    return [
        encoder.encode(seq, [Record(TASK_BEGIN, "w", f"t{seq % shapes}", seq, seq, (), "", [(shape, [seq])])])
        for seq in range(1, batches + 1)
    ]


def written(path: Path, *all_bodies: bytes) -> Path:
    link = FileTransport(str(path)).connect("any")
    for body in all_bodies:
        link.publish(frame(body, 1))
    link.close()
    return path


# -------------------------------------------------------------------------------------------------------------- files


def test_records_are_in_the_file_when_flush_says_so(tmp_path: Path) -> None:
    path = tmp_path / "captured"
    client = capture(path, range(20))
    assert path.stat().st_mode & 0o777 == 0o600
    recording = Recording([str(path)])
    assert recording.damage == []
    assert {name: batches.records for name, batches in recording.clients.items()} == {client: 20}
    recording.close()
    other = capture(path, range(3))
    recording = Recording([str(path)])
    assert list(recording.clients) == [client, other]
    recording.close()


def test_several_processes_write_to_one_file(tmp_path: Path) -> None:
    """Of 6 processes 3 are killed while they write; whatever any of them was told to be stored is there, whole."""
    program = (
        "import os, provlight\n"
        "from provlight import Task\n"
        "provlight.configure(batch=3, linger_ms=1)\n"
        "import sys\n"
        "for number in range(300):\n"
        "    Task(number, 'w', 't').begin()\n"
        "    if number % 50 == 49:\n"
        "        assert provlight.flush(30)\n"
        "        print(provlight.stats()['client'], provlight.stats()['stored'], flush=True)\n"
        "        if number == int(sys.argv[1]): os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "shared"
    environment = {**os.environ, "PROVLIGHT_TRANSPORT": "file", "PROVLIGHT_FILE": str(path), "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", program, last], env=environment, stdout=subprocess.PIPE, text=True)
        for last in ("0", "149") * 3
    ]
    told = {}
    for process in processes:
        out, _ = process.communicate(timeout=120)
        client, stored = out.splitlines()[-1].split()
        told[client] = int(stored)
    recording = Recording([str(path)])
    recording.close()
    assert recording.damage == []
    assert {name: batches.records for name, batches in recording.clients.items()} == told
    assert sorted(told.values()) == [150] * 3 + [300] * 3
    for batches in recording.clients.values():
        assert sorted(batches.places) == list(range(1, len(batches.places) + 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_costs_only_what_it_hits(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.unlink(missing_ok=True)
    whole = encoded("c", 5)
    written(path, *whole)
    content = bytearray(path.read_bytes())
    starts = [0]
    for body in whole:
        starts.append(starts[-1] + HEAD.size + len(body))
    first = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["cut", "overwrite", "insert"]))
    if kind == "cut":
        del content[first:]
        expected = [body for body, end in zip(whole, starts[1:], strict=True) if end <= first]
    elif kind == "overwrite":
        content[first] ^= data.draw(st.integers(1, 255))
        expected = [
            body for body, end, start in zip(whole, starts[1:], starts, strict=False) if not start <= first < end
        ]
    else:
        junk = data.draw(st.binary(min_size=1, max_size=40))
        content[first:first] = junk
        expected = [
            body for body, end, start in zip(whole, starts[1:], starts, strict=False) if not start < first < end
        ]
    path.write_bytes(content)
    found = list(entries(str(path)))
    assert [one.body for one in found if isinstance(one, Found)] == expected
    covered = sum(one.size if isinstance(one, Damage) else HEAD.size + len(one.body) for one in found)
    assert covered == len(content), "every byte is accounted for"


def test_a_full_disk_leaves_no_half_batch_and_capture_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "small"
    big = encoded("c", 3)
    link = FileTransport(str(path)).connect("c")
    link.publish(frame(big[0], 1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
    try:
        with pytest.raises(LinkError, match="small cannot be written: File too large"):
            link.publish(frame(big[1], 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    link.publish(frame(big[1], 1))
    assert [ack.last for ack in link.wait(0)] == [2]
    link.close()
    assert bodies(path) == big[:2]


def test_a_file_that_cannot_be_made_is_said_and_records_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    provlight.configure(transport="file", file=str(tmp_path / "absent" / "x"), linger_ms=5, flush_timeout=0)
    Task(1, "w", "t").begin()
    assert not provlight.flush(0.5)
    assert "cannot be opened for writing: No such file or directory" in caplog.text
    (tmp_path / "absent").mkdir()
    assert provlight.flush(60)
    assert len(bodies(tmp_path / "absent" / "x")) == 1


# ------------------------------------------------------------------------------------------------------------- replay


@pytest.fixture
def replay(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[dict[str, object]], str]]:
    def run(*arguments: object) -> tuple[int, list[dict[str, object]], str]:
        options = ["--server-url", broker.url, "--credentials", str(broker.credentials), "--format", "json"]
        capsys.readouterr()
        code = command.main(["replay", *map(str, arguments), *options])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return run


Replay = Callable[..., tuple[int, list[dict[str, object]], str]]


@pytest.mark.broker
def test_replay_sends_everything_once_however_often_it_is_called(
    tmp_path: Path, translator: Translator, replay: Replay
) -> None:
    one = capture(tmp_path / "one", range(300))
    two = capture(tmp_path / "two", range(40))
    code, rows, err = replay(tmp_path / "one", tmp_path / "two")
    assert (code, err) == (0, "")
    assert [(row["client"], row["records"], row["stored"], row["error"]) for row in rows] == [
        (one, 300, 300, ""), (two, 40, 40, "")
    ]  # fmt: skip
    for _ in range(2):
        code, rows, _ = replay(tmp_path / "two", tmp_path / "one", tmp_path / "one")
        assert (code, [row["before"] for row in rows]) == (0, [40, 300])
    by_client = {
        name: [r.task for b in translator.batches if b.client == name for r in b.in_order()] for name in (one, two)
    }
    assert by_client == {one: list(range(300)), two: list(range(40))}
    assert translator.gaps == 0


@pytest.mark.broker
def test_an_interrupted_replay_is_continued(
    tmp_path: Path, broker: Broker, translator: Translator, replay: Replay
) -> None:
    """Killed at random moments, then run to its end."""
    capture(tmp_path / "file", range(2000))
    arguments = [sys.executable, "-m", "provlight", "replay", str(tmp_path / "file")]
    for _ in range(4):
        process = subprocess.Popen(arguments, env={**broker.environment(), "PATH": os.environ["PATH"]}, cwd=ROOT,
                                   stdout=subprocess.DEVNULL)  # fmt: skip
        seen = len(translator.batches)
        with translator.changed:
            translator.changed.wait_for(lambda seen=seen: len(translator.batches) > seen + random.randint(1, 40), 20)  # type: ignore[misc]
        process.kill()
        process.wait()
    assert replay(tmp_path / "file")[0] == 0
    assert [record.task for record in translator.records()] == list(range(2000))


@pytest.mark.broker
def test_a_file_that_is_not_given_is_not_taken_for_lost(tmp_path: Path, translator: Translator, replay: Replay) -> None:
    batches = encoded("0123456789abcdef", 9)
    first, second = written(tmp_path / "first", *batches[:4]), written(tmp_path / "second", *batches[4:])
    code, rows, err = replay(second)
    assert (code, rows[0]["stored"]) == (1, 0)
    assert "batches 1 to 4 are in none of these files; give the files that hold them too, or --accept-gaps" in err
    assert translator.batches == []
    assert replay(second, first)[0] == 0
    assert [record.task for record in translator.records()] == list(range(1, 10))


@pytest.mark.broker
def test_gaps_are_accepted_when_told_so(tmp_path: Path, translator: Translator, replay: Replay) -> None:
    """Batch 4 is damaged: what comes before it is sent, what follows only when the gap is accepted."""
    batches = encoded("0123456789abcdef", 9, shapes=2)
    path = written(tmp_path / "file", *batches)
    content = bytearray(path.read_bytes())
    content[content.index(batches[3]) + 20] ^= 1
    path.write_bytes(content)
    code, rows, err = replay(path)
    assert (code, rows[0]["stored"]) == (1, 3)
    assert f"{path}, byte " in err
    assert "no entry" in err
    code, rows, _ = replay(path, "--accept-gaps")
    assert (code, rows[0]["error"], rows[0]["stored"]) == (0, "", 5)
    assert [record.task for record in translator.records()] == [1, 2, 3, 5, 6, 7, 8, 9]
    assert translator.gaps == 1
    assert replay(path)[0] == 0, "what was accepted as lost is not asked for again"


@pytest.mark.broker
def test_a_torn_end_is_passed_over(tmp_path: Path, translator: Translator, replay: Replay) -> None:
    path = written(tmp_path / "file", *encoded("0123456789abcdef", 3))
    with path.open("ab") as file:
        file.write(encoded("fedcba9876543210", 1)[0][:30])
    code, _, err = replay(path)
    assert code == 0
    assert "30 bytes, the end of the file is half an entry" in err
    assert len(translator.records()) == 3


@pytest.mark.broker
def test_a_translator_that_lost_its_memory_is_told_the_shapes(
    tmp_path: Path, translator: Translator, replay: Replay
) -> None:
    path = written(tmp_path / "file", *encoded("0123456789abcdef", 8, shapes=3))
    translator.last["0123456789abcdef"] = 5
    assert replay(path)[0] == 0
    assert [record.task for record in translator.records()] == [6, 7, 8]


def test_sentences_for_what_cannot_be_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").write_text("not ours")
    url = ["--server-url", "127.0.0.1:1"]
    for arguments, sentence in (
        (["replay", str(tmp_path / "absent"), *url], f"{tmp_path}/absent cannot be read: No such file or directory"),
        (["replay", str(tmp_path / "other"), *url], "no batch was found: is this a file of the transport `file`?"),
        (["replay", str(tmp_path / "other")], "no broker is named: give --server-url or set PROVLIGHT_SERVER_URL"),
    ):
        assert command.main(arguments) == 1
        assert capsys.readouterr().err.splitlines()[-1] == "provlight: " + sentence
    path = written(tmp_path / "file", *encoded("c", 1))
    assert command.main(["replay", str(path), *url, "--timeout", "0.5"]) == 1
    assert "client c: the broker at 127.0.0.1 port 1 cannot be reached" in capsys.readouterr().err


@given(
    held=st.sets(st.integers(1, 30), min_size=1),
    last=st.integers(0, 32),
    accept=st.booleans(),
    window=st.integers(1, 5),
)
def test_the_order_of_replay(held: set[int], last: int, accept: bool, window: int) -> None:
    """Against a model of the translator: never a batch behind a gap, unless gaps are accepted."""
    batches = ClientBatches("c")
    reader, writer = os.pipe()
    os.close(writer)
    try:
        from provlight.replay import Place

        batches.places = {number: Place(reader, 0, 1) for number in held}
        outbox = ReplayOutbox(batches, accept)
        for number in held:
            outbox.replace(number, b"", 1)
        stored, before = [], last
        for _ in range(100):
            if outbox.finished:
                break
            cursor, sent = outbox.base - 1, []
            for _ in range(window):
                entry = outbox.after(cursor)
                if entry is None:
                    break
                sent.append((entry.seq, outbox.base))
                cursor = entry.seq
            for seq, base in sent:
                if seq == last + 1 or (seq == base and base > last + 1):
                    stored.append(seq)
                    last = seq
            outbox.acknowledge(last)
        assert outbox.finished
        expected = sorted(number for number in held if number > before)
        if not accept:
            reachable = [number for at, number in enumerate(expected) if number == before + 1 + at]
            assert stored == reachable
            assert (outbox.gap is None) == (reachable == expected)
        else:
            assert stored == expected
    finally:
        os.close(reader)


def test_a_lock_keeps_writers_of_one_process_apart(tmp_path: Path) -> None:
    path = tmp_path / "file"
    clients = {f"c{number}": encoded(f"c{number}", 40) for number in range(4)}
    threads = [threading.Thread(target=written, args=(path, *found)) for found in clients.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(entries(str(path)))
    assert all(isinstance(entry, Found) for entry in found)
    assert sorted(bodies(path)) == sorted(body for all_of in clients.values() for body in all_of)
