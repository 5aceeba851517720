"""What waits between the broker and the writer, and how packets become messages."""

from __future__ import annotations

import os
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from e2c.provenance.storing import inbox as inbox_module
from e2c.provenance.storing.inbox import Arrival, Inbox
from e2c.provenance.storing.store import Delivery
from e2c.provenance.storing.subscription import Subscription
from provlight.transport import packets

FOREVER_S = 60.0


def arrival(number: int, size: int = 8) -> Arrival:
    return Arrival(Delivery("provlight/0/edge/a", number.to_bytes(4, "big") + bytes(size - 4)), number, 1)


def test_what_comes_alone_is_handed_out_at_once_and_in_order() -> None:
    inbox = Inbox()
    inbox.put([arrival(1)])
    assert inbox.take(FOREVER_S) == [arrival(1)]
    inbox.put([arrival(2), arrival(3)])
    inbox.put([arrival(4)])
    assert inbox.take(FOREVER_S) == [arrival(2), arrival(3), arrival(4)]
    assert (inbox.take(0), len(inbox)) == ([], 0)


def test_while_a_transaction_is_under_way_messages_wait_for_its_end_or_for_enough() -> None:
    inbox = Inbox()
    reader, writer = os.pipe()
    try:
        inbox.put([arrival(1)])
        os.write(writer, b"\0")
        assert (inbox.take(FOREVER_S, reader), len(inbox)) == ([], 1)
        os.read(reader, 1)
        inbox.put([arrival(2, inbox_module.ENOUGH_BYTES)])
        assert [one.mid for one in inbox.take(FOREVER_S, reader)] == [1, 2]
    finally:
        os.close(reader)
        os.close(writer)


def test_the_writer_is_woken_by_messages_by_a_call_and_by_the_end() -> None:
    for act in (lambda one: one.put([arrival(1)]), Inbox.wake, Inbox.close):
        inbox = Inbox()
        timer = threading.Timer(0.05, act, [inbox])
        timer.start()
        assert len(inbox.take(FOREVER_S)) <= 1
        timer.join()


def test_the_broker_waits_when_too_much_waits() -> None:
    inbox = Inbox()
    inbox.put([arrival(1, inbox_module.MAX_WAITING_BYTES)])
    blocked = threading.Thread(target=inbox.put, args=([arrival(2)],))
    blocked.start()
    blocked.join(0.2)
    assert (blocked.is_alive(), len(inbox)) == (True, 1)
    assert [one.mid for one in inbox.take(FOREVER_S)] == [1]
    blocked.join(FOREVER_S)
    assert [one.mid for one in inbox.take(FOREVER_S)] == [2]


TOPICS = st.sampled_from(["provlight/0/edge/a", "provlight/1/\u00e4/b"])
SIZES = st.sampled_from([0, 1, 100, 126, 127, 20_000])


@settings(deadline=None)
@given(st.lists(st.tuples(TOPICS, SIZES)), st.lists(st.integers(1, 30_000), min_size=1, max_size=30))
def test_packets_are_the_same_however_they_are_cut(messages: list[tuple[str, int]], cuts: list[int]) -> None:
    subscription = Subscription(("127.0.0.1", 1), "x", ("u", "p"), "#", lambda _: None, lambda: None)
    stream = b"".join(
        packets.publish(topic, number, bytes([number % 256]) * size) + packets.pingreq() + packets.puback(number)
        for number, (topic, size) in enumerate(messages, 1)
    )
    received, found, at = bytearray(), [], 0
    while at < len(stream):
        cut = cuts[at % len(cuts)]
        received += stream[at : at + cut]
        at += cut
        arrivals, used = subscription._packets(received)
        del received[:used]
        found += arrivals
    expected = [(topic, bytes([n % 256]) * size, n) for n, (topic, size) in enumerate(messages, 1)]
    assert [(*one.delivery, one.mid) for one in found] == expected
    assert not received
