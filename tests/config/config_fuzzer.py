"""Damages the files of scenarios in every way it knows, and has them judged.

The short run is a test; the long one is ``python tests/config/config_fuzzer.py --minutes 10``.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from e2c.config.codes import CODES
from e2c.config.load import MODELS, examine_scenario
from e2c.config.problems import Problem
from e2c.plan.build import examine

CASES = Path(__file__).parents[1] / "cases"
FILES = tuple(MODELS)
SLOW_S = 10.0
"""A small file that takes longer has found a way to make the check hang."""
PYTHON = re.compile(r"\b(NoneType|Traceback|pydantic|PydanticCustom\w*)\b|<class |\bobject at 0x|Input should be")
_TOKENS = """
    a b cloud edge - : , [ ] { } ? & * ! | > ' " # % @ ` --- ... << = ~ null yes no on 0x 010 1_000 12:30:00 1e3 .inf
    .nan 2026-01-02 &a *a !!str !!int !x %YAML {{ }} {% %} {# #} {{x}} {{x|d}} all ~( ~(a+)+$ cloud[0:2] !edge
    environment layers name services networks src dst delay rate loss hosts launch shell copy depends_on roles
    jitter distribution normal reorder duplicate corrupt limit down back symmetric schedule at 30s control untouched
    quantity repeat 28ms 1gbit 0.1% 00:59:00 g5k iotlab local provenance dataflow_spec ../x /etc/passwd
"""
TOKENS = _TOKENS.split()
_BLANKS = r"\n|\n|\n  |\n    | |  |\t|\r\n|\u2028|\x85|\ufeff|\x00|\x1b[31m|\xe9|\u202e|\U0001f600"
BLANKS = _BLANKS.encode().decode("unicode-escape").split("|")
VALUES: list[Any] = [
    None, "", " ", "\n", "x", "é\u2028", "a\0b", "\x1b[31m", "[/b]", "{{ x", "{{ x }}", "{{ " + "9" * 5000 + " }}",
    "{% for", "../x", "/etc/passwd",
    "a" * 300, "a" * 5000, "~(a+)+$", "~(", "cloud[", "cloud[9999999999999]", "*", "!", "&", "all:!all", "00:00:00",
    "99:99:99", "-1ms", "1e9gbit", "100%", "9" * 400 + "ms", 0, -1, 1, 10**9, 10**30, 10**400, 1.5, 1e308, float("inf"),
    float("nan"), True, False, [], {}, [None], [[]], {"": ""}, {"a": None}, ["a"] * 50, {"shell": ["x"]}, {"block": 3},
    [{"copy": "src={{ x dest='"}], {"copy": {"src": "{{ working_dir }}/a\0b"}}, {"when": "a ==", "shell": "x"},
    {"name": "x", "services": None}, {"src": "cloud", "dst": "edge"},
]  # fmt: skip


@dataclass
class Findings:
    """What a run has shown.

    Attributes:
        inputs: scenarios judged.
        faults: what went wrong, by kind, with the first input that showed it.
        slowest: seconds of the slowest one.
        codes: how often each code was the verdict's; none for scenarios without problems.
    """

    inputs: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)


class Fuzzer:
    """Judges damaged scenarios in one folder.

    Args:
        folder: an empty folder.
        seed: of the choices; the same seed makes the same inputs.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder / "scenario"
        shutil.copytree(CASES / "tutorial", self.folder)
        (self.folder / "artifacts" / "user-application.py").touch()
        self.good = {name: (self.folder / f"{name}.yaml").read_bytes() for name in FILES}
        self.seeds: dict[str, list[bytes]] = {name: [] for name in FILES}
        for path in sorted(CASES.rglob("*.y*ml")):
            name = next((known for known in sorted(FILES, key=len, reverse=True) if path.stem.startswith(known)), None)
            if name and path.stat().st_size < 50_000:
                self.seeds[name].append(path.read_bytes())
        self.values = VALUES + [inner for seeds in self.seeds.values() for text in seeds for inner in _parts(text)]
        self.found = Findings()

    def run(self, inputs: int = sys.maxsize, seconds: float = float("inf")) -> Findings:
        """Judge so many inputs, or for so long."""
        end = time.monotonic() + seconds
        ways: list[Callable[[str], bytes]] = [
            self.structure,
            self.structure,
            self.structure,
            self.bytes_,
            self.lines,
            self.soup,
        ]
        while self.found.inputs < inputs and time.monotonic() < end:
            contents = dict(self.good)
            for name in self.random.sample(FILES, self.random.choice([1, 1, 1, 2, 4])):
                contents[name] = self.random.choice(ways)(name)
            self.judge(contents)
        return self.found

    def judge(self, contents: dict[str, bytes]) -> None:
        """Judge a scenario; whatever is not a verdict is kept."""
        self.found.inputs += 1
        for name, content in contents.items():
            (self.folder / f"{name}.yaml").write_bytes(content)
        began = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                problems = judged(self.folder)
            fault = _fault(problems)
            self.found.codes.update({problem.code for problem in problems} or {"none"})
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} in {Path(place.filename).name}:{place.name}"
        took = time.monotonic() - began
        self.found.slowest = max(self.found.slowest, took)
        if took > SLOW_S:
            fault = f"took {took:.0f} s"
        if fault and fault not in self.found.faults:
            changed = {name: text for name, text in contents.items() if text != self.good[name]}
            self.found.faults[fault] = repr(changed)

    def structure(self, name: str) -> bytes:
        """A file whose keys and values are dropped, moved, doubled, misspelled or replaced."""
        content = self.random.choice(self.seeds[name])
        try:
            data = _load(self.good[name] if b"&" in content else content)
        except (yaml.YAMLError, ValueError):
            data = _load(self.good[name])
        for _ in range(self.random.choice([1, 1, 2, 3, 8])):
            data = self._changed(data)
        if self.random.random() < 0.3:
            return json.dumps(data, default=str, ensure_ascii=self.random.random() < 0.5).encode(errors="replace")
        try:
            return yaml.dump(data, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False).encode(
                errors="replace"
            )
        except (yaml.YAMLError, RecursionError, ValueError):
            return json.dumps(data, default=str).encode(errors="replace")

    def _changed(self, data: Any) -> Any:
        places = list(_places(data))
        if not places:
            return copy.deepcopy(self.random.choice(self.values))
        holder, key = self.random.choice(places)
        value = copy.deepcopy(self.random.choice(self.values))
        way = self.random.randrange(6)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[self._misspelled(str(key))] = holder.pop(key)
        elif way == 2:
            other, place = self.random.choice(places)
            if place in other if isinstance(other, dict) else place < len(other):
                other[place] = copy.deepcopy(holder[key])
        elif way == 3 and isinstance(holder, list):
            holder += copy.deepcopy(holder[: self.random.randrange(4)])
        elif way == 4 and isinstance(holder, dict):
            holder[self.random.choice(TOKENS)] = value
        else:
            holder[key] = value
        return data

    def _misspelled(self, key: str) -> str:
        place = self.random.randrange(len(key) + 1)
        return key[:place] + self.random.choice(["", "x", ".", " ", "é", "\n", key.upper()]) + key[place + 1 :]

    def bytes_(self, name: str) -> bytes:
        """A file with some bytes changed, removed, repeated or in another encoding."""
        content = bytearray(self.random.choice(self.seeds[name]))
        for _ in range(self.random.choice([1, 1, 2, 5, 20])):
            start = self.random.randrange(len(content) + 1)
            end = start + self.random.choice([0, 1, 1, 2, 10, 100])
            new = self.random.choice(
                [b"", self.random.randbytes(self.random.randrange(1, 5)), bytes(content[start:end]) * 2]
            )
            content[start:end] = new
        if self.random.random() < 0.05:
            return bytes(content).decode("latin-1").encode(self.random.choice(["utf-16", "utf-32-le", "utf-8-sig"]))
        return bytes(content)

    def lines(self, name: str) -> bytes:
        """A file whose lines are mixed, or those of two files."""
        lines = self.random.choice(self.seeds[name]).splitlines(keepends=True)
        other = self.random.choice(self.seeds[self.random.choice(FILES)]).splitlines(keepends=True)
        for _ in range(self.random.choice([1, 2, 5])):
            place = self.random.randrange(len(lines) + 1)
            extra = self.random.choice(other or [b"\n"])
            lines[place : place + self.random.randrange(3)] = [extra[self.random.choice([0, 0, 1, 2]) :]]
        return b"".join(lines)

    def soup(self, _: str) -> bytes:
        """What looks like YAML from far away."""
        words = self.random.choices(TOKENS + BLANKS * 3, k=self.random.choice([3, 10, 40, 200]))
        return "".join(words).encode(errors="replace")


def judged(folder: Path) -> list[Problem]:
    """All problems of a scenario, as a check finds them."""
    scenario, problems = examine_scenario(folder, folder / "artifacts", need=FILES)
    return problems + examine(scenario)[1]


def _fault(problems: list[Problem]) -> str | None:
    """Why problems cannot be shown as they are; ``None`` when they can."""
    for problem in problems:
        problem.excerpt()
        sentence = problem.sentence()
        json.dumps(problem.as_dict(), ensure_ascii=False).encode()
        if problem.code not in CODES:
            return f"unknown code {problem.code}"
        if not sentence.isprintable() or not problem.path.isprintable():
            return f"{problem.code}: not printable"
        if PYTHON.search(problem.message) or PYTHON.search(problem.hint):
            return f"{problem.code}: shows Python"
        if len(sentence) > 2000:
            return f"{problem.code}: {len(sentence)} characters"
    return None


def _load(text: bytes) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _places(value: Any) -> Any:
    """Every holder and key below a value."""
    for key, inner in list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from _places(inner)


def _parts(text: bytes) -> list[Any]:
    """Values of a file, to be put elsewhere."""
    try:
        data = None if b"&" in text else _load(text)  # aliases may stand for more than memory holds
        return [holder[key] for holder, key in islice(_places(data), 20)]
    except (yaml.YAMLError, ValueError, RecursionError):
        return []


def main() -> int:
    """Fuzz for some minutes, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="seed of the choices")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = Fuzzer(Path(folder), given.seed).run(seconds=given.minutes * 60)
    print(f"{found.inputs} inputs, seed {given.seed}, slowest {found.slowest:.2f} s, {len(found.faults)} faults")
    print(f"codes met: {len(found.codes)} of {len(CODES)}; without problems: {found.codes['none']}")
    for fault, shown in found.faults.items():
        print(f"\n{fault}\n{shown[:3000]}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
