"""Plugins at work on real hosts: ours in this process, those of E2Clab unmodified in a child."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from e2c import plugins
from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError, ServiceError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.remote import shell
from e2c.services import docker, finding, running
from e2c.services.base import Service

pytestmark = pytest.mark.netns

E2CLAB_PLUGINS = Path(__file__).with_name("e2clab_plugins")
LIMIT_S = 300
KEYS = tuple(f"cloud.grid.1.{number}" for number in (1, 2, 3))


def quiet(_: str) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, ...]]:
    """Three hosts of one service."""
    local = LocalProvider()
    try:
        local.check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    name = str(tmp_path_factory.mktemp("plugins"))
    claim = local.claim(experiment=name, scenario=name, job_name="test", walltime_s=60, settings={})
    planned = [PlannedHost(key=key, layer="cloud", service="Grid", testbed="local", provider="local") for key in KEYS]
    try:
        yield local.acquire(claim, planned, quiet).hosts  # type: ignore[arg-type]
    finally:
        local.release(claim, quiet)


class Desk:
    """A scenario with plugins, and what they told."""

    def __init__(self, folder: Path, hosts: Sequence[Host]) -> None:
        self.folder = folder
        self.hosts = tuple(hosts)
        self.said: list[str] = []
        self.warned: list[str] = []
        (folder / "services").mkdir(parents=True)
        plugins.look_in(folder)

    def write(self, code: str) -> Path:
        """A plugin ``Own`` of the scenario."""
        path = self.folder / "services" / "own.py"
        path.write_text(textwrap.dedent(code))
        return path

    def found(self, name: str = "Own") -> finding.Found:
        found = finding.find(name)
        assert found is not None
        return found

    def ask(self, hook: running.Hook = "deploy", name: str = "Own", **asked: Any) -> running.Answer:
        limit = asked.pop("limit_s", LIMIT_S)
        metadata = {"name": "Grid", "layer_name": "cloud", "layer_id": 1, "service_id": 1, "_id": "1_1"}
        request = running.Asked(
            service="cloud.grid.1",
            hook=hook,
            hosts=asked.pop("hosts", self.hosts),
            metadata={**metadata, **asked.pop("metadata", {})},
            known={host.key: {"url": host.addresses.v4, "url6": f"[{host.addresses.v6}]"} for host in self.hosts},
            scenario_dir=str(self.folder),
            artifacts_dir=str(self.folder),
            folder=str(self.folder / asked.pop("folder", "")),
            **asked,
        )
        return running.call(self.found(name), request, self.said.append, self.warned.append, limit_s=limit)


@pytest.fixture
def desk(tmp_path: Path, hosts: tuple[Host, ...], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield Desk(tmp_path, hosts)
    plugins.look_in(tmp_path / "elsewhere")


def test_helpers_work_on_all_hosts_or_on_some(desk: Desk, tmp_path: Path) -> None:
    desk.write("""\
        from pathlib import Path
        from e2c.services.base import Service

        class Own(Service):
            def deploy(self):
                first, *others = self.hosts
                self.put("one\\n", "/srv/own/text", mode=0o600)
                self.put(b"two\\n", "/srv/own/text", [first])
                self.put(self.artifacts_dir / "services" / "own.py", "/srv/own/code", others)
                modes = self.run("stat -c %a /srv/own/text; ls /srv/own")
                self.kept["modes"] = {key: done.stdout.split() for key, done in modes.items()}
                tasks = [{"name": "who", "ansible.builtin.shell": "echo {{ word }} {{ inventory_hostname }}"}]
                results = self.play(tasks, others, variables={"word": "I"})
                self.kept["play"] = [(one.host, one.stdout) for one in results]
                copies = self.fetch("/srv/own/text", Path(self.scenario_dir, "here"))
                self.kept["copies"] = {key: path.read_text() for key, path in copies.items()}
                self.kept["failed"] = {key: done.rc for key, done in self.run("exit 3", check=False).items()}
                self.logger.info("%s is here", self.address(first))
                self.logger.warning("but")
                self.register_service(service_port=80)
        """)
    answer = desk.ask()
    first, second, third = KEYS
    kept = answer.kept
    assert kept["modes"] == {first: ["644", "text"], second: ["600", "code", "text"], third: ["600", "code", "text"]}
    assert sorted(kept["play"]) == [[second, f"I {second}"], [third, f"I {third}"]]
    assert kept["copies"] == {first: "two\n", second: "one\n", third: "one\n"}
    assert kept["failed"] == dict.fromkeys(KEYS, 3)
    assert desk.said == [f"{desk.hosts[0].addresses.v4} is here"]
    assert desk.warned == ["but"]
    assert [(one.key, one.host, one.port) for one in answer.registered] == [(key, key, 80) for key in KEYS]


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        (["{}['missing']"], 5, "KeyError: 'missing'"),
        (["self.run('echo nobody is there >&2; exit 4', self.hosts[1:2])"], 5, "cloud.grid.1.2: nobody is there"),
        (["self.play([{'name': 'try', 'ansible.builtin.command': 'false'}])"], 5, "cloud.grid.1.3: task 'try' failed"),
        (["import sys", "sys.exit('done with it')"], 6, "SystemExit: done with it"),
        (["self.register_service(hosts=['cloud.grid.1.9'])"], 5, "cloud.grid.1.9 is no host of cloud.grid.1"),
        (["self.register_service(extra={'a': object()})"], 5, "plain values"),
        (["self.register_service(sub_service='1')"], 5, "a sub-service may not be called '1'"),
        (["self.deploy_docker(docker_version='new; reboot')"], 5, "a version of Docker is written as 28.1"),
    ],
)
def test_a_mistake_is_told_with_its_line(desk: Desk, lines: list[str], line: int, why: str) -> None:
    code = ["from e2c.services.base import Service", "", "class Own(Service):", "    def deploy(self):"]
    path = desk.write("\n".join([*code, *(f"        {one}" for one in lines)]))
    with pytest.raises(ServiceError) as caught:
        desk.ask()
    text = str(caught.value)
    assert text.startswith(f"{path}:{line}: service cloud.grid.1 could not be deployed: ")
    assert why in text
    assert caught.value.exit_code == 1


def test_what_registers_nothing_is_registered_and_an_empty_list_is_not(desk: Desk) -> None:
    desk.write("""\
        from e2c.services.base import Service

        class Own(Service):
            def deploy(self):
                for part in self.env.get("PARTS", []):
                    self.register_service(hosts=[], sub_service=part)
        """)
    assert [one.key for one in desk.ask().registered] == list(KEYS)
    assert desk.warned == ["cloud.grid.1: its plugin registered nothing, so all its hosts are registered"]
    desk.ask(metadata={"env": {"PARTS": ["worker"]}})
    assert desk.warned[1] == "cloud.grid.1: no host was given to register as sub-service worker, so none is"


def test_later_hooks_find_what_was_kept_and_registered(desk: Desk, tmp_path: Path) -> None:
    desk.write("""\
        from e2c.services.base import Service

        class Own(Service):
            def deploy(self):
                self.kept["n"] = 1

            def check(self):
                return None if self.kept["n"] == 1 else f"n is {self.kept['n']}"

            def backup(self, folder):
                (folder / "roles").write_text(" ".join(self.service_roles))
        """)
    assert desk.ask("check", kept={"n": 1}).reason is None
    assert desk.ask("check", kept={"n": 2}).reason == "n is 2"
    answer = desk.ask()
    desk.ask("backup", kept=answer.kept, registered=answer.registered, target=str(tmp_path))
    assert (tmp_path / "roles").read_text().split() == list(KEYS)


def test_plugins_of_e2clab_run_unmodified(desk: Desk) -> None:
    for file in E2CLAB_PLUGINS.glob("*.py"):
        shutil.copy(file, desk.folder / "services")
    first, second, third = desk.hosts

    answer = desk.ask(name="Grid", metadata={"env": {"SLOTS": 4}})
    assert [(one.key, one.host, one.port, one.extra) for one in answer.registered] == [
        ("cloud.grid.1.manager.1", first.key, 8081, {"token": "secret"}),
        ("cloud.grid.1.worker.1", second.key, 6121, {"slots": 4}),
        ("cloud.grid.1.worker.2", third.key, 6121, {"slots": 4}),
    ]
    assert desk.said == ["cloud.Grid.1: 3 hosts"]
    told = shell.run_all([second, third], "cat /tmp/grid/manager")
    assert {one.stdout for one in told.values()} == {f"{first.address} 4\n"}

    answer = desk.ask(name="Sink", metadata={"port": "9000"})
    assert [(one.key, one.port) for one in answer.registered] == [(key, 9000) for key in KEYS]
    assert desk.warned == ["3 sinks"]
    sink = shell.run(second, "cat /tmp/sink").stdout
    assert sink == f"{second.addresses.v6}\n{second.key}"
    registered = desk.ask(name="Ring").registered
    assert [(one.key, one.port) for one in registered] == [(f"cloud.grid.1.member.{n}", 4444) for n in (1, 2, 3)]
    words = ["hello 3first", "hello 3", "hello 3"]
    following = [host.addresses.v6 for host in (second, third, first)]
    assert [one.extra for one in registered] == [
        {"rank": place, "next": following[place], "words": words[place]} for place in range(3)
    ]
    printed = desk.folder / "services-data" / "cloud.grid.1" / "deploy.out"
    assert "copy" in printed.read_text(), "EnOSlib's own words are kept, and nowhere else"


OWN = "from e2c.services.base import Service\n\nclass Own(Service):\n    def deploy(self):\n"
BEGIN = "import sys\nimport enoslib as en\nfrom e2clab import Service\n\nclass Own(Service):\n    def deploy(self):\n"


@pytest.mark.parametrize(
    ("code", "line", "why"),
    [
        (
            "with en.actions(roles=self.roles) as a:\n            a.shell('echo full >&2; exit 7', task_name='fill')",
            7,
            "cloud.grid.1.1: task 'fill' failed (rc 7): full",
        ),
        ("sys.exit(3)", 7, "SystemExit: 3"),
        ("from e2clab.services import Provenance", 7, "ask for it by `provenance:`"),
        ("import e2clab.managers", 7, "No module named 'e2clab.managers'"),
    ],
)
def test_a_mistake_of_a_plugin_of_e2clab_is_told_with_its_line(desk: Desk, code: str, line: int, why: str) -> None:
    path = desk.write(f"{BEGIN}        {code}\n")
    with pytest.raises(ServiceError) as caught:
        desk.ask()
    text = str(caught.value)
    assert text.startswith(f"{path}:{line}: service cloud.grid.1 could not be deployed: ")
    assert why in text


def test_a_plugin_that_hangs_is_stopped_and_one_that_dies_is_told(desk: Desk) -> None:
    desk.write(f"{OWN}        import time; time.sleep(600)\n")
    with pytest.raises(ServiceError, match=r"grid\.1 could not be deployed: the plugin did not finish within 2 s"):
        desk.ask(limit_s=2)
    desk.write(f"{BEGIN}        import os; print('last words', flush=True); os.kill(os.getpid(), 9)\n")
    with pytest.raises(ServiceError, match=r"grid\.1 could not be deployed: the plugin broke off: last words"):
        desk.ask()
    desk.write(f"{OWN}        import os; os._exit(0)\n")
    with pytest.raises(ServiceError, match="the plugin broke off: its process ended with code 0"):
        desk.ask("deploy", folder="other")


def test_what_a_plugin_prints_is_kept_and_goes_nowhere_else(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.write(f"print('read')\n{OWN}        import os; print('made'); os.system('echo said; echo shouted >&2')\n")
    desk.ask()
    assert capfd.readouterr() == ("", "")
    assert (desk.folder / "services-data/cloud.grid.1/deploy.out").read_text() == "read\nmade\nsaid\nshouted\n"


def test_ctrl_c_ends_a_plugin_that_would_not_hear_it(desk: Desk) -> None:
    pid = desk.folder / "pid"
    desk.write(f"""\
import os, pathlib, time
{OWN}        pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
""")

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        desk.ask(limit_s=LIMIT_S)
    thread.join()
    assert not Path("/proc", pid.read_text()).exists()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def check(self): return True", "check returned True; it returns None where the service works, else the"),
        ("def check(self): self.kept['x'] = object()", "what is kept must be plain values"),
        ("def check(self): self.kept = 3", "what is kept must be plain values"),
        ("check = 3", "TypeError: 'int' object is not callable"),
    ],
)
def test_nonsense_is_told(desk: Desk, code: str, why: str) -> None:
    desk.write(f"{OWN}        pass\n    {code}\n")
    with pytest.raises(ServiceError, match=f"service cloud.grid.1 could not be asked how it is: .*{why}"):
        desk.ask("check")


def test_plugins_share_files_of_their_folder_and_of_no_other(desk: Desk, tmp_path: Path) -> None:
    (desk.folder / "services" / "_shared.py").write_text("PORT = 7\n")
    lines = "        self.register_service(service_port=_shared.PORT)\n"
    for ways in ("from . import _shared", "import _shared"):
        desk.write(f"{ways}\n{OWN}{lines}")
        assert desk.ask().registered[0].port == 7
    desk.write(f"{BEGIN}        from e2clab.services.plugins import _shared\n{lines}")
    assert desk.ask().registered[0].port == 7
    assert not [name for name in sys.modules if name.rpartition(".")[2] == "_shared"]

    other = Desk(tmp_path / "other", desk.hosts)
    for ways in ("from . import _shared", "import _shared"):
        path = other.write(f"{ways}\n{OWN}{lines}")
        with pytest.raises(ServiceError, match=f"{path}:1: service cloud.grid.1 .*_shared"):
            other.ask()


def test_a_plugin_can_be_made_by_hand(hosts: tuple[Host, ...]) -> None:
    class Own(Service):
        def deploy(self) -> None:
            self.register_service(service_port=1, extra=[{"a": 1}])

    own = Own(hosts, {"env": {"X": 1}})
    own.deploy()
    assert own.env == {"X": 1}
    assert own.service_extra_info == {KEYS[0]: {"a": 1}, KEYS[1]: {}, KEYS[2]: {}}


DOCKER = """\
from e2c.services.base import Service

class Own(Service):
    def deploy(self):
        self.deploy_docker(**self.env)
"""


debian = pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="hosts are as this machine: no Debian")
UNINSTALL = """
for name in dockerd docker; do while path=$(command -v $name); do rm "$path"; hash -r; done; done
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/docker /etc/init.d/docker
"""


@debian
def test_docker_is_installed_configured_and_joined(desk: Desk) -> None:
    """With stand-ins for what is downloaded and for the engine: no engine can run on hosts of a local testbed."""
    desk.write(f"from e2c.services import docker\ndocker.SCRIPT = 'file:///srv/get-docker.sh'\n{DOCKER}")
    pair = desk.hosts[:2]
    manager, worker = pair
    script = Path(__file__).with_name("docker_standin.sh").read_bytes()
    for host in pair:
        assert shell.put(host, script, "/srv/get-docker.sh").ok
        assert shell.run(host, f"{UNINSTALL} mkdir /etc/docker").ok
    assert shell.put(worker, b'{"debug": true, "data-root": "/elsewhere"}', "/etc/docker/daemon.json").ok
    options = {
        "docker_version": "27.5",
        "registry_opts": {"type": "internal", "port": 5001},
        "swarm": True,
        "credentials": {"login": "me", "password": "pass word"},
        "nvidia_toolkit": False,
    }

    def deploy(**more: Any) -> None:
        desk.ask(hosts=pair, metadata={"env": {**options, **more}})

    def calls(host: Host) -> list[str]:
        return shell.run(host, "cat /var/log/docker-calls; rm /var/log/docker-calls").stdout.splitlines()

    deploy()
    registry = f"{manager.addresses.v4}:5001"
    known = {"data-root": "/tmp/docker", "registry-mirrors": [f"http://{registry}"], "insecure-registries": [registry]}
    written = shell.run_all(pair, "cat /etc/docker/daemon.json")
    assert json.loads(written[manager.key].stdout) == known
    assert json.loads(written[worker.key].stdout) == {"debug": True, **known}, "other settings stay"
    first, second = calls(manager), calls(worker)
    (carried,) = [one for one in first if one.startswith("run --detach")]
    assert carried.endswith(f"--publish 5001:5000 --env REGISTRY_PROXY_REMOTEURL={docker.CACHED} registry:2")
    assert f"swarm init --advertise-addr {manager.addresses.v4}" in first
    assert f"swarm join --token TOKEN {manager.addresses.v4}:2377" in second
    assert "login --username me --password-stdin" in first
    assert not any("pass word" in one for one in first)

    deploy()
    again = calls(manager)
    assert not {one.split()[0] for one in again} & {"run"}, "the registry is there already"
    assert not [one for one in again if one.startswith(("swarm init", "service restart"))]

    with pytest.raises(ServiceError, match="task 'look whether Docker has the version that is asked for' failed"):
        deploy(docker_version="28")


@debian
@pytest.mark.parametrize("base", ["e2c.services.base", "e2clab"])
def test_what_apt_does_not_have_is_told(desk: Desk, base: str) -> None:
    desk.write(DOCKER.replace("e2c.services.base", base))
    (host,) = desk.hosts[2:]
    assert shell.run(host, f"{UNINSTALL} rm -rf /var/lib/apt/lists/*").ok
    with pytest.raises(ServiceError, match=r"'install Docker of the distribution' failed\n.*docker\.io"):
        desk.ask(hosts=(host,), metadata={"env": {"docker_version": docker.DISTRIBUTION}})
