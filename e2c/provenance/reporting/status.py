"""How a running service is, what each client has sent, and how to wait until everything is stored."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance.folder import BROKER_USER, DataFolder, read_json
from e2c.provenance.queries import ask
from e2c.provenance.serving.children import FAILING, STABLE_S, start_time
from e2c.provenance.space import free, scarce

HEARTBEAT_LIMIT_S = 15.0
"""Older than this, the translator's heartbeat says that it hangs."""

ASK_AGAIN_S = 1.0
STOP_LIMIT_S = 120.0


def report(folder: DataFolder) -> dict[str, Any]:
    """State of the children, of the parts they serve, and of each client.

    ``healthy`` is whether every part answers and there is space on the disk. A child that ended several times in a row,
    and has not lived long since, has the state ``failing``. The ``lag_s`` of a client is the time from the capture of
    the newest record of its latest transaction to its storing, by the clocks of both hosts; None while it has stored
    none. No secrets.

    Raises:
        ProvenanceError: no service has run in this folder.
    """
    state = read_json(folder.supervisor)
    running = is_running(folder)
    children = state["children"]
    ready = {child["name"] for child in children if running and child["state"] == "ready"}
    for child in children:
        del child["started"]
        if not running:
            child.update(state="down", pid=None)
        elif child["failures"] >= FAILING and not (child["state"] == "ready" and _lives(child)):
            child["state"] = "failing"
    health = {"broker": False, "database": False, "translator": False}
    translator: dict[str, Any] = {}
    clients: list[dict[str, Any]] = []
    undeclared: list[dict[str, Any]] = []
    if running:
        health["broker"] = _broker_answers(folder)
        clients, undeclared, health["database"] = _stored(folder)
        with suppress(ProvenanceError):  # not written yet: not healthy
            translator = read_json(folder.translator)
            beats = time.time() - translator["time"] < HEARTBEAT_LIMIT_S
            health["translator"] = bool(beats and translator["broker"] and translator["database"])
        for child in children:  # a part that is being started again answers not yet, or no longer
            health[child["name"]] = health.get(child["name"], True) and child["name"] in ready
    full = scarce(folder)
    return {
        "healthy": running and all(health.values()) and not full,
        "running": running,
        "free_bytes": free(folder),
        "disk_full": full,
        "health": health,
        "children": children,
        "translator": translator,
        "clients": clients,
        "undeclared": undeclared,
    }


def drain(folder: DataFolder, timeout_s: float) -> None:
    """Return when everything the broker has received so far is stored.

    A marker follows the messages on their way; the translator answers it after the commit of what came before it.

    Raises:
        ProvenanceError: no service runs, or not everything is stored in time.
    """
    if not is_running(folder):
        raise ProvenanceError("no provenance service is running", where=str(folder.root))
    from provlight.wire import ack_topic, records_topic

    name = f"drain-{secrets.token_hex(8)}"
    answered = threading.Event()
    client = _broker_client(folder, name)
    client.on_connect = lambda *_: client.subscribe(ack_topic(BROKER_USER, name), qos=1)
    client.on_message = lambda *_: answered.set()
    address, port = _broker_address(folder)
    deadline = time.monotonic() + timeout_s
    client.connect_async(address, port, 30)
    client.loop_start()
    try:
        while not answered.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                raise ProvenanceError(
                    f"not everything is stored after {timeout_s:g} s", hint="See `python -m e2c.provenance status`"
                )
            # Again and again: a broker or translator that was away has forgotten the earlier ones.
            client.publish(records_topic(0, BROKER_USER, name), b"drain", qos=1)
            answered.wait(min(ASK_AGAIN_S, left))
    finally:
        client.disconnect()
        client.loop_stop()


def stop(folder: DataFolder) -> bool:
    """Stop the service and wait for its end. Returns False when none was running.

    Raises:
        ProvenanceError: it did not end.
    """
    if not is_running(folder):
        return False
    pid = read_json(folder.supervisor)["pid"]
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            if not selector.select(STOP_LIMIT_S):
                raise ProvenanceError(f"the service did not stop within {STOP_LIMIT_S:g} s", where=f"pid {pid}")
    finally:
        os.close(descriptor)
    return True


def is_running(folder: DataFolder) -> bool:
    """Whether the supervisor of a data folder lives."""
    if not folder.supervisor.exists():
        return False
    state = read_json(folder.supervisor)
    return state["pid"] is not None and start_time(state["pid"]) == state["started"]


def _stored(folder: DataFolder) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """Figures of each client, what came undeclared, and whether the database answers."""
    clients: list[dict[str, Any]] = []
    undeclared: list[dict[str, Any]] = []
    try:
        with ask(folder, _CLIENTS, 10) as answer:
            clients += [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        with ask(folder, 'SELECT * FROM "public".undeclared', 10) as answer:
            undeclared += [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    except ProvenanceError:
        return clients, undeclared, False
    for row in clients:
        row["user"] = row.pop("user_name")
        lag_us = row.pop("lag_us")
        row["lag_s"] = None if lag_us is None else lag_us / 1e6
        for name in ("first_seen", "last_seen"):
            row[name] = row[name].isoformat(timespec="microseconds") + "Z"
    return clients, undeclared, True


_CLIENTS = (
    "SELECT user_name, client, host, received, stored, rejected, lost, lag_us, last_seq, first_seen, last_seen "
    'FROM "public".client ORDER BY id'
)


def _lives(child: dict[str, Any]) -> bool:
    """Whether a child has lived long enough to be taken for a sound one."""
    return child["since"] is not None and time.time() - child["since"] > STABLE_S


def _broker_address(folder: DataFolder) -> tuple[str, int]:
    local = read_json(folder.service)["local"]
    return str(local["address"]), int(local["port"])


def _broker_client(folder: DataFolder, name: str) -> Any:
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    client.username_pw_set(BROKER_USER, folder.passwords()[BROKER_USER])
    return client


def _broker_answers(folder: DataFolder) -> bool:
    """Whether the broker accepts our password."""
    accepted = threading.Event()

    def connected(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        del client, data, flags, properties
        if not reason.is_failure:
            accepted.set()

    try:
        address, port = _broker_address(folder)
        client = _broker_client(folder, f"status-{secrets.token_hex(8)}")
        client.on_connect = connected
        client.connect(address, port, 10)
    except (ProvenanceError, OSError):
        return False
    client.loop_start()
    try:
        return accepted.wait(5)
    finally:
        client.disconnect()
        client.loop_stop()
