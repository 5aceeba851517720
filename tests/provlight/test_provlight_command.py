"""The command `provlight`: answers, exit codes, sentences; as a program of its own and out of the bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from provlight_broker import ROOT, Broker, Translator

from provlight import command

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run() -> Run:
    def run(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PROVLIGHT_")}
        return subprocess.run(
            [sys.executable, "-m", "provlight", *map(str, arguments)],
            env={**clean, **(environment or {})}, capture_output=True, text=True, timeout=120, cwd=ROOT,
        )  # fmt: skip

    return run


def test_help_and_wrong_calls(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: provlight")
    for name in ("replay", "spool", "ping"):
        assert name in done.stdout
        assert run(name, "--help").stdout.startswith(f"usage: provlight {name}")
    for verb in ("list", "check", "purge", "send"):
        assert run("spool", verb, "--help").returncode == 0
    for wrong in (
        (),
        ("nonsense",),
        ("spool",),
        ("replay",),
        ("ping", "--timeout", "soon"),
        ("ping", "--timeout", "-1"),
    ):
        done = run(*wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: provlight" in done.stderr


def test_the_command_loads_no_more_than_it_needs(run_python: Run) -> None:
    program = (
        "import sys, provlight.command\n"
        "try: provlight.command.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'msgpack', 'socket', 'json', 'inspect', 'paho'} & set(sys.modules)))"
    )
    assert run_python(program, {"PYTHONPATH": "."}).stdout.splitlines()[-1] == "[]"


# --------------------------------------------------------------------------------------------------------------- ping


@pytest.mark.broker
def test_ping_tells_how_far_a_record_comes(broker: Broker, translator: Translator, run: Run) -> None:
    done = run("ping", "--format", "json", environment=broker.environment())
    assert (done.returncode, done.stderr) == (0, "")
    (answer,) = json.loads(done.stdout)
    assert (answer["broker"], answer["accepted"], answer["database"], answer["error"]) == (True, True, True, "")
    assert answer["round_trip_ms"] > 0
    assert translator.batches == []
    done = run("ping", "--server-url", broker.url, "--credentials", broker.credentials)
    assert done.returncode == 0
    assert done.stdout.split()[:6] == ["broker", "accepted", "database", "connect_ms", "round_trip_ms", "error"]


@pytest.mark.broker
def test_ping_says_what_is_wrong(broker: Broker, run: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("edge-1\nnot the password\n")
    for arguments, found, sentence in (
        (("--server-url", broker.url, "--credentials", broker.credentials, "--timeout", "1.5"), (True, True, False),
         "the broker accepts us, but no translator answered within 1.5 s: is the provenance service up?"),
        (("--server-url", broker.url, "--credentials", wrong), (True, False, False), "refuses the connection"),
        (("--server-url", "127.0.0.1:1"), (False, False, False), "cannot be reached"),
        (("--server-url", broker.url, "--credentials", tmp_path / "absent"), (False, False, False), "cannot be read"),
    ):  # fmt: skip
        done = run("ping", "--format", "json", *arguments)
        (answer,) = json.loads(done.stdout)
        assert (done.returncode, (answer["broker"], answer["accepted"], answer["database"])) == (1, found)
        assert sentence in answer["error"]
        assert done.stderr == f"provlight: {answer['error']}\n"
    done = run("ping")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "provlight: no broker is named: give --server-url or set PROVLIGHT_SERVER_URL\n"
    assert "server_url='http://x'" in run("ping", "--server-url", "http://x").stderr


# -------------------------------------------------------------------------------------------------------------- spool


def spooled(broker: Broker, spool: Path, records: int) -> None:
    """A process that captures while the broker is away, and is killed."""
    program = (
        "import os, provlight\n"
        f"for number in range({records}): provlight.Task(number, 'w', 't').begin()\n"
        "provlight.flush(1)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = {**broker.environment(), "PROVLIGHT_SPOOL_DIR": str(spool), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == -9


@pytest.mark.broker
def test_the_spool_is_listed_checked_sent_and_purged(broker: Broker, run: Run, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    environment = {**broker.environment(), "PROVLIGHT_SPOOL_DIR": str(spool)}
    broker.kill()
    spooled(broker, spool, 7)
    spooled(broker, spool, 9)
    done = run("spool", "list", "--format", "json", environment=environment)
    listed = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(row["records"], row["owned"]) for row in listed] == [(7, False), (9, False)]
    assert listed[0]["oldest"].endswith("Z")
    assert run("spool", "list", "--spool-dir", spool).stdout.splitlines()[0].split()[:2] == ["folder", "client"]
    assert run("spool", "check", environment=environment).returncode == 0
    assert run("spool", "send", "--timeout", "1", environment=environment).returncode == 1
    broker.start()
    translator = Translator(broker)
    try:
        done = run("spool", "send", environment=environment)
        assert done.returncode == 0, done.stderr
        assert sorted(record.task for record in translator.records()) == sorted([*range(7), *range(9)])  # type: ignore[type-var]
    finally:
        translator.close()
    assert json.loads(run("spool", "list", "--format", "json", environment=environment).stdout) == []
    broker.kill()
    spooled(broker, spool, 3)
    done = run("spool", "purge", environment=environment)
    assert (done.returncode, "say what to delete" in done.stderr) == (1, True)
    (row,) = json.loads(run("spool", "purge", "--all", "--format", "json", environment=environment).stdout)
    assert row["records"] == 3
    assert json.loads(run("spool", "list", "--format", "json", environment=environment).stdout) == []


@pytest.mark.broker
def test_damage_in_the_spool_is_told(broker: Broker, run: Run, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    broker.kill()
    spooled(broker, spool, 3)
    (segment,) = spool.glob("*/*.seg")
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    done = run("spool", "check", "--spool-dir", spool, "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)[0]["folder"] == str(segment.parent)


def test_a_spool_that_is_none(run: Run, tmp_path: Path) -> None:
    done = run("spool", "list")
    assert (done.returncode, done.stderr) == (
        1, "provlight: no spool is named: give --spool-dir or set PROVLIGHT_SPOOL_DIR\n"
    )  # fmt: skip
    for verb in ("list", "check"):
        done = run("spool", verb, "--spool-dir", tmp_path / "absent")
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
        assert str(tmp_path / "absent") in done.stderr
    assert run("spool", "purge", tmp_path, "--spool-dir", tmp_path).returncode == 1
    assert tmp_path.exists()


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m provlight ping --server-url 127.0.0.1:1 | true",
        shell=True, capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


def test_main_may_be_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main([])
    assert stop.value.code == 2
    assert "usage: provlight" in capsys.readouterr().err
