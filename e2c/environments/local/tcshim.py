"""``tc`` on a host of a local testbed: what concerns eth0 is done by the netem switch once it runs, as if here.

Installed as /usr/local/sbin/tc with the host's own Python; standard library only. Everything else goes to the real tc.
A batch goes to the switch as a whole; where its lines concern both, in as many parts as it takes to keep their order.
"""

from __future__ import annotations

import os
import socket
import sys

REAL = "/usr/sbin/tc" if os.path.exists("/usr/sbin/tc") else "/sbin/tc"
SWITCH = "/run/e2c/tc"
DEVICE = "eth0"
DEVICES = (DEVICE, f"dup-{DEVICE}", f"dup-{DEVICE}r")
"""Those that the switch has: the host's own, and both ends of that which makes duplicates (e2c.emulation.copying)."""
LISTING = ("show", "list", "ls")


def for_switch(arguments: list[str]) -> list[str] | None:
    """The arguments to send to the switch, or None where the real tc is meant."""
    words = [word for word in arguments if not word.startswith("-")]
    if "dev" in words[:-1]:
        return arguments if words[words.index("dev") + 1] in DEVICES else None
    if words and words[0] in ("qdisc", "class", "filter") and (len(words) == 1 or words[1] in LISTING):
        return [*arguments, "dev", DEVICE]
    return None


def batch_file(arguments: list[str]) -> tuple[list[str], str] | None:
    """Where a batch is asked for: the other options, and the name of the file, which may be ``-``."""
    for place, word in enumerate(arguments):
        if not word.startswith("-"):
            return None
        if len(word) > 1 and "-batch".startswith(word):
            return (arguments[:place], arguments[place + 1]) if len(arguments) > place + 1 else None
    return None


def parts(text: str) -> list[tuple[bool, str]]:
    """A batch, cut where it changes between what is for the switch (True) and what is for the real tc (False).

    Each part has empty lines in place of what comes before it, so that errors name the right line.
    """
    found: list[tuple[bool, str]] = []
    lines = text.splitlines()
    start = 0
    while start < len(lines):
        end = start + 1
        while lines[end - 1].endswith("\\") and end < len(lines):
            end += 1
        line = " ".join(one.removesuffix("\\") for one in lines[start:end])
        words = line.partition("#")[0].split()
        told = for_switch(words)
        ours = told is not None if words else bool(found and found[-1][0])
        if told is not None and told is not words:
            line = " ".join(told)
        if not found or found[-1][0] != ours:
            found.append((ours, "\n" * start))
        found[-1] = ours, found[-1][1] + "\n" * (end - start - 1) + line + "\n"
        start = end
    return found


def ask(arguments: list[str], text: str = "") -> tuple[int, str, str]:
    """Exit code, output and errors of a ``tc`` in the switch, with a text for its standard input."""
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(SWITCH)
            link.sendall("\0".join([str(len(arguments)), *arguments, text]).encode())
            link.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: link.recv(65536), b"")).decode()
            if not answer:
                raise ConnectionResetError("it ended in between")
        except OSError as error:
            return 2, "", f"the netem switch of this testbed does not answer: {error}\n"
    code, out, err = answer.split("\0", 2)
    return int(code), out, err


def batch(options: list[str], file: str) -> int:
    """Run a batch where it belongs, as far as ``-force`` or its lines let it go."""
    with open(0 if file == "-" else file) as lines:
        text = lines.read()
    worst = 0
    for ours, part in parts(text) or [(False, "")]:
        if ours:
            code, out, err = ask([*options, "-batch", "-"], part)
        else:
            import subprocess  # seldom needed, and slow to import

            done = subprocess.run([REAL, *options, "-batch", "-"], input=part, capture_output=True, text=True)
            code, out, err = done.returncode, done.stdout, done.stderr
        sys.stdout.write(out)
        sys.stderr.write(err.replace("Command failed -:", f"Command failed {file}:"))
        worst = worst or code
        if code and not any(len(word) > 1 and "-force".startswith(word) for word in options):
            break
    return worst


def main() -> int:
    """Exit code of ``tc``, wherever it ran."""
    arguments = sys.argv[1:]
    script, told = batch_file(arguments), for_switch(arguments)
    if os.path.exists(SWITCH) and script is not None and (script[1] == "-" or os.path.exists(script[1])):
        return batch(*script)
    if not os.path.exists(SWITCH) or told is None:
        os.execv(REAL, ["tc", *arguments])  # noqa: S606 - it is what the user typed
    code, out, err = ask(told)
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code


if __name__ == "__main__":
    sys.exit(main())
