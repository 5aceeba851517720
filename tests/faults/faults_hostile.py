"""Messages that no client of ours would send, at the translator of a real service, beside a client that captures.

    python tests/faults/faults_hostile.py --messages 100000

Random bytes, mutated, truncated, oversized and version-skewed messages, wrong clients and topics. The translator must
be the same process at the end, every message that cannot be stored must be told of, and the honest client's tasks
must all be there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from faults_campaign import FLOW

from provlight.wire import TASK_BEGIN, Encoder, Record, SetShape, frame, records_topic

TASKS = 200
"""Of the honest client."""
WINDOW = 500
"""Messages on their way to the broker at once."""
SERVE_S = 120


def good(client: str, seq: int) -> bytes:
    """A message as a client sends it."""
    shape = SetShape("step_input", ("slot", "run", "number"), 3)
    record = Record(TASK_BEGIN, "faults", "step", seq, 1_767_323_045_000_006, (), "", [(shape, [9.0, 9.0, float(seq)])])
    return frame(Encoder(client).encode(seq, [record] * 3), 1)


def hostile(chance: random.Random) -> tuple[str, str, bytes]:
    """What it is, the client of its topic, and the message."""
    client = f"{chance.randrange(8):016x}"
    message = good(client, chance.randrange(1, 5))
    kinds: dict[str, Callable[[], bytes]] = {
        "random bytes": lambda: chance.randbytes(chance.choice([0, 1, 7, 100, 5000])),
        "truncated": lambda: message[: chance.randrange(len(message))],
        "mutated": lambda: _mutated(message, chance),
        "two in one": lambda: message + message,
        "version-skewed": lambda: message.replace(b"\x92\x01\x01", bytes([0x92, chance.randrange(2, 128), 1]), 1),
        "of another client": lambda: good("f" * 16, 1),
        "a sequence number from far away": lambda: good(client, 1 << chance.randrange(20, 62)),
        "nothing but depth": lambda: b"\x91" * chance.choice([100, 100_000]),
        "oversized": lambda: (
            b"\xc6\x00\x90\x00\x00" + bytes(9 << 20) if chance.random() < 0.002 else b"\xc6\x7f\xff\xff\xff"
        ),
    }
    kind = chance.choice(list(kinds))
    return kind, client, kinds[kind]()


def _mutated(message: bytes, chance: random.Random) -> bytes:
    changed = bytearray(message)
    for _ in range(chance.randrange(1, 6)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def attack(port: int, password: str, messages: int, seed: int) -> dict[str, int]:
    """Publish so many hostile messages; counts by kind."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    chance = random.Random(seed)
    sent: dict[str, int] = {}
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="hostile", protocol=mqtt.MQTTv5)
    client.username_pw_set("edge", password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    waiting = []
    for _ in range(messages):
        kind, name, payload = hostile(chance)
        sent[kind] = sent.get(kind, 0) + 1
        waiting.append(client.publish(records_topic(1, "edge", name), payload, qos=1))
        if len(waiting) == WINDOW:
            for one in waiting:
                one.wait_for_publish(60)
            waiting.clear()
    for one in waiting:
        one.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    return sent


def run(messages: int, seed: int) -> dict[str, Any]:
    """Serve, attack, capture meanwhile, and ask."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="e2c-hostile-")))
        (folder / "clients.json").write_text(json.dumps({"edge": "secret-of-edge"}))
        (folder / "credentials").write_text("edge\nsecret-of-edge\n")
        (folder / "dataflow.json").write_text(json.dumps({"dataflows": [FLOW]}))
        for name in ("clients.json", "credentials"):
            (folder / name).chmod(0o600)
        service = _serve(folder, cleanup)
        port = int(service["mqtt"][0].rpartition(":")[2])
        before = _children(folder)
        began = time.monotonic()
        honest = subprocess.Popen([sys.executable, "-c", HONEST], env=_environment(folder, port))
        cleanup.callback(lambda: honest.poll() is None and honest.kill())
        sent = attack(port, "secret-of-edge", messages, seed)
        code = honest.wait(120)
        _ask(folder, "drain", "--timeout", "300")
        seconds = time.monotonic() - began
        rows = json.loads(
            _ask(folder, "query", "--format", "json", "SELECT reason, count(*) AS n FROM rejected GROUP BY reason")
        )
        stored = json.loads(
            _ask(
                folder, "query", "--format", "json", "SELECT count(*) AS n FROM step_output WHERE slot = 1 AND run = 1"
            )
        )
        return {
            "sent": sent,
            "seconds": round(seconds, 1),
            "rejected": sum(row["n"] for row in rows),
            "reasons": len(rows),
            "without a reason": sum(row["n"] for row in rows if not row["reason"]),
            "honest client": {"exit code": code, "tasks": TASKS, "stored": stored[0]["n"]},
            "the same processes": before == _children(folder),
        }


HONEST = f"""
import time
from provlight import Data, Task, Workflow
with Workflow("faults"):
    for number in range(1, {TASKS} + 1):
        given = {{"slot": 1, "run": 1, "number": number}}
        task = Task(number, "faults", "step").begin([Data("step_input", "faults", [], given)])
        task.end([Data("step_output", "faults", [], dict(given, square=number ** 2.0))])
        time.sleep(0.01)
"""


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "PROVLIGHT_SERVER_URL": f"127.0.0.1:{port}",
        "PROVLIGHT_CREDENTIALS": str(folder / "credentials"),
        "PROVLIGHT_FLUSH_TIMEOUT": "100",
    }


def _serve(folder: Path, cleanup: ExitStack) -> dict[str, Any]:
    command = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(folder / "data"), "--mqtt-port", "0"]
    command += ["--clients", str(folder / "clients.json"), "--dataflow", str(folder / "dataflow.json")]
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)

    def end() -> None:
        process.terminate()
        process.wait(SERVE_S)

    cleanup.callback(end)
    assert process.stdout is not None
    information: dict[str, Any] = json.loads(process.stdout.readline().removeprefix(b"ready"))
    return information


def _children(folder: Path) -> dict[str, int]:
    state = json.loads((folder / "data/run/supervisor.json").read_text())
    return {child["name"]: child["pid"] for child in state["children"]}


def _ask(folder: Path, command: str, *arguments: str) -> str:
    asked: Sequence[str] = [sys.executable, "-m", "e2c.provenance", command, "--data", str(folder / "data"), *arguments]
    return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=400).stdout


def main() -> int:
    """``python tests/faults/faults_hostile.py``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args()
    print(json.dumps(run(given.messages, given.seed), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
