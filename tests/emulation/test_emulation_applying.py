"""What is sent to hosts whose links are shaped already: the difference, and nothing that other links would notice."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from e2c.emulation import apply
from e2c.emulation.constraint import Constraint, changed, constraints
from e2c.emulation.exempt import exemptions
from e2c.model.host import Host
from e2c.model.link import LinkValues, PlannedChange, PlannedLink
from e2c.model.plan import Plan, ProvenancePlan
from e2c.remote import shell, traces

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.switch]

Hosts = tuple[Host, ...]
CLOUD, EDGE, OTHER, FOG = 0, 1, 2, 3


def quiet(text: str) -> None:
    """Progress that nobody follows."""


def link(hosts: Hosts, source: int, destination: int, **values: object) -> PlannedLink:
    ends = hosts[source].key, hosts[destination].key
    return PlannedLink(src=ends[0], dst=ends[1], sources=ends[:1], destinations=ends[1:], **values)


def netems(host: Host) -> list[str]:
    """The netems of a host, each with the class that it is below."""
    lines = shell.run(host, "tc qdisc show dev eth0").stdout.splitlines()
    return sorted(" ".join(line.split()[1:5]) for line in lines if line.startswith("qdisc netem"))


def sent(host: Host) -> str:
    """When something was sent to a host."""
    return shell.run(host, "stat -c '%i %z' /var/lib/e2c/links-eth0").stdout


def reached(source: Host, destination: Host) -> list[bool]:
    """Whether IPv4 and IPv6 reach a host."""
    addresses = destination.addresses.v4, destination.addresses.v6
    return [shell.run(source, f"ping -c 3 -i 0.1 -W 2 -q {address}").ok for address in addresses]


def test_the_same_again_sends_nothing(hosts: Hosts) -> None:
    asked = constraints([link(hosts, CLOUD, EDGE, delay_ms=28.0), link(hosts, FOG, EDGE, rate_kbit=1e4)], hosts)
    first = apply.apply(asked, hosts, quiet)
    assert (first.added, first.changed, first.removed) == (
        ((hosts[CLOUD].key, hosts[EDGE].key), (hosts[FOG].key, hosts[EDGE].key)),
        (),
        (),
    )
    before = sent(hosts[CLOUD]), sent(hosts[FOG])
    said: list[str] = []
    assert not apply.apply(asked, hosts, said.append)
    assert said[-1] == "links: nothing to change"
    assert (sent(hosts[CLOUD]), sent(hosts[FOG])) == before


FULL: dict[str, object] = {
    "delay_ms": 20.4,
    "jitter_ms": 3.0,
    "distribution": "normal",
    "rate_kbit": 5e4,
    "loss_percent": 0.5,
    "reorder_percent": 10.0,
    "duplicate_percent": 1.0,
    "corrupt_percent": 0.1,
    "limit_packets": 5000,
}


def test_every_value_is_applied_changed_and_taken_back(hosts: Hosts) -> None:
    for values, words in (
        (FULL, "delay 20.4ms jitter 3ms normal loss 0.5% reorder 10% corrupt 0.1% rate 50Mbit duplicate 1%"),
        ({**FULL, "distribution": "paretonormal", "corrupt_percent": 0.2}, None),
        ({"delay_ms": 5.0, "jitter_ms": 1.0}, "delay 5ms jitter 1ms"),
        ({"delay_ms": 5.0}, "delay 5ms"),
        ({"down": True, "delay_ms": 5.0}, "delay 5ms loss 100%"),
        ({}, "delay 0ms"),
        ({"rate_kbit": 1234.567}, "rate 1234Kbit"),
    ):
        asked = constraints([link(hosts, CLOUD, EDGE, **values)], hosts)
        assert apply.apply(asked, hosts, quiet)
        assert not apply.apply(asked, hosts, quiet)
        told = apply.read_back(asked, hosts)
        assert set(told) == {(hosts[CLOUD].key, "eth0", target) for target in asked[0].targets}
        assert words is None or {shape.words for shape in told.values()} == {words}


def test_duplicates_beside_other_links_come_change_and_go(hosts: Hosts) -> None:
    """The switch's kernel is one of those that refuse a netem which duplicates beside another."""
    plain, one = link(hosts, CLOUD, FOG, delay_ms=3.0), link(hosts, CLOUD, EDGE, delay_ms=1.0, duplicate_percent=10.0)

    def made(*links: PlannedLink) -> tuple[object, ...]:
        asked = constraints(links, hosts)
        changes = apply.apply(asked, hosts, quiet)
        assert not apply.apply(asked, hosts, quiet)
        return tuple(map(len, (changes.added, changes.changed, changes.removed, changes.replaced)))

    assert made(plain, one) == (2, 0, 0, 0)
    assert made(plain, one.model_copy(update={"duplicate_percent": 100.0})) == (0, 1, 0, 0)
    two = link(hosts, CLOUD, OTHER, duplicate_percent=100.0)
    assert made(plain, one, two) == (1, 1, 0, 0)
    said = shell.run(hosts[CLOUD], f"ping -c 3 -i 0.2 -q {hosts[OTHER].addresses.v4}").stdout
    assert "+2 duplicates" in said or "+3 duplicates" in said  # it ends with the last answer
    assert made(plain, two) == (0, 0, 1, 0)
    assert made(plain, two.model_copy(update={"corrupt_percent": 100.0})) == (0, 1, 0, 0)
    shell.run(hosts[CLOUD], f"ping -c 5 -i 0.1 -W 1 -q {hosts[OTHER].addresses.v6}")  # damaged copies harm no switch
    assert made(plain) == (0, 0, 1, 0)
    said = shell.run(hosts[CLOUD], f"ping -c 3 -i 0.2 -q {hosts[OTHER].addresses.v4}").stdout
    assert "3 received" in said
    assert "duplicates" not in said
    apply.reset(hosts)
    assert "netem" not in shell.run(hosts[CLOUD], "tc qdisc show dev dup-eth0").stdout


def test_other_pairs_lose_no_packet_while_one_is_changed_added_and_removed(hosts: Hosts) -> None:
    steady = link(hosts, CLOUD, EDGE, delay_ms=20.0)
    apply.apply(constraints([steady, link(hosts, CLOUD, OTHER, delay_ms=5.0)], hosts), hosts, quiet)
    before = netems(hosts[CLOUD])
    outcome: list[str] = []

    def ping() -> None:
        command = f"ping -q -i 0.01 -c 300 -W 20 {hosts[EDGE].addresses.v4}"
        outcome.append(shell.run(hosts[CLOUD], command, timeout_s=120).stdout)

    pinging = threading.Thread(target=ping)
    pinging.start()
    for others in (
        [link(hosts, CLOUD, OTHER, delay_ms=50.0, jitter_ms=5.0, rate_kbit=1e4)],
        [link(hosts, CLOUD, OTHER, delay_ms=50.0), link(hosts, CLOUD, FOG, delay_ms=2.0)],
        [link(hosts, CLOUD, FOG, delay_ms=2.0)],
    ):
        changes = apply.apply(constraints([steady, *others], hosts), hosts, quiet)
        assert changes
        assert (hosts[CLOUD].key, hosts[EDGE].key) not in (*changes.added, *changes.changed, *changes.removed)
    pinging.join()
    assert "300 packets transmitted, 300 received, 0% packet loss" in outcome[0]
    assert before[0] in netems(hosts[CLOUD])
    assert len(netems(hosts[CLOUD])) == 2


def test_a_link_goes_down_both_ways_and_comes_back_as_it_was(hosts: Hosts) -> None:
    ends = {"sources": (hosts[CLOUD].key,), "destinations": (hosts[EDGE].key,), "src": "cloud", "dst": "edge"}
    asked = constraints([link(hosts, CLOUD, EDGE, delay_ms=5.0), link(hosts, CLOUD, FOG, delay_ms=3.0)], hosts)
    apply.apply(asked, hosts, quiet)

    def change(**values: object) -> tuple[Constraint, ...]:
        after = changed(now, PlannedChange(at_s=0, symmetric=True, **ends, **values), hosts)
        different = [one for one in after if one not in now]
        made = apply.change(different, hosts)
        assert set(made.added + made.changed) == {(one.source, one.destination) for one in different}
        assert not made.removed
        return after

    now: Sequence[Constraint] = asked
    now = change(down=True)
    assert reached(hosts[CLOUD], hosts[EDGE]) == [False, False]
    assert reached(hosts[EDGE], hosts[CLOUD]) == [False, False]
    assert reached(hosts[CLOUD], hosts[FOG]) == [True, True]
    now = change(down=False)
    assert reached(hosts[CLOUD], hosts[EDGE]) == [True, True]
    told = apply.read_back(now, hosts)
    assert {shape.words for shape in told.values()} == {
        "delay 5ms",
        "delay 3ms",
        "delay 0ms",
    }
    assert apply.apply(asked, hosts, quiet).removed == ((hosts[EDGE].key, hosts[CLOUD].key),)


SERVE = """
import socket, threading
def serve(family, address, port):
    with socket.create_server((address, port), family=family) as listener:
        while True:
            listener.accept()[0].close()
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for port in (1883, 1884):
        threading.Thread(target=serve, args=(family, address, port), daemon=True).start()
threading.Event().wait(60)
"""
ASK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()"


def test_captures_pass_a_link_that_is_down_where_they_are_untouched(hosts: Hosts) -> None:
    agent, server = hosts[EDGE], hosts[CLOUD]
    plan = Plan(
        job_name="x",
        walltime_s=60,
        testbeds={},
        hosts=(),
        untouched=("provenance",),
        provenance=ProvenancePlan(host=server.key, agents=(agent.key,), topics={agent.key: 1}, dataflow_spec="x"),
    )
    rule = link(hosts, EDGE, CLOUD, down=True, back=LinkValues(down=True))
    asked = constraints([rule], hosts, exemptions(plan, hosts))
    apply.apply(asked, hosts, quiet)
    assert shell.run(server, f"python3 -c '{SERVE}' >/dev/null 2>&1 & echo $! >/run/serve.pid").ok
    try:
        for address in (server.addresses.v4, server.addresses.v6):
            command = f"for i in 1 2 3 4 5; do python3 -c '{ASK}' {address} 1883 && exit; sleep 0.5; done; exit 1"
            assert shell.run(agent, command).ok
            assert not shell.run(agent, f"python3 -c '{ASK}' {address} 1884").ok
    finally:
        shell.run(server, "kill $(cat /run/serve.pid); rm /run/serve.pid")
    shaped = constraints([rule], hosts)
    changes = apply.apply(shaped, hosts, quiet)
    assert len(changes.changed) == 2
    assert "dport" not in shell.run(agent, "tc filter show dev eth0").stdout
    assert not apply.apply(shaped, hosts, quiet)


def test_what_someone_else_shapes_is_replaced_and_told(hosts: Hosts) -> None:
    asked = constraints([link(hosts, CLOUD, EDGE, delay_ms=5.0)], hosts)
    assert shell.run(hosts[CLOUD], "tc qdisc add dev eth0 root netem delay 15ms").ok
    assert shell.run(hosts[FOG], "tc qdisc add dev eth0 root netem delay 15ms").ok
    said: list[str] = []
    changes = apply.apply(asked, hosts, said.append)
    assert set(changes.replaced) == {hosts[CLOUD].key, hosts[FOG].key}
    assert said[-1].startswith("links: 1 added, what else shaped ")
    assert (len(netems(hosts[CLOUD])), len(netems(hosts[FOG]))) == (1, 0)


def test_a_host_can_undo_its_links_by_itself(hosts: Hosts) -> None:
    asked = constraints([link(hosts, CLOUD, EDGE, delay_ms=5.0)], hosts)
    apply.apply(asked, hosts, quiet)
    assert "shaping of eth0" in shell.run(hosts[CLOUD], traces.undo()).stdout
    assert (netems(hosts[CLOUD]), sent(hosts[CLOUD])) == ([], "")
    assert apply.apply(asked, hosts, quiet).added
    apply.reset(hosts)
    assert (netems(hosts[CLOUD]), sent(hosts[CLOUD])) == ([], "")
    assert shell.run(hosts[CLOUD], traces.undo()).ok


def test_an_interrupted_application_is_mended_by_the_next(hosts: Hosts) -> None:
    asked = constraints([link(hosts, CLOUD, EDGE, delay_ms=128.0)], hosts)
    apply.apply(asked, hosts, quiet)
    half_way = (
        "rm /var/lib/e2c/links-eth0; tc qdisc change dev eth0 parent 1:1 handle 10: netem limit 1000 delay 128.4ms"
    )
    assert shell.run(hosts[CLOUD], half_way).ok
    assert apply.apply(asked, hosts, quiet).changed == ((hosts[CLOUD].key, hosts[EDGE].key),)
    assert not apply.apply(asked, hosts, quiet)
    assert shell.run(hosts[CLOUD], "tc class add dev eth0 parent 1: classid 1:7 htb rate 1mbit").ok
    assert apply.apply(asked, hosts, quiet).replaced == (hosts[CLOUD].key,)
    assert not apply.apply(asked, hosts, quiet)
