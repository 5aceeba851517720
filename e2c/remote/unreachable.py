"""Why a machine does not answer to ssh, in words that say what to mend."""

from __future__ import annotations

import re
from pathlib import Path

from e2c.model.host import Host
from e2c.remote.shell import SSH_FAILED, TIMED_OUT, Result, explain

_UNINFORMATIVE = re.compile(r"(Connection closed by UNKNOWN|Connection to UNKNOWN|\*\* WARNING|Warning: )")
_PLACE = re.compile(r"connect to host (\S+) port (\d+): (.+)")
_UNNAMED = re.compile(r"Could not resolve hostname (\S+): ")
_REFUSED_KEY = re.compile(r"(?:(\S+)@(\S+): )?Permission denied \(")


def reason(host: Host, result: Result) -> str:
    """One clause: why this answer of ssh is none. Tells a jump host that fails from the machine behind it."""
    if result.rc == TIMED_OUT:
        return "no answer in time"
    if result.rc != SSH_FAILED:
        return explain(result)
    lines = [line.strip().rstrip(".") for line in result.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not _UNINFORMATIVE.match(line)]
    if any("bad permissions" in line for line in telling):
        return f"the key {host.keyfile} is not used, because others may read it (chmod 600 it)"
    for line in telling:
        found = _recognised(host, line)
        if found:
            return found
    if host.jump and any("stdio forwarding failed" in line for line in telling):
        return f"the jump host {host.jump} cannot reach port {host.port} of it"
    if any("kex_exchange_identification" in line for line in telling):
        closed = "closed the connection before the login"
        if host.jump:
            return f"the jump host {host.jump} {closed}: it cannot reach port {host.port} of the machine, or is crowded"
        return f"its ssh server {closed}, as many connections at once make it do"
    if not telling and host.jump:
        return f"the connection through {host.jump} was closed"
    return telling[-1].removeprefix("ssh: ") if telling else "the connection was closed"


def _recognised(host: Host, line: str) -> str | None:
    if match := _UNNAMED.search(line):
        return f"the name {match[1]} does not resolve"
    if match := _PLACE.search(line):
        at = f"port {match[2]}" if match[1] == host.address else f"port {match[2]} of {match[1]}"
        words = {
            "Connection refused": f"nothing listens on {at}",
            "Connection timed out": f"no answer on {at}",
            "No route to host": "no route to it" if match[1] == host.address else f"no route to {match[1]}",
        }
        return words.get(match[3], f"{match[3].lower()} ({at})")
    if match := _REFUSED_KEY.search(line):
        user, place = match[1] or host.user, match[2]
        if host.keyfile and not Path(host.keyfile).expanduser().exists():
            return f"the key file {host.keyfile} does not exist"
        key = f"the key {host.keyfile}" if host.keyfile else "every key it was offered"
        whose = f"for user {user}" if place in (None, host.address) else f"for {user}@{place}, the jump host"
        return f"{key} is refused {whose}"
    if "Connection timed out during banner exchange" in line:
        return "it accepts connections, but no ssh server answers"
    return None
