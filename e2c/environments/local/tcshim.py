"""``tc`` on a host of a local testbed: what concerns eth0 is done by the netem switch once it runs, as if here.

Installed as /usr/local/sbin/tc with the host's own Python; standard library only. Everything else goes to the real tc.
"""

from __future__ import annotations

import os
import socket
import sys

REAL = "/usr/sbin/tc" if os.path.exists("/usr/sbin/tc") else "/sbin/tc"
SWITCH = "/run/e2c/tc"
DEVICE = "eth0"
LISTING = ("show", "list", "ls")


def for_switch(arguments: list[str]) -> list[str] | None:
    """The arguments to send to the switch, or None where the real tc is meant."""
    words = [word for word in arguments if not word.startswith("-")]
    if "dev" in words[:-1]:
        return arguments if words[words.index("dev") + 1] == DEVICE else None
    if words and words[0] in ("qdisc", "class", "filter") and (len(words) == 1 or words[1] in LISTING):
        return [*arguments, "dev", DEVICE]
    return None


def main() -> int:
    """Exit code of ``tc``, wherever it ran."""
    arguments = for_switch(sys.argv[1:])
    if arguments is None or not os.path.exists(SWITCH):
        os.execv(REAL, ["tc", *sys.argv[1:]])  # noqa: S606 - it is what the user typed
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(SWITCH)
        link.sendall("\0".join(arguments).encode())
        link.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: link.recv(65536), b"")).decode()
        if not answer:
            raise ConnectionResetError("it ended in between")
    except OSError as error:
        answer = f"2\0\0the netem switch of this testbed does not answer: {error}\n"
    code, out, err = answer.split("\0", 2)
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
