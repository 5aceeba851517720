"""Making ``tc ... netem`` work on the hosts: by the running kernel, else by a User-Mode Linux between them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from e2c.environments.base import Claim, Progress
from e2c.environments.local import registry, requirements
from e2c.environments.local.layout import DEVICE
from e2c.environments.local.registry import Record
from e2c.environments.local.standalone import standalone
from e2c.errors import MissingToolError, TestbedError

MODES = ("auto", "kernel", "switch")
_DYING_LIMIT_S = 3.0
_CONNECT_LIMIT_S = 90.0
_PROBE = (
    "qdisc add dev lo root handle 1: htb",
    "class add dev lo parent 1: classid 1:1 htb rate 1mbit",
    "qdisc add dev lo parent 1:1 handle 10: netem delay 1ms",
    "filter add dev lo parent 1: protocol ip u32 match ip dst 127.0.0.1 flowid 1:1",
)
_MODULES = ("sch_netem", "sch_htb", "cls_u32")


def choose_mode(claim: Claim) -> str:
    """``kernel`` or ``switch``: what ``E2C_NETEM``, else the claim, asks for; ``auto`` takes what is there.

    Raises:
        MissingToolError: it is not possible on this machine.
        TestbedError: the setting is none of the three words.
    """
    asked = os.environ.get("E2C_NETEM") or str(claim.resources.get("netem") or "auto")
    if asked not in MODES:
        raise TestbedError(
            f"netem is {asked!r}, which is none of auto, kernel and switch", hint="Correct E2C_NETEM or netem:"
        )
    if asked in ("auto", "kernel") and kernel_has_netem():
        return "kernel"
    if asked == "kernel":
        raise MissingToolError(
            "links cannot be shaped by the running kernel: it has no netem (modules sch_netem, sch_htb, cls_u32)",
            hint="modprobe sch_netem; some distributions have it in linux-modules-extra-$(uname -r). "
            "Or let a User-Mode Linux do it: netem: auto",
        )
    lacking = lacking_for_switch()
    if not lacking:
        return "switch"
    alone = "" if asked == "switch" else "this kernel has no netem (sch_netem), and for a User-Mode Linux in its place "
    raise MissingToolError(
        f"links cannot be shaped here: {alone}there is no {' and no '.join(lacking)}",
        hint="; ".join(lacking.values()),
    )


def kernel_has_netem() -> bool:
    """Try what shaping a link takes, on the loopback interface of a scratch network namespace."""
    unshare, tc = requirements.program("unshare"), requirements.program("tc")
    if unshare is None or tc is None:
        return False
    if modprobe := requirements.program("modprobe"):
        subprocess.run([modprobe, "-q", "-a", *_MODULES], capture_output=True, check=False)
    done = subprocess.run(
        [unshare, "--net", tc, "-batch", "-"],
        input="\n".join(_PROBE) + "\n",
        text=True,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def lacking_for_switch() -> dict[str, str]:
    """What a User-Mode Linux switch would need and is not here, each with its remedy."""
    lacking = {}
    if requirements.program("linux.uml") is None or not Path("/usr/lib/uml/modules").is_dir():
        lacking["linux.uml"] = "apt-get install user-mode-linux"
    if not Path("/dev/net/tun").is_char_device():
        lacking["/dev/net/tun"] = "modprobe tun; start a container with --device /dev/net/tun"
    return lacking


def order(record: Record) -> tuple[list[str], str]:
    """Command of the switch's process and its standard input, in which whoever starts it fills in ``parent``."""
    program, interpreter = requirements.program("linux.uml"), requirements.host_interpreter()
    assert program is not None, "choose_mode() comes first"
    assert interpreter is not None, "choose_mode() comes first"
    told = {
        "parent": 0,
        "folder": str(registry.folder(record.layout.testbed)),
        "hosts": [host.index for host in record.layout.hosts],
        "device": DEVICE,
        "program": program,
        "interpreter": interpreter,
    }
    return standalone("e2c.environments.local.switchd"), json.dumps(told)


def start(record: Record, progress: Progress) -> None:
    """Launch the switch, unless it runs, and connect the hosts to it.

    A switch that was about to die may still answer the call; once it is gone, it is replaced.

    Raises:
        TestbedError: it does not start, does not boot, or has died.
    """
    launch(record)
    try:
        connect(record, progress)
    except TestbedError as error:
        if not _gone(record):
            raise
        progress(f"starting it again: {error}")
        launch(record)
        connect(record, progress)


def _gone(record: Record) -> bool:
    """Whether no switch answers any more, within the time that a dying one needs to end."""
    deadline, pause = time.monotonic() + _DYING_LIMIT_S, threading.Event()
    while (link := _control(record)) is not None:
        link.close()
        if time.monotonic() > deadline:
            return False
        pause.wait(0.05)
    return True


def launch(record: Record) -> None:
    """Start the switch, unless it runs; returns while it boots."""
    if _control(record) is not None:
        return
    command, told = order(record)
    document = {**json.loads(told), "parent": os.getpid()}
    done = subprocess.run(command, input=json.dumps(document), text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise TestbedError(
            "the netem switch does not start", why=(done.stderr.strip().splitlines() or ["no reason"])[-1]
        )


def connect(record: Record, progress: Progress) -> None:
    """Wait until the switch has booted, and let the hosts' links pass through it.

    Raises:
        TestbedError: it has not booted, or has died.
    """
    link = _control(record)
    answer = b""
    if link is not None:
        if not (registry.folder(record.layout.testbed) / "switch/tc").exists():
            progress("starting the netem switch, a User-Mode Linux between the hosts")
        with link:
            link.settimeout(_CONNECT_LIMIT_S)
            try:
                link.sendall(b"connect")
                answer = link.recv(65536)
            except OSError as error:  # its log knows why
                progress(f"the netem switch does not answer: {error}")
    if answer != b"connected":
        raise TestbedError(
            f"the netem switch of local testbed {record.layout.testbed} does not work",
            where=str(registry.folder(record.layout.testbed) / "uml/log"),
            why=answer.decode(errors="replace").removeprefix("failed ") or _last_words(record),
            hint="Try again; if it stays so, look at that file",
        )


def _last_words(record: Record) -> str:
    log = registry.folder(record.layout.testbed) / "uml/log"
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")


def _control(record: Record) -> socket.socket | None:
    """A connection to the switch's process, or ``None`` where none runs."""
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(str(registry.folder(record.layout.testbed) / "uml/control"))
    except OSError:
        link.close()
        return None
    return link
