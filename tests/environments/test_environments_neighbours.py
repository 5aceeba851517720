"""Many hosts that talk to each other have room in the kernel's tables, which are as before once all have gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2c.environments.local import neighbours

DEFAULT = {"gc_thresh1": 128, "gc_thresh2": 512, "gc_thresh3": 1024}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """Two tables with the kernel's defaults, in files."""
    made = []
    for family in ("ipv4", "ipv6"):
        table = tmp_path / "sys" / family / "neigh" / "default"
        table.mkdir(parents=True)
        for name, limit in DEFAULT.items():
            (table / name).write_text(f"{limit}\n")
        made.append(table)
    monkeypatch.setattr(neighbours, "TABLES", tuple(made))
    return tuple(made)


def limits(table: Path) -> dict[str, int]:
    return {name: int((table / name).read_text()) for name in DEFAULT}


def test_few_hosts_change_nothing(tables: tuple[Path, ...], tmp_path: Path) -> None:
    assert neighbours.make_room(tmp_path, neighbours.needed([3, 10])) is None
    assert [limits(table) for table in tables] == [DEFAULT, DEFAULT]
    neighbours.set_back(tmp_path)
    assert [limits(table) for table in tables] == [DEFAULT, DEFAULT]


def test_many_hosts_get_room_until_the_last_testbed_goes(tables: tuple[Path, ...], tmp_path: Path) -> None:
    for sizes in ([100], [100, 200], [50]):
        assert neighbours.make_room(tmp_path, neighbours.needed(sizes)) is None
    wanted = 101**2 + 201**2
    for table in tables:
        assert limits(table) == {"gc_thresh1": wanted, "gc_thresh2": 2 * wanted, "gc_thresh3": 4 * wanted}
    neighbours.set_back(tmp_path)
    assert [limits(table) for table in tables] == [DEFAULT, DEFAULT]
    assert not (tmp_path / "neighbours.json").exists()


def test_what_somebody_else_has_set_meanwhile_stays(tables: tuple[Path, ...], tmp_path: Path) -> None:
    neighbours.make_room(tmp_path, 10_000)
    (tables[0] / "gc_thresh3").write_text("77777")
    neighbours.set_back(tmp_path)
    assert limits(tables[0]) == {**DEFAULT, "gc_thresh3": 77777}
    assert limits(tables[1]) == DEFAULT


def test_larger_limits_are_left_alone(tables: tuple[Path, ...], tmp_path: Path) -> None:
    large = {"gc_thresh1": 8192, "gc_thresh2": 32768, "gc_thresh3": 65536}
    for name, limit in large.items():
        (tables[0] / name).write_text(str(limit))
    neighbours.make_room(tmp_path, 10_000)
    assert limits(tables[0]) == large


def test_where_the_limits_cannot_be_seen_a_warning_names_them(tables: tuple[Path, ...], tmp_path: Path) -> None:
    for table in tables:
        for name in DEFAULT:
            (table / name).unlink()
    assert neighbours.make_room(tmp_path, 100) is None
    warning = neighbours.make_room(tmp_path, 10_000)
    assert warning is not None
    assert "net.ipv4.neigh.default.gc_thresh3=40000" in warning


def test_without_ipv6_its_table_is_not_looked_for(
    tables: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "TABLES", (tables[0], tmp_path / "sys" / "no" / "neigh" / "default"))
    assert neighbours.make_room(tmp_path, 10_000) is None
    assert limits(tables[0])["gc_thresh3"] == 40_000
