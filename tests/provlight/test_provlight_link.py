"""A connection to the broker: kept alive, and given up when the other side is dead or speaks nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from provlight_broker import PASSWORD, USER, Broker

from provlight.encoding import Encoder
from provlight.transport import LinkError, PayloadTooLargeError, RefusedError, mqtt
from provlight.transport.mqtt import MqttTransport
from provlight.wire import frame

CONNACK = b"\x20\x03\x00\x00\x00"
SUBACK = b"\x90\x04\x00\x01\x00\x01"


def wait_for_ever(link: mqtt.Link) -> None:
    while True:
        link.wait(5)


@pytest.mark.broker
def test_an_idle_connection_is_kept_alive(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker drops a client from which it hears nothing for one and a half times this time."""
    monkeypatch.setattr(mqtt, "KEEP_ALIVE", 1)
    link = MqttTransport(broker.address, broker.port, "1", USER, PASSWORD).connect("c")
    waited = threading.Event()
    threading.Timer(4, waited.set).start()
    while not waited.is_set():
        link.wait(4)
    link.publish(frame(Encoder("c").encode(1, []), 1))
    while not link.settled:
        link.wait(5)
    link.close()


@pytest.mark.broker
def test_a_wake_ends_the_wait(broker: Broker) -> None:
    link = MqttTransport(broker.address, broker.port, "1", USER, PASSWORD).connect("c")
    link.wake()
    assert link.wait(None) == []
    threading.Timer(0.05, link.wake).start()
    assert link.wait(None) == []
    link.close()
    link.wake()


@pytest.mark.broker
def test_a_topic_of_another_user_is_refused(broker: Broker) -> None:
    link = mqtt.MqttLink(
        socket.create_connection((broker.address, broker.port)),
        "the broker",
        "provlight/1/other/c",
        "provlight-ack/x/c",
    )
    link.log_in("c", USER, PASSWORD)
    link.publish(b"x")
    with pytest.raises(LinkError):
        wait_for_ever(link)
    link.abandon()


class Script:
    """A broker that says what it is told, in answer to each thing it hears, and then is silent."""

    def __init__(self, *answers: bytes) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(1)
        self.port = int(self._socket.getsockname()[1])
        self._answers = answers
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            for answer in self._answers:
                connection.recv(65536)
                connection.sendall(answer)
            self._done.wait(20)

    def close(self) -> None:
        self._done.set()
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Script]]:
    monkeypatch.setattr(mqtt, "_CONNECT_TIMEOUT", 0.3)
    monkeypatch.setattr(mqtt, "_SILENCE", 0.3)
    started: list[Script] = []
    yield started
    for script in started:
        script.close()


def connect(scripts: list[Script], *answers: bytes) -> mqtt.Link:
    scripts.append(Script(*answers))
    return MqttTransport("127.0.0.1", scripts[-1].port, "1").connect("c")


@pytest.mark.parametrize(
    ("answers", "error", "sentence"),
    [
        ((), LinkError, "does not answer"),
        ((CONNACK,), LinkError, "does not answer"),
        ((b"\x20\x03\x00\x87\x00",), RefusedError, "not authorized"),
        ((b"\x20\x03\x00\x89\x00",), LinkError, "server busy"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9,), LinkError, "does not answer|no MQTT|no sense"),
        ((b"\x20\xff\xff\xff\x7f",), LinkError, "speaks no MQTT 5"),
        ((CONNACK, b"\x90\x04\x00\x01\x00\x87"), RefusedError, "refuses the subscription"),
        ((CONNACK, b"\xe0\x01\x8b"), LinkError, "server shutting down"),
    ],
)
def test_a_login_that_fails_says_why(
    scripts: list[Script], answers: tuple[bytes, ...], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        connect(scripts, *answers)


def test_a_silent_broker_is_given_up(scripts: list[Script]) -> None:
    link = connect(scripts, CONNACK, SUBACK)
    link.publish(b"x")
    with pytest.raises(LinkError, match="does not answer"):
        wait_for_ever(link)
    link.abandon()


def test_what_makes_no_sense_breaks_the_link(scripts: list[Script]) -> None:
    payload = b"\x00\x19provlight-ack/anonymous/c\x00\xc1"
    link = connect(scripts, CONNACK, SUBACK, b"\x30" + bytes([len(payload)]) + payload)
    link.publish(b"x")
    with pytest.raises(LinkError, match="makes no sense"):
        wait_for_ever(link)
    link.abandon()


def test_the_brokers_limits_are_kept(scripts: list[Script]) -> None:
    properties = b"\x21\x00\x02" + b"\x27\x00\x00\x03\xe8"
    connack = b"\x20" + bytes([3 + len(properties)]) + b"\x00\x00" + bytes([len(properties)]) + properties
    link = connect(scripts, connack, SUBACK)
    link.publish(b"x")
    assert link.ready
    link.publish(b"x")
    assert not link.ready
    with pytest.raises(PayloadTooLargeError, match="only 1000"):
        link.publish(b"x" * 1000)
    link.abandon()


def test_nobody_there() -> None:
    with pytest.raises(LinkError, match="cannot be reached"):
        MqttTransport("127.0.0.1", 1, "1").connect("c")
    with pytest.raises(LinkError, match="cannot be reached"):
        MqttTransport("no-such-host.invalid", 1883, "1").connect("c")
