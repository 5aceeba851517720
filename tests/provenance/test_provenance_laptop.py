"""``serve`` as somebody at a terminal sees it: what it says, what it lets one copy, and how it stops."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from provenance_application import capture, command
from provenance_parts import TUTORIAL, Service

from e2c.provenance.addresses import checked, expanded, host_addresses
from e2c.provenance.folder import DataFolder, write_json
from e2c.provenance.queries import ask
from e2c.provenance.reporting.announcement import environment, reached
from e2c.provenance.reporting.status import drain


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self._terminal, other = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "120"},
        )
        os.close(other)
        self.said = ""

    def until(self, words: str, limit_s: float = 60) -> str:
        deadline = time.monotonic() + limit_s
        while words not in self.said:
            left = deadline - time.monotonic()
            assert left > 0, self.said
            if select.select([self._terminal], [], [], left)[0]:
                try:
                    self.said += os.read(self._terminal, 65536).decode().replace("\r\n", "\n")
                except OSError:
                    raise AssertionError(self.said) from None
        return self.said

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        os.close(self._terminal)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*command: str) -> Terminal:
        opened.append(Terminal(list(command)))
        return opened[-1]

    yield start
    for one in opened:
        one.end()


@pytest.mark.broker
@pytest.mark.monetdb
def test_everything_to_copy_is_shown_and_ctrl_c_stops(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "my data")
    flow = tmp_path / "flow.json"
    write_json(flow, TUTORIAL)
    program = str(Path(sys.executable).with_name("e2clab"))
    arguments = ("--data", str(data.root), "--dataflow", str(flow), "--mqtt-port", "0")
    shown = terminal(program, "provenance", "serve", *arguments)
    said = shown.until("Stop it with Ctrl-C")
    assert said.startswith(f"Starting the provenance service in {data.root} ...\nReady after ")
    quoted = shlex.quote(str(data.root))
    assert f"    e2clab provenance query --data {quoted} 'SELECT * FROM task'\n" in said
    assert f"    e2clab provenance status --data {quoted}\n" in said
    assert f"e2clab provenance stop --data {quoted}" in shown.until("\n\n", 5)
    printed = re.findall(r"^    export (\w+)=(.*)$", said, re.M)
    variables = {name: shlex.split(value)[0] for name, value in printed}
    assert list(variables) == ["PROVLIGHT_SERVER_URL", "PROVLIGHT_CREDENTIALS", "PROVLIGHT_DATAFLOW"]
    # What was shown is what `env` prints, and an application that has it is captured.
    assert command("env", data).stdout.splitlines() == [f"export {name}={value}" for name, value in printed]
    assert json.loads(command("env", data, "--format", "json").stdout) == variables
    plain = command("env", data, "--format", "plain").stdout
    assert plain.splitlines() == [f"{name}={value}" for name, value in variables.items()]
    assert capture(variables).stderr == ""
    drain(data, 30)
    with ask(data, "SELECT count(*) FROM training_input") as answer:
        assert list(answer.rows) == [(3,)]
    os.killpg(shown.process.pid, signal.SIGINT)  # as the terminal does it, for all of the foreground
    assert "Stopped; everything that arrived is stored." in shown.until("Stopped")
    assert shown.process.wait(60) == 0
    after = command("env", data)
    assert (after.returncode, after.stdout) == (1, "")
    assert "no provenance service is running" in after.stderr


@pytest.mark.broker
@pytest.mark.monetdb
def test_json_is_one_line_wherever_it_runs(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    module = (sys.executable, "-m", "e2c.provenance", "serve", "--data", str(tmp_path / "data"), "--mqtt-port", "0")
    shown = terminal(*module, "--format", "json")
    line = shown.until("\n")
    assert line.startswith("ready {")
    assert json.loads(line.removeprefix("ready"))["data"] == str(tmp_path / "data")


@pytest.mark.broker
@pytest.mark.monetdb
def test_words_where_there_is_no_terminal(tmp_path: Path) -> None:
    module = [sys.executable, "-m", "e2c.provenance", "serve", "--data", str(tmp_path / "data"), "--mqtt-port", "0"]
    process = subprocess.Popen([*module, "--format", "text"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        while said[-1] and "Stop it" not in said[-1]:
            said.append(process.stdout.readline())
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert said[0].startswith("Starting")
    assert said[1].startswith("Ready after")
    assert said[-1] == f"Stop it with Ctrl-C, or: python -m e2c.provenance stop --data {tmp_path / 'data'}\n"


@pytest.mark.broker
@pytest.mark.monetdb
def test_another_machine_gets_the_address_it_sees(serve: Callable[..., Service]) -> None:
    service = serve("--bind", "0.0.0.0", "--bind", "::", "--bind", "127.0.0.1")
    assert service.information["mqtt"] == [f"mqtt://0.0.0.0:{service.port}", f"mqtt://[::]:{service.port}"]
    assert f"=mqtt://127.0.0.1:{service.port}\n" in command("env", service.folder).stdout
    for host, shown in (("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "[2001:db8::7]"), ("lab.example", "lab.example")):
        printed = command("env", service.folder, "--host", host).stdout
        assert shlex.split(printed.splitlines()[0])[1] == f"PROVLIGHT_SERVER_URL=mqtt://{shown}:{service.port}"
    fleeting = _addresses_of_local_testbeds()
    for url in reached(service.information["mqtt"]):
        host, _, port = url.removeprefix("mqtt://").rpartition(":")
        if host.strip("[]") in fleeting or host.strip("[]") not in host_addresses():
            continue
        done = capture({"PROVLIGHT_SERVER_URL": url, "PROVLIGHT_CREDENTIALS": _credentials(service)})
        assert done.stderr == "", (host, port)


def _addresses_of_local_testbeds() -> set[str]:
    """Other tests make and remove them at the same time."""
    told = subprocess.run(["ip", "-json", "addr"], stdout=subprocess.PIPE, check=True).stdout
    devices = [device for device in json.loads(told) if device["ifname"].startswith("e2c-")]
    return {address["local"] for device in devices for address in device["addr_info"]}


def _credentials(service: Service) -> str:
    from provenance_application import credentials

    return credentials(service.folder.root.parent)


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_link_local_address_with_its_zone(serve: Callable[..., Service]) -> None:
    zoned = next((address for address in _link_local()), None)
    if zoned is None:
        pytest.skip("this machine has no link-local address")
    service = serve("--bind", zoned)
    assert service.information["mqtt"] == [f"mqtt://[{zoned}]:{service.port}"]
    environment = {"PROVLIGHT_SERVER_URL": service.information["mqtt"][0]}
    assert capture({**environment, "PROVLIGHT_CREDENTIALS": _credentials(service)}).stderr == ""


def _link_local() -> Iterator[str]:
    with suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, _, _, scope, _, name = line.split()
            if scope == "20":
                yield str(checked([":".join(re.findall("....", digits))])[0]) + f"%{name}"


def test_addresses_are_told_apart() -> None:
    assert checked(["127.0.0.1", "::1", "0:0:0:0:0:0:0:1", "[::1]"]) == ("127.0.0.1", "::1")
    assert checked(["0.0.0.0", "127.0.0.1", "::1"]) == ("0.0.0.0", "::1")
    assert checked(["::1", "::", "fe80::1%lo"]) == ("::",)
    assert set(expanded(["0.0.0.0", "::"])) == set(host_addresses())
    assert host_addresses()[:2] == ("127.0.0.1", "::1")
    information = {"mqtt": ["mqtt://192.0.2.7:1"], "credentials": None, "dataflow": None, "tls_ca": None}
    assert environment(information) == {"PROVLIGHT_SERVER_URL": "mqtt://192.0.2.7:1"}


def test_help_names_the_program_that_was_called() -> None:
    program = str(Path(sys.executable).with_name("e2clab"))
    done = subprocess.run([program, "provenance", "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("usage: e2clab provenance [-h] COMMAND ...")
    done = subprocess.run([program, "provenance"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "e2clab provenance: error" in done.stderr


def test_messages_name_the_program_that_was_called(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("e2clab"))
    arguments = [program, "provenance", "env", "--data", str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"e2clab: error: {tmp_path}: no provenance service is running. "
        f"Start it: e2clab provenance serve --data {tmp_path}.\n"
    )
