"""Real parts for the tests of the provenance service: MonetDB servers, the whole service, clients of the wire."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from e2c.provenance.connections import dial, exact
from e2c.provenance.folder import DataFolder, write_json
from e2c.provenance.storing.store import Delivery, Store
from provlight.wire import (
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    WORKFLOW_BEGIN,
    WORKFLOW_END,
    Encoder,
    Record,
    SetShape,
    ack_topic,
    decode_ack,
    frame,
    records_topic,
)

TUTORIAL: dict[str, Any] = {
    "tag": "model_training",
    "transformations": [
        {
            "tag": "training",
            "sets": [
                {
                    "tag": "training_input",
                    "type": "INPUT",
                    "attributes": [
                        {"name": name, "type": "NUMERIC"}
                        for name in ("kernel_size", "num_kernels", "length_of_strides", "pooling_size")
                    ],
                },
                {
                    "tag": "training_output",
                    "type": "OUTPUT",
                    "attributes": [{"name": name, "type": "NUMERIC"} for name in ("accuracy", "training_time")],
                },
            ],
        }
    ],
}
T0 = 1_767_323_045_000_006
"""2026-01-02 03:04:05.000006 UTC in microseconds."""

PLAIN_SERVER = """
import hashlib, signal, sys
from pathlib import Path
from e2c.provenance.serving import libmonetdb
from e2c.provenance.serving.database import listen
from e2c.provenance.serving.engine import Engine
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
engine = Engine(libmonetdb.locate(), Path(sys.argv[1]) / "dataflow_analyzer", Path(sys.argv[1]) / "trace")
engine.execute("ALTER USER SET ENCRYPTED PASSWORD '%s' USING OLD PASSWORD '0'" % hashlib.sha512(b"plain").hexdigest())
print("ready", listen(engine, 0), flush=True)
signal.sigwait({signal.SIGTERM})
"""


class Process:
    """A child process that says ``ready ...`` and is ended by id, whatever happens."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.ready = self.process.stdout.readline().strip()
        if not self.ready.startswith("ready"):
            _, errors = self.process.communicate(timeout=240)
            raise AssertionError(f"not ready: {errors}")
        self._errors = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._errors.start()

    def end(self, number: int = signal.SIGTERM) -> int:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            return self.process.wait(240)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._errors.join(10)
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()


class PlainServer(Process):
    """An empty MonetDB, as if it were somebody else's."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        super().__init__([sys.executable, "-c", PLAIN_SERVER, str(root)])
        self.port = int(self.ready.split()[1])

    def connect(self) -> Any:
        return dial(self.port, "monetdb", "plain")


class Database(Process):
    """The database of a data folder, without broker and translator."""

    def __init__(
        self, root: Path, dataflows: Sequence[Mapping[str, Any]] = (TUTORIAL,), program: str | None = None
    ) -> None:
        self.folder = DataFolder(root)
        self.folder.make()
        self.folder.passwords()
        if not self.folder.dataflows.exists():
            write_json(self.folder.dataflows, {"dataflows": list(dataflows)})
        module = ["-c", program] if program is not None else ["-m", "e2c.provenance.serving.database"]
        super().__init__([sys.executable, *module, str(root), "0"])

    def store(self) -> Store:
        store = Store(self.folder)
        store.open()
        return store


class Service(Process):
    """``python -m e2c.provenance serve`` with one broker user, ``edge``."""

    def __init__(self, root: Path, *arguments: str, port: int = 0) -> None:
        self.folder = DataFolder(root / "data")
        clients = root / "clients.json"
        write_json(clients, {"edge": "secret-of-edge", "other": "secret-of-other"})
        flows = root / "dataflow.json"
        flows.write_text(json.dumps({"dataflows": [TUTORIAL]}))
        command = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(self.folder.root)]
        command += ["--clients", str(clients), "--dataflow", str(flows), "--mqtt-port", str(port), *arguments]
        super().__init__(command)
        self.information = json.loads(self.ready.removeprefix("ready"))
        self.port = int(self.information["mqtt"][0].rpartition(":")[2])

    def children(self) -> dict[str, int]:
        state = json.loads(self.folder.supervisor.read_text())
        return {child["name"]: child["pid"] for child in state["children"]}


def begin(task: int | str, *values: Any, at: int = T0, depends: Sequence[Any] = (), **names: Any) -> Record:
    """The beginning of a training, values by position or name."""
    sets = [_set("training_input", values, names)] if values or names else []
    return Record(TASK_BEGIN, "model_training", "training", task, at, tuple(depends), "", sets)


def end(task: int | str, *values: Any, at: int = T0 + 1_500_000, error: str = "", **names: Any) -> Record:
    """The end of a training."""
    sets = [_set("training_output", values, names)] if values or names else []
    kind = TASK_FAILED if error else TASK_END
    return Record(kind, "model_training", "training", task, at, (), error, sets)


def workflow(kind: int, tag: str = "model_training", at: int = T0) -> Record:
    assert kind in (WORKFLOW_BEGIN, WORKFLOW_END)
    return Record(kind, tag, "", None, at, (), "", [])


def _set(tag: str, values: Sequence[Any], names: Mapping[str, Any]) -> tuple[SetShape, list[Any]]:
    if names:
        return SetShape(tag, tuple(names), len(names)), list(names.values())
    return SetShape(tag, None, len(values)), list(values)


class Device:
    """A client that keeps its batches and hands them to a store."""

    _numbers = itertools.count(1)

    def __init__(self, user: str = "edge", name: str | None = None, host: str = "raspberry") -> None:
        self.user = user
        self.name = name or f"client{next(self._numbers)}"
        self.encoder = Encoder(self.name, about={"host": host})
        self.seq = 0
        self.base = 1

    def batch(self, *records: Record, partition: int = 1) -> Delivery:
        self.seq += 1
        return self.delivery(self.encoder.encode(self.seq, records), partition)

    def delivery(self, body: bytes, partition: int = 1) -> Delivery:
        return Delivery(records_topic(partition, self.user, self.name), frame(body, self.base))


class Asker:
    """Rows of SQL, as the administrator, each in a transaction of its own."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __call__(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(sql)
        found = [exact(row) for row in cursor.fetchall()] if cursor.description else []
        self.connection.commit()
        return found


def client_row(ask: Asker, device: Device) -> tuple[Any, ...]:
    (row,) = ask(f"SELECT last_seq, received, stored, rejected, lost FROM client WHERE client = '{device.name}'")
    return row


def tasks(ask: Asker, device: Device) -> list[tuple[Any, ...]]:
    return ask(
        "SELECT t.key, t.status, t.started, t.ended, t.error_msg, t.computing_resource FROM task t JOIN client c "
        f"ON c.id = t.client_id WHERE c.client = '{device.name}' ORDER BY t.id"
    )


class Publisher:
    """A client on the network: sends what is not acknowledged again until it is."""

    def __init__(self, device: Device, address: str, port: int, password: str = "secret-of-edge") -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self.device = device
        self._held: dict[int, Delivery] = {}
        self._changed = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=device.name, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(device.user, password)
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        self._client.on_connect = lambda *_: self._client.subscribe(ack_topic(device.user, device.name), qos=1)
        self._client.on_message = self._acknowledged
        self._client.connect_async(address, port)
        self._client.loop_start()

    def send(self, delivery: Delivery) -> None:
        with self._changed:
            self._held[self.device.seq] = delivery
        self._client.publish(delivery.topic, delivery.payload, qos=1)

    def finish(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._held:
                assert time.monotonic() < deadline, f"{len(self._held)} batches are not acknowledged"
                before = len(self._held)
                if not self._changed.wait_for(lambda before=before: len(self._held) < before, 0.5):  # type: ignore[misc]
                    for delivery in list(self._held.values()):
                        self._client.publish(delivery.topic, delivery.payload, qos=1)

    def pause(self, seconds: float) -> None:
        """Let the service work; acknowledgements come meanwhile."""
        threading.Event().wait(seconds)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _acknowledged(self, client: Any, data: Any, message: Any) -> None:
        last = decode_ack(message.payload).last
        with self._changed:
            for seq in [seq for seq in self._held if seq <= last]:
                del self._held[seq]
            self._changed.notify_all()


def sha512(text: str) -> str:
    return hashlib.sha512(text.encode()).hexdigest()
