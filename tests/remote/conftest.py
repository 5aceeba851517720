"""A real sshd on loopback, reached with a key made for the test."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_groups import pytest_collection_modifyitems as pytest_collection_modifyitems

from e2c.model.host import Host
from e2c.remote import shell

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/key.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxSessions 50
SetEnv SHLVL=1
Subsystem sftp internal-sftp
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Port and private key of a running sshd."""
    if os.geteuid() != 0:
        pytest.skip("sshd that logs in needs root")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, (folder / "log").read_text()
            subprocess.run(["sleep", "0.05"], check=True)
        yield port, folder / "key"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def host(ssh_server: tuple[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """This machine as a host, through the sshd on loopback, with a shared connection."""
    yield from as_host(*ssh_server, tmp_path_factory)


@pytest.fixture(scope="module")
def module_host(ssh_server: tuple[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The same for all tests of a module."""
    yield from as_host(*ssh_server, tmp_path_factory)


def as_host(port: int, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    control = tmp_path_factory.mktemp("c")
    made = Host(
        key="cloud.master.1.1",
        layer="cloud",
        service="master",
        testbed="local",
        provider="local",
        hostname="here",
        address="127.0.0.1",
        port=port,
        keyfile=str(key),
        control_dir=str(control),
    )
    yield made
    shell.close([made])


@pytest.fixture
def unreachable(host: Host) -> Host:
    """A host whose port nobody listens on."""
    return host.model_copy(update={"key": "edge.worker.1.1", "port": free_port()})
