"""What is asked of links against what is measured between real hosts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
import yaml

from e2c.emulation import apply, measure, showing
from e2c.emulation.constraint import Constraint, constraints
from e2c.errors import EmulationError, MissingToolError
from e2c.model.host import Host
from e2c.model.link import LinkValues, PlannedLink
from e2c.remote import shell

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.switch]

Hosts = tuple[Host, ...]
LOSSES = {5: 1.0, 17: 3.0, 29: 10.0, 41: 25.0}
RATES = {3: 1000.0, 20: 2000.0, 50: 4000.0}


class Measured(NamedTuple):
    asked: tuple[Constraint, ...]
    rows: list[dict[str, Any]]
    folder: Path
    said: list[str]


def link(source: Host, destination: Host, **values: Any) -> PlannedLink:
    return PlannedLink(
        src=source.key, dst=destination.key, sources=(source.key,), destinations=(destination.key,), **values
    )


def all_different(hosts: Hosts) -> list[PlannedLink]:
    """Between every two of twelve hosts another delay, some with loss, some with a rate, some another way back."""
    links = []
    for number, (one, other) in enumerate(itertools.combinations(hosts, 2)):
        delay_ms = 3 + 57 * number / 65
        back = LinkValues(delay_ms=round(1 + delay_ms / 3, 3)) if number % 5 == 2 else None
        links.append(
            link(
                one,
                other,
                delay_ms=round(delay_ms, 3),
                loss_percent=LOSSES.get(number),
                rate_kbit=RATES.get(number),
                back=back,
            )
        )
    return links


@pytest.fixture(scope="module")
def measured(layers: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Three layers of twelve hosts, every pair different."""
    folder = tmp_path_factory.mktemp("measured") / "network-validate"
    asked = constraints(all_different(layers), layers)
    apply.reset(layers)
    apply.apply(asked, layers, print)
    said: list[str] = []
    return Measured(asked, measure.measure(asked, layers, folder, said.append, rate=True), folder, said)


def test_every_pair_of_twelve_hosts_is_as_asked(measured: Measured) -> None:
    assert [row["verdict"] for row in measured.rows] == ["ok"] * 66
    pairs = [pair for row in measured.rows for pair in row["pairs"]]
    assert [pair["family"] for pair in pairs] == ["v4", "v6"] * 66
    assert len({pair["expected_rtt_ms"] for pair in pairs}) == 66
    for pair in pairs:
        off = abs(pair["measured_rtt_ms"] - pair["expected_rtt_ms"])
        assert off <= max(2, 0.03 * pair["expected_rtt_ms"]) + 1  # and a millisecond that a probe takes at 1 mbit


def test_losses_lie_in_the_interval_of_enough_probes(measured: Measured) -> None:
    lossy = [row["pairs"] for row in measured.rows if row["pairs"][0]["expected_loss_percent"]]
    assert [pairs[0]["expected_loss_percent"] for pairs in lossy] == list(LOSSES.values())
    for pairs in lossy:
        assert {pair["loss_verdict"] for pair in pairs} == {"ok"}
        assert sum(pair["probes"] for pair in pairs) * pairs[0]["expected_loss_percent"] >= 1000
        for pair in pairs:
            low, high = pair["loss_bounds_percent"]
            assert low <= pair["expected_loss_percent"] <= high


def test_rates_are_within_a_tenth_in_both_families(measured: Measured) -> None:
    rates = [rate for row in measured.rows for rate in row.get("rates", ())]
    found = [(rate["asked_rate_kbit"], rate["family"], rate["verdict"]) for rate in rates]
    assert found == [(kbit, family, "ok") for kbit in RATES.values() for family in ("v4", "v6")]
    for rate in rates:
        assert rate["measured_rate_kbit"] == pytest.approx(rate["asked_rate_kbit"], rel=0.1)


def test_everything_is_written_down(measured: Measured) -> None:
    summary = yaml.safe_load((measured.folder / "summary.yaml").read_text())
    assert summary["links"] == measured.rows
    table = (measured.folder / "summary.txt").read_text().splitlines()
    assert len([line for line in table if line.endswith("  ok")]) == 2 * 66 + 2 * len(RATES)
    picture = ElementTree.parse(measured.folder / "links.svg").getroot()
    assert len(picture.findall(".//{*}title")) == 2 * 66 + 2 * len(LOSSES) + 2 * len(RATES)
    one = measured.rows[3]["pairs"][0]
    raw = measured.folder / f"{one['from']}-{one['to']}-asymmetric"
    assert one["address"] in (raw / f"{one['from']}.fpout").read_text()
    assert len(list(raw.glob("*.iperf3.json"))) == 2
    assert any("iperf3" in text for text in measured.said)


def test_asked_told_and_measured_are_shown_side_by_side(measured: Measured, layers: Hosts) -> None:
    rows = showing.show(measured.asked, apply.read_back(measured.asked, layers), measured.rows)
    assert len(rows) == 2 * len(measured.asked)
    assert {row["state"] for row in rows} == {"as asked"}
    row = next(row for row in rows if row["asked"].endswith("rate 1mbit"))
    assert row["tc"].endswith("rate 1Mbit")
    assert row["measured"].startswith("RTT ")
    assert "rate " in row["measured"]
    assert row["verdict"] == "ok"


def test_a_link_spoiled_behind_our_back_is_found(dozen: Hosts, tmp_path: Path) -> None:
    cloud, _, _, _, fog, *_ = dozen
    asked = constraints([link(cloud, fog, delay_ms=10.0), link(fog, cloud, delay_ms=5.0)], dozen)
    apply.apply(asked, dozen, print)
    netem = shell.run(
        cloud, "tc qdisc show dev eth0 | sed -n 's/.*netem \\(\\S*\\) parent \\(\\S*\\) .*/\\2 \\1/p'"
    ).stdout
    parent, handle = netem.split()
    assert shell.run(cloud, f"tc qdisc change dev eth0 parent {parent} handle {handle} netem delay 25ms").ok
    with pytest.raises(EmulationError, match=r"asked delay 10ms.*tc says delay 25ms"):
        measure.measure(asked, dozen, tmp_path, print)
    summary = yaml.safe_load((tmp_path / "summary.yaml").read_text())
    assert [row["verdict"] for row in summary["links"]] == ["not met", "not met"]  # round trips go both ways
    assert summary["links"][0]["pairs"][0]["measured_rtt_ms"] == pytest.approx(30, abs=3)
    assert "tc says delay 25ms" in (tmp_path / "summary.txt").read_text()
    shown = showing.show(asked, apply.read_back(asked, dozen), summary["links"])
    assert [(row["state"], row["verdict"]) for row in shown[:2]] == [("differs", "not met")] * 2


def test_losses_that_somebody_else_adds_are_found(dozen: Hosts, tmp_path: Path) -> None:
    cloud, fog = dozen[0], dozen[4]
    asked = constraints([link(cloud, fog, loss_percent=10.0)], dozen)
    apply.apply(asked, dozen, print)
    assert shell.run(fog, "tc qdisc add dev eth0 root netem loss 40%").ok
    with pytest.raises(EmulationError, match=r"so 10 % of round trips lost; measured [\d.]+ % of \d+ \(99 % interval"):
        measure.measure(asked, dozen, tmp_path, print)


def test_whatever_else_links_do_is_measured(dozen: Hosts, tmp_path: Path) -> None:
    cloud, fog = dozen[:4], dozen[4:8]
    links = [
        link(cloud[0], fog[0], delay_ms=40.0, jitter_ms=10.0, distribution="normal", symmetric=True),
        link(cloud[1], fog[1], delay_ms=30.0, reorder_percent=35.0),
        link(cloud[2], fog[2], delay_ms=5.0, corrupt_percent=10.0),
        link(cloud[3], fog[3], down=True),
        link(cloud[0], fog[1], delay_ms=12.0, jitter_ms=6.0),
        link(fog[3], cloud[0], delay_ms=4.0, duplicate_percent=25.0),
        link(fog[3], cloud[1], delay_ms=9.0, duplicate_percent=60.0, loss_percent=10.0),
        link(fog[3], cloud[2], delay_ms=2.0),
    ]
    asked = constraints(links, dozen)
    apply.apply(asked, dozen, print)
    rows = measure.measure(asked, dozen, tmp_path, print)
    normal, reordered, corrupted, down, uniform, doubled, both, single = (row["pairs"][0] for row in rows)
    assert [row["verdict"] for row in rows] == ["ok"] * 8
    assert normal["measured_rtt_ms"] == pytest.approx(80, abs=8)
    assert normal["quartiles_ms"][2] - normal["quartiles_ms"][0] > 10
    assert (reordered["expected_quartiles_ms"], reordered["overtaking"] > 0) == ([0, 30, 30], True)
    assert corrupted["lost"] > 0
    assert (down["expected_rtt_ms"], down["measured_rtt_ms"], down["lost"]) == (None, None, down["probes"])
    assert uniform["measured_rtt_ms"] == pytest.approx(12, abs=4)
    assert (doubled["expected_duplicates_percent"], doubled["duplicates_verdict"]) == (25, "ok")
    assert 20 < doubled["duplicates"] < 90  # of 200
    assert (both["expected_duplicates_percent"], both["loss_verdict"]) == (48.6, "ok")  # 60 % of 90 % of 90 %
    assert (single["duplicates"], "duplicates_verdict" in single) == (0, False)
    assert "no answer" in (tmp_path / "summary.txt").read_text()


def test_a_link_that_should_be_down_and_is_not_is_found(dozen: Hosts, tmp_path: Path) -> None:
    cloud, fog = dozen[0], dozen[4]
    apply.apply(constraints([link(cloud, fog, delay_ms=2.0)], dozen), dozen, print)
    asked = constraints([link(cloud, fog, down=True)], dozen)
    said: list[str] = []
    (row,) = measure.measure(asked, dozen, tmp_path, said.append, verify=False)
    assert any("is not as asked: " in text and "asked down, tc says delay 2ms" in text for text in said)
    assert {pair["verdict"] for pair in row["pairs"]} == {"not met"}
    assert row["pairs"][0]["lost"] == 0


def test_a_host_that_cannot_send_probes_says_why(dozen: Hosts, tmp_path: Path) -> None:
    cloud, fog = dozen[0], dozen[4]
    asked = constraints([link(cloud, fog, delay_ms=2.0)], dozen)
    apply.apply(asked, dozen, print)
    path = shell.run(cloud, "command -v fping").stdout.strip()
    try:
        broken = f"printf '#!/bin/sh\\necho no sockets today >&2\\nexit 4\\n' >{path} && chmod 755 {path}"
        assert shell.run(cloud, f"mv {path} {path}.away && {broken}").ok
        with pytest.raises(EmulationError, match=r"cloud.host.1.1: links cannot be measured: no sockets today"):
            measure.measure(asked, dozen, tmp_path, print)
    finally:
        shell.run(cloud, f"mv {path}.away {path}")


def test_without_iperf3_the_remedy_is_named(dozen: Hosts, tmp_path: Path) -> None:
    cloud, fog = dozen[0], dozen[4]
    asked = constraints([link(cloud, fog, rate_kbit=1000.0)], dozen)
    apply.apply(asked, dozen, print)
    path = shell.run(fog, "command -v iperf3").stdout.strip()
    try:
        assert shell.run(fog, f"mv {path} {path}.away").ok
        with pytest.raises(MissingToolError, match=r"fog.host.1.1: .*no iperf3.*apt-get install iperf3"):
            measure.measure(asked, dozen, tmp_path, print, rate=True)
    finally:
        shell.run(fog, f"mv {path}.away {path}")
