"""Outcomes of plays, as values: raising is the caller's choice."""

from __future__ import annotations

import re
from typing import Any, Literal

from e2c.model.frozen import Frozen

Status = Literal["ok", "changed", "failed", "ignored", "unreachable", "skipped"]
MESSAGE_LINES = 12
LINE = 300
_ORNAMENTS = re.compile(
    r"(Data could not be sent to remote host \"[^\"]*\"\. Make sure this host can be reached over ssh: |"
    r"Failed to connect to the host via ssh: )"
)


class TaskResult(Frozen):
    """What one workflow task did on one host.

    Attributes:
        play: position of the play in what was run, from 0.
        host: service key.
        task: name of the task, or of its module when it has none.
        status: ``ignored`` is a failure that the task itself allows.
        rc: exit code, where the module has one.
        stdout, stderr, msg: what the module said.
        ended: when Ansible had its result, seconds since the epoch.
        seconds: duration; ``None`` where Ansible did not say when it began.
        job: identifier of a background task (``async`` with ``poll: 0``) that was started.
        limit_s: time limit of that background task.
        at: name of the host that the task was handed over to (``delegate_to``); empty: none.
    """

    play: int
    host: str
    task: str
    status: Status
    rc: int | None = None
    stdout: str = ""
    stderr: str = ""
    msg: str = ""
    ended: float = 0
    seconds: float | None = None
    job: str | None = None
    limit_s: int = 0
    at: str = ""

    @property
    def failed(self) -> bool:
        """The task counts as failed."""
        return self.status in ("failed", "unreachable")

    def gist(self) -> str:
        """The last line of what it said about its failure, without steering characters; empty where it said nothing."""
        generic = self.rc is not None and self.msg == "non-zero return code"
        said = self.stderr if self.stderr.strip() else "" if generic else self.msg
        lines = said.strip().splitlines()
        return "".join(char if char.isprintable() else " " for char in lines[-1])[:LINE].strip() if lines else ""

    def words(self) -> str:
        """Host, task, exit code and the last lines it said: what a person needs to act."""
        head = f"{self.host}: task {self.task!r} {self.status}"
        if self.rc is not None:
            head += f" (rc {self.rc})"
        parts = [head]
        if self.msg and not (self.rc is not None and self.msg == "non-zero return code"):
            parts.append(_indented("msg", self.msg))
        parts += [_indented(name, text) for name, text in (("stdout", self.stdout), ("stderr", self.stderr)) if text]
        return "\n".join(parts)


def _indented(name: str, text: str) -> str:
    lines = text.strip().splitlines()
    if len(lines) > MESSAGE_LINES:
        lines = [f"... {len(lines) - MESSAGE_LINES} lines before", *lines[-MESSAGE_LINES:]]
    return "\n".join([f"  {name}: {lines[0]}" if lines else f"  {name}:", *(f"    {line}" for line in lines[1:])])


def from_event(event: dict[str, Any]) -> list[TaskResult]:
    """Results in one ``result`` event of the callback; a loop over items gives one, with the texts joined."""
    result: dict[str, Any] = event["result"]
    items = [item for item in result.get("results", []) if isinstance(item, dict)]

    def text(name: str) -> str:
        own = result.get(name)
        if own is None and items:
            own = "\n".join(str(item[name]) for item in items if item.get(name))
        return own if isinstance(own, str) else "" if own is None else str(own)

    stderr = text("stderr") or text("module_stderr")
    msg = _ORNAMENTS.sub("", text("msg") or text("exception")).strip()
    common = {
        "play": event["play"],
        "host": event["host"],
        "task": event["task"],
        "ended": event["time"],
        "seconds": event["seconds"],
        "status": event["status"],
        "at": event.get("at") or "",
        "stdout": text("stdout") or text("module_stdout"),
        "stderr": stderr,
        "msg": msg or ("its connection ended" if event["status"] == "unreachable" else ""),
    }
    rc = result.get("rc")
    if rc is None:
        codes = [item["rc"] for item in items if isinstance(item.get("rc"), int)]
        rc = next((code for code in codes if code), codes[0] if codes else None)
    limit = int(event.get("limit") or 0)
    jobs = [
        str(item["ansible_job_id"])
        for item in (items or [result])
        if item.get("ansible_job_id") and not item.get("finished")
    ]
    if not jobs:
        return [TaskResult(**common, rc=rc)]
    return [TaskResult(**common, rc=rc, job=job, limit_s=limit) for job in jobs]
