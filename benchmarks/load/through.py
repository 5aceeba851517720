"""(a) Records each second from publishers to committed rows, and what each part computes for one of them."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass

from lab import Spread
from peer import Peer
from progress import say
from publisher import Traffic
from result import Part, Table, Target
from stand import PARTS, Client, Sent, Stand, send

WANTED = 70_000
TIMES = 400


@dataclass(frozen=True)
class Size:
    """How many records are sent in a run, rounds, and messages of the peer in each round."""

    records: int
    rounds: int
    peer_messages: int


@dataclass(frozen=True)
class Case:
    """One way to send."""

    per_message: int
    attributes: int
    publishers: int

    @property
    def name(self) -> str:
        who = "1 publisher" if self.publishers == 1 else f"{self.publishers} publishers"
        return f"{self.per_message} a message, {2 * self.attributes} attributes a task, {who}"

    def tasks(self, records: int) -> int:
        """Tasks of each publisher: single records take their time."""
        share = {1: 40, 2: 20, 32: 2}.get(self.per_message, 1)
        whole = max(1, records // share // self.publishers // self.per_message)
        return max(1, whole * self.per_message // 2)


JUDGED = Case(128, 5, 1)
CASES = (
    Case(1, 5, 1),
    Case(32, 5, 1),
    JUDGED,
    Case(128, 5, 2),
    Case(128, 10, 1),
    Case(256, 5, 1),
    Case(256, 5, 2),
)


def measure(stand: Stand, size: Size, peer: Peer | None) -> Part:
    """Interleaved: each round sends every case once in an order drawn anew, the peer's messages among them."""
    draw = random.Random(5)
    found: dict[str, list[Sent]] = {case.name: [] for case in CASES}
    rates: dict[str, list[float]] = {}
    ratios = []
    clients = [Client(stand, f"rate-{number}") for number in range(2)]
    try:
        send(stand, clients, Traffic(64, 128, 5))  # connections, sets, shapes
        for number in range(size.rounds):
            cases = list(CASES)
            draw.shuffle(cases)
            for case in cases:
                traffic = Traffic(case.tasks(size.records), case.per_message, case.attributes)
                found[case.name].append(send(stand, clients[: case.publishers], traffic))
            if peer is not None:
                for attributes in (5, 10):
                    rates.setdefault(f"{2 * attributes} attributes a task", []).append(
                        peer.rate(size.peer_messages, attributes)
                    )
                ratios.append(found[JUDGED.name][-1].rate / rates["10 attributes a task"][-1])
            say(f"records per second: round {number + 1} of {size.rounds}")
    finally:
        for client in clients:
            client.close()
    return _part(found, rates, ratios)


def _part(found: dict[str, list[Sent]], rates: dict[str, list[float]], ratios: list[float]) -> Part:
    rows, figures = [], {}
    for name, runs in found.items():
        spread = Spread.of(run.rate for run in runs)
        each = {part: statistics.median(run.each_us()[part] for run in runs) for part in ("publisher", *PARTS)}
        figures[name] = {"rates": [run.rate for run in runs], "cpu_us": each, "bytes": runs[0].bytes / runs[0].records}
        rows.append([name, str(runs[0].records), spread.show(0), *(f"{us:.1f}" for us in each.values())])
    columns = ["", "records", "records/s", "publisher's CPU, us a record", *(f"{part}'s" for part in PARTS)]
    tables = [Table("From the first message to all records committed and counted by SQL", columns, rows)]
    targets = [Target.at_least(f"records/s, {JUDGED.name}", Spread.of(figures[JUDGED.name]["rates"]).median, WANTED)]
    if rates:
        rows = [[name, Spread.of(values).show(0)] for name, values in rates.items()]
        tables.append(Table("The path of E2Clab 3.7.0's translator", ["", "messages/s"], rows))
        targets.append(Target.at_least("times the peer's rate, in the same round", Spread.of(ratios).median, TIMES))
        figures["peer"] = {"rates": rates, "times": ratios}
    return Part("rate", tables, figures, targets)
