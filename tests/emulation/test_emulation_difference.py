"""Whatever shapes an interface, the commands for the difference make it what is asked, and touch nothing else."""

from __future__ import annotations

import pytest
from emulation_tc import Interface, Refused
from hypothesis import given, settings
from hypothesis import strategies as st

from e2c.emulation.commands import layout as laid_out
from e2c.emulation.constraint import Constraint, Exemption
from e2c.emulation.copying import copies, with_copies
from e2c.emulation.difference import agrees, difference, words
from e2c.emulation.readback import layout
from e2c.model.link import Distribution

BROKER = (Exemption(port=1883, end="dst"), Exemption(port=8883, end="dst"))
SHARES = st.none() | st.floats(0.001, 100)


def constraint(number: int = 2, *, v6: bool = True, **values: object) -> Constraint:
    return Constraint(
        source="cloud.master.1.1",
        destination=f"edge.client.1.{number}",
        device="eth0",
        v4=f"10.0.{number >> 8}.{number & 0xFF}",
        v6=f"fd00::{number:x}" if v6 else None,
        rule=0,
        src="cloud",
        dst="edge",
        symmetric=False,
        **values,
    )


@st.composite
def constraints(draw: st.DrawFn) -> Constraint:
    values: dict[str, object] = {
        "number": draw(st.integers(2, 9)),
        "v6": draw(st.booleans()),
        "delay_ms": draw(st.none() | st.floats(0, 274_000)),
        "rate_kbit": draw(st.none() | st.floats(0.008, 4e8)),
        "loss_percent": draw(SHARES),
        "duplicate_percent": draw(SHARES),
        "corrupt_percent": draw(SHARES),
        "limit_packets": draw(st.none() | st.integers(1, 2**31 - 1)),
        "down": draw(st.none() | st.booleans()),
        "exempt": draw(st.sampled_from([(), BROKER, BROKER[1:], (Exemption(port=22, end="src"),)])),
    }
    if (values["delay_ms"] or 0) >= 0.001:
        values["jitter_ms"] = draw(st.none() | st.floats(0, 2147))
        values["reorder_percent"] = draw(SHARES)
        if values["jitter_ms"] is not None:
            distributions: tuple[Distribution | None, ...] = (None, "uniform", "normal", "pareto", "paretonormal")
            values["distribution"] = draw(st.sampled_from(distributions))
    return constraint(**values)


several = st.lists(constraints(), max_size=6, unique_by=lambda one: one.destination)


def shaped(asked: list[Constraint]) -> Interface:
    """A fresh interface on which the constraints hold."""
    made = Interface()
    made.run(difference("eth0", layout(made.listing()), asked).script)
    return made


@settings(deadline=None, max_examples=50)
@given(several)
def test_what_is_told_is_what_is_read_back(asked: list[Constraint]) -> None:
    copier = Interface("dup-eth0")
    copier.run(difference("dup-eth0", layout(copier.listing()), copies(asked)).script)
    listings = {"eth0": shaped(asked).listing(), "dup-eth0": copier.listing()}
    found = with_copies({("host", device): layout(text) for device, text in listings.items()})

    assert {target for _, device, target in found if device == "eth0"} == {
        target for one in asked for target in one.targets
    }
    assert all(agrees(one, found["host", "eth0", target]) for one in asked for target in one.targets)


@settings(deadline=None, max_examples=50)
@given(st.lists(several, min_size=2, max_size=4))
def test_any_application_leads_to_what_is_asked_and_leaves_alone_what_stays(steps: list[list[Constraint]]) -> None:
    there = Interface()
    before: dict[str, Constraint] = {}
    for asked in steps:
        netems = {one.destination: serial(there, one) for one in before.values()}
        made = difference("eth0", layout(there.listing()), asked)
        there.run(made.script)
        fresh = shaped(asked)
        assert there.meaning() == fresh.meaning()
        assert there.untouched() == fresh.untouched()
        for one in asked:
            same = before.get(one.destination)
            if same is not None and same.v6 == one.v6 and same.spread == one.spread:
                assert serial(there, one) == netems[one.destination]  # what is on its way stays on its way
            if same == one:
                assert one not in [*made.added, *made.changed]
        again = difference("eth0", layout(there.listing()), asked)
        assert (again.lines, again.words) == ([], {n: w for n, w in made.words.items() if n in again.words})
        assert len(again.words) == len(asked)
        before = {one.destination: one for one in asked}


@settings(deadline=None, max_examples=50)
@given(several, several)
def test_a_change_of_some_leaves_all_others(asked: list[Constraint], others: list[Constraint]) -> None:
    there = shaped(asked)
    made = difference("eth0", layout(there.listing()), others, others_stay=True)
    there.run(made.script)

    changed = {one.destination: one for one in others}
    expected = [changed.pop(one.destination, one) for one in asked] + list(changed.values())
    # of a host that lost an address, nothing is shaped any more at that address
    assert there.meaning() == shaped(expected).meaning()
    assert there.untouched() == shaped(expected).untouched()


def serial(there: Interface, one: Constraint) -> int:
    """Which netem shapes what goes to a host; one that is put in its place is another."""
    numbers = {targets: number for number, targets in layout(there.listing()).targets.items()}
    return there.netems[f"1:{numbers[frozenset(one.targets)]:x}"].serial


def test_a_changed_destination_is_changed_in_place() -> None:
    asked = [constraint(2, delay_ms=28.0, reorder_percent=5.0, loss_percent=1.0), constraint(3, delay_ms=5.0)]
    there = layout(shaped(asked).listing())

    made = difference("eth0", there, [constraint(2, delay_ms=30.0, rate_kbit=1e6), asked[1]])

    assert made.lines == [
        "class change dev eth0 parent 1: classid 1:1 htb rate 1gbit quantum 60000",
        "qdisc change dev eth0 parent 1:1 handle 10: netem limit 16000 delay 30ms 0ms loss 0% reorder 0% corrupt 0%",
    ]
    assert [one.destination for one in made.changed] == ["edge.client.1.2"]


def test_what_the_listing_rounds_away_is_changed_all_the_same() -> None:
    there = layout(shaped([constraint(delay_ms=128.0)]).listing())

    assert difference("eth0", there, [constraint(delay_ms=128.4)]).changed
    assert not difference("eth0", there, [constraint(delay_ms=128.0)]).lines


def test_without_a_record_all_is_told_again_in_place() -> None:
    there = shaped([constraint(delay_ms=5.0, jitter_ms=1.0, distribution="normal")])
    there.record = ""

    made = difference("eth0", layout(there.listing()), [constraint(delay_ms=5.0, jitter_ms=1.0, distribution="normal")])

    assert [line.split(" dev ")[0] for line in made.lines] == ["class change", "qdisc change"]
    assert not made.anew


def test_a_table_is_only_forgotten_with_its_netem() -> None:
    there = layout(shaped([constraint(delay_ms=5.0, jitter_ms=1.0, distribution="pareto")]).listing())

    made = difference("eth0", there, [constraint(delay_ms=5.0, jitter_ms=1.0)])

    assert made.lines[1].startswith("qdisc replace dev eth0 parent 1:1 handle 10: netem ")


def test_duplicates_come_and_go_without_a_touch_to_the_link() -> None:
    plain, double = (
        constraint(delay_ms=1.0, limit_packets=9),
        constraint(delay_ms=1.0, limit_packets=9, duplicate_percent=5.0),
    )
    there = shaped([plain])
    more = difference("eth0", layout(there.listing()), [double])
    there.run(more.script)
    less = difference("eth0", layout(there.listing()), [plain])

    assert [line.split(" u32 ")[0] for line in more.lines] == [
        "filter add dev eth0 parent 1: protocol ip pref 3",
        "filter add dev eth0 parent 1: protocol ipv6 pref 4",
    ]
    assert less.lines == [
        "filter del dev eth0 parent 1: protocol ip pref 3 handle 803::800 u32",
        "filter del dev eth0 parent 1: protocol ipv6 pref 4 handle 804::800 u32",
    ]
    assert (more.changed, less.changed) == ([double], [plain])


def test_a_destination_that_is_gone_takes_all_its_filters_along() -> None:
    there = layout(shaped([constraint(2, delay_ms=1.0, exempt=BROKER[:1]), constraint(3, delay_ms=2.0)]).listing())

    made = difference("eth0", there, [constraint(3, delay_ms=2.0)])

    assert made.lines == [
        "filter del dev eth0 parent 1: protocol ip pref 1 handle 801::800 u32",
        "filter del dev eth0 parent 1: protocol ipv6 pref 2 handle 800::802 u32",
        "filter del dev eth0 parent 1: protocol ip pref 5 handle 802::800 u32",
        "filter del dev eth0 parent 1: protocol ipv6 pref 6 handle 803::800 u32",
        "class del dev eth0 classid 1:1",
    ]
    assert made.removed == ["10.0.0.2", "fd00::2"]
    assert made.words == {2: words(constraint(3, delay_ms=2.0))}


FOREIGN = {
    "another netem": "qdisc netem 8001: root refcnt 2 limit 1000 delay 15ms\n",
    "another htb": "qdisc htb 1: root refcnt 2 r2q 10 default 0x30 direct_packets_stat 0\n",
    "a class of someone": "class htb 1:77 root prio 0 rate 1Mbit ceil 1Mbit burst 1b cburst 1b\n",
    "a nested class": "class htb 1:77 parent 1:1 leaf 77: prio 0 rate 1Mbit ceil 1Mbit burst 1b cburst 1b\n",
    "a queue of someone": "qdisc fq_codel 77: parent 1:1 limit 10240p\n",
    "a filter of another kind": "filter parent 1: protocol ip pref 7 flower chain 0 handle 0x1 classid 1:1\n",
    "a filter of another rank": "filter parent 1: protocol ip pref 9 u32 chain 0 fh 809::800 order 2048 key ht 809 "
    "bkt 0 *flowid 1:1 not_in_hw\n  match 0a000002/ffffffff at 16\n",
    "a filter with an action": "filter parent 1: protocol ip pref 5 u32 chain 0 fh 802::801 order 2048 key ht 802 "
    "bkt 0 *flowid 1:1 not_in_hw\n  match 0a000002/ffffffff at 16\n\taction order 1: gact action drop\n",
    "a filter by source": "filter parent 1: protocol ip pref 5 u32 chain 0 fh 802::801 order 2048 key ht 802 "
    "bkt 0 *flowid 1:1 not_in_hw\n  match 0a000002/ffffffff at 12\n",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_someone_else_made_is_replaced_as_a_whole(what: str) -> None:
    asked = [constraint(delay_ms=1.0)]
    listing = shaped(asked).listing()
    if what.startswith("another"):
        listing = FOREIGN[what]

    made = difference("eth0", layout(listing + FOREIGN[what] * (not what.startswith("another"))), asked)

    assert made.lines == laid_out("eth0", asked)
    assert made.anew


def test_what_shapes_nothing_that_is_sent_is_in_nobodys_way() -> None:
    asked = [constraint(delay_ms=1.0)]
    arriving = "qdisc ingress ffff: parent ffff:fff1 ---------------- \nqdisc clsact ffff: parent ffff:fff1 \n"

    assert not difference("eth0", layout(shaped(asked).listing() + arriving), asked).lines
    several_queues = "qdisc mq 0: root \nqdisc fq_codel 0: parent :1 limit 10240p\nqdisc fq_codel 0: parent :2\n"
    assert layout(several_queues).bare
    assert not difference("eth0", layout(several_queues), asked).anew


def test_the_model_refuses_what_tc_refuses() -> None:
    for values in (
        {"delay_ms": 275_000.0},
        {"reorder_percent": 1.0},
        {"jitter_ms": 2.0, "distribution": "normal"},
    ):
        with pytest.raises(Refused):
            shaped([constraint(**values)])
