"""First process inside the netem switch's User-Mode Linux: loads modules, then runs ``ip`` and ``tc`` as it is told.

Run by the machine's own Python through a read-only view of the machine's files; standard library only. It talks over
the second console, one JSON document a line: ``["ip", ["link", ...], "standard input"]`` is answered by
``[exit code, output, errors]``. A long document comes as a file, and the line is its path: the console loses its way
when more than a page of input waits in it.

Starting a process is slow here (50 ms), so commands without options, and batches that are short or forced, go to an
``ip`` and a ``tc`` that stay, in their batch mode. A line that surely fails marks the end of each command's answer.
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

MODULES = (
    *("bridge", "ifb", "veth", "sch_netem", "sch_htb", "sch_tbf", "sch_ingress"),
    *("cls_u32", "cls_matchall", "act_mirred", "act_skbedit", "act_pedit"),
)
PARAMETERS = {"ifb": b"numifbs=0", "ipv6": b"disable_ipv6=1"}
OPTIONAL = ("sch_tbf",)
FOLDER = "/usr/lib/uml/modules"
CONSOLE = "/dev/tty1"
MARK = "e2c-end"
BATCHES = (["-batch", "-"], ["-force", "-batch", "-"])
SHORT = 40
"""Lines of a batch that are told one by one, or at once; a longer one is quicker in a process of its own."""
FAILURE = re.compile(r"Command failed -:(\d+)\n")
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
        if arguments in BATCHES and text.strip():
            lines = [line.split() if not line.startswith("#") else [] for line in text.splitlines()]
            force = "-force" in arguments
            if (force or len(lines) <= SHORT) and all(PLAIN.fullmatch(word) for line in lines for word in line):
                return self.batch(lines, force)
        if text or not arguments or not all(map(PLAIN.fullmatch, arguments)):
            done = subprocess.run([self.name, *arguments], input=text, capture_output=True, text=True)
            return done.returncode, done.stdout, done.stderr
        code, answer = self.ask([arguments])
        if code:
            return code, "", answer
        failure = FAILURE.search(answer)
        if not failure:
            return 0, answer, ""
        text = answer[: failure.start()]
        return 2 if text.startswith(("RTNETLINK", "Error:", "We have an error")) else 1, "", text

    def ask(self, lines: list[list[str]]) -> tuple[int, str]:
        """What is said to some commands, with the places among them of those that fail; not 0 when it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("".join(" ".join(line) + "\n" for line in [*lines, [MARK]]).encode())
        self.process.stdin.flush()
        before = self.line
        self.line += len(lines) + 1
        end = f"Command failed -:{self.line}\n".encode()
        answer = b""
        while not answer.endswith(end):
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:  # wrong usage makes it exit
                self.process.wait()
                self.start()
                return 255, answer.decode()
            answer += part
        text = answer[: answer.rindex(b'Object "' + MARK.encode())].decode()
        return 0, FAILURE.sub(lambda found: f"Command failed -:{int(found[1]) - before}\n", text)

    def batch(self, lines: list[list[str]], force: bool) -> tuple[int, str, str]:
        """What a batch of commands would say, up to the first that fails unless forced.

        Those that print nothing are told many at a time, where nothing depends on the answer.
        """
        outputs, errors = [], []
        place = 0
        while place < len(lines):
            end = place + 1
            while force and is_silent(lines[place]) and end < min(place + SHORT, len(lines)) and is_silent(lines[end]):
                end += 1
            if end > place + 1:
                code, err = self.ask(lines[place:end])
                errors.append(renumbered(err, place))
                if code:
                    errors.append(f"Command failed -:{end}\n")
            elif lines[place]:
                code, out, err = self.run(lines[place], "")
                outputs.append(out)
                if code:
                    errors.append(f"{err}Command failed -:{end}\n")
            if any(errors) and not force:
                break
            place = end
        return int(any(errors)), "".join(outputs), "".join(errors)


def is_silent(line: list[str]) -> bool:
    """Whether a command says nothing unless it fails."""
    return len(line) > 1 and line[1] in ("add", "change", "replace", "del")


def renumbered(text: str, before: int) -> str:
    """Failures as a batch numbers them that has lines before those that were told."""
    return FAILURE.sub(lambda found: f"Command failed -:{int(found[1]) + before}\n", text)


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
