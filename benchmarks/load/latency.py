"""(c) How long a single message takes to be committed when nothing else is under way."""

from __future__ import annotations

from lab import Spread
from progress import say
from publisher import Traffic
from result import Part, Table
from stand import Client, Stand, send

SIZES = (2, 16, 128, 256)
PAUSE_S = 0.05


def measure(stand: Stand, messages: int) -> Part:
    """One client sends a message, waits until it is acknowledged, pauses, and sends the next one."""
    client = Client(stand, "lonely")
    rows, figures = [], {}
    try:
        send(stand, [client], Traffic(64, 128, 5))
        for records in SIZES:
            sent = send(stand, [client], Traffic(messages * records // 2, records, 5, pause_s=PAUSE_S))
            waits = sorted(1000 * wait for wait in sent.waits_s)
            figures[f"{records} records"] = {"waits_ms": waits, "cpu_us": sent.each_us()}
            late = waits[int(len(waits) * 0.95)]
            each = {part: 1000 * seconds / len(waits) for part, seconds in sent.cpu_s.items()}
            median = f"{Spread.of(waits).median:.1f}"
            cpu = (f"{each[part]:.1f}" for part in ("translator", "database"))
            rows.append([str(records), median, f"{late:.1f}", f"{waits[-1]:.1f}", *cpu])
    finally:
        client.close()
    say("latency of single messages")
    columns = ["records in it", "median", "95 %", "greatest", "translator's CPU", "database's CPU"]
    title = f"From handing over a message to its acknowledgement, in ms ({messages} messages, one at a time)"
    return Part("latency", [Table(title, columns, rows)], figures)
