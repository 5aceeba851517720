"""(b) Bytes that cross the connection for each task: what TCP carries in both directions, counted by a relay."""

from __future__ import annotations

from lab import ATTRIBUTES, LABELS, Lab
from progress import say
from relay import Relay
from result import Part, Table, Target

ALONE = {"PROVLIGHT_BATCH": "1"}
_WAYS = (
    ("provlight", "grouped", {}),
    ("provlight", "each record alone", ALONE),
    ("flowcept-redis", "grouped by 50", {}),
    ("openlineage", "each record alone", {}),
    ("http", "each record alone", {}),
    ("http-new", "each record alone", {}),
    ("http-requests", "each record alone", {}),
)


def measure(lab: Lab, tasks: int) -> Part:
    """Connecting, logging in and announcing shapes are counted too, as part of so many tasks."""
    rows, figures = [], {}
    for subject, how, settings in _WAYS:
        if subject not in lab.subjects:
            continue
        for attributes in ATTRIBUTES:
            up, down = _count(lab, subject, attributes, tasks, settings)
            figures[f"{subject} {attributes} {how}"] = {"up": up, "down": down}
            rows.append([LABELS[subject], how, str(attributes), f"{up:.0f}", f"{up / 2:.0f}", f"{down:.0f}"])
    say("bytes on the wire")
    targets = [
        Target.below("bytes of a grouped record, 10 random floats", figures["provlight 10 grouped"]["up"] / 2, 90),
        Target.below("bytes of a grouped record, 100 random floats", figures["provlight 100 grouped"]["up"] / 2, 700),
    ]
    columns = ["", "messages", "floats used and generated", "task, up", "record (half a task), up", "task, down"]
    title = f"Bytes in the TCP connection, for each of {tasks} tasks with random floats"
    return Part("wire", [Table(title, columns, rows)], figures, targets)


def _count(lab: Lab, subject: str, attributes: int, tasks: int, settings: dict[str, str]) -> tuple[float, float]:
    kind = {"provlight": "mqtt", "flowcept-redis": "redis"}.get(subject, "http")
    port = {"mqtt": lab.service.port, "redis": lab.redis_port, "http": lab.http_port}[kind]
    with Relay(port) as relay:
        asked = {"mode": "send", "subject": subject, "attributes": attributes, "tasks": tasks, "seed": 7}
        lab.run(asked, ports={kind: relay.port}, settings=settings)
        return relay.up / tasks, relay.down / tasks
