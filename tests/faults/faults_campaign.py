"""Kills everything at random while three clients capture, then asks the database whether anything is missing.

    python tests/faults/faults_campaign.py --kills 1000        # as root; about ten minutes

What must be in the database is computed from the journals that the clients keep for themselves, one line after each
``end()`` that returned; nothing of it comes from provlight. Clients 0 and 1 run with ``durability=record``: every
task of their journals must be there exactly once. Client 2 runs with ``durability=batch``: its tasks must be a prefix
of what it did, without a gap, and what is missing at the end is the loss window, which is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Container
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults_network import SERVICE, Network

CLIENTS = 3
RECORD = (0, 1)
"""Clients whose calls return only when the record is on the disk."""
PORT = 1883
TARGETS = {"client": 45, "translator": 20, "broker": 15, "database": 15, "supervisor": 5}
"""What is killed, and how often of a hundred times."""
CUT_CHANCE = 0.1
"""How often a link is cut beside a kill."""
SETTLE_S = 300
"""How long the rest may take to arrive at the end."""
FLOW = {
    "tag": "faults",
    "transformations": [
        {
            "tag": "step",
            "sets": [
                {
                    "tag": tag,
                    "type": kind,
                    "attributes": [{"name": name, "type": "NUMERIC"} for name in ("slot", "run", "number", *more)],
                }
                for tag, kind, more in (("step_input", "INPUT", ()), ("step_output", "OUTPUT", ("square",)))
            ],
        }
    ],
}


@dataclass
class Outcome:
    """What happened, and what is wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    runs: int = 0
    tasks: int = 0
    window: list[int] = field(default_factory=list)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        lost = sorted(self.window)
        return {
            "kills": dict(self.kills),
            "link cuts": self.cuts,
            "client processes": self.runs,
            "tasks whose end() returned": self.tasks,
            "tasks lost per kill with durability=batch": {
                "median": lost[len(lost) // 2] if lost else 0,
                "most": lost[-1] if lost else 0,
            },
            "seconds": round(self.seconds, 1),
            "faults": self.faults,
        }


class Campaign:
    """Service, clients, and whoever kills them. All that is started is ended, whatever happens.

    Args:
        clients: how many, each in a slot that its runs follow each other in.
        record: slots whose calls return only when the record is on the disk.
        program: what the clients run.
    """

    def __init__(
        self,
        folder: Path,
        network: Network,
        seed: int,
        clients: int = CLIENTS,
        record: Container[int] = RECORD,
        program: str = "faults_client.py",
    ) -> None:
        self._folder = folder
        self._network = network
        self._chance = random.Random(seed)
        self._clients = clients
        self._record = record
        self._program = program
        self._cut_until: dict[int, float] = {}
        self._slots: dict[int, subprocess.Popen[bytes]] = {}
        self._begin_at: dict[int, float] = {}
        self._service: subprocess.Popen[bytes] | None = None
        self.outcome = Outcome()
        (folder / "credentials").write_text("edge\nsecret-of-edge\n")
        (folder / "clients.json").write_text(json.dumps({"edge": "secret-of-edge"}))
        (folder / "dataflow.json").write_text(json.dumps({"dataflows": [FLOW]}))
        for name in ("credentials", "clients.json"):
            (folder / name).chmod(0o600)

    # ---------------------------------------------------------------------------------------------- processes

    def serve(self) -> None:
        """Start the service and wait until it is ready."""
        command = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(self._folder / "data")]
        command += ["--clients", str(self._folder / "clients.json"), "--dataflow", str(self._folder / "dataflow.json")]
        command += ["--bind", SERVICE, "--mqtt-port", str(PORT)]
        with (self._folder / "service.log").open("ab") as log:
            process = subprocess.Popen(
                self._network.command("s", command), stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        self._service = process
        assert process.stdout is not None
        if not process.stdout.readline().startswith(b"ready"):
            raise RuntimeError(f"the service did not start:\n{(self._folder / 'service.log').read_text()[-2000:]}")

    def start(self, slot: int) -> None:
        """Start a client, the next run of its slot."""
        self.outcome.runs += 1
        run = self.outcome.runs
        journal = self._folder / f"journal-{slot}-{run}"
        command = [sys.executable, str(Path(__file__).with_name(self._program)), str(slot), str(run), str(journal)]
        with (self._folder / f"client-{slot}.log").open("ab") as log:
            self._slots[slot] = subprocess.Popen(
                self._network.command(str(slot), command), env=self._environment(slot), stdout=log, stderr=log
            )

    def _environment(self, slot: int) -> dict[str, str]:
        return {
            **os.environ,
            "PROVLIGHT_SERVER_URL": f"{SERVICE}:{PORT}",
            "PROVLIGHT_CREDENTIALS": str(self._folder / "credentials"),
            "PROVLIGHT_SPOOL_DIR": str(self._folder / f"spool-{slot}"),
            "PROVLIGHT_DURABILITY": "record" if slot in self._record else "batch",
            "PROVLIGHT_FLUSH_TIMEOUT": "60",
        }

    def end(self) -> None:
        """End whatever still runs."""
        for process in self._slots.values():
            end_process(process, signal.SIGKILL)
        if self._service is not None:
            end_process(self._service, signal.SIGTERM)

    # ------------------------------------------------------------------------------------------------ killing

    def kill(self, number: int, progress: bool) -> None:
        """Kill so many times, and bring back what does not come back by itself."""
        while sum(self.outcome.kills.values()) < number:
            time.sleep(self._chance.expovariate(1 / 0.25))
            target = self._chance.choices(list(TARGETS), list(TARGETS.values()))[0]
            if self._kill(target):
                self.outcome.kills[target] += 1
                done = sum(self.outcome.kills.values())
                if progress and done % 25 == 0:
                    print(f"{done} kills, {self.outcome.cuts} cuts, {self.outcome.runs} clients", file=sys.stderr)
            if self._chance.random() < CUT_CHANCE:
                self._cut()
            self._revive()

    def _kill(self, target: str) -> bool:
        if target == "client":
            slot = self._chance.randrange(self._clients)
            process = self._slots.get(slot)
            if process is None:
                return False
            end_process(process, signal.SIGKILL)
            del self._slots[slot]
            self._begin_at[slot] = time.monotonic() + self._chance.random() * 0.3
            return True
        if target == "supervisor":
            assert self._service is not None
            end_process(self._service, signal.SIGKILL)
            self.serve()
            return True
        try:
            state = json.loads((self._folder / "data/run/supervisor.json").read_text())
            os.kill(next(child["pid"] for child in state["children"] if child["name"] == target), signal.SIGKILL)
        except (OSError, ValueError, StopIteration, TypeError):  # it is dead already, or just being started
            return False
        return True

    def _cut(self) -> None:
        slot = self._chance.randrange(self._clients)
        if slot not in self._cut_until:
            self._network.cut(slot)
            self._cut_until[slot] = time.monotonic() + self._chance.random() * 2
            self.outcome.cuts += 1

    def _revive(self, everything: bool = False) -> None:
        now = time.monotonic()
        for slot, until in list(self._cut_until.items()):
            if everything or until <= now:
                self._network.mend(slot)
                del self._cut_until[slot]
        for slot, at in list(self._begin_at.items()):
            if everything or at <= now:
                del self._begin_at[slot]
                self.start(slot)
        for slot, process in self._slots.items():
            if process.poll() is not None:
                log = (self._folder / f"client-{slot}.log").read_text(errors="replace")
                raise RuntimeError(f"client {slot} ended by itself, code {process.returncode}:\n{log[-2000:]}")

    # ----------------------------------------------------------------------------------------------- settling

    def settle(self) -> None:
        """Let the clients end in peace, send what is left in their spools, and let the service store it."""
        self._revive(everything=True)
        time.sleep(1)
        for process in self._slots.values():
            process.send_signal(signal.SIGTERM)
        for slot, process in self._slots.items():
            code = process.wait(SETTLE_S)
            if code:
                self.outcome.faults.append(f"client {slot} ended with code {code}")
        self._slots.clear()
        for slot in range(self._clients):
            send = [sys.executable, "-m", "provlight", "spool", "send", "--timeout", str(SETTLE_S)]
            done = subprocess.run(
                self._network.command(str(slot), send),
                env=self._environment(slot),
                capture_output=True,
                text=True,
                timeout=SETTLE_S + 30,
                check=False,
            )
            left = [path for path in (self._folder / f"spool-{slot}").rglob("*") if path.is_file()]
            if done.returncode or any(path.suffix == ".seg" for path in left):
                self.outcome.faults.append(f"spool {slot} is not empty: {left[:3]} {done.stdout}{done.stderr}")
        self._ask("drain", "--timeout", "120")

    def verify(self) -> None:
        """Compare journals and database."""
        inputs, outputs = (self._counts(tag) for tag in ("step_input", "step_output"))
        for path in sorted(self._folder.glob("journal-*")):
            slot, run = map(int, path.name.split("-")[1:])
            lines = path.read_bytes().split(b"\n")[:-1]
            done = len(lines)
            self.outcome.tasks += done
            if lines and int(lines[-1]) != done:
                self.outcome.faults.append(f"{path.name} is damaged")
            begun, ended = inputs.pop((slot, run), 0), outputs.pop((slot, run), 0)
            # The last task may have been killed between its record and the line in the journal.
            least = done if slot in self._record else 0
            if not (least <= ended <= done + 1 and ended <= begun <= ended + 1):
                self.outcome.faults.append(f"client {slot}, run {run}: {done} done, {begun} begun, {ended} ended")
            if slot not in self._record:
                self.outcome.window.append(max(0, done - ended))
        for rest in (*inputs, *outputs):
            self.outcome.faults.append(f"rows of a client that never was: {rest}")
        self._nothing("records rejected", 'SELECT count(*) AS n FROM "public".rejected')
        self._nothing("records lost", 'SELECT count(*) AS n FROM "public".loss')
        self._nothing(
            "rows out of order",
            "SELECT count(*) AS n FROM (SELECT number AS here, lag(number) OVER (PARTITION BY slot, run ORDER BY id) "
            "AS earlier FROM step_output) AS pairs WHERE earlier >= here",
        )
        self._nothing("wrong values", "SELECT count(*) AS n FROM step_output WHERE square <> number * number")
        self._nothing(
            "tasks that ended and are not FINISHED",
            "SELECT count(*) AS n FROM step_output o JOIN task t ON t.id = o.step_task_id WHERE t.status <> 'FINISHED'",
        )

    def _counts(self, tag: str) -> dict[tuple[int, int], int]:
        """Rows of each client process; a fault when they are not 1, 2, 3 ... each once."""
        sql = (
            "SELECT slot, run, count(*) AS n, count(DISTINCT number) AS d, min(number) AS least, max(number) AS most "
            f"FROM {tag} GROUP BY slot, run"
        )
        found = {}
        for row in json.loads(self._ask("query", "--format", "json", sql)):
            key = int(row["slot"]), int(row["run"])
            found[key] = int(row["n"])
            if not row["n"] == row["d"] == row["most"] or row["least"] != 1:
                self.outcome.faults.append(f"{tag} of client {key[0]}, run {key[1]}: {row}")
        return found

    def _nothing(self, what: str, sql: str) -> None:
        count = json.loads(self._ask("query", "--format", "json", sql))[0]["n"]
        if count:
            self.outcome.faults.append(f"{count} {what}")

    def _ask(self, command: str, *arguments: str) -> str:
        asked = [sys.executable, "-m", "e2c.provenance", command, "--data", str(self._folder / "data"), *arguments]
        done = subprocess.run(
            self._network.command("s", asked), capture_output=True, text=True, timeout=SETTLE_S, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout


def end_process(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(kills: int, seed: int, loss_percent: int = 5, progress: bool = False) -> Outcome:
    """A whole campaign."""
    began = time.monotonic()
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="e2c-faults-")))
        network = cleanup.enter_context(Network(CLIENTS, loss_percent))
        campaign = Campaign(folder, network, seed)
        cleanup.callback(campaign.end)
        campaign.serve()
        for slot in range(CLIENTS):
            campaign.start(slot)
        campaign.kill(kills, progress)
        campaign.settle()
        campaign.verify()
    campaign.outcome.seconds = time.monotonic() - began
    return campaign.outcome


def main() -> int:
    """``python tests/faults/faults_campaign.py``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--loss", type=int, default=5, help="percent of the segments that are dropped, each way")
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    outcome = run(given.kills, given.seed, given.loss, progress=True)
    print(json.dumps(outcome.as_dict(), indent=2))
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
