"""Files as values: size and digest as they were at the call, and a sentence when there is none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import provlight
from provlight import Data, File, Task, files
from provlight.files import FileFact, from_wire
from provlight.packing import pack, unpack
from provlight.shapes import WireError
from provlight.transport import memory


@pytest.fixture(autouse=True)
def transport(clean: None) -> None:
    provlight.configure(transport="memory", linger_ms=5)


def facts(*values: Any, change: Any = None) -> list[FileFact]:
    provlight.configure(transport="memory", linger_ms=60_000)
    Task(1, "w", "t").begin(Data("s", "w", [], {f"v{place}": value for place, value in enumerate(values)}))
    if change is not None:
        change()
    assert provlight.flush(20)
    (record,) = memory.records()
    memory.clear()
    assert record.sets[0][1] == [os.fspath(value) if isinstance(value, File) else value for value in values]
    found: list[FileFact] = (record.extras or {}).get("files", [])
    return found


def test_a_file_is_recorded_with_size_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(300_000)
    (tmp_path / "é data").write_bytes(content)
    (tmp_path / "empty").touch()
    monkeypatch.chdir(tmp_path)
    first, second = facts(File("é data"), 5, File(tmp_path / "empty"))
    assert first == FileFact("s", "v0", str(tmp_path / "é data"), 300_000, hashlib.sha256(content).digest(), "")
    assert (second.attribute, second.size, second.digest) == ("v2", 0, hashlib.sha256(b"").digest())


def test_positional_values_and_rows_name_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a")
    Task(1, "w", "t").begin([Data("s", "w", [], [1, File(path)]), Data("u", "w", [], [{"f": File(path)}, {"f": None}])])
    assert provlight.flush(10)
    (record,) = memory.records()
    assert [(one.tag, one.attribute) for one in (record.extras or {})["files"]] == [("s", 1), ("u", "f")]


def test_a_missing_file_is_said_once_and_does_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    absent, folder, pipe = tmp_path / "absent", tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    found = facts(File(absent), File(folder), File(pipe), File("nul\0character"))
    assert [(fact.size, fact.digest) for fact in found] == [(None, None)] * 4
    assert [fact.problem for fact in found] == [
        "No such file or directory", "not a regular file", "not a regular file", "embedded null byte"
    ]  # fmt: skip
    assert provlight.stats()["misuses"] == {"file": 4}
    assert [record.getMessage() for record in caplog.records] == [
        f"provlight: set 's': {absent} is captured without size and digest: No such file or directory "
        "(further cases are only counted)"
    ]
    with pytest.raises(TypeError):
        File(5)  # type: ignore[arg-type]


def test_a_file_that_changes_before_its_digest_is_computed_gets_none(tmp_path: Path) -> None:
    grown, replaced, gone = (tmp_path / name for name in ("grown", "replaced", "gone"))
    for path in (grown, replaced, gone):
        path.write_text("first")

    def change() -> None:
        grown.write_text("longer than before")
        (tmp_path / "new").write_text("other")
        os.replace(tmp_path / "new", replaced)
        gone.unlink()

    found = facts(File(grown), File(replaced), File(gone), change=change)
    assert [(fact.size, fact.digest) for fact in found] == [(5, None)] * 3
    assert [fact.problem for fact in found] == [
        "changed before its digest was computed", "changed before its digest was computed",
        "its digest could not be computed: No such file or directory",
    ]  # fmt: skip


def test_large_files_get_a_digest_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DIGEST_BYTES", 10)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 11)
    unasked, wanted, unwanted = facts(File(path), File(path, digest=True), File(path, digest=False))
    assert (unasked.size, unasked.digest, unasked.problem) == (11, None, "larger than 10 bytes: no digest")
    assert wanted.digest == hashlib.sha256(b"x" * 11).digest()
    assert (unwanted.digest, unwanted.problem) == (None, "")


WHOLE = st.builds(
    FileFact,
    st.text(max_size=20),
    st.one_of(st.text(max_size=20), st.integers(0, 65_535)),
    st.text(max_size=50),
    st.one_of(st.none(), st.integers(0, (1 << 63) - 1)),
    st.one_of(st.none(), st.binary(min_size=32, max_size=32)),
    st.text(max_size=20),
)


@given(st.lists(WHOLE, max_size=5))
def test_what_is_known_of_files_survives_the_wire(found: list[FileFact]) -> None:
    assert from_wire(unpack(pack([list(fact) for fact in found]))) == found


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=33)),
    lambda inner: st.lists(inner, max_size=7),
))  # fmt: skip
def test_anything_else_is_a_wire_error(value: Any) -> None:
    try:
        found = from_wire(value)
    except WireError:
        return
    assert all(type(fact) is FileFact for fact in found)
