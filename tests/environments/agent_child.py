"""A child process that does not do what it should, in place of ``e2c.environments.enos.worker``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

PASSWORD = "s3cr3t-of-jdoe"


def main() -> None:
    descriptor = int(sys.argv[1])
    request = json.load(sys.stdin)

    def send(event: dict[str, Any]) -> None:
        os.write(descriptor, json.dumps(event).encode() + b"\n")

    action = request["action"]
    if action == "crash":
        print("Traceback of something", f"the last words, with {PASSWORD}", sep="\n", file=sys.stderr)
        os._exit(3)
    if action == "leak":
        send({"event": "say", "text": f"as jdoe:{PASSWORD}"})
        send({"event": "waiting", "text": request["basic"]})
        send({"event": "error", "what": f"what {PASSWORD}", "where": PASSWORD, "why": f"{PASSWORD}!", "hint": PASSWORD})
    if action == "large":
        send({"event": "say", "text": "x" * 1_000_000})
        send({"event": "result", "value": "y" * 1_000_000})
    if action == "hang":
        # a program that was started, as Ansible starts ssh, and that nobody asked to stop
        started = subprocess.Popen([sys.executable, "-c", "import time; print('there', flush=True); time.sleep(600)"])
        send({"event": "say", "text": json.dumps([os.getpid(), started.pid])})
        time.sleep(600)


if __name__ == "__main__":
    main()
