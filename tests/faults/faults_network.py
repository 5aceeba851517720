"""Network namespaces for the fault test: one for the service, one for each client, with lossy links that can be cut."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

SERVICE = "10.77.0.1"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20)


class Network:
    """A bridge in the namespace of the service, and a link to it from each client's.

    Args:
        clients: how many.
        loss_percent: of the TCP segments that each client sends, and of those it gets.
    """

    def __init__(self, clients: int, loss_percent: int) -> None:
        self._name = f"e2cf{os.getpid()}"
        self._clients = clients
        self._loss = loss_percent
        self._cleanup = ExitStack()

    def __enter__(self) -> Network:
        with ExitStack() as cleanup:
            self._namespace("s", cleanup)
            ip("-n", self.inside("s"), "link", "add", "bridge0", "type", "bridge")
            ip("-n", self.inside("s"), "addr", "add", f"{SERVICE}/24", "dev", "bridge0")
            ip("-n", self.inside("s"), "link", "set", "bridge0", "up")
            for number in range(self._clients):
                self._client(str(number), cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def inside(self, name: str) -> str:
        """Name of a namespace: ``s`` for the service, a number for a client."""
        return f"{self._name}-{name}"

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        """A command that runs in a namespace; the process id stays the same."""
        return ["ip", "netns", "exec", self.inside(name), *command]

    def cut(self, client: int) -> None:
        """Let nothing through."""
        ip("-n", self.inside(str(client)), "link", "set", "eth0", "down")

    def mend(self, client: int) -> None:
        """Let through again."""
        ip("-n", self.inside(str(client)), "link", "set", "eth0", "up")

    def _namespace(self, name: str, cleanup: ExitStack) -> None:
        ip("netns", "add", self.inside(name))
        cleanup.callback(ip, "netns", "delete", self.inside(name))
        ip("-n", self.inside(name), "link", "set", "lo", "up")

    def _client(self, name: str, cleanup: ExitStack) -> None:
        self._namespace(name, cleanup)
        own, other = self.inside(name), self.inside("s")
        ip("-n", own, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{name}", "netns", other)
        ip("-n", other, "link", "set", f"port{name}", "master", "bridge0", "up")
        ip("-n", own, "addr", "add", f"10.77.0.{10 + int(name)}/24", "dev", "eth0")
        ip("-n", own, "link", "set", "eth0", "up")
        if self._loss:
            drop = f"meta l4proto tcp numgen random mod 100 < {self._loss} drop"
            chains = (f"chain {hook} {{ type filter hook {hook} priority 0; {drop}; }}" for hook in ("input", "output"))
            rules = "\n".join(["table ip loss {", *chains, "}"])
            subprocess.run(self.command(name, ["nft", rules]), check=True, capture_output=True, timeout=20)
