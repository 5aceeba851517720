"""Ansible callback that writes what happens as JSON lines to the descriptor named by ``E2C_EVENTS_FD``.

Loaded by ``ansible-playbook`` from this folder, never imported by e2c: the folder is no package on purpose.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

from e2c.remote import overlong
from e2c.remote.overlong import called

DOCUMENTATION = """
    name: e2c_events
    type: stdout
    short_description: events as JSON lines
    description: [What each task did on each host, for the program that started Ansible.]
"""

KEPT = frozenset(
    [
        "rc",
        "stdout",
        "stderr",
        "msg",
        "module_stderr",
        "module_stdout",
        "changed",
        "skip_reason",
        "exception",
        "ansible_job_id",
        "results_file",
        "started",
        "finished",
        "results",
    ]
)


def shortened(value: Any, host: str, task: str, name: str) -> Any:
    """The value with long texts cut, which are written to files: one chatty task must not fill the record."""
    if isinstance(value, str):
        return overlong.kept(str(value), host, task, name)
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [shortened(item, host, task, name) for item in value]
    if isinstance(value, dict):
        return {
            str(key): shortened(item, host, task, str(key))
            for key, item in value.items()
            if key in KEPT or key == "item"
        }
    return str(value)


def rescued(task: Any) -> bool:
    """A block around the task has a ``rescue:`` for it."""
    child, block = task, task._parent
    while block is not None:
        if getattr(block, "rescue", None) and any(child._uuid == other._uuid for other in block.block):
            return True
        child, block = block, block._parent
    return False


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """One line per event; see :mod:`e2c.remote.playbook` for the reader."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "e2c_events"

    def __init__(self) -> None:
        super().__init__()
        self.out = os.fdopen(int(os.environ["E2C_EVENTS_FD"]), "w", buffering=1, encoding="utf-8")
        self.play = -1
        self.uuid = ""
        self.began: dict[tuple[str, str], float] = {}

    def emit(self, kind: str, **fields: Any) -> None:
        """Write one event."""
        self.out.write(json.dumps({"event": kind, "time": time.time(), "play": self.play, **fields}) + "\n")

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play begins."""
        if play._uuid != self.uuid:  # a play with `serial:` begins once for each batch of its hosts
            self.uuid = play._uuid
            self.play += 1
        self.emit("play", name=play.get_name())

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A task begins on a host."""
        self.began[host.get_name(), task._uuid] = time.time()
        self.emit("start", host=host.get_name(), task=called(task))

    def result(self, status: str, result: Any, kind: str = "result") -> None:
        """A task ended on a host; of kind ``item``: one round of its loop did."""
        host, task = result._host.get_name(), result._task
        began = None if kind == "item" else self.began.pop((host, task._uuid), None)
        self.emit(
            kind,
            status=status,
            host=host,
            task=called(task),
            seconds=None if began is None else time.time() - began,
            module=task.action,
            limit=task.async_val,
            at=str(task.delegate_to or ""),  # in a loop that of its last round; those of the others came as items
            result={
                key: shortened(value, host, called(task), key) for key, value in result._result.items() if key in KEPT
            },
        )

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """One round of a loop; what it began in the background must be known before the whole loop has ended."""
        if result._result.get("ansible_job_id"):
            self.result("changed", result, "item")

    def v2_runner_on_ok(self, result: Any) -> None:
        """It did what was asked."""
        self.result("changed" if result._result.get("changed") else "ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """It failed."""
        self.result("ignored" if ignore_errors or rescued(result._task) else "failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The host did not answer."""
        self.result("ignored" if result._task.ignore_unreachable else "unreachable", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A condition excluded it."""
        self.result("skipped", result)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """No host of the play is left."""
        self.emit("nohosts")
