"""First process inside the netem switch's User-Mode Linux: loads modules, then runs ``ip`` and ``tc`` as it is told.

Run by the machine's own Python through a read-only view of the machine's files; standard library only. It talks over
the second console, one JSON document a line: ``["ip", ["link", ...], "standard input"]`` is answered by
``[exit code, output, errors]``. A long document comes as a file, and the line is its path: the console loses its way
when more than a page of input waits in it.

Starting a process is slow here (50 ms), so commands without options go to an ``ip`` and a ``tc`` that stay, in their
batch mode. A line that surely fails marks the end of each command's answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import termios
import tty

MODULES = ("bridge", "ifb", "sch_netem", "sch_htb", "sch_tbf", "sch_ingress", "cls_u32", "cls_matchall", "act_mirred")
PARAMETERS = {"ifb": b"numifbs=0", "ipv6": b"disable_ipv6=1"}
OPTIONAL = ("sch_tbf",)
FOLDER = "/usr/lib/uml/modules"
CONSOLE = "/dev/tty1"
MARK = "e2c-end"
PLAIN = re.compile(r"[\w.:/%,=+@][\w.:/%,=+@-]*", re.ASCII)


def load_modules() -> None:
    """Load what the switch needs, with what that needs."""
    folder = os.path.join(FOLDER, os.uname().release)
    paths = {}
    needs = {}
    with open(os.path.join(folder, "modules.dep")) as lines:
        for line in lines:
            path, _, others = line.partition(":")
            name = module_name(path)
            paths[name] = path
            needs[name] = [module_name(other) for other in others.split()]
    loaded: set[str] = set()

    def load(name: str) -> None:
        if name in loaded:
            return
        loaded.add(name)
        for other in needs[name]:
            load(other)
        with open(os.path.join(folder, paths[name]), "rb") as file:
            image = file.read()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(175, image, ctypes.c_ulong(len(image)), PARAMETERS.get(name, b"")) != 0:  # init_module
            raise OSError(ctypes.get_errno(), f"module {name}: {os.strerror(ctypes.get_errno())}")

    for name in MODULES:
        if name in paths or name not in OPTIONAL:
            load(name)


def module_name(path: str) -> str:
    return os.path.basename(path).split(".")[0].replace("-", "_")


class Tool:
    """``ip`` or ``tc`` that stays."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start()

    def start(self) -> None:
        self.line = 0
        self.process = subprocess.Popen(
            [self.name, "-force", "-batch", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, arguments: list[str], text: str) -> tuple[int, str, str]:
        """Exit code, output and errors of one command, which may have a text for its standard input."""
        if text or not arguments or not all(map(PLAIN.fullmatch, arguments)):
            done = subprocess.run([self.name, *arguments], input=text, capture_output=True, text=True)
            return done.returncode, done.stdout, done.stderr
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("{}\n{}\n".format(" ".join(arguments), MARK).encode())
        self.process.stdin.flush()
        self.line += 2
        end = f"Command failed -:{self.line}\n".encode()
        answer = b""
        while not answer.endswith(end):
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:  # wrong usage makes it exit
                self.process.wait()
                self.start()
                return 255, "", answer.decode()
            answer += part
        text = answer[: answer.rindex(b'Object "' + MARK.encode())].decode()
        failure = f"Command failed -:{self.line - 1}\n"
        if not text.endswith(failure):
            return 0, text, ""
        text = text[: -len(failure)]
        return 2 if text.startswith(("RTNETLINK", "Error:", "We have an error")) else 1, "", text


def send(console: int, data: bytes) -> None:
    """Write all of it: the console may take less at once."""
    while data:
        data = data[os.write(console, data) :]


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount /proc")
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    console = os.open(CONSOLE, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(console, termios.TCSANOW)
    load_modules()
    tools = {"ip": Tool("ip"), "tc": Tool("tc")}
    with os.fdopen(console, "rb", buffering=0, closefd=False) as reading:
        os.write(console, b"ready\n")
        pending = b""
        while True:
            pending += reading.read(65536)
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                if not line:  # a nudge
                    continue
                if line.startswith(b"/"):
                    with open(line, "rb") as document:
                        line = document.read()
                name, arguments, text = json.loads(line)
                send(console, json.dumps(tools[name].run(arguments, text)).encode() + b"\n")


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        sys.stderr.write(f"netem switch: {error}\n")
        sys.stderr.flush()
        raise
