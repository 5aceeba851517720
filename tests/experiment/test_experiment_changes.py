"""What is written down about changed links adds up to what they are."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from e2c.config.assignments import read_change
from e2c.emulation.constraint import nothing_exempt
from e2c.errors import StateError
from e2c.experiment import changes
from e2c.experiment.changes import Ledger, Record, add_up, confirmed, words
from e2c.model.host import Addresses, Host, Interface
from e2c.model.link import PlannedChange, PlannedLink

HOSTS = tuple(
    Host(
        key=key,
        layer=key[:4],
        service="s",
        testbed="local",
        provider="local",
        hostname=key,
        address=f"10.0.0.{number}",
        addresses=Addresses(v4=f"10.0.0.{number}"),
        interfaces=(Interface(device="eth0"),),
    )
    for number, key in enumerate(("edge.a.1.1", "edge.a.1.2", "core.b.1.1"), 1)
)
EDGE, CORE = ("edge.a.1.1", "edge.a.1.2"), ("core.b.1.1",)
RULE = PlannedLink(src="edge", dst="core", sources=EDGE, destinations=CORE, delay_ms=10, loss_percent=1)
APPLIED = confirmed("applied", links=(RULE,))

Values = dict[tuple[str, str], str]


def change(sources: tuple[str, ...], destinations: tuple[str, ...], **values: object) -> PlannedChange:
    return PlannedChange(
        at_s=0, src=sources[0], dst=destinations[0], sources=sources, destinations=destinations, **values
    )


def by_hand(*given: PlannedChange) -> list[Record]:
    return [confirmed("set", change=one) for one in given]


def played(*given: PlannedChange) -> list[Record]:
    return [confirmed("schedule", run="run", change=one) for one in given]


def values(records: list[Record], *, schedule: bool = True) -> Values:
    found = add_up(records).constraints(HOSTS, nothing_exempt, schedule=schedule)
    return {(one.source, one.destination): words(one) for one in found}


def test_changes_by_hand_are_added_to_the_rules_until_these_are_applied_again() -> None:
    records = [APPLIED, *by_hand(change(EDGE[:1], CORE, delay_ms=50), change(EDGE, CORE, down=True))]
    assert values(records) == {
        (EDGE[0], CORE[0]): "delay=50ms loss=1% down",
        (EDGE[1], CORE[0]): "delay=10ms loss=1% down",
    }
    back = [*records, *by_hand(change(EDGE[:1], CORE, down=False))]
    assert values(back)[EDGE[0], CORE[0]] == "delay=50ms loss=1% up"
    assert set(values([*back, APPLIED]).values()) == {"delay=10ms loss=1%"}
    assert values([*back, confirmed("reset")]) == {}


def test_a_pair_without_a_rule_can_be_changed() -> None:
    records = [APPLIED, *by_hand(change(CORE, EDGE[:1], rate_kbit=64), change(EDGE, EDGE, symmetric=True, delay_ms=3))]
    assert values(records) == {
        (EDGE[0], CORE[0]): "delay=10ms loss=1%",
        (EDGE[1], CORE[0]): "delay=10ms loss=1%",
        (CORE[0], EDGE[0]): "rate=64kbit",
        (EDGE[0], EDGE[1]): "delay=3ms",
        (EDGE[1], EDGE[0]): "delay=3ms",
    }


def test_what_a_schedule_did_is_undone_at_its_end_and_what_was_done_by_hand_meanwhile_stays() -> None:
    records = [APPLIED, confirmed("begins", run="large"), *played(change(EDGE, CORE, down=True, delay_ms=70))]
    records += by_hand(change(EDGE[1:], CORE, loss_percent=9))
    assert add_up(records).playing == "large"
    assert values(records) == {
        (EDGE[0], CORE[0]): "delay=70ms loss=1% down",
        (EDGE[1], CORE[0]): "delay=70ms loss=9% down",
    }
    after = {(EDGE[0], CORE[0]): "delay=10ms loss=1%", (EDGE[1], CORE[0]): "delay=10ms loss=9%"}
    assert values(records, schedule=False) == after
    records.append(confirmed("ends", run="large"))
    assert values(records) == after
    assert add_up(records).playing is None


def test_what_failed_does_not_count() -> None:
    failed = confirmed("schedule", change=change(EDGE, CORE, down=True), error="no answer")
    assert add_up([APPLIED, confirmed("begins", run="run"), failed]).scheduled == ()


def test_lines_are_read_again_and_those_that_were_cut_off_are_not(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.records() == []
    assert not ledger.path.exists()
    with ledger.held():
        ledger.add(APPLIED, confirmed("begins", sent=0.0, run="run"))
    assert ledger.records() == Ledger(tmp_path).records()
    assert json.loads(ledger.path.read_text().splitlines()[1])["sent"] == "1970-01-01T00:00:00.000+00:00"
    with ledger.path.open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00", "ki')
    other = Ledger(tmp_path)
    assert [record.kind for record in other.records()] == ["applied", "begins"]
    with other.held():
        other.add(confirmed("ends", run="run"))
    assert [record.kind for record in other.records()] == ["applied", "begins", "ends"]
    assert [record.kind for record in ledger.records()] == ["applied", "begins", "ends"]


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.path.parent.mkdir()
    ledger.path.symlink_to("/dev/full")
    with pytest.raises(StateError, match=f"{ledger.path}: cannot write: No space left on device"), ledger.held():
        ledger.add(APPLIED)


def test_one_at_a_time_changes_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "PATIENCE_S", 0.0)
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    with first.held(), pytest.raises(Exception, match="another process changes links"), second.held():
        pass
    monkeypatch.setattr(changes, "PATIENCE_S", 60.0)
    order: list[str] = []

    def later() -> None:
        with second.held():
            order.append("second")

    with first.held():
        thread = threading.Thread(target=later)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    "given",
    [
        "delay=100ms jitter=0.5ms distribution=normal",
        "rate=1.5mbit",
        "rate=1gbit loss=0.1%",
        "rate=64kbit",
        "limit=1000 down",
        "reorder=5% duplicate=1% corrupt=0.01% up",
    ],
)
def test_values_are_told_as_they_are_given(given: str) -> None:
    assert words(read_change("a", "b", given.split()).values()) == given
