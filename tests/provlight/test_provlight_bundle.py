"""The zip for devices: alone on the path, on every Python there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from provlight_broker import ROOT, Broker, Translator

from provlight import bundle

VERSIONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def interpreters() -> list[str]:
    """One interpreter of each version that this machine has."""
    found = []
    for version in VERSIONS:
        candidates = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        on_path = shutil.which(f"python{version}")
        if candidates:
            found.append(str(candidates[-1]))
        elif on_path:
            found.append(on_path)
    return found or [sys.executable]


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "provlight.zip"
    assert bundle.main([str(path)]) == 0
    return path


def test_it_is_small_and_always_the_same(zipped: Path) -> None:
    assert zipped.stat().st_size < 400_000
    assert bundle.build() == zipped.read_bytes()
    names = set(zipfile.ZipFile(zipped).namelist())
    assert {"provlight/__init__.py", "provlight/LICENSE", "provlight/vendor/msgpack/fallback.py"} <= names
    assert {name.split("/")[0] for name in names} == {"provlight"}


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_it_can_go_down_a_pipe(zipped: Path, out: str) -> None:
    """Never by renaming something over /dev/stdout."""
    done = subprocess.run([sys.executable, "-m", "provlight.bundle", out], capture_output=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, zipped.read_bytes())
    assert os.path.islink("/dev/stdout")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        bundle.write(str(tmp_path / "folder"), b"zip")
    assert os.listdir(tmp_path) == ["folder"]


def test_wrong_calls_are_sentences(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        bundle.main([])
    assert bundle.main([str(tmp_path / "absent" / "x.zip")]) == 1
    assert "the bundle cannot be made" in capsys.readouterr().err


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import datetime
import provlight
from provlight import Data, Task, Workflow
assert provlight.__file__.startswith(sys.argv[1]), provlight.__file__
values = {"float": 0.5, "int": 1 << 70, "text": "\\u00e9", "none": None, "nan": float("nan"), "bytes": b"x"}
with Workflow("w") as workflow:
    for number in range(100):
        with Task(number, workflow, "t").begin(Data("s", "w", [], values)) as task:
            task.generated(Data("o", "w", [], {"x": [number, number / 7]}))
assert provlight.flush(20), provlight.stats()
assert "provlight.vendor.msgpack" in sys.modules
"""


EVERYTHING = """
import sys
sys.path.insert(0, sys.argv[1])
folder = sys.argv[2]
import asyncio, json, os, pickle, threading, warnings
warnings.simplefilter("error")
import provlight
from provlight import Data, File, Task, Workflow, captured, current_task
from provlight.transport import memory

flow = {"tag": "w", "transformations": [{"tag": "t", "sets": [
    {"tag": "t_input", "attributes": [{"name": "x", "type": "NUMERIC"}, {"name": "y", "type": "TEXT"}]},
    {"tag": "t_output", "attributes": [{"name": "z", "type": "NUMERIC"}]}]}]}
with open(os.path.join(folder, "flow.json"), "w") as file:
    json.dump({"dataflows": [flow]}, file)
with open(os.path.join(folder, "model"), "w") as file:
    file.write("weights")

def use():
    @captured("t", workflow="w")
    def work(x, y="text", *rest, **more):
        return {"z": x + 1}

    @captured("t", workflow="w", generated={"t_output": ["z"]})
    async def wait(x):
        await asyncio.sleep(0)
        return work(x)["z"]

    @captured("t", workflow="w")
    def count(x):
        for number in range(x):
            yield number
        return {"z": x}

    @captured("t", workflow="w", generated=False)
    async def tell(x):
        for number in range(x):
            yield number

    async def everything():
        assert await asyncio.gather(wait(1), wait(2)) == [2, 3]
        assert [number async for number in tell(3)] == [0, 1, 2]

    with Workflow("w") as workflow, Task(None, workflow, "t") as task:
        task.used("t_input", {"x": 1, "y": File(os.path.join(folder, "model"))})
        task.used(Data("t_input", "w", [], [{"x": 1}, {"x": 2}]))
        task.generated("t_output", {"z": 0.5})
        with task.subtask(1, "t", dependencies=[task]) as part:
            assert current_task() is part
            assert work(1) == {"z": 2} and list(count(4)) == [0, 1, 2, 3]
        pickle.loads(pickle.dumps(task))
        loop = asyncio.new_event_loop()
        loop.run_until_complete(everything())
        loop.close()
        thread = threading.Thread(target=work, args=(3,))
        thread.start()
        thread.join()
    try:
        with Task("bad", "w", "t"):
            raise ValueError("no power")
    except ValueError:
        pass
    for wrong in ({"x": "text", "y": ""}, {"a": 1}, [1, 2, 3]):
        try:
            Data("t_input", "w", [], wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)
    assert provlight.flush(30), provlight.stats()
    assert provlight.stats()["misuses"] == {}, provlight.stats()

provlight.configure(transport="memory", dataflow=os.path.join(folder, "flow.json"))
use()
records = memory.records()
assert len(records) == 26, len(records)
(files,) = [record.extras["files"] for record in records if record.extras and "files" in record.extras]
assert (files[0].size, len(files[0].digest)) == (7, 32)
assert sum(1 for record in records if record.extras and "parent" in record.extras) == 8
provlight.configure(transport="file", file=os.path.join(folder, "captured"), dataflow=os.path.join(folder, "flow.json"))
use()
provlight.configure(spool_dir=os.path.join(folder, "spool"), dataflow=os.path.join(folder, "flow.json"))
use()
print(provlight.stats()["client"])
"""


@pytest.mark.broker
@pytest.mark.parametrize("python", interpreters())
def test_everything_works_out_of_the_zip(
    zipped: Path, broker: Broker, translator: Translator, python: str, tmp_path: Path
) -> None:
    """The whole interface, the file, the spool and the command, on each Python that this machine has."""
    environment = {key: value for key, value in broker.environment().items() if key not in ("PYTHONPATH", "MAKEFLAGS")}
    environment["PATH"] = os.environ["PATH"]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [python, "-S", *arguments], env=environment, capture_output=True, text=True, timeout=120, cwd="/"
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return done.stdout

    client = run("-E", "-c", EVERYTHING, str(zipped), str(tmp_path)).strip()
    translator.wait_for(lambda: sum(batch.records for batch in translator.batches) >= 26)
    assert {batch.client for batch in translator.batches} == {client}
    environment["PYTHONPATH"] = str(zipped)
    assert json.loads(run("-m", "provlight", "ping", "--format", "json"))[0]["database"] is True
    (row,) = json.loads(run("-m", "provlight", "replay", str(tmp_path / "captured"), "--format", "json"))
    assert (row["stored"], row["error"]) == (26, "")
    assert (
        json.loads(run("-m", "provlight", "spool", "list", "--spool-dir", str(tmp_path / "spool"), "--format", "json"))
        == []
    )
    assert sum(batch.records for batch in translator.batches) == 52


@pytest.mark.broker
@pytest.mark.parametrize("python", interpreters())
def test_it_publishes_without_anything_else(zipped: Path, broker: Broker, translator: Translator, python: str) -> None:
    environment = {key: value for key, value in broker.environment().items() if key not in ("PYTHONPATH", "MAKEFLAGS")}
    done = subprocess.run(
        # Without site packages, variables of Python and the current folder: only the zip is there.
        [python, "-S", "-E", "-c", PROGRAM, str(zipped)],
        env={**environment, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    records = translator.records()
    assert len(records) == 202
    assert records[1].sets[0][1][1] == 1 << 70
    assert records[-2].sets[0][1] == [99, 99 / 7]
