"""A real broker, and a translator small enough for tests: it decodes, remembers and acknowledges."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho

from provlight import wire

USER, PASSWORD = "edge-1", "correct horse"
LISTENER, LISTENER_PASSWORD = "translator", "battery staple"
ROOT = Path(__file__).resolve().parents[2]


def free_port(family: int = socket.AF_INET, address: str = "127.0.0.1") -> int:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class Broker:
    """A mosquitto with passwords and the access rules of the provenance service."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", extra: str = "") -> None:
        self.folder = folder
        self.address = address
        self.port = free_port(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        self.process: subprocess.Popen[bytes] | None = None
        folder.chmod(0o755)
        passwords = folder / "passwords"
        passwords.touch()
        for user, password in ((USER, PASSWORD), (LISTENER, LISTENER_PASSWORD)):
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True, capture_output=True)
        rules = folder / "acl"
        rules.write_text(
            f"user {LISTENER}\ntopic read provlight/#\ntopic write provlight-ack/#\n"
            "pattern write provlight/+/%u/#\npattern read provlight-ack/%u/#\n"
        )
        self.configuration = folder / "mosquitto.conf"
        self.configuration.write_text(
            f"listener {self.port} {address}\nallow_anonymous false\npassword_file {passwords}\nacl_file {rules}\n"
            f"user root\npersistence false\nmax_queued_messages 0\n{extra}"
        )
        self.credentials = folder / "credentials"
        self.credentials.write_text(f"{USER}\n{PASSWORD}\n")
        self.credentials.chmod(0o600)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["mosquitto", "-c", str(self.configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1):
                return
            threading.Event().wait(0.02)
        raise RuntimeError((self.folder / "log").read_text())

    def kill(self) -> None:
        """As the kernel would when memory is short."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def url(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def settings(self) -> dict[str, object]:
        return {"server_url": self.url, "credentials": str(self.credentials), "transport": "mqtt", "linger_ms": 20}

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PROVLIGHT_")}
        kept.update(
            PROVLIGHT_SERVER_URL=self.url,
            PROVLIGHT_CREDENTIALS=str(self.credentials),
            PROVLIGHT_LINGER_MS="20",
            PYTHONPATH=str(ROOT),
        )
        return kept


class Translator:
    """Accepts batches as the contract says: exactly the next one, or the lowest that the client still holds."""

    def __init__(self, broker: Broker) -> None:
        self.last: dict[str, int] = {}
        self.shapes: dict[str, dict[int, wire.Shape]] = {}
        self.batches: list[wire.Batch] = []
        self.duplicates = 0
        self.gaps = 0
        self.mute = False
        self.changed = threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="translator", protocol=paho.MQTTv5)
        self._client.username_pw_set(LISTENER, LISTENER_PASSWORD)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(wire.records_filter("1"), qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._receive
        self._subscribed = threading.Event()
        self._client.connect(broker.address, broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _receive(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        if self.mute:
            return
        _, user, name = wire.parse_records_topic(message.topic)
        opened = wire.open_message(message.payload)
        assert opened.client == name
        last = self.last.get(name, 0)
        announce = False
        if opened.seq <= last:
            self.duplicates += 1
        elif opened.seq == last + 1 or opened.seq == opened.base:
            table = self.shapes.setdefault(name, {})
            try:
                batch = opened.decode(table)
            except wire.UnknownShapeError:
                announce = True
            else:
                wire.remember(table, batch.announced)
                self.gaps += opened.seq != last + 1
                with self.changed:
                    self.batches.append(batch)
                    self.changed.notify_all()
                self.last[name] = last = opened.seq
        client.publish(wire.ack_topic(user, name), wire.encode_ack(last, announce), qos=1)

    def records(self) -> list[wire.Record]:
        return [record for batch in self.batches for record in batch.in_order()]

    def wait_for(self, predicate: Callable[[], bool], timeout: float = 30) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, timeout)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
