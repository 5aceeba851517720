"""Ask how far a record would come: broker, credentials, translator and database. Nothing is stored."""

from __future__ import annotations

import os
import time
from typing import List, NamedTuple

from .encoding import Encoder
from .envelope import frame
from .settings import Settings
from .transport import LinkError, RefusedError
from .transport.choice import transport_maker
from .wire import Ack

_ASK_AGAIN = 1.0


class Answer(NamedTuple):
    """How far a record would come."""

    broker: bool  # it answers
    accepted: bool  # it takes our user and password
    database: bool  # the translator has asked the database, and answered
    connect_ms: float  # time to be connected and subscribed
    round_trip_ms: float  # from a message to the translator's answer
    error: str  # what is wrong, empty when all is well


def ping(settings: Settings, timeout: float) -> Answer:
    """Connect, publish a message that nothing can be stored of, and wait for the translator's answer.

    The message is the second batch of a client that never sent a first one: the translator looks into the database for
    that client, finds that it must wait, and says so.

    Args:
        timeout: seconds to wait for the answer.
    """
    client = os.urandom(8).hex()
    began = time.monotonic()
    try:
        link = transport_maker(settings)("").connect(client)
    except RefusedError as error:
        return Answer(True, False, False, 0.0, 0.0, str(error))
    except (LinkError, OSError, ValueError) as error:
        return Answer(False, False, False, 0.0, 0.0, str(error))
    connected = _ms(began)
    payload = frame(Encoder(client).tombstone(2, 0, "ping"), 1)
    deadline = time.monotonic() + timeout
    try:
        while True:
            asked = time.monotonic()
            link.publish(payload)
            acks: List[Ack] = []
            while not acks and time.monotonic() < min(asked + _ASK_AGAIN, deadline):
                acks = link.wait(max(0.0, min(asked + _ASK_AGAIN, deadline) - time.monotonic()))
            if acks:
                return Answer(True, True, True, connected, _ms(asked), "")
            if time.monotonic() >= deadline:
                sentence = (
                    "the broker accepts us, but no translator answered within {:g} s: is the provenance service up?"
                )
                return Answer(True, True, False, connected, 0.0, sentence.format(timeout))
    except LinkError as error:
        return Answer(True, True, False, connected, 0.0, str(error))
    finally:
        link.close()


def _ms(since: float) -> float:
    return round((time.monotonic() - since) * 1000, 3)
