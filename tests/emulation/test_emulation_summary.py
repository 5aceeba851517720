"""Tables and pictures of measurements: no host, no packet."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from emulation_pairs import answers, host, pair, shaped

from e2c.emulation import measure, plot, showing, table, writing
from e2c.emulation.judging import TOO_FEW
from e2c.emulation.pairs import Pair
from e2c.emulation.probing import Answer
from e2c.emulation.rate import Flow, Throughput
from e2c.emulation.readback import Shape
from e2c.emulation.rows import Measured, pair_rows, rule_row
from e2c.model.link import LinkValues

SHAPE = Shape(20, 1, 1e4, "delay 20ms loss 1% rate 10Mbit", limit_packets=1100)
TOLD = {("layer.service.1.1", "eth0", "10.0.0.2"): SHAPE}


def rows(one: Pair, *times_ms: float | None, kbit: float | None = None) -> dict[str, Any]:
    """The row of a rule with one pair, and a rate of 10 mbit if some is given."""
    assert one.there is not None
    flows = [Flow(one.source, one.destination, one.there, "v4", 20)] if kbit else []
    measured = Measured(
        TOLD,
        {},
        {one: Answer(answers(*times_ms), "raw", 10)},
        {flow: Throughput(kbit, "") for flow in flows},
    )
    return rule_row([one.there], [one], flows, measured)


LOSSY = pair(LinkValues(delay_ms=20, loss_percent=1, rate_kbit=10_000))
STEADY = pair(LinkValues(delay_ms=20), LinkValues(delay_ms=5))
VARYING = pair(LinkValues(delay_ms=20, jitter_ms=4))
DOWN = pair(LinkValues(down=True))


def test_a_table_tells_rule_pair_asked_measured_and_verdict() -> None:
    lossy = rows(LOSSY, *[20.3] * 98, None, None, kbit=9_800)
    lines = table.table([lossy, rows(STEADY, 29.0), rows(DOWN, None, None)], []).splitlines()
    assert lines[0].split() == ["rule", "pair", "asked", "measured", "verdict"]
    first, _, rate = lines[2:5]
    assert "layer.service.1.1 to layer.service.1.2 v4" in first
    assert "RTT 20 ms, loss 1 %" in first
    assert "RTT 20.3 ms, loss 2 % (0.104 to 8.94, 100 probes)" in first
    assert first.endswith(f"ok, loss {TOO_FEW}")
    assert rate.split()[-6:] == ["rate", "10", "mbit", "9.8", "mbit", "ok"]
    assert lines[5].endswith("not met")
    assert "  no answer  " in lines[7]
    assert "  none of 2 probes answered  " in lines[7]
    assert lines[7].endswith("ok")


def test_a_table_tells_the_least_and_the_most_that_corruption_loses() -> None:
    (_, _, first, *_) = table.table([rows(pair(LinkValues(corrupt_percent=10)), 0.1)], []).splitlines()
    assert "RTT 0 ms, loss 8.5 to 10 %" in first
    (_, _, first, *_) = table.table([rows(LOSSY, 20.3)], []).splitlines()
    assert "loss 1 %" in first


def test_a_table_tells_what_tc_says_otherwise() -> None:
    assert STEADY.there is not None
    measured = Measured({}, {("layer.service.1.1", "layer.service.1.2"): "eth0: tc says nothing."}, {
        STEADY: Answer(answers(25.0), "", 10)
    })  # fmt: skip
    row = rule_row([STEADY.there], [STEADY], [], measured)
    assert row["verdict"] == "not met"
    assert {one["verdict"] for one in row["pairs"]} == {"not met"}
    assert table.table([row], []).endswith("tc: eth0: tc says nothing.\n")


def test_pairs_that_no_rule_concerns_come_last() -> None:
    free = pair()
    measured = Measured({}, {}, {free: Answer(answers(0.2), "", 10)})
    lines = table.table([rows(STEADY, 25.0)], pair_rows(free, measured)).splitlines()
    assert lines[-1].split()[:2] == ["(no", "rule)"]
    assert "RTT under 1 ms" in lines[-1]


def test_a_rule_shows_the_pair_furthest_off() -> None:
    row = rows(STEADY, 25.4)
    assert (row["expected_rtt_ms"], row["measured_rtt_ms"], row["verdict"]) == (25, 25.4, "ok")
    assert row["pairs"][0]["asked"] == "delay 20ms, back delay 5ms"


def test_a_picture_has_a_mark_for_everything_measured() -> None:
    text = plot.plot([rows(LOSSY, *[20.3] * 98, None, None, kbit=14_000), rows(VARYING, 17.0, 20.0, 23.0)])
    picture = ElementTree.fromstring(text)
    titles = [title.text or "" for title in picture.iterfind(".//{*}title")]
    assert len(titles) == 2 + 2 + 2 + 1
    assert "layer.service.1.1 to layer.service.1.2 v4: asked 10 mbit, measured 14 mbit, not met" in titles
    assert [element.text for element in picture.iterfind("{*}text")][:1] == ["Round trip"]
    assert "nan" not in text


def test_small_and_large_values_are_told_apart_in_a_picture() -> None:
    found = [rows(pair(LinkValues(loss_percent=loss)), *[0.1] * 900, *[None] * 100) for loss in (0.1, 30)]
    text = plot.plot(found)
    ticks = [element.text for element in ElementTree.fromstring(text).iterfind("{*}text")]
    assert {"0.1", "1", "10", "100"} <= set(ticks)


def test_a_picture_of_nothing_is_a_picture() -> None:
    assert ElementTree.fromstring(plot.plot([rows(DOWN, None)])).tag.endswith("svg")
    assert ElementTree.fromstring(plot.plot([rows(pair(LinkValues(loss_percent=0)), 0.0)])).tag.endswith("svg")


def test_asked_told_and_measured_side_by_side() -> None:
    one, other = host(1), host(2)
    asked = [
        shaped(one, other, LinkValues(delay_ms=20, loss_percent=1, rate_kbit=10_000)),
        shaped(other, one, LinkValues(delay_ms=3)),
    ]
    last = rows(LOSSY, *[20.3] * 98, None, None, kbit=9_800)
    shown = showing.show(asked, TOLD, [last])
    assert [(row["from"][-1], row["to"][-1], row["address"]) for row in shown] == [
        ("1", "2", "10.0.0.2"),
        ("1", "2", "fd00::2"),
        ("2", "1", "10.0.0.1"),
        ("2", "1", "fd00::1"),
    ]
    assert [row["state"] for row in shown] == ["as asked", "differs", "differs", "differs"]
    assert shown[0]["tc"] == "delay 20ms loss 1% rate 10Mbit"
    assert shown[0]["measured"].endswith("rate 9.8 mbit")
    assert shown[0]["verdict"] == "ok"
    assert (shown[1]["tc"], shown[2]["measured"], shown[2]["verdict"]) == ("nothing", "", "")


def test_long_selectors_have_folders_of_their_own(tmp_path: Path) -> None:
    one = pair(LinkValues(delay_ms=1))
    assert one.there is not None
    for end in "ab":
        rule = one.there.model_copy(update={"src": ",".join(["edge.client.1.*"] * 60), "dst": end})
        writing.write_raw(tmp_path, [rule], [one], {one: Answer({}, f"{end}\n", 10)}, {})
    written = sorted(path.read_text() for path in tmp_path.glob("*/layer.service.1.1.fpout"))
    assert written == ["a\n", "b\n"]


def test_an_earlier_measurement_is_removed(tmp_path: Path) -> None:
    raw = tmp_path / "cloud-edge-symmetric"
    raw.mkdir()
    for file in (raw / "host.fpout", raw / "a-b-v4.iperf3.json", tmp_path / "summary.txt", tmp_path / "changes.jsonl"):
        file.write_text("old")
    assert measure.measure((), (), tmp_path, print) == []
    assert [path.name for path in tmp_path.iterdir()] == ["changes.jsonl"]
