"""What can be wrong at the start is one sentence, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from provenance_parts import TUTORIAL, Service

import e2c
from e2c.provenance.folder import write_json
from e2c.provenance.serving import libmonetdb


def serve_fails(
    tmp_path: Path, *arguments: str, environment: dict[str, str] | None = None, data: Path | None = None
) -> str:
    """The one sentence of a failing ``serve``; checks that it is one, and that no process is left."""
    command = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(data or tmp_path / "data"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **(environment or {})}, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert not [process.pid for process in psutil.process_iter() if str(tmp_path / "data") in _command(process)]
    return done.stderr


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_taken_port(tmp_path: Path, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as taken:
        taken.bind((address, 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = serve_fails(tmp_path, "--mqtt-port", str(port))
    assert f"port {port} is taken" in sentence
    assert "--mqtt-port" in sentence


def test_no_mosquitto(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    (empty / "python").symlink_to(sys.executable)
    sentence = serve_fails(tmp_path, "--mqtt-port", "0", environment={"PATH": str(empty)})
    assert "mosquitto is not on PATH: it is /usr/sbin/mosquitto" in sentence
    assert not (tmp_path / "data").exists()


def test_no_monetdb_libraries(tmp_path: Path) -> None:
    sentence = serve_fails(tmp_path, "--mqtt-port", "0", environment={"E2C_MONETDB_LIBS": str(tmp_path)})
    assert "does not hold the MonetDB libraries" in sentence
    assert "fetch-monetdb" in sentence


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_second_owner(serve: Callable[..., Service], tmp_path: Path) -> None:
    first = serve()
    command = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(first.folder.root), "--mqtt-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"another provenance service owns this data folder: its process is {first.process.pid}" in done.stderr
    assert first.process.poll() is None
    assert first.folder.service.exists()


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("{}", 0o644, "others can read it"),
        ("[]", 0o600, "must be a JSON object"),
        ("{", 0o600, "cannot be read"),
        ('{"a": 1}', 0o600, "must be a JSON object"),
        ('{"a/b": "x"}', 0o600, "cannot be a broker user"),
        ('{"a b": "x"}', 0o600, "cannot be a broker user"),
        ('{"#": "x"}', 0o600, "cannot be a broker user"),
        ('{"e2c-service": "x"}', 0o600, "cannot be a broker user"),
        ('{"a": "x\\ny"}', 0o600, "several lines"),
        ('{"a": ""}', 0o600, "empty"),
    ],
)
def test_a_wrong_file_of_clients(tmp_path: Path, content: str, mode: int, reason: str) -> None:
    clients = tmp_path / "clients.json"
    clients.write_text(content)
    clients.chmod(mode)
    assert reason in serve_fails(tmp_path, "--clients", str(clients), "--mqtt-port", "0")


@pytest.mark.parametrize("address", ["localhost", "203.0.113.7", "300.1.1.1"])
def test_a_wrong_address(tmp_path: Path, address: str) -> None:
    sentence = serve_fails(tmp_path, "--bind", address, "--mqtt-port", "0")
    assert address in sentence


def test_a_wrong_dataflow(tmp_path: Path) -> None:
    wrong: dict[str, Any] = json.loads(json.dumps(TUTORIAL))
    wrong["transformations"][0]["sets"][0]["attributes"][0]["type"] = "NUMBER"
    path = tmp_path / "flow.json"
    write_json(path, wrong)
    sentence = serve_fails(tmp_path, "--dataflow", str(path), "--mqtt-port", "0")
    assert "'kernel_size' of 'training_input' must have one of the types" in sentence


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sentence = serve_fails(tmp_path, "--mqtt-port", "0", data=tmp_path / "file" / "data")
    assert "the data folder cannot be made" in sentence


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_database_that_does_not_open(tmp_path: Path) -> None:
    (tmp_path / "data" / "database").mkdir(parents=True)
    (tmp_path / "data" / "database" / "dataflow_analyzer").write_text("not a folder")
    sentence = serve_fails(tmp_path, "--mqtt-port", "0")
    assert "the database did not start" in sentence


def test_libraries_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = libmonetdb.locate()
    copy = tmp_path / "libs"
    copy.mkdir()
    for path in real.iterdir():
        (copy / path.name).symlink_to(path)
    monkeypatch.setenv("E2C_MONETDB_LIBS", str(copy))
    assert libmonetdb.locate() == copy
    next(copy.glob("libbat*")).unlink()
    with pytest.raises(libmonetdb.MissingToolError, match="fetch-monetdb"):
        libmonetdb.locate()
    monkeypatch.delenv("E2C_MONETDB_LIBS")
    monkeypatch.setattr(libmonetdb.sys, "prefix", str(tmp_path / "prefix"))
    with pytest.raises(libmonetdb.MissingToolError, match="not installed"):
        libmonetdb.locate()
    shutil.copytree(real, libmonetdb.installed(), symlinks=True)
    assert libmonetdb.locate() == tmp_path / "prefix" / "share" / "e2c" / "monetdbe.libs"


def test_other_processors_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libmonetdb.platform, "machine", lambda: "aarch64")
    for function in (libmonetdb.locate, libmonetdb.fetch):
        with pytest.raises(libmonetdb.MissingToolError, match="needs Linux on x86-64"):
            function()


@pytest.mark.broker
@pytest.mark.monetdb
def test_it_runs_from_a_folder_of_copies_without_anything_installed(tmp_path: Path) -> None:
    program = tmp_path / "program"
    (program / "e2c").mkdir(parents=True)
    lab = Path(e2c.__file__).parent
    for name in ("__init__.py", "errors.py"):
        shutil.copy(lab / name, program / "e2c")
    shutil.copytree(lab / "provenance", program / "e2c" / "provenance")
    for package in ("provlight", "paho", "pymonetdb", "msgpack"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        shutil.copytree(spec.submodule_search_locations[0], program / package)
    shutil.copytree(libmonetdb.locate(), program / "monetdbe.libs")
    bare = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"  # without this environment's packages
    command = [str(bare), "-m", "e2c.provenance", "serve", "--data", str(tmp_path / "data")]
    environment = {key: value for key, value in os.environ.items() if key != libmonetdb.VARIABLE}
    process = subprocess.Popen(
        [*command, "--mqtt-port", "0"],
        cwd=program,
        env={**environment, "PYTHONPATH": str(program), "PYTHONNOUSERSITE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready {")
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "")
