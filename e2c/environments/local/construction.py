"""The controller's side of building a testbed: gives the order, follows the builder, waits until every host answers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2c.environments.base import Claim
from e2c.environments.local import builder, kernel, neighbours, registry, requirements, switch
from e2c.environments.local.layout import DEVICE, HostLayout, Layout, draw, short_id
from e2c.environments.local.registry import Process, Record
from e2c.environments.local.standalone import standalone
from e2c.errors import TestbedError

_BUILD_LIMIT_S = 60.0
_SSH_LIMIT_S = 30.0


class Construction:
    """One testbed being built, by a process that works while the caller does something else.

    ``start`` then ``finish``; whoever gets an exception from either releases the claim. ``warning`` is what ``start``
    found that may disturb the hosts.
    """

    def __init__(self, claim: Claim, keys: list[str], *, with_switch: bool = False) -> None:
        self.claim = claim
        self.keys = keys
        self.with_switch = with_switch
        self.record: Record | None = None
        self.warning: str | None = None
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Record:
        """Choose names and addresses, write them down, and set the builder to work.

        Raises:
            TestbedError: no room, or another experiment has the same testbed id.
        """
        testbed = short_id(self.claim.experiment)
        with registry.locked():
            layout = draw(testbed, self.keys, taken=registry.taken(), ipv6=requirements.has_ipv6())
            self.record = Record(claim=self.claim, layout=layout)
            folder = registry.create(self.record)
            sizes = [len(record.layout.hosts) for record in map(registry.read, registry.testbeds()) if record]
            self.warning = neighbours.make_room(registry.ROOT, neighbours.needed(sizes))
        for name in ("hosts", "switch", "cp"):
            (folder / name).mkdir()
        self._process = subprocess.Popen(
            standalone("e2c.environments.local.builder"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the controller, which then ends the builder
        )
        start = kernel.start_time(self._process.pid)
        assert start is not None, "it waits for its order"
        self.record = self.record.model_copy(update={"builder": Process(pid=self._process.pid, start=start)})
        registry.write(self.record)  # before it does anything, so that whoever releases can stop it first
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(_order(self.record, folder, self.with_switch)))
        self._process.stdin.close()
        self._process.stdin = None
        return self.record

    def take_up(self) -> bool:
        """Take up the testbed that the same claim built before, if it stands whole: no step of an experiment that is
        gone on with is lost."""
        record = registry.read(short_id(self.claim.experiment))
        if record is None or record.phase != "ready" or record.claim.experiment != self.claim.experiment:
            return False
        if [host.key for host in record.layout.hosts] != self.keys or not registry.stands(record):
            return False
        self.record = record
        return True

    def finish(self) -> Record:
        """Wait until all hosts answer to ssh; returns the record with their first processes.

        Raises:
            TestbedError: a host could not be built, or does not answer.
        """
        assert self.record is not None
        if self._process is None:  # taken up
            return self.record
        try:
            out, err = self._process.communicate(timeout=_BUILD_LIMIT_S + len(self.keys))
        except subprocess.TimeoutExpired as late:
            raise TestbedError(
                "the local testbed was not built in time",
                why=f"{late.timeout:.0f} s have passed",
                hint="The machine may be overloaded; try again, or with fewer hosts",
            ) from late
        answers = [json.loads(line) for line in out.splitlines()]
        failures = [answer["error"] for answer in answers if "error" in answer]
        if failures or self._process.returncode != 0:
            raise TestbedError(
                "the local testbed could not be built",
                why="; ".join(failures) or err.strip() or f"the builder ended with code {self._process.returncode}",
                hint="In a container, start it with --privileged; on a machine, look at `dmesg`",
            )
        processes = {answer["index"]: Process(pid=answer["pid"], start=answer["start"]) for answer in answers}
        self._wait_for_ssh(processes)
        self.record = self.record.model_copy(update={"phase": "ready", "builder": None, "processes": processes})
        registry.write(self.record)
        return self.record

    def stop(self) -> None:
        """End the builder, if it is still at work."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _wait_for_ssh(self, processes: dict[int, Process]) -> None:
        assert self.record is not None
        layout = self.record.layout
        deadline = time.monotonic() + _SSH_LIMIT_S
        with ThreadPoolExecutor(max_workers=16) as pool:
            answers = list(pool.map(lambda host: _answers(host.v4, processes[host.index], deadline), layout.hosts))
        silent = [host for host, answered in zip(layout.hosts, answers, strict=True) if not answered]
        if silent:
            raise TestbedError(
                f"{silent[0].hostname} does not answer to ssh",
                where=f"{silent[0].v4} port 22",
                why=_last_words(layout, silent[0]),
                hint="If that says nothing, a firewall may drop what this machine sends; look at `nft list ruleset`",
            )


def _order(record: Record, folder: Path, with_switch: bool) -> builder.Order:
    layout = record.layout
    sshd, interpreter = requirements.host_program("sshd"), requirements.host_interpreter()
    assert sshd is not None, "check() comes first"
    assert interpreter is not None, "check() comes first"

    def with_prefix(v4: str, v6: str | None) -> list[str]:
        return [f"{v4}/{layout.prefix4}", *([f"{v6}/{layout.prefix6}"] if v6 else [])]

    return builder.Order(
        parent=os.getpid(),
        folder=str(folder),
        uplink=layout.testbed,
        uplink_addresses=with_prefix(layout.controller4, layout.controller6),
        device=DEVICE,
        hosts=[
            builder.HostOrder(index=host.index, hostname=host.hostname, addresses=with_prefix(host.v4, host.v6))
            for host in layout.hosts
        ],
        etc_hosts=layout.etc_hosts(),
        sshd=sshd,
        sshd_extra=requirements.sshd_extra(),
        interpreter=interpreter,
        switch=switch.order(record) if with_switch else None,
        parallel=2 * (os.cpu_count() or 1),
    )


def _answers(address: str, process: Process, deadline: float) -> bool:
    """Whether the ssh server that is this process greets there before the deadline (``time.monotonic``)."""
    pause = threading.Event()
    while (left := deadline - time.monotonic()) > 0 and kernel.start_time(process.pid) == process.start:
        # until sshd listens, the connection is refused at once
        with (
            contextlib.suppress(OSError),
            socket.create_connection((address, 22), timeout=left) as connection,
        ):
            if connection.recv(7) == b"SSH-2.0":
                return True
        pause.wait(0.01)
    return False


def _last_words(layout: Layout, host: HostLayout) -> str:
    log = registry.folder(layout.testbed) / "hosts" / str(host.index) / "sshd.log"
    text = log.read_text(errors="replace").strip() if log.exists() else ""
    return "; ".join(text.splitlines()[-2:]) if text else "its sshd said nothing"
