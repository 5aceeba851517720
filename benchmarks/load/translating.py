"""The path of E2Clab's own translator: ``python translating.py PORT``; a line asks for so many messages and attributes.

Runs in the environment that has E2Clab. What is called is its module as it is installed: from the arrival of a message
on, with its logging into a file, to the answer of the service. Only the service's address is another one, and the
MQTT-SN client, which is not installed, stays away: messages are handed over.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import tempfile
import time
import types
import zlib
from pathlib import Path
from random import random
from typing import Any

ITS_ADDRESS = "localhost:22000"


def main() -> None:
    translator = load()
    import requests

    post, ours = requests.post, f"127.0.0.1:{sys.argv[1]}"

    def redirected(url: str, **more: Any) -> Any:
        answer = post(url.replace(ITS_ADDRESS, ours), **more)
        answer.raise_for_status()
        return answer

    requests.post = redirected
    first = 1
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        logging.basicConfig(filename=log.name, level=logging.INFO)
        arrived = translator.DfaTaskResource().message_arrived
        for line in sys.stdin:
            messages, attributes = json.loads(line)
            payloads = [
                message(number, status, attributes)
                for number in range(first, first + messages // 2)
                for status in (1, 2)
            ]
            first += messages // 2
            began = time.perf_counter()
            for payload in payloads:
                arrived("provlight1", payload, 0, False, 0)
            print(json.dumps({"messages": len(payloads), "wall_s": time.perf_counter() - began}), flush=True)


def load() -> Any:
    """The translator of the installed package, without the rest of it."""
    client = types.ModuleType("mqttsn.client")
    client.Callback = client.Client = object  # type: ignore[attr-defined]
    sys.modules |= {"mqttsn": types.ModuleType("mqttsn"), "mqttsn.client": client}
    package = next(Path(entry, "e2clab") for entry in sys.path if Path(entry, "e2clab").is_dir())
    path = package / "services" / "provenance" / "translator.py"
    spec = importlib.util.spec_from_file_location("translator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def message(number: int, status: int, attributes: int) -> bytes:
    """What its capture library sends: the beginning with the inputs, the end with the outputs."""
    said = {
        "wf_id": 1,
        "id": number,
        "transformation_id": "step",
        "dependencies": [],
        "time": time.time(),
        "status": status,
        "dataset": [
            {
                "id": f"{'used' if status == 1 else 'generated'}{number}",
                "dependencies": [],
                "attributes": {"values": [random() for _ in range(attributes)]},
            }
        ],
    }
    return zlib.compress(str(said).encode("ascii"))


if __name__ == "__main__":
    main()
