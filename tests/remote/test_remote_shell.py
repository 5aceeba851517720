from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from e2c.errors import RemoteError
from e2c.model.host import Host
from e2c.remote import shell, sockets


def test_runs_and_keeps_streams_and_code_apart(host: Host) -> None:
    result = shell.run(host, "cat; echo out; echo err >&2; exit 7", stdin=b"in\n")
    assert (result.rc, result.stdout, result.stderr) == (7, "in\nout\n", "err\n")
    assert not result.ok


def test_results_keep_the_order_of_hosts_and_name_the_unreachable(host: Host, unreachable: Host) -> None:
    results = shell.run_all([unreachable, host], "true")
    assert list(results) == [unreachable.key, host.key]
    assert results[host.key].ok
    assert results[unreachable.key].rc == shell.SSH_FAILED
    with pytest.raises(RemoteError) as caught:
        shell.require(results, "greeting", hint="Start it")
    assert str(caught.value).startswith(f"greeting failed on {unreachable.key}: {unreachable.key}: ssh: ")
    assert str(caught.value).count("ssh: ") == 1  # which it says itself
    assert "refused" in str(caught.value)


def test_time_limit_ends_the_command(host: Host) -> None:
    result = shell.run(host, "sleep 20", timeout_s=0.5)
    assert result.rc == shell.TIMED_OUT
    assert "0.5 s" in result.stderr


def test_put_is_whole_and_private_until_moved(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "a folder" / "it's"
    assert shell.put(host, b"\x00secret", str(target), mode=0o600).ok
    assert target.read_bytes() == b"\x00secret"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target]


def test_fetch_leaves_nothing_when_the_command_fails(host: Host, tmp_path: Path) -> None:
    assert shell.fetch(host, "printf 'a\\0b'", tmp_path / "good").ok
    assert (tmp_path / "good").read_bytes() == b"a\0b"
    failed = shell.fetch(host, "echo half; exit 3", tmp_path / "bad")
    assert failed.rc == 3
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def test_close_ends_the_shared_connection(host: Host) -> None:
    assert shell.run(host, "true").ok
    assert host.control_dir is not None
    assert list(Path(host.control_dir).iterdir())
    shell.close([host])
    assert not list(Path(host.control_dir).iterdir())


def test_a_shared_connection_that_is_stuck_does_not_keep_hosts_from_being_released(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "END_S", 1)
    assert shell.run(host, "true").ok
    asked = [*shell.ssh_arguments(host)[:-1], "-O", "check", host.address]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stderr
    master = int(re.findall(r"pid=(\d+)", said)[0])
    os.kill(master, signal.SIGSTOP)
    try:
        shell.close([host])
    finally:
        os.kill(master, signal.SIGCONT)
    assert host.control_dir is not None
    assert list(Path(host.control_dir).iterdir())
