"""Whatever a scenario holds, its check ends soon, with a report that can be read."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from config_cases import MakeScenario, judge

from e2c.config.document import read
from e2c.config.load import examine_scenario
from e2c.config.problems import MAX_PROBLEMS, Problem
from e2c.errors import ScenarioError

HEAD = "environment: {local: {}}\nlayers:\n- name: cloud\n  services:\n"
ONE = f"{HEAD}  - name: a\n"
PLAY = "- hosts: cloud.*\n  launch:\n"


def lines(text: str, count: int) -> str:
    return "".join(text.replace("#", str(number)) for number in range(count))


def codes(problems: list[Problem]) -> set[str]:
    return {problem.code for problem in problems}


FLOODS = {
    "types": ("layers_services", HEAD + lines("  - {name: s#, quantity: x}\n", 20_000)),
    "entries": ("layers_services", f"{ONE}    servers: [{'1, ' * 20_000}]\n"),
    "keys": ("layers_services", ONE + lines("key#: 1\n", 20_000)),
    "metadata": ("layers_services", ONE + lines("    quantity#: 1\n", 20_000)),
    "layers": (
        "layers_services",
        "environment: {local: {}}\nlayers:\n" + "- {name: a, services: [{name: b}]}\n" * 5000,
    ),
    "rules": ("network", "networks:\n" + "- {src: cloud, dst: edge, delay: 1ms, rate: 1gbit}\n" * 5000),
    "selectors": ("network", "networks:\n" + lines("- {src: clowd#, dst: edge, delay: 1ms, rate: 1gbit}\n", 5000)),
    "modules": ("workflow", PLAY + lines("  - shel#: x\n", 5000)),
    "keywords": ("workflow", f"{PLAY}  - shell: x\n" + lines("    key#: x\n", 5000)),
    "variables": ("workflow", PLAY + lines("  - shell: '{{ x# }}'\n", 5000)),
    "files": ("workflow", PLAY + lines("  - copy: {src: '{{ working_dir }}/f#', dest: /tmp}\n", 5000)),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "text"), FLOODS.values(), ids=FLOODS)
def test_a_flood_of_problems_is_cut(name: str, text: str, scenario: MakeScenario) -> None:
    verdict, problems = judge(scenario(**{name: text}))

    assert verdict != "ok"
    assert "problems-many" in codes(problems)
    assert len(problems) < 3 * MAX_PROBLEMS
    assert all(len(problem.sentence()) < 1500 for problem in problems)


SLOW = {
    "nested expression": ("network", "networks:\n- {src: '~(a+)+$', dst: '~(a|a)*b', delay: 1ms, rate: 1gbit}\n"),
    "globs": ("network", f"networks:\n- {{src: '{'*a' * 400}b', dst: '{'?*' * 400}b', delay: 1ms, rate: 1gbit}}\n"),
    "subscript": ("network", f"networks:\n- {{src: 'cloud[{'9' * 900}]', dst: edge, delay: 1ms, rate: 1gbit}}\n"),
    "braces": ("workflow", PLAY + '  - copy: "{{ ' + "{{ a" * 20_000 + '"\n'),
    "line of arguments": ("workflow", PLAY + '  - copy: "src=' + "a" * 900_000 + ' dest=x"\n'),
    "template": ("workflow", PLAY + '  - shell: "{{ ' + "(" * 100_000 + ' }}"\n'),
    "number in a template": ("workflow", PLAY + '  - shell: "{{ ' + "9" * 100_000 + ' }}"\n'),
    "terms in a template": ("workflow", PLAY + '  - shell: "{{ ' + "a + " * 100_000 + 'a }}"\n'),
    "hexadecimal": ("layers_services", f"{ONE}    quantity: 0x{'f' * 100_000}\n"),
    "base 60": ("layers_services", f"{ONE}    quantity: 1{':59' * 100_000}\n"),
    "digits": (
        "network",
        f"networks:\n- {{src: cloud, dst: edge, delay: '{'1' * 100_000}ms', loss: '{' ' * 100_000}%'}}\n",
    ),
    "documents": ("network", "a: 1\n---\n" * 100_000),
    "indentation": ("network", "".join(" " * depth + "a:\n" for depth in range(1000))),
    "sequences": ("network", "- " * 100_000),
    "path": ("workflow", PLAY + f"  - copy: {{src: '{{{{ working_dir }}}}/{'a' * 5000}', dest: /tmp}}\n"),
    "NUL in a path": ("workflow", PLAY + '  - copy: {src: "{{ working_dir }}/a\\0b", dest: /tmp}\n'),
    "specification": ("layers_services", f"provenance: {{provider: local, dataflow_spec: '{'a' * 5000}'}}\n{ONE}"),
    "NUL in the specification": ("layers_services", f'provenance: {{provider: local, dataflow_spec: "a\\0b"}}\n{ONE}'),
    "roles": ("layers_services", f"{ONE}    roles: [{', '.join(f'r{n}' for n in range(10_000))}]\n"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "text"), SLOW.values(), ids=SLOW)
def test_what_could_take_for_ever_is_an_error_soon(name: str, text: str, scenario: MakeScenario) -> None:
    assert judge(scenario(**{name: text}))[0] == "error"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("quantity", [10**9, 10**30])
def test_no_machine_is_made_of_too_many(quantity: int, scenario: MakeScenario) -> None:
    folder = scenario(
        layers_services=f"{ONE}    quantity: {quantity}\n", network="networks:\n", workflow=f"{PLAY}  - shell: x\n"
    )

    assert "plan-too-large" in codes(judge(folder)[1])


@pytest.mark.timeout(120)
def test_selectors_that_choose_too_much_together_are_refused(scenario: MakeScenario) -> None:
    folder = scenario(
        layers_services=f"{ONE}    quantity: 5000\n", network="networks:\n", workflow=f"{PLAY}  - shell: x\n" * 1500
    )

    assert "plan-too-large" in codes([problem for problem in judge(folder)[1] if problem.severity == "error"])


@pytest.mark.timeout(120)
def test_a_hundred_thousand_services_take_less_than_a_gigabyte(scenario: MakeScenario) -> None:
    text = HEAD + lines("  - {name: S#, environment: local, roles: [r]}\n", 100_000)
    folder = scenario(layers_services=text, network="networks:\n", workflow=f"{PLAY}  - shell: x\n")
    code = (
        "import sys, pathlib; from e2c.config.load import examine_scenario; from e2c.plan.build import examine;"
        "read, found = examine_scenario(pathlib.Path(sys.argv[1])); print([p.code for p in found + examine(read)[1]])"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))

    run = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=False, preexec_fn=limit
    )

    assert run.stdout == "['file-large']\n", run.stderr


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def nothing(path: Path) -> None:
    path.symlink_to("nothing")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "a pipe, not a file"),
        (endless, "a device, not a file"),
        (os.mkdir, "a folder, not a file"),
        (loop, "symbolic links"),
        (nothing, "no such file"),
        (sparse, "more than 8 MiB"),
    ],
)
def test_what_is_no_file_is_not_waited_for(make: Callable[[Path], None], why: str, scenario: MakeScenario) -> None:
    folder = scenario()
    (folder / "network.yaml").unlink()
    make(folder / "network.yaml")

    _, problems = examine_scenario(folder, need="network")

    assert [why in problem.message for problem in problems] == [True], problems


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    bound(Path("network.yaml"))

    assert "a socket, not a file" in read(Path("network.yaml"), "network")[1][0].message


def test_links_to_themselves_among_the_artifacts_are_missing_files(scenario: MakeScenario) -> None:
    folder = scenario(workflow=f"{PLAY}  - copy: {{src: '{{{{ working_dir }}}}/loop', dest: /tmp}}\n")
    loop(folder / "artifacts/loop")

    problems = judge(folder)[1]

    assert [problem.message for problem in problems if problem.code == "artifact"] == [
        "the file '{{ working_dir }}/loop' does not exist"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_what_may_not_be_read_says_so(scenario: MakeScenario) -> None:
    folder = scenario()
    (folder / "network.yaml").chmod(0)
    code = (
        "import os, sys, pathlib; from e2c.config.load import examine_scenario; import e2c.plan.build;"
        "os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534);"
        "print([p.message for p in examine_scenario(pathlib.Path('.'), need=['network'])[1]])"
    )

    run = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)

    assert run.stdout == "['the file cannot be read: permission denied']\n", run.stderr


@pytest.mark.parametrize("name", ["a\nb\x1b[31m", os.fsdecode(b"a\xff"), "a\u202eb"])
def test_names_of_folders_cannot_steer_the_terminal(name: str, tmp_path: Path, scenario: MakeScenario) -> None:
    folder = scenario(network="networks: 3\n").rename(tmp_path / name)

    problems = judge(folder)[1]

    assert problems
    assert all(problem.sentence().isprintable() for problem in problems)
    assert all(problem.as_dict()["file"].isprintable() for problem in problems)
    with pytest.raises(ScenarioError) as refused:
        examine_scenario(folder / "nothing")
    assert str(refused.value).isprintable()


def test_the_excerpt_cannot_steer_the_terminal() -> None:
    problem = Problem("f.yaml", 1, 4, "", "error", "type", "wrong", source="a: \u202e\x07b\tc")

    assert problem.excerpt() == "    a: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b c\n       ^"
