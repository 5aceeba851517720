"""The local testbed, made for real: ssh, names, isolation, and nothing left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from environments_lab import THREE, Lab, planned
from environments_traces import machine, namespace_inodes, traces

from e2c import plugins
from e2c.environments.local import registry, requirements
from e2c.environments.local.layout import short_id
from e2c.errors import MissingToolError, TestbedError
from e2c.model.host import Host
from e2c.remote.shell import Result, run, run_all

pytestmark = [pytest.mark.root, pytest.mark.netns]

CLOUD, EDGE, OTHER = THREE
Standing = tuple[Lab, dict[str, Host]]


def ok(result: Result) -> str:
    assert result.rc == 0, result
    return result.stdout.strip()


def test_it_is_a_plugin_and_does_not_import_enoslib() -> None:
    code = (
        "import sys; from e2c import plugins; p = plugins.load('e2c.environments', 'local')(); p.find('/nowhere');"
        "assert p.name == 'local'; sys.exit('enoslib' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert plugins.load("e2c.environments", "local")().name == "local"


def test_hosts_are_what_was_planned(standing: Standing) -> None:
    _, hosts = standing
    assert list(hosts) == list(THREE)
    host = hosts[EDGE]
    assert (host.layer, host.service, host.roles, host.testbed, host.provider) == (
        "edge",
        "client",
        ("client",),
        "g5k",
        "local",
    )
    assert host.address == host.addresses.v4
    assert [len(host.interfaces), host.interfaces[0].device] == [1, "eth0"]
    assert {a.partition("/")[0] for a in host.interfaces[0].addresses} == {host.addresses.v4, host.addresses.v6}
    assert {key: ok(r) for key, r in run_all(hosts.values(), "hostname").items()} == {
        k: h.hostname for k, h in hosts.items()
    }


@pytest.mark.parametrize("name", ["edge-client-1-2", "edge.client.1.2", "v4", "v6"])
def test_hosts_reach_each_other_by_name_and_by_address(standing: Standing, name: str) -> None:
    _, hosts = standing
    target = {"v4": hosts[OTHER].addresses.v4, "v6": hosts[OTHER].addresses.v6}.get(name, name)
    greeting = run(hosts[CLOUD], f"timeout 5 bash -c 'exec 3<>/dev/tcp/{target}/22 && head -c 7 <&3'")
    assert ok(greeting) == "SSH-2.0"


def test_hosts_answer_over_ipv6_too(standing: Standing) -> None:
    _, hosts = standing
    assert (
        ok(run(hosts[EDGE].model_copy(update={"address": hosts[EDGE].addresses.v6}), "hostname")) == "edge-client-1-1"
    )


def test_what_a_host_writes_stays_there(standing: Standing) -> None:
    _, hosts = standing
    places = ("/tmp", "/root", "/run", "/dev/shm", "/etc", "/usr/local", "/var/tmp")
    marks = [f"{place}/mark-of-{os.getpid()}" for place in places]
    assert ok(run(hosts[CLOUD], f"touch {' '.join(marks)} && ls -d {' '.join(marks)} | wc -l")) == str(len(places))
    assert run(hosts[EDGE], f"ls -d {' '.join(marks)}").stdout == ""
    assert [mark for mark in marks if Path(mark).exists()] == []


def test_processes_of_one_host_are_unseen_by_another(standing: Standing) -> None:
    _, hosts = standing
    ok(
        run(
            hosts[CLOUD],
            "setsid sleep 4242 >/dev/null 2>&1 </dev/null & sleep 0.1; grep -a 4242 /proc/$!/cmdline",
        )
    )
    seen = run(hosts[EDGE], "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert "sleep 4242" not in seen
    assert "sshd" in seen


def test_hosts_cannot_change_the_machine(standing: Standing) -> None:
    _, hosts = standing
    attempts = (
        "date -s 2020-01-01",
        "sysctl -w kernel.threads-max=5000",
        "echo 1 >/proc/sys/vm/swappiness",
        "touch /sys/x",
    )
    for attempt in attempts:
        assert run(hosts[CLOUD], f"{{ {attempt}; }} 2>/dev/null").rc != 0, attempt
    assert ok(run(hosts[CLOUD], "sysctl -n -w net.ipv4.ip_forward=1")) == "1"
    assert ok(run(hosts[EDGE], "sysctl -n net.ipv4.ip_forward")) == "0"


def test_python_goes_by_both_names(standing: Standing) -> None:
    _, hosts = standing
    command = "for p in python python3; do $p -c 'import sys; print(sys.version_info[0])'; done"
    assert ok(run(hosts[EDGE], command)).split() == ["3", "3"]
    assert ok(run(hosts[EDGE], f"{hosts[EDGE].interpreter} -c 'print(1)'")) == "1"


def test_sftp_and_terminals_work(standing: Standing, tmp_path: Path) -> None:
    _, hosts = standing
    host = hosts[CLOUD]
    (tmp_path / "file").write_text("content")
    options = ["-i", str(host.keyfile), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]
    subprocess.run(["scp", *options, tmp_path / "file", f"root@{host.address}:/tmp/copied"], check=True)
    assert ok(run(host, "cat /tmp/copied")) == "content"
    seen = subprocess.run(
        ["ssh", "-tt", *options, f"root@{host.address}", "tty"], capture_output=True, text=True, check=True
    )
    assert seen.stdout.startswith("/dev/pts/")


def test_enoslib_works_on_the_hosts_and_has_one_object_per_host(lab: Lab) -> None:
    import enoslib

    from e2c.environments.local.construction import Construction
    from e2c.environments.local.enos import Configuration, Local

    claim = lab.claim()
    provider = Local(Configuration(Construction(claim, list(THREE)), tuple(planned())))
    assert not provider.is_created()
    assert provider.test_slot(0, 10**9)
    enoslib.set_config(ansible_stdout="noop")
    roles, networks = enoslib.Providers([provider]).init()
    assert provider.is_created()
    assert {host.alias for host in roles["client"]} == {EDGE, OTHER}
    (by_key,) = roles[EDGE]
    assert any(by_key is host for host in roles["edge"])
    assert sorted(net.network.version for net in networks["local"]) == [4, 6]
    assert len(by_key.filter_addresses(networks["local"])) == 2
    results = enoslib.run_command("hostname", roles=roles["client"])
    assert {result.stdout for result in results} == {"edge-client-1-1", "edge-client-1-2"}
    provider.destroy()
    assert not provider.is_created()


def test_up_and_down_twice_leaves_the_machine_as_it_was(lab: Lab) -> None:
    before = machine()
    claim = lab.claim()
    testbed = claim.resources["testbed"]
    for _ in range(2):
        hosts = lab.up(claim)
        assert traces(testbed)
        run_all(hosts.values(), "true")  # leaves shared ssh connections open
        spaces = namespace_inodes(testbed)
        freed = lab.provider.release(claim, lab.said.append)
        assert any(clause.startswith("3 hosts") for clause in freed)
        assert traces(testbed, spaces) == []
        assert lab.provider.release(claim, lab.said.append) == []
    assert machine() == before


def test_two_testbeds_stand_side_by_side(lab: Lab, standing: Standing) -> None:
    _, first = standing
    second = lab.up(lab.claim(), (CLOUD, EDGE))
    assert len({h.addresses.v4 for h in [*first.values(), *second.values()]}) == 5
    assert [ok(r) for r in run_all(second.values(), "hostname").values()] == ["cloud-master-1-1", "edge-client-1-1"]
    stranger = run(second[CLOUD], f"timeout 2 bash -c 'exec 3<>/dev/tcp/{first[CLOUD].address}/22'")
    assert stranger.rc != 0


def test_a_testbed_that_stands_whole_is_kept_for_its_claim(lab: Lab) -> None:
    claim = lab.claim()
    first = lab.up(claim)
    ok(run(first[CLOUD], "touch /root/old"))
    assert lab.up(claim) == first
    ok(run(first[CLOUD], "ls /root/old"))
    assert any("stands already" in said for said in lab.said)


@pytest.mark.parametrize("lost", ["a host", "the interface", "the last step"])
def test_what_is_left_of_a_testbed_of_the_claim_is_replaced(lab: Lab, lost: str) -> None:
    claim = lab.claim()
    testbed = claim.resources["testbed"]
    ok(run(lab.up(claim)[CLOUD], "touch /root/old"))
    record = registry.read(testbed)
    assert record is not None
    if lost == "a host":
        registry.end(record.processes[2], 10)
    elif lost == "the interface":
        subprocess.run(["ip", "link", "del", testbed], check=True)
    else:
        registry.write(record.model_copy(update={"phase": "building"}))
    assert run(lab.up(claim)[CLOUD], "ls /root/old").rc != 0
    assert any("released from an earlier attempt" in said for said in lab.said)


def test_other_hosts_under_the_same_claim_replace_the_testbed(lab: Lab) -> None:
    claim = lab.claim()
    lab.up(claim)
    assert len(lab.up(claim, (CLOUD, EDGE))) == 2
    assert any("released from an earlier attempt" in said for said in lab.said)


def test_a_testbed_is_found_by_its_scenario(lab: Lab, tmp_path: Path) -> None:
    claim = lab.claim(scenario=str(tmp_path))
    assert lab.provider.find(str(tmp_path)) == []
    lab.up(claim, (CLOUD,))
    assert lab.provider.find(str(tmp_path)) == [claim]
    lab.provider.release(claim, lab.said.append)
    assert lab.provider.find(str(tmp_path)) == []


def test_a_folder_without_a_record_is_swept(lab: Lab) -> None:
    left = registry.folder("e2c-ffffff")
    with registry.locked():
        left.mkdir(mode=0o700)
    lab.up(lab.claim(), (CLOUD,))
    assert not left.exists()


def test_an_unreadable_record_does_not_keep_a_testbed_from_being_released(lab: Lab) -> None:
    claim = lab.claim()
    lab.up(claim, (CLOUD,))
    (registry.folder(claim.resources["testbed"]) / "testbed.json").write_text('{"claim": ')
    assert lab.provider.release(claim, lab.said.append)


def test_another_experiment_of_the_same_id_is_left_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = lab.claim(scenario="/the/other/one")
    hosts = lab.up(claim, (CLOUD,))
    stranger = claim.model_copy(update={"experiment": "another"})
    with monkeypatch.context() as patch:
        patch.setattr("e2c.environments.local.provider.short_id", lambda _: short_id(claim.experiment))
        for action in (lab.provider.release, lambda c, p: lab.provider.acquire(c, planned((CLOUD,)), p)):
            with pytest.raises(TestbedError, match=r"belongs to another experiment.*e2clab destroy /the/other/one"):
                action(stranger, lab.said.append)
    assert ok(run(hosts[CLOUD], "hostname")) == "cloud-master-1-1"


def test_a_host_that_cannot_be_built_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "sshd_extra", lambda: "NoSuchOption yes\n")
    claim = lab.claim()
    with pytest.raises(TestbedError, match=r"(could not be built|does not answer to ssh).*NoSuchOption"):
        lab.up(claim, (CLOUD,))
    assert traces(claim.resources["testbed"]) == []


def test_ipv6_that_is_switched_off_by_default_is_on_for_the_testbed_only(possible: None) -> None:
    off = "for n in all default; do echo 1 >/proc/sys/net/ipv6/conf/$n/disable_ipv6; done"
    done = in_scratch_namespace(off, IN_NAMESPACE)
    assert done.stdout.endswith("passed\n"), done.stderr


def test_without_ipv6_in_the_kernel_hosts_have_ipv4_only(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "has_ipv6", lambda: False)
    host = lab.up(lab.claim(), (CLOUD,))[CLOUD]
    assert host.addresses.v6 is None
    assert [a for i in host.interfaces for a in i.addresses] == [f"{host.address}/24"]
    assert any("no IPv6" in said for said in lab.said)
    assert ok(run(host, "hostname")) == "cloud-master-1-1"


ACQUIRER = """
import sys
from environments_lab import planned
from e2c.environments.base import Claim
from e2c.environments.local.provider import LocalProvider
import e2c.environments.local.enos
claim = Claim.model_validate_json(sys.stdin.read())
provider = LocalProvider()
print("now", flush=True)
provider.acquire(claim, planned(), lambda text: None)
provider.enable_netem(claim, (), lambda text: None)
print("done", flush=True)
sys.stdin.close()
import signal
signal.pause()
"""


def acquirer(claim_json: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ACQUIRER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(claim_json)
    process.stdin.close()
    process.stdin = None
    assert process.stdout.readline() == "now\n"
    return process


@pytest.mark.parametrize("moment", range(8))
def test_killed_at_any_moment_everything_can_be_released(lab: Lab, moment: int) -> None:
    seed = random.randrange(10**6)
    delay = random.Random(seed).uniform(0, 0.25) if moment < 6 else random.Random(seed).uniform(0.2, 2)
    print(f"seed {seed}: killed after {delay:.3f} s")
    claim = lab.claim(netem="auto" if moment % 2 else None)
    with acquirer(claim.model_dump_json()) as process:
        time.sleep(delay)
        process.kill()
        process.communicate()
    testbed = claim.resources["testbed"]
    spaces = namespace_inodes(testbed)
    lab.provider.release(claim, lab.said.append)
    assert traces(testbed, spaces) == []


def test_ctrl_c_releases_and_is_passed_on(lab: Lab) -> None:
    claim = lab.claim()
    with acquirer(claim.model_dump_json()) as process:
        folder = registry.folder(claim.resources["testbed"])
        while not folder.exists() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(2)
        _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert traces(claim.resources["testbed"]) == []


def as_nobody(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "setpriv",
            "--bounding-set=-sys_admin,-net_admin",
            "--inh-caps=-sys_admin,-net_admin",
            sys.executable,
            "-c",
            code,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_rights_one_sentence_says_what_to_do(standing: Standing) -> None:
    done = as_nobody("from e2c.environments.local import provider; provider().check({})")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "needs the capabilities (CAP_NET_ADMIN and CAP_SYS_ADMIN), which is not here" in last
    assert "--privileged" in last


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements.shutil, "which", lambda name, path=None: None)
    monkeypatch.setattr(requirements, "_missing_capabilities", lambda: ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"])
    monkeypatch.setattr(requirements.os, "geteuid", lambda: 1000)
    with pytest.raises(MissingToolError) as caught:
        requirements.check()
    text = str(caught.value)
    assert "the rights of root" in text
    assert "ip, ssh, ssh-keygen, sshd, tc, unshare and a python3" in text
    assert "sudo e2clab" in text
    assert "apt-get install iproute2 openssh-client openssh-server util-linux python3" in text


FIREWALL = """
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
nft add table inet docker
nft 'add chain inet docker forward { type filter hook forward priority 0; policy drop; }'
# A bridge in the machine's own namespace is cut by that firewall: else this test would show nothing.
ip link add plain type bridge
ip link set plain up
for i in 1 2; do
  ip netns add p$i
  ip link add v$i type veth peer name eth0 netns p$i
  ip link set v$i master plain up
  ip -n p$i addr add 10.9.9.$i/24 dev eth0
  ip -n p$i link set eth0 up
done
ip netns exec p1 fping -q -r 1 -t 200 10.9.9.2 && exit 42
"""

IN_NAMESPACE = """
from environments_lab import Lab, CLOUD_AND_EDGE as keys
from e2c.remote.shell import run
lab = Lab()
try:
    hosts = lab.up(lab.claim(), keys)
    done = run(hosts[keys[0]], f"fping -q -r 1 -t 500 {hosts[keys[1]].addresses.v4} {hosts[keys[1]].addresses.v6}")
    assert done.rc == 0, done
    reached = run(hosts[keys[0]].model_copy(update={"address": hosts[keys[0]].addresses.v6}), "true")
    assert reached.rc == 0, reached
finally:
    lab.down()
print("passed")
"""


def in_scratch_namespace(prepare: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a network namespace of its own, as if that were the machine's, with a /run of its own."""
    script = f'set -e\nmount -t tmpfs none /run\nip link set lo up\n{prepare}\nexec {sys.executable} -c "$0"'
    return subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", script, code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


def test_beside_a_firewall_that_drops_what_is_forwarded(possible: None) -> None:
    if requirements.program("nft") is None:
        pytest.skip("nft (package nftables) is not installed")
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        pytest.skip("this kernel has no br_netfilter (or it is not loaded)")
    done = in_scratch_namespace(FIREWALL, IN_NAMESPACE)
    assert done.returncode != 42, "the firewall did not cut the plain bridge"
    assert done.stdout.endswith("passed\n"), done.stderr


OVERLAY_ROOT = """
mkdir -p /run/o/up /run/o/work /run/o/root /run/o/opt-up /run/o/opt-work
mount -t overlay overlay -o lowerdir=/,upperdir=/run/o/up,workdir=/run/o/work /run/o/root
mount -t overlay overlay -o lowerdir=/opt,upperdir=/run/o/opt-up,workdir=/run/o/opt-work /run/o/root/opt
echo kept >/run/o/root/opt/own-file-system
cd /run/o/root
for d in proc sys dev; do mount --rbind /$d $d; done
mount -t tmpfs none run
mkdir -p left
pivot_root . left
umount -l /left
cd "$OLDPWD"
"""

IN_OVERLAY_ROOT = """
from pathlib import Path
from environments_lab import Lab, THREE
from e2c.remote.shell import run
lab = Lab()
try:
    host = lab.up(lab.claim(), THREE[:1])[THREE[0]]
    done = run(host, "set -e; echo changed >/etc/hostname; cd /opt; cat own-*; echo changed >own-file-system")
    assert (done.rc, done.stdout) == (0, "kept\\n"), done
    assert Path("/opt/own-file-system").read_text() == "kept\\n"
finally:
    lab.down()
print("passed")
"""


def test_where_the_root_is_an_overlay_as_in_a_container(possible: None) -> None:
    done = in_scratch_namespace(OVERLAY_ROOT, IN_OVERLAY_ROOT)
    assert done.stdout.endswith("passed\n"), done.stderr
