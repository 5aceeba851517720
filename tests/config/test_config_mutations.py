"""Whatever is done to a good scenario, the check ends with sentences; slips in known keys are never passed over."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_cases import CASES, TUTORIAL, assert_readable, judge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FILES = ("layers_services", "network", "workflow", "workflow_env")
GOOD: dict[str, Any] = {name: yaml.safe_load((TUTORIAL / f"{name}.yaml").read_text()) for name in FILES}
ODD = st.sampled_from(
    [
        None,
        "",
        " ",
        [],
        {},
        "x y;z",
        "-1",
        -1,
        0,
        10**30,
        1.5,
        float("nan"),
        True,
        ["a"],
        [None],
        {"q": 1},
        "10h",
        "{{ x",
        "[/b]",
        "é\u2028",
    ]
)
Path_ = tuple[str | int, ...]


def paths(value: Any, path: Path_ = ()) -> list[Path_]:
    found = [path] if path else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += paths(inner, (*path, key))
    return found


def parent(data: Any, path: Path_) -> Any:
    for part in path[:-1]:
        data = data[part]
    return data


def drop(data: Any, path: Path_, _: Any) -> None:
    del parent(data, path)[path[-1]]


def retype(data: Any, path: Path_, draw: Any) -> None:
    parent(data, path)[path[-1]] = copy.deepcopy(draw(ODD))


def move(data: Any, path: Path_, draw: Any) -> None:
    holder = parent(data, path)
    value = holder.pop(path[-1])
    target = parent(data, (*draw(st.sampled_from([(), *paths(data)])), None))
    if isinstance(target, dict):
        target[str(path[-1])] = value
    elif isinstance(target, list):
        target.append(value)


def rename(data: Any, path: Path_, draw: Any) -> None:
    holder = parent(data, path)
    if isinstance(holder, dict):
        holder[draw(st.text(alphabet="ab7 _-.é\n:", max_size=8))] = holder.pop(path[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mutations") / "scenario"
    shutil.copytree(TUTORIAL, made)
    (made / "artifacts/user-application.py").touch()
    return made


def check(folder: Path, name: str, data: Any) -> tuple[str, list[str]]:
    for other, good in GOOD.items():
        text = yaml.safe_dump(data if other == name else good, sort_keys=False, allow_unicode=True)
        (folder / f"{other}.yaml").write_text(text)
    verdict, problems = judge(folder, FILES)
    assert_readable(problems)
    return verdict, [problem.sentence() for problem in problems]


@given(
    st.sampled_from(FILES), st.lists(st.sampled_from([drop, retype, move, rename]), min_size=1, max_size=3), st.data()
)
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_change_ends_in_a_verdict(folder: Path, name: str, changes: list[Any], data: st.DataObject) -> None:
    changed = copy.deepcopy(GOOD[name])
    for change in changes:
        where = paths(changed)
        if where:
            change(changed, data.draw(st.sampled_from(where)), data.draw)

    verdict, sentences = check(folder, name, changed)

    assert (verdict == "ok") == (not sentences)


KEYS = [(name, path) for name in FILES[:3] for path in paths(GOOD[name]) if isinstance(path[-1], str)]


@pytest.mark.parametrize(("name", "path"), KEYS, ids=[f"{name}-{'.'.join(map(str, path))}" for name, path in KEYS])
def test_a_slip_in_a_key_is_never_passed_over(name: str, path: Path_, folder: Path) -> None:
    key = str(path[-1])
    for slip in {key[:-1], key[0] + key[2:], key + key[-1], key[:-2] + key[-1] + key[-2], key.upper(), f"{key}s"} - {
        key,
        "",
    }:
        changed = copy.deepcopy(GOOD[name])
        holder = parent(changed, path)
        items = list(holder.items())
        holder.clear()
        holder.update({slip if old == key else old: value for old, value in items})

        verdict, sentences = check(folder, name, changed)

        assert verdict != "ok", slip
        assert any(repr(slip) in sentence or repr(key) in sentence for sentence in sentences), (slip, sentences)


RICH = ("monitored", "chameleon", "scaleway", "static")


class Rich:
    """A rich scenario, written anew with one file changed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        shutil.copytree(CASES / "config" / name, self.folder)
        self.good = {file: yaml.safe_load((self.folder / f"{file}.yaml").read_text()) for file in FILES}

    def verdict(self, file: str, data: Any) -> tuple[str, list[str]]:
        """What a check says, apart from sections that are not deployed."""
        path = self.folder / f"{file}.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
        _, problems = judge(self.folder, FILES)
        path.write_text(yaml.safe_dump(self.good[file], sort_keys=False, allow_unicode=True))
        problems = [problem for problem in problems if problem.code != "not-deployed"]
        assert_readable(problems)
        severities = {problem.severity for problem in problems}
        verdict = "error" if "error" in severities else "warning" if severities else "ok"
        return verdict, [problem.sentence() for problem in problems]


@pytest.fixture(scope="module", params=RICH)
def rich(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rich:
    return Rich(request.param, tmp_path_factory.mktemp("rich"))


def is_invented(path: Path_) -> bool:
    """Whether a key of workflow.yaml or layers_services.yaml is a name that the user invents."""
    *above, key = path
    return (
        above[-1:] in (["env"], ["vars"])
        or (above[-1:] == ["environment"] and len(above) > 1)
        or (key == "port" and "services" in above)
    )


def test_a_slip_in_a_rich_scenario_is_never_passed_over(rich: Rich) -> None:
    missed = []
    for file in ("layers_services", "network", "workflow"):
        for path in paths(rich.good[file]):
            key = path[-1]
            if not isinstance(key, str) or len(key) < 3 or is_invented(path):
                continue
            for slip in (key[0] + key[2:], key[:-2] + key[-1] + key[-2]):
                if slip in (key, "at"):  # there is a module of that name
                    continue
                changed = copy.deepcopy(rich.good[file])
                holder = parent(changed, path)
                items = list(holder.items())
                holder.clear()
                holder.update({slip if old == key else old: value for old, value in items})
                if rich.verdict(file, changed)[0] == "ok":
                    missed.append((file, path, slip))

    assert not missed


def test_a_key_of_a_testbed_or_rule_without_value_is_never_passed_over(rich: Rich) -> None:
    missed = []
    for file in ("layers_services", "network"):
        for path in paths(rich.good[file]):
            changed = copy.deepcopy(rich.good[file])
            parent(changed, path)[path[-1]] = None
            legal = path == ("networks",) or is_invented(path)
            if not legal and rich.verdict(file, changed)[0] == "ok":
                missed.append((file, path))

    assert not missed
