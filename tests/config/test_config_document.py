"""Reading YAML: data, places, limits, and that nothing a file holds gets past as an exception."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_cases import CASES, TUTORIAL
from hypothesis import given, settings
from hypothesis import strategies as st

from e2c.config import compose
from e2c.config.document import MAX_BYTES, Document, parse, read
from e2c.config.problems import Problem


def load(text: str | bytes) -> tuple[Document, list[Problem]]:
    return parse(text.encode() if isinstance(text, str) else text, "f.yaml", "network")


def only(text: str | bytes) -> Problem:
    document, problems = load(text)
    assert document.root is None
    assert len(problems) == 1
    return problems[0]


@pytest.mark.parametrize("path", sorted(TUTORIAL.glob("*.yaml")), ids=lambda path: path.name)
def test_data_is_what_yaml_says(path: Path) -> None:
    document, problems = read(path, path.stem)

    assert problems == []
    assert document.data == yaml.safe_load(path.read_text())


SCALARS = """\
a: [yes, no, on, off, true, False, ~, null, '', "1"]
b: [1, -2, +3, 0x1F, 0b101, 010, 1_000, 12:30:00, 1.5, .5, 1e3, 1.0e+3, .inf, -.inf, 190:20:30.15]
c: |
  text
  lines
d: >-
  folded
  text
base: &base {x: 1, y: 2}
derived: {<<: *base, y: 3}
several: {<<: [*base, {z: 4}], y: 5}
list: [*base, *base]
"""


def test_scalars_merges_and_aliases_are_read_as_pyyaml_reads_them() -> None:
    assert load(SCALARS)[0].data == yaml.safe_load(SCALARS)


def test_without_the_c_parser_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [SCALARS, *(path.read_text() for path in TUTORIAL.glob("*.yaml"))]
    quick = [load(text)[0].data for text in texts]
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)

    assert [load(text)[0].data for text in texts] == quick
    assert only("a:\n\tb: 1\n").code == "yaml-tab"
    assert only("a: [1\n").code == "yaml-syntax"
    assert only("[" * 100).code == "yaml-depth"


def test_aliases_are_copies() -> None:
    data: Any = load(SCALARS)[0].data

    data["list"][0]["x"] = 99

    assert data["list"][1]["x"] == 1
    assert data["base"]["x"] == 1


def test_dates_and_keys_stay_text_as_written() -> None:
    document, _ = load("when: 2026-01-02\n7: a\nyes: b\n0644: c\n")

    assert document.data == {"when": "2026-01-02", "7": "a", "yes": "b", "0644": "c"}
    node = document.node(("when",))
    assert node is not None
    assert node.kind == "timestamp"


def test_places_of_values_and_keys() -> None:
    document, _ = load("networks:\n- src: cloud\n  dst:   edge\n- {src: a,\n   dst: é, delay: ü1}\n")

    assert document.position(("networks", 0, "dst")) == (3, 10)
    assert document.position(("networks", 0, "dst"), key=True) == (3, 3)
    assert document.position(("networks", 1)) == (4, 3)
    assert document.position(("networks", 1, "delay")) == (5, 19)
    assert document.position(("networks", 1, "rate")) == (4, 3)
    assert document.position(("nothing", 5, "here")) == (1, 1)


def test_a_byte_order_mark_moves_no_place() -> None:
    with_mark, without = load(b"\xef\xbb\xbfa:\n  b: 1\n")[0], load("a:\n  b: 1\n")[0]

    assert with_mark.data == without.data
    assert with_mark.position(("a", "b")) == without.position(("a", "b")) == (2, 6)


def test_the_sentence_and_the_excerpt() -> None:
    problem = only("networks:\n- src: cloud\n  src: edge\n")

    assert problem.sentence() == (
        "f.yaml:3:3: error: the key 'src' stands twice, first in line 2. Remove or rename one of them."
    )
    assert problem.excerpt() == "      src: edge\n      ^"
    assert list(problem.as_dict()) == ["file", "line", "column", "path", "severity", "code", "message", "hint"]


def test_the_excerpt_of_a_long_line_shows_the_place() -> None:
    problem = only("x: [" + "a, " * 1000 + "{b: 1, b: 2}]\n")

    shown, caret = problem.excerpt().splitlines()

    assert len(shown) <= 124
    assert shown[len(caret) - 1] == "b"


def test_escapes_do_not_reach_the_terminal() -> None:
    document, _ = load('"a\\e[31m\\nb": 1\n')

    problem = document.problem(("a\x1b[31m\nb",), "code", "the key a\x1b[31m\nb", "b\x07")

    assert problem.sentence() == r"f.yaml:1:15: error: the key a\x1b[31m\nb. b\x07."
    assert problem.path == r"a\x1b[31m\nb"


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (b"", "file-empty", (0, 0)),
        (b"# only a comment\n", "file-empty", (0, 0)),
        (b"---\n...\n", "file-empty", (0, 0)),
        ("a: 1\n".encode("utf-16"), "encoding", (0, 0)),
        ("a: 1\n".encode("utf-32"), "encoding", (0, 0)),
        ("a: 1\nb: é\n".encode("latin-1"), "encoding", (2, 4)),
        (b"a: 1\nb: \x00\n", "control-character", (2, 4)),
        (b"a: \x1b[31m\n", "control-character", (1, 4)),
        (b"a:\n\tb: 1\n", "yaml-tab", (2, 1)),
        (b"a: {{ x }}/y\n", "yaml-key", (1, 5)),
        (b"a: 1\n---\nb: 2\n", "yaml-documents", (2, 1)),
        (b"a: !!python/object/apply:os.system [id]\n", "yaml-tag", (1, 4)),
        (b"a: !vault x\n", "yaml-tag", (1, 4)),
        (b"a: !!binary aGk=\n", "yaml-tag", (1, 4)),
        (b"a: !!set {b}\n", "yaml-tag", (1, 4)),
        (b"a: *nothing\n", "yaml-alias", (1, 4)),
        (b"a: &x [*x]\n", "yaml-alias", (1, 8)),
        (b"a: 'open\n", "yaml-syntax", (2, 1)),
        (b"a: b: c\n", "yaml-syntax", (1, 5)),
        (b"a: [1, 2\n", "yaml-syntax", (2, 1)),
        (b"<<: 3\n", "yaml-merge", (1, 5)),
        (b"a: " + b"9" * 5000 + b"\n", "yaml-number", (1, 4)),
        (b"[" * 100, "yaml-depth", (1, 65)),
        (b"a: " + b"x" * MAX_BYTES, "file-too-large", (0, 0)),
    ],
)
def test_what_cannot_be_read_says_why_and_where(content: bytes, code: str, place: tuple[int, int]) -> None:
    problem = only(content)

    assert (problem.code, (problem.line, problem.column)) == (code, place), problem.sentence()
    assert problem.hint or code == "yaml-syntax"


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert "no such file" in read(tmp_path / "x.yaml", "network")[1][0].message
    assert "is a folder" in read(tmp_path, "network")[1][0].message


def test_a_number_of_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "MAX_NODES", 1000)

    assert only("a: [" + "1, " * 1000 + "]").code == "yaml-size"


def bomb(levels: int, name: str = "lol") -> str:
    lines = [f"a0: &a0 [{', '.join([name] * 9)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


MAPPINGS = "\n".join(
    ["a0: &a0 {k0: 1, k1: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}, z: *a{n - 1}}}" for n in range(1, 40))]
)
MERGES = "\n".join(["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: *a{n - 1}}}" for n in range(1, 60))])


@pytest.mark.parametrize("text", [bomb(9), bomb(60), MAPPINGS, MERGES], ids=["nine", "sixty", "mappings", "merges"])
def test_a_bomb_costs_no_memory(text: str) -> None:
    tracemalloc.start()
    try:
        problem = only(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert problem.code == "yaml-alias-expansion"
    assert peak < 20_000_000


WORDS = "a b 0x 1_ 12:30 1e .inf 2026-01-02 = ~ no {{ }} << --- ... &x *x !!str !x | > ' \" # , { } [ ]"
PIECES = st.sampled_from(
    [*WORDS.split(), " ", "  ", "\n", "\t", "- ", ": ", "? ", "%YAML 1.2\n", "\\x41", "é", "\u2028", "\x85"]
)


@given(st.lists(PIECES, max_size=40).map("".join))
@settings(max_examples=400)
def test_any_text_is_read_or_refused(text: str) -> None:
    document, problems = load(text)

    assert (document.root is None) == any(problem.severity == "error" for problem in problems)
    for problem in problems:
        assert problem.sentence()
        assert isinstance(problem.excerpt(), str)


@given(st.lists(PIECES, max_size=40).map("".join))
@settings(max_examples=400)
def test_what_is_accepted_is_what_pyyaml_reads(text: str) -> None:
    document, _ = load(text)

    if document.root is not None:
        expected = yaml.load(text, Loader=TextKeys)
        assert repr(document.data) == repr(expected)


MERGE = "tag:yaml.org,2002:merge"


class TextKeys(yaml.CSafeLoader):
    """PyYAML with the differences of this product: keys and dates are text as written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        for key, _ in node.value:
            key.tag = "tag:yaml.org,2002:str" if isinstance(key, yaml.ScalarNode) and key.tag != MERGE else key.tag
        return super().construct_mapping(node, deep=True)


TextKeys.add_constructor("tag:yaml.org,2002:timestamp", yaml.CSafeLoader.construct_yaml_str)
TextKeys.add_constructor("tag:yaml.org,2002:value", yaml.CSafeLoader.construct_yaml_str)
TextKeys.add_constructor(MERGE, yaml.CSafeLoader.construct_yaml_str)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    document, problems = load(content)

    assert (document.root is None) == any(problem.severity == "error" for problem in problems)


GOOD = [path.read_bytes() for path in sorted((CASES / "tutorial").glob("*.yaml"))]


@given(st.sampled_from(GOOD), st.data())
@settings(max_examples=300)
def test_damaged_files_are_read_or_refused(content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 20)))
    damaged = content[:start] + data.draw(st.binary(max_size=4)) + content[end:]

    document, problems = load(damaged)

    assert (document.root is None) == any(problem.severity == "error" for problem in problems)
