"""Shaped links on local hosts, whichever way netem works here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from environments_lab import THREE, Lab
from environments_traces import namespace_inodes, traces

from e2c.environments.local import registry, requirements, switch
from e2c.environments.local.tcshim import batch_file, for_switch, parts
from e2c.errors import MissingToolError, TestbedError
from e2c.model.host import Host
from e2c.remote.shell import run, run_all, run_each

CLOUD, EDGE, OTHER = THREE
Shaped = Callable[[], tuple[Lab, dict[str, Host]]]
netem = [pytest.mark.root, pytest.mark.netns, pytest.mark.switch]


def rtt_ms(source: Host, address: str | None, *, count: int = 10) -> float:
    """Quickest round trip in milliseconds: a busy machine only adds; the first packets also resolve addresses."""
    assert address is not None
    done = run(source, f"fping -q -C {count + 3} -p 20 -t 1000 {address}")
    times = [float(word) for word in done.stderr.partition(" : ")[2].split()[3:] if word != "-"]
    assert len(times) > count // 2, done
    return min(times)


@pytest.fixture
def hosts(shaped: Shaped) -> dict[str, Host]:
    """The shaped testbed, without any rule."""
    _, hosts = shaped()
    run_all(hosts.values(), "tc qdisc del dev eth0 root")
    return hosts


class TestShaping:
    pytestmark = netem

    def test_a_delay_is_one_way_and_between_the_right_hosts_only(self, hosts: dict[str, Host]) -> None:
        import enoslib
        from enoslib.objects import DefaultNetwork, IPAddress, NetDevice

        nodes = {}
        for key, host in hosts.items():
            addresses = {IPAddress(text, DefaultNetwork(text)) for text in host.interfaces[0].addresses}
            nodes[key] = enoslib.Host(
                host.address,
                alias=key,
                user="root",
                keyfile=host.keyfile,
                net_devices={NetDevice(host.interfaces[0].device, addresses)},
            )
        enoslib.set_config(ansible_stdout="noop")
        rules = enoslib.NetemHTB()
        rules.add_constraints([nodes[CLOUD]], [nodes[EDGE]], delay="28ms", rate="1gbit", loss=None)
        rules.deploy()

        shown = run_all(hosts.values(), "tc qdisc show dev eth0")
        assert {key for key, result in shown.items() if "netem" in result.stdout} == {CLOUD}
        assert "delay 28ms" in shown[CLOUD].stdout
        for family in ("v4", "v6"):
            address = {key: getattr(host.addresses, family) for key, host in hosts.items()}
            assert rtt_ms(hosts[CLOUD], address[EDGE]) == pytest.approx(28, abs=2)
            assert rtt_ms(hosts[EDGE], address[CLOUD]) == pytest.approx(28, abs=2)
            assert rtt_ms(hosts[EDGE], address[OTHER]) < 1.5
            assert rtt_ms(hosts[CLOUD], address[OTHER]) < 1.5
        assert rtt_ms(hosts[CLOUD], "controller") < 1.5

    def test_packets_are_lost_as_asked(self, hosts: dict[str, Host]) -> None:
        assert run(hosts[EDGE], "tc qdisc add dev eth0 root netem loss 20%").ok
        done = run(hosts[EDGE], f"fping -q -c 500 -p 4 -t 500 {hosts[OTHER].addresses.v4}")
        lost = re.search(r"(\d+)/(\d+)/\d+%", done.stderr)
        assert lost is not None, done
        assert 0.12 < 1 - int(lost[2]) / int(lost[1]) < 0.29  # 5 standard deviations of a binomial around 0.2

    def test_tc_on_a_host_speaks_like_the_real_one(self, hosts: dict[str, Host]) -> None:
        def tc(arguments: str) -> tuple[int, str]:
            done = run(hosts[CLOUD], f"tc {arguments}")
            return done.rc, done.stdout + done.stderr

        assert tc("qdisc add dev eth0 root handle 1: htb") == (0, "")
        code, text = tc("qdisc add dev eth0 root handle 1: htb")
        assert (code, "Exclusivity flag" in text or "File exists" in text) == (2, True)
        assert tc("class add dev eth0 parent 1: classid 1:1 htb rate 5mbit") == (0, "")
        assert "rate 5Mbit" in tc("class show dev eth0")[1]
        assert "htb 1: " in tc("qdisc show")[1]
        assert "Sent" in tc("-s qdisc show dev eth0")[1]
        assert '"kind":"htb"' in tc("-j qdisc show dev eth0")[1].replace(" ", "")
        assert tc("qdisc add dev eth0 parent 1:1 netem delay 1fortnight")[0] != 0
        assert tc("class add dev eth0 parent")[0] != 0
        assert "noqueue" in tc("qdisc show dev lo")[1]
        assert tc("qdisc show dev eth7")[0] == 1
        assert "ifb" not in tc("qdisc show dev eth0")[1]
        assert tc("qdisc del dev eth0 root") == (0, "")
        assert tc("-V")[1].startswith("tc utility")

    def test_many_rules_and_long_answers(self, hosts: dict[str, Host]) -> None:
        script = ["tc qdisc add dev eth0 root handle 1: htb"]
        for n in range(1, 81):
            script.append(f"tc class add dev eth0 parent 1: classid 1:{n:x} htb rate 1gbit")
            script.append(f"tc filter add dev eth0 parent 1: protocol ip u32 match ip dst 10.0.0.{n} flowid 1:{n:x}")
        assert run(hosts[OTHER], "set -e; " + "; ".join(script)).ok
        assert run(hosts[OTHER], "tc class show dev eth0").stdout.count("class htb") == 80
        assert run(hosts[OTHER], "tc filter show dev eth0").stdout.count("flowid") == 80

    def test_batches_are_run_as_a_whole_wherever_they_belong(self, hosts: dict[str, Host]) -> None:
        def tc(arguments: str, script: str) -> tuple[int, str, str]:
            done = run(hosts[CLOUD], f"tc {arguments}", stdin=script.encode())
            return done.rc, done.stdout, done.stderr

        good = (
            "qdisc add dev eth0 root handle 1: htb\n\n# one\nclass add dev eth0 parent 1: classid 1:1 htb rate 1mbit\n"
        )
        bad = "class add dev eth0 parent 7: classid 7:1 htb rate 1mbit\n"
        assert tc("-batch -", good) == (0, "", "")
        assert "rate 1Mbit" in tc("-batch -", "class show dev eth0\n")[1]
        code, out, err = tc("-b -", f"qdisc show dev eth0\nqdisc show dev lo\n{bad}qdisc show dev eth0\n")
        assert (code, out.count("htb 1:"), "noqueue" in out, "Command failed -:3" in err) == (1, 1, True, True)
        code, out, err = tc("-force -batch -", f"{bad}qdisc show dev eth0\n")
        assert (code, "htb 1:" in out, "Command failed -:1" in err) == (1, True, True)
        more = [f"class add dev eth0 parent 1: classid 1:{n:x} htb rate 1gbit\n" for n in range(2, 102)]
        code, out, err = tc(
            "-force -batch -", "".join([*more[:60], "# x\n", bad, *more[60:], "class show dev eth0\n", bad])
        )
        failed = [line for line in err.splitlines() if "failed" in line]
        assert (code, out.count("class htb"), failed) == (1, 101, ["Command failed -:62", "Command failed -:104"])
        done = run(hosts[CLOUD], "cat >/tmp/rules && tc -batch /tmp/rules", stdin=bad.encode())
        assert (done.rc, "Command failed /tmp/rules:1" in done.stderr) == (1, True)
        assert tc("-batch -", "qdisc del dev eth0 root\n") == (0, "", "")

    def test_large_batches_from_all_hosts_at_once(self, hosts: dict[str, Host]) -> None:
        lines = ["qdisc replace dev eth0 root pfifo", "qdisc replace dev eth0 root handle 1: htb"]
        for n in range(1, 251):
            lines.append(f"class add dev eth0 parent 1: classid 1:{n:x} htb rate 1gbit")
            lines.append(f"filter add dev eth0 parent 1: protocol ip u32 match ip dst 10.0.0.{n} flowid 1:{n:x}")
        script = "\n".join([*lines, "class show dev eth0", "filter show dev eth0\n"]).encode()
        for _ in range(2):  # replaced, the second time
            done = run_each(dict.fromkeys(hosts.values(), "tc -batch -"), stdin=dict.fromkeys(hosts.values(), script))
            for result in done.values():
                assert (result.rc, result.stderr) == (0, "")
                assert (result.stdout.count("class htb"), result.stdout.count("flowid")) == (250, 250)

    def test_a_crowd_is_answered_in_turn(self, hosts: dict[str, Host]) -> None:
        crowd = "for i in $(seq 40); do tc qdisc show dev eth0 & done; wait"
        told = run_all(hosts.values(), f"tc qdisc add dev eth0 root netem delay 1ms && {crowd}")
        for result in told.values():
            assert (result.rc, result.stderr, result.stdout.count("delay 1ms")) == (0, "", 40)

    def test_a_shaped_rate_holds(self, hosts: dict[str, Host]) -> None:
        if requirements.host_program("iperf3") is None:
            pytest.skip("iperf3 is not installed")
        assert run(hosts[EDGE], "tc qdisc add dev eth0 root netem rate 10mbit").ok
        assert run(hosts[OTHER], "iperf3 -s -1 -D").ok
        done = run(
            hosts[EDGE],
            f"for i in 1 2 3 4 5; do iperf3 -c {hosts[OTHER].addresses.v4} -n 1M -J && break; sleep 0.2; done",
        )
        rates = [float(text) for text in re.findall(r'"bits_per_second":\s*([0-9.e+]+)', done.stdout)]
        assert rates, done
        assert rates[-1] < 12e6

    def test_asking_again_changes_nothing(self, shaped: Shaped, hosts: dict[str, Host]) -> None:
        lab, _ = shaped()
        assert run(hosts[CLOUD], "tc qdisc add dev eth0 root netem delay 5ms").ok
        assert lab.provider.enable_netem(lab.claims[0], (), lab.said.append) in ("kernel", "switch")
        assert "delay 5ms" in run(hosts[CLOUD], "tc qdisc show dev eth0").stdout


@pytest.fixture
def switchable(possible: None, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = switch.lacking_for_switch()
    if lacking:
        pytest.skip(f"no netem switch here: {'; '.join(lacking.values())}")
    monkeypatch.setenv("E2C_NETEM", "switch")


class TestSwitch:
    pytestmark = netem

    def test_started_on_a_living_testbed_killed_and_started_again(self, lab: Lab, switchable: None) -> None:
        claim = lab.claim()
        hosts = lab.up(claim)
        testbed = claim.resources["testbed"]
        assert "e2c" not in run(hosts[CLOUD], "tc qdisc show dev eth0").stdout
        assert lab.provider.enable_netem(claim, (), lab.said.append) == "switch"
        assert run(hosts[CLOUD], "tc qdisc add dev eth0 root netem delay 10ms").ok

        spaces = registry.namespaces(testbed)
        hub = {place: name for place, name in spaces.items() if name == "hub"}
        programs = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in registry.members(hub)}
        assert any("linux" in name for name in programs.values()), programs
        registry.kill([pid for pid, name in programs.items() if "linux" in name], hub, 10)
        assert lab.provider.enable_netem(claim, (), lab.said.append) == "switch"
        assert "netem" not in run(hosts[CLOUD], "tc qdisc show dev eth0").stdout
        assert run(hosts[CLOUD], "tc qdisc add dev eth0 root netem delay 10ms").ok
        assert rtt_ms(hosts[CLOUD], hosts[EDGE].addresses.v4) == pytest.approx(10, abs=2)

    def test_a_dead_switch_is_told_by_tc(self, lab: Lab, switchable: None) -> None:
        claim = lab.claim()
        lab.up(claim, (CLOUD,))
        lab.provider.enable_netem(claim, (), lab.said.append)
        testbed = claim.resources["testbed"]
        spaces = namespace_inodes(testbed)
        hub = {place: name for place, name in registry.namespaces(testbed).items() if name == "hub"}
        registry.kill(registry.members(hub), hub, 10)
        record = registry.read(testbed)
        assert record is not None
        (first,) = record.processes.values()
        told = subprocess.run(
            ["nsenter", "-t", str(first.pid), "-a", "/usr/local/sbin/tc", "qdisc", "show", "dev", "eth0"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (told.returncode, "the netem switch of this testbed does not answer" in told.stderr) == (2, True)
        lab.provider.release(claim, lab.said.append)
        assert traces(testbed, spaces) == []

    def test_one_that_cannot_boot_is_a_sentence(
        self, lab: Lab, switchable: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claim = lab.claim()
        lab.up(claim, (CLOUD,))
        monkeypatch.setattr(
            requirements, "program", lambda name: "/bin/false" if name == "linux.uml" else f"/usr/sbin/{name}"
        )
        with pytest.raises(
            TestbedError, match=r"netem switch of local testbed .* does not work: User-Mode Linux has ended"
        ):
            lab.provider.enable_netem(claim, (), lab.said.append)

    def test_the_machine_is_read_only_for_it(self, lab: Lab, switchable: None) -> None:
        claim = lab.claim()
        lab.up(claim, (CLOUD,))
        lab.provider.enable_netem(claim, (), lab.said.append)
        hub = {p: n for p, n in registry.namespaces(claim.resources["testbed"]).items() if n == "hub"}
        inside = next(pid for pid in registry.members(hub) if "linux" in Path(f"/proc/{pid}/comm").read_text())
        done = subprocess.run(
            ["nsenter", f"--mount=/proc/{inside}/ns/mnt", "touch", "/e2c-was-here", "/var/tmp/e2c-was-here"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.count("Read-only file system") == 2


def test_links_need_a_testbed(lab: Lab) -> None:
    with pytest.raises(TestbedError, match=r"does not stand.*e2clab layers-services"):
        lab.provider.enable_netem(lab.claim(), (), lab.said.append)


def test_the_mode_is_chosen_by_setting_and_by_what_is_there(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("E2C_NETEM", raising=False)
    monkeypatch.setattr(switch, "lacking_for_switch", dict)
    for kernel, asked, mode in (
        (True, "auto", "kernel"),
        (False, "auto", "switch"),
        (True, "switch", "switch"),
        (True, "kernel", "kernel"),
    ):
        monkeypatch.setattr(switch, "kernel_has_netem", lambda kernel=kernel: kernel)
        assert switch.choose_mode(lab.claim(netem=asked)) == mode
        monkeypatch.setenv("E2C_NETEM", asked)
        assert switch.choose_mode(lab.claim(netem="switch")) == mode
        monkeypatch.delenv("E2C_NETEM")
    monkeypatch.setattr(switch, "kernel_has_netem", lambda: False)
    with pytest.raises(MissingToolError, match=r"running kernel: it has no netem.*netem: auto"):
        switch.choose_mode(lab.claim(netem="kernel"))
    with pytest.raises(TestbedError, match=r"none of auto, kernel and switch"):
        switch.choose_mode(lab.claim(netem="fast"))
    lacking = {"linux.uml": "apt-get install user-mode-linux", "/dev/net/tun": "modprobe tun"}
    monkeypatch.setattr(switch, "lacking_for_switch", lambda: lacking)
    with pytest.raises(
        MissingToolError, match=r"no linux.uml and no /dev/net/tun.*apt-get install user-mode-linux; modprobe tun"
    ):
        lab.up(lab.claim(netem="auto"))


def test_which_commands_concern_the_switch() -> None:
    to = {
        "qdisc add dev eth0 root netem delay 1ms": "qdisc add dev eth0 root netem delay 1ms",
        "qdisc show": "qdisc show dev eth0",
        "-s class ls": "-s class ls dev eth0",
        "filter": "filter dev eth0",
        "qdisc show dev lo": None,
        "-V": None,
        "": None,
        "qdisc help": None,
        "actions ls": None,
    }
    found = {line: for_switch(line.split()) for line in to}
    assert {line: " ".join(words) if words else None for line, words in found.items()} == to


def test_a_batch_is_recognised() -> None:
    to = {
        "-batch -": ([], "-"),
        "-force -b rules": (["-force"], "rules"),
        "-ba -": ([], "-"),
        "-batch": None,
        "qdisc show": None,
        "-s qdisc show dev -batch": None,
    }
    assert {line: batch_file(line.split()) for line in to} == to


def test_a_batch_is_cut_where_its_destination_changes() -> None:
    text = "qdisc show\n\nqdisc add dev eth0 root \\\n netem\nqdisc show dev lo\n# a remark\nclass show dev eth0"
    assert parts(text) == [
        (True, "qdisc show dev eth0\n\n\nqdisc add dev eth0 root   netem\n"),
        (False, "\n\n\n\nqdisc show dev lo\n# a remark\n"),
        (True, "\n\n\n\n\n\nclass show dev eth0\n"),
    ]
    assert parts("") == []


def test_the_probe_says_what_the_kernel_says(possible: None) -> None:
    has = subprocess.run(
        ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
        capture_output=True,
        check=False,
    )
    assert switch.kernel_has_netem() == (has.returncode == 0)
