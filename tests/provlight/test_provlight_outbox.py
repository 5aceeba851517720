"""What waits between the application and the network."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from provlight.batcher import Batcher
from provlight.buffer import Buffer
from provlight.encoding import Encoder
from provlight.outbox import Outbox
from provlight.report import Report
from provlight.sender import Backoff
from provlight.wire import TASK_BEGIN, Batch, frame, open_message, remember

CLIENT = "c"


@given(st.lists(st.one_of(st.just("add"), st.integers(0, 40))))
def test_sequence_numbers_stay_contiguous_whatever_is_acknowledged(steps: list[object]) -> None:
    outbox = Outbox(1 << 20)
    held: list[int] = []
    for step in steps:
        if step == "add":
            held.append(outbox.add(b"body", 2))
        else:
            assert isinstance(step, int)
            outbox.acknowledge(step)
            held = [seq for seq in held if seq > step]
        assert outbox.base == (held[0] if held else outbox.next_seq)
        assert outbox.empty is not bool(held)
        found, entry = [], outbox.after(0)
        while entry is not None:
            found.append(entry.seq)
            entry = outbox.after(entry.seq)
        assert found == held


def test_an_acknowledgement_of_what_was_never_sent_changes_nothing_more() -> None:
    outbox = Outbox(1 << 20)
    outbox.add(b"body", 1)
    assert outbox.acknowledge(10**9) == 1
    assert (outbox.base, outbox.next_seq, outbox.stored) == (2, 2, 1)


def run_batcher(outbox: Outbox, steps: Callable[[Buffer, Batcher], None], batch: int = 4) -> Report:
    buffer, report = Buffer(1 << 20, 0.001), Report()
    batcher = Batcher(buffer, outbox, Encoder(CLIENT), batch, report)
    outbox.on_room = batcher.room
    batcher.start()
    steps(buffer, batcher)
    buffer.close()
    batcher.join(10)
    assert not batcher.is_alive()
    return report


def put(buffer: Buffer, first: int, count: int) -> None:
    for number in range(first, first + count):
        assert buffer.append((TASK_BEGIN, "w", "t", number, number, (), "", [], None), 100)


def held(outbox: Outbox) -> list[Batch]:
    batches, table, entry = [], {}, outbox.after(0)
    while entry is not None:
        batches.append(open_message(frame(entry.body, outbox.base)).decode(table))
        remember(table, batches[-1].announced)
        entry = outbox.after(entry.seq)
    return batches


def test_batches_are_bounded_and_in_order() -> None:
    outbox = Outbox(1 << 20)
    run_batcher(outbox, lambda buffer, _: put(buffer, 0, 50))
    batches = held(outbox)
    assert [record.task for batch in batches for record in batch.in_order()] == list(range(50))
    assert max(batch.records for batch in batches) <= 4
    assert [batch.seq for batch in batches] == list(range(1, len(batches) + 1))


def test_a_full_outbox_keeps_the_oldest_and_one_tombstone_tells_of_the_rest() -> None:
    outbox = Outbox(1)

    def steps(buffer: Buffer, batcher: Batcher) -> None:
        put(buffer, 0, 1)
        assert outbox.wait_for(lambda: batcher.handled >= 1, 10)
        put(buffer, 1, 9)
        assert outbox.wait_for(lambda: batcher.handled >= 10, 10)
        assert outbox.next_seq == 2
        outbox.acknowledge(1)  # now there is room, and nothing new to put there
        assert outbox.wait_for(lambda: outbox.next_seq == 3, 10)

    report = run_batcher(outbox, steps)
    (tombstone,) = held(outbox)
    assert (tombstone.seq, tombstone.lost, tombstone.reason) == (2, 9, "the outbox was full")
    assert report.lost == {"the outbox was full": 9}


def test_losses_that_never_found_room_are_told_at_the_end() -> None:
    outbox = Outbox(1)

    def steps(buffer: Buffer, batcher: Batcher) -> None:
        put(buffer, 0, 1)
        assert outbox.wait_for(lambda: batcher.handled >= 1, 10)
        put(buffer, 1, 5)

    run_batcher(outbox, steps)
    assert [(batch.records, batch.lost) for batch in held(outbox)] == [(1, 0), (0, 5)]


def test_heavy_records_make_smaller_batches() -> None:
    outbox = Outbox(1 << 30)
    buffer, report = Buffer(1 << 30, 10), Report()
    for number in range(64):
        buffer.append((TASK_BEGIN, "w", "t", number, number, (), "", [], None), 1 << 16)
    buffer.close()
    batcher = Batcher(buffer, outbox, Encoder(CLIENT), 64, report)
    batcher.run()
    assert [batch.records for batch in held(outbox)] == [4] * 16


def test_a_bounded_buffer_counts_what_it_drops() -> None:
    buffer = Buffer(250, 10)
    assert [buffer.append((number,), 100) for number in range(4)] == [True, True, False, False]
    buffer.close()
    assert buffer.take() == ([(0,), (1,)], 200, 2)
    assert buffer.take() is None
    assert not buffer.append((9,), 1)


def test_pauses_double_up_to_the_longest_and_begin_again() -> None:
    backoff = Backoff(1, 5)
    pauses = [backoff.pause() for _ in range(5)]
    for pause, middle in zip(pauses, (1, 2, 4, 5, 5), strict=True):
        assert 0.75 * middle <= pause <= 1.25 * middle
    backoff.reset()
    assert backoff.pause() <= 1.25


def test_a_burst_is_left_alone_until_there_is_plenty_or_the_first_has_lingered() -> None:
    buffer = Buffer(4000, 60)
    taken: list[int] = []
    reader = threading.Thread(target=lambda: taken.append(len((buffer.take() or ([], 0, 0))[0])))
    reader.start()
    for number in range(10):
        assert buffer.append((number,), 100)
    reader.join(0.2)
    assert reader.is_alive(), "1000 of 4000 bytes are not plenty"
    assert buffer.append((10,), 100)
    reader.join(10)
    assert taken == [11]


def test_who_appends_to_a_crowded_buffer_lets_the_reader_run() -> None:
    buffer = Buffer(1 << 20, 0.001)
    stop = threading.Event()
    taken = []

    def read() -> None:
        while not stop.is_set() or buffer.appended > sum(taken):
            entries, _, _ = buffer.take() or ([], 0, 0)
            taken.append(len(entries))
            for _ in entries:
                sum(range(200))  # slower than appending

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    kept = [buffer.append((number,), 500) for number in range(20_000)]
    stop.set()
    buffer.poke()
    reader.join(30)
    assert all(kept), "an entry without room is dropped"
    assert (sum(taken), buffer.lost) == (20_000, 0)
