"""The status report as text for Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "e2c_provenance"

_CLIENT_COUNTERS = (
    ("received", "Records of a client that were taken in."),
    ("stored", "Records of a client that are in the tables of their sets."),
    ("rejected", "Records of a client that could not be stored and are kept in the table rejected."),
    ("lost", "Records that a client had to drop before it could send them."),
)
_TRANSLATOR = (
    ("messages_total", "counter", "messages", "Messages stored since the translator started."),
    ("waiting_messages", "gauge", "waiting", "Messages taken from the broker and not stored yet."),
    ("unresolved_dependencies", "gauge", "unresolved_dependencies", "Dependencies whose task is not known yet."),
)

Sample = tuple[Mapping[str, Any], float]


def text(report: Mapping[str, Any]) -> str:
    """The report of :func:`e2c.provenance.reporting.status.report` as metrics; each has its help and its type."""
    lines: list[str] = []

    def metric(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> None:
        found = list(samples)
        if found:
            lines.append(f"# HELP {PREFIX}_{name} {meaning}")
            lines.append(f"# TYPE {PREFIX}_{name} {kind}")
            lines.extend(f"{PREFIX}_{name}{_labels(labels)} {_number(value)}" for labels, value in found)

    metric("healthy", "gauge", "Whether every part answers and there is space on the disk.", [({}, report["healthy"])])
    metric("disk_free_bytes", "gauge", "Free on the disk of the data folder.", [({}, report["free_bytes"])])
    parts = report["children"]
    metric(
        "part_up",
        "gauge",
        "Whether a part answers.",
        [({"part": part["name"]}, report["health"].get(part["name"], False)) for part in parts],
    )
    metric(
        "part_restarts_total",
        "counter",
        "How often a part was started again since the service started.",
        [({"part": part["name"]}, part["restarts"]) for part in parts],
    )
    for name, kind, key, meaning in _TRANSLATOR:
        metric(name, kind, meaning, [({}, report["translator"][key])] if key in report["translator"] else [])
    clients = [(_client(client), client) for client in report["clients"]]
    for key, meaning in _CLIENT_COUNTERS:
        metric(f"records_{key}_total", "counter", meaning, [(labels, client[key]) for labels, client in clients])
    metric(
        "client_lag_seconds",
        "gauge",
        "From the capture of the newest record stored to its storing, by the clocks of both hosts.",
        [(labels, client["lag_s"]) for labels, client in clients if client["lag_s"] is not None],
    )
    metric(
        "client_last_seen_timestamp_seconds",
        "gauge",
        "When records of a client were stored last, in seconds since 1970.",
        [(labels, _seconds(client["last_seen"])) for labels, client in clients],
    )
    return "\n".join(lines) + "\n"


def _client(client: Mapping[str, Any]) -> dict[str, str]:
    return {"user": client["user"], "client": client["client"], "host": client["host"] or ""}


def _labels(labels: Mapping[str, Any]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(float(value)) if isinstance(value, float) else str(int(value))


def _seconds(moment: str) -> float:
    """Of a time as the report has it, UTC with a Z at its end."""
    return datetime.fromisoformat(moment.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()
