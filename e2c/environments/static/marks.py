"""Marks on machines: which experiment uses each, written there so that no other controller takes it too."""

from __future__ import annotations

import getpass
import json
import shlex
import socket
from datetime import datetime, timezone

from pydantic import ValidationError

from e2c.environments.base import Claim
from e2c.environments.naming import mark
from e2c.model.frozen import Frozen
from e2c.remote import traces

PATH = f"{traces.HOME}/claim.json"
TAKEN = 3
"""Exit code of :func:`take` where the machine has a mark already; it is the output."""
NOT_OURS = 4
"""Exit code of :func:`free` where the machine's mark is of another scenario."""
NEVER = 5
"""Exit code of :func:`free` where the machine has no mark."""

_ANSIBLE = """\
ended=0
for job in $(ls ~/.ansible_async 2>/dev/null); do
  for process in /proc/[0-9]*; do
    tr '\\0' ' ' <$process/cmdline 2>/dev/null | grep -q "async_wrapper.* ${job%.*} " || continue
    session=$(sed 's/.*) //' $process/stat 2>/dev/null | cut -d' ' -f4)
    for other in /proc/[0-9]*; do
      [ "$(sed 's/.*) //' $other/stat 2>/dev/null | cut -d' ' -f4)" != "$session" ] || kill -9 ${other#/proc/}
    done
    ended=$((ended + 1))
    break
  done 2>/dev/null
done
rm -rf ~/.ansible_async ~/.ansible/tmp && { rmdir ~/.ansible 2>/dev/null || true; }
[ $ended = 0 ] || echo "background tasks: $ended ended"
"""
"""Ends the background tasks of plays, and removes what Ansible leaves. Left only where Ansible had none before, so all
in its folder is ours."""


class Mark(Frozen):
    """``/var/lib/e2c/claim.json`` of a machine in use.

    Attributes:
        scenario, experiment: who uses it, as the controller names them.
        controller: ``user@host`` of the controller.
        owner: what tells scenarios of all controllers apart.
        attempt: what tells this acquisition from others of the same scenario.
        key: service key of the part that the machine plays.
        since: UTC, ISO 8601.
    """

    scenario: str
    experiment: str
    controller: str
    owner: str
    attempt: str
    key: str
    since: str

    def held_by(self) -> str:
        """Who uses the machine, one clause."""
        return f"the scenario {self.scenario} of {self.controller} uses it since {self.since}"


def make(claim: Claim, key: str, attempt: str) -> Mark:
    """The mark of one machine of a claim."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        user = "someone"
    return Mark(
        scenario=claim.scenario,
        experiment=claim.experiment,
        controller=f"{user}@{socket.gethostname()}",
        owner=mark(claim.scenario),
        attempt=attempt,
        key=key,
        since=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


def read(text: str) -> Mark | None:
    """The mark that a machine has; ``None`` where it cannot be read."""
    try:
        return Mark.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        return None


def take(made: Mark) -> str:
    """Shell command that marks a machine, unless it has a mark already: prints that one then, with exit code 3.

    The mark appears whole or not at all (``ln`` fails where the name exists).
    """
    part = f"{traces.HOME}/.claim.{made.attempt}.{made.key}"
    return (
        f"umask 022; mkdir -p {traces.HOME} && printf '%s\\n' {shlex.quote(made.model_dump_json())} >{part} || exit 1; "
        f"ln {part} {PATH} 2>/dev/null; done=$?; rm -f {part}; "
        f"[ $done = 0 ] && {{ [ -e ~/.ansible_async ] || {traces.leave('zz-ansible', _ANSIBLE)}; exit 0; }}; "
        f"[ -e {PATH} ] || {{ echo 'its file system has no links' >&2; exit 1; }}; cat {PATH}; exit {TAKEN}"
    )


def look() -> str:
    """Shell command that prints the mark of a machine."""
    return f"cat {PATH}"


def free(owner: str) -> str:
    """Shell command that removes what was left on a machine, then its mark; only where the mark is the owner's.

    Prints what was removed, one clause a line.
    """
    ours = shlex.quote(f'"owner":"{owner}"')
    return (
        f"[ -e {PATH} ] || exit {NEVER}; grep -qF {ours} {PATH} || exit {NOT_OURS}; "
        f"({traces.undo()}) && rm -f {PATH} && {{ rmdir {traces.HOME} 2>/dev/null || true; }}"
    )
