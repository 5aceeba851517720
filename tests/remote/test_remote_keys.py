"""Keys that would ask for a passphrase are refused before anything is booked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2c.environments.g5k.provider import Grid5000Provider
from e2c.environments.iotlab.provider import IotLabProvider
from e2c.errors import TestbedError
from e2c.remote.keys import require_unlocked

SECRET = "open sesame"


def key(folder: Path, passphrase: str) -> Path:
    path = folder / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return path


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh agent of the test's own, which holds no key."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    yield
    process.terminate()
    process.communicate(timeout=30)


def test_a_key_without_a_passphrase_is_taken(tmp_path: Path) -> None:
    require_unlocked(key(tmp_path, ""))


def test_what_ssh_itself_will_complain_about_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("no key at all\n")
    require_unlocked(tmp_path / "id")


def test_a_key_with_a_passphrase_is_taken_once_an_agent_holds_it(tmp_path: Path, agent: None) -> None:
    path = key(tmp_path, SECRET)
    with pytest.raises(TestbedError, match=r"has a passphrase, and no ssh agent holds the key: .*ssh-add"):
        require_unlocked(path)
    answer = tmp_path / "answer"
    answer.write_text(f"#!/bin/sh\necho '{SECRET}'\n")
    answer.chmod(0o700)
    environment = {**os.environ, "SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", str(path)], env=environment, stdin=subprocess.DEVNULL, check=True)
    require_unlocked(path)


@pytest.mark.parametrize(
    ("provider", "file", "account"),
    [
        (Grid5000Provider(), ".python-grid5000.yaml", "username: u\npassword: p\n"),
        (IotLabProvider(), ".iotlabrc", "u:cA=="),
    ],
)
def test_testbeds_refuse_it_before_they_are_asked(
    provider: Grid5000Provider | IotLabProvider,
    file: str,
    account: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / file).write_text(account)
    with pytest.raises(TestbedError, match="has a passphrase"):
        provider.check({"key_name": str(key(tmp_path, SECRET))})
