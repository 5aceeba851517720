"""Links shaped on real hosts, and measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2c.emulation import apply, measure
from e2c.emulation.constraint import constraints
from e2c.errors import EmulationError, MissingToolError, RemoteError
from e2c.model.host import Host
from e2c.model.plan import PlannedLink
from e2c.remote import shell

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.switch]

Hosts = tuple[Host, ...]


def quiet(text: str) -> None:
    """Progress that nobody follows."""


def link(src: str, dst: str, hosts: Hosts, **values: object) -> PlannedLink:
    def named(prefix: str) -> tuple[str, ...]:
        return tuple(host.key for host in hosts if host.key.startswith(prefix))

    return PlannedLink(src=src, dst=dst, sources=named(src), destinations=named(dst), **values)


def netem_on(hosts: Hosts) -> set[str]:
    shown = shell.run_all(hosts, "tc qdisc show dev eth0")
    return {key for key, result in shown.items() if "netem" in result.stdout}


def test_rules_are_applied_together_measured_and_written_down(hosts: Hosts, tmp_path: Path) -> None:
    links = [
        link("cloud", "edge", hosts, delay_ms=28.0, rate_kbit=1e6, loss_percent=1.0),
        link("cloud", "fog", hosts, delay_ms=5.0, symmetric=True),
        link("cloud", "edge.client.1.2", hosts, delay_ms=12.5),
    ]
    asked = constraints(links, hosts)
    apply.apply(asked, hosts, quiet)
    assert netem_on(hosts) == {"cloud.master.1.1", "fog.gateway.1.1"}
    folder = tmp_path / "network-validate"
    rows = measure.measure(asked, hosts, folder, quiet)
    assert [(row["src"], row["dst"], row["expected_rtt_ms"], row["verdict"]) for row in rows] == [
        ("cloud", "edge", 28, "ok"),
        ("cloud", "fog", 10, "ok"),
        ("cloud", "edge.client.1.2", 12.5, "ok"),
    ]
    assert [pair["family"] for pair in rows[0]["pairs"]] == ["v4", "v6"]
    summary = yaml.safe_load((folder / "summary.yaml").read_text())
    assert summary["links"] == rows
    assert "delay 28ms loss 1% rate 1Gbit" in {pair["tc"] for pair in summary["links"][0]["pairs"]}
    assert [round(row["measured_rtt_ms"]) for row in summary["unshaped"]] == [0] * 6
    assert {row["verdict"] for row in summary["unshaped"]} == {"ok"}
    assert str(hosts[1].addresses.v6) in (folder / "cloud-edge-asymmetric/cloud.master.1.1.fpout").read_text()
    assert (folder / "cloud-fog-symmetric/cloud.master.1.1.fpout").exists()


def test_applying_again_replaces_everything(hosts: Hosts) -> None:
    first = constraints([link("edge", "cloud", hosts, delay_ms=10.0)], hosts)
    apply.apply(first, hosts, quiet)
    apply.apply(first, hosts, quiet)
    assert netem_on(hosts) == {"edge.client.1.1", "edge.client.1.2"}
    second = constraints([link("fog", "cloud", hosts, delay_ms=10.0)], hosts)
    apply.apply(second, hosts, quiet)
    assert netem_on(hosts) == {"fog.gateway.1.1"}
    apply.apply((), hosts, quiet)
    assert netem_on(hosts) == set()
    apply.reset(hosts)
    apply.reset(hosts)


def test_a_rule_that_does_not_hold_is_an_error_that_says_all(hosts: Hosts, tmp_path: Path) -> None:
    asked = constraints([link("cloud", "edge.client.1.1", hosts, delay_ms=20.0)], hosts)
    apply.apply(asked, hosts, quiet)
    back = hosts[1]
    assert shell.run(back, "tc qdisc add dev eth0 root netem delay 15ms").ok  # somebody else shapes, too
    with pytest.raises(EmulationError) as caught:
        measure.measure(asked, hosts, tmp_path, quiet)
    text = str(caught.value)
    assert "cloud.master.1.1 to edge.client.1.1" in text
    assert "asked delay 20ms, so a round trip of 20 ms; measured 35" in text
    assert yaml.safe_load((tmp_path / "summary.yaml").read_text())["links"][0]["verdict"] == "not met"


def test_an_absent_netem_is_found_out(hosts: Hosts) -> None:
    asked = constraints([link("cloud", "fog", hosts, delay_ms=20.0)], hosts)
    apply.apply(asked, hosts, quiet)
    apply.reset(hosts)
    with pytest.raises(EmulationError, match=r"not shaped as asked: asked delay 20ms, tc says that no netem is there"):
        apply.verify(asked, apply.read_back(asked, hosts))
    other = constraints([link("cloud", "fog", hosts, delay_ms=21.0)], hosts)
    apply.apply(other, hosts, quiet)
    with pytest.raises(EmulationError, match=r"asked delay 20ms, tc says delay 21ms"):
        apply.verify(asked, apply.read_back(asked, hosts))


def test_between_testbeds_one_family_may_lead_nowhere(hosts: Hosts, tmp_path: Path) -> None:
    cloud, edge = hosts[0], hosts[1]
    rules = "add table ip away; add chain ip away in { type filter hook input priority 0; }; "
    assert shell.run(
        edge, f"nft '{rules} add rule ip away in ip saddr {cloud.addresses.v4} icmp type echo-request drop'"
    ).ok
    try:
        asked = constraints([link("cloud", edge.key, hosts, delay_ms=10.0)], hosts)
        apply.apply(asked, hosts, quiet)
        with pytest.raises(EmulationError, match=f"{edge.addresses.v4}.*none of 48 probes was answered"):
            measure.measure(asked, hosts, tmp_path / "one", quiet)
        apart = tuple(host.model_copy(update={"provider": "other"}) if host == edge else host for host in hosts)
        said: list[str] = []
        (row,) = measure.measure(asked, apart, tmp_path / "two", said.append)
        assert [pair["verdict"] for pair in row["pairs"]] == ["no way", "ok"]
        assert (row["verdict"], round(row["measured_rtt_ms"])) == ("ok", 10)
        assert f"({edge.addresses.v4}): the other family does" in said[-1]
        assert shell.run(
            edge,
            "nft 'add table ip6 away; add chain ip6 away in { type filter hook input priority 0; };"
            " add rule ip6 away in icmpv6 type echo-request drop'",
        ).ok
        with pytest.raises(EmulationError, match="none of 48 probes was answered"):
            measure.measure(asked, apart, tmp_path / "three", quiet)
    finally:
        shell.run(edge, "nft delete table ip away; nft delete table ip6 away")


def test_without_fping_ping_measures_and_without_both_the_remedy_is_named(hosts: Hosts, tmp_path: Path) -> None:
    asked = constraints([link("fog", "cloud", hosts, delay_ms=5.0)], hosts)
    apply.apply(asked, hosts, quiet)
    fog = hosts[3]
    paths = {name: shell.run(fog, f"command -v {name}").stdout.strip() for name in ("fping", "ping")}
    try:
        assert shell.run(fog, f"mv {paths['fping']} {paths['fping']}.away").ok
        (row,) = measure.measure(asked, hosts, tmp_path / "ping", quiet)
        assert (row["verdict"], {pair["probes"] for pair in row["pairs"]}) == ("ok", {12})
        assert shell.run(fog, f"mv {paths['ping']} {paths['ping']}.away").ok
        with pytest.raises(MissingToolError, match=r"fog.gateway.1.1: .*neither fping nor ping.*apt-get install fping"):
            measure.measure(asked, hosts, tmp_path / "none", quiet)
    finally:
        for path in paths.values():
            shell.run(fog, f"[ ! -e {path}.away ] || mv {path}.away {path}")


def test_nothing_asked_is_nothing_written(hosts: Hosts, tmp_path: Path) -> None:
    assert measure.measure((), hosts, tmp_path / "network-validate", quiet) == []
    assert not (tmp_path / "network-validate").exists()


def test_many_hosts_to_many_and_then_others(dozen: Hosts, tmp_path: Path) -> None:
    first = constraints([link("cloud", "edge", dozen, delay_ms=20.0, rate_kbit=1e5, symmetric=True)], dozen)
    assert len(first) == 32
    apply.apply(first, dozen, quiet)
    assert netem_on(dozen) == {host.key for host in dozen if not host.key.startswith("fog")}
    (row,) = measure.measure(first, dozen, tmp_path, quiet)
    assert (row["verdict"], row["expected_rtt_ms"], len(row["pairs"])) == ("ok", 40, 6)
    second = constraints([link("edge", "edge", dozen, delay_ms=3.0)], dozen)
    apply.apply(second, dozen, quiet)
    assert netem_on(dozen) == {host.key for host in dozen if host.key.startswith("edge")}
    told = apply.read_back(second, dozen)
    assert len(told) == 2 * 4 * 3
    assert {shape.delay_ms for shape in told.values()} == {3}


def test_hosts_that_do_not_answer_are_named(hosts: Hosts) -> None:
    asked = constraints([link("cloud", "fog", hosts, delay_ms=5.0)], hosts)
    deaf = [host.model_copy(update={"port": 9, "control_dir": None}) if "cloud" in host.key else host for host in hosts]
    with pytest.raises(RemoteError, match=r"shaping links failed on cloud.master.1.1: .*ssh: .*refused"):
        apply.apply(asked, deaf, quiet)


def test_what_tc_refuses_is_told_in_its_own_words(hosts: Hosts) -> None:
    (asked,) = constraints([link("cloud", "fog", hosts, delay_ms=5.0)], hosts)
    with pytest.raises(EmulationError) as caught:
        apply.apply([asked.model_copy(update={"v4": "10.0.0.999"})], hosts, quiet)
    assert "shaping links failed: cloud.master.1.1: " in str(caught.value)
    assert "10.0.0.999" in str(caught.value)
    with pytest.raises(EmulationError, match=r"Cannot find device.*tc qdisc show dev eth7"):
        apply.apply([asked.model_copy(update={"device": "eth7"})], hosts, quiet)
