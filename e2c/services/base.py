"""What a service plugin is: a class that puts a service on its hosts, and says what it put where."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from e2c.errors import RemoteError
from e2c.model.host import Host
from e2c.model.service import Registration
from e2c.remote import playbook, shell
from e2c.remote.results import TaskResult
from e2c.services import docker
from e2c.services.context import CONTEXT, logger
from e2c.services.registering import Registry

__all__ = ["Field", "Roles", "Service"]

Roles = dict[str, list[Host]]
"""Hosts by label."""
COPY_S = 3600
"""Limit for copying one file, in seconds."""
_URLS = ("url", "url4", "url6")


class Service(ABC):
    """A service of a scenario: derive a class from it and write ``deploy``.

    The service in ``layers_services.yaml`` is called as the class, or as its ``name``. One object is made for each
    service of that name, in the process of the command at hand: what later hooks must know goes into ``kept``.

    Attributes:
        name: what the scenario calls the service; the name of the class unless given.
        sub_services: names that ``register_service`` uses as ``sub_service``, so that selectors may name them before
            anything is deployed. Those written in its calls are known without it.
        hosts: hosts of the service, in the order of their numbers.
        roles: hosts by label, for the plugin's own use; ``all`` are all of them.
        service_metadata: keys of the service in the file, also those that only the plugin knows, with ``layer_name``,
            ``layer_id``, ``service_id`` and ``_id``.
        env: the key ``env`` of the service.
        layer_name, layer_id, service_name, service_id: which service it is; the numbers begin at 1.
        service_extra_info: what was registered, by key: entries of ``_self``.
        service_roles: the registered hosts, by key.
        kept: JSON values that ``check``, ``backup`` and ``destroy`` find again.
        scenario_dir, artifacts_dir: the user's folders.
        logger: tells the user: what is at least a warning as such, all else from INFO on as progress.
    """

    name: ClassVar[str] = ""
    sub_services: ClassVar[tuple[str, ...]] = ()

    def __init__(self, hosts: Sequence[Host], service_metadata: Mapping[str, Any]) -> None:
        self._context = CONTEXT.get()
        self._acquired = {host.key: host for host in self._context.hosts or hosts}
        self.hosts: list[Host] = list(hosts)
        self.roles: Roles = {"all": list(hosts)}
        self.service_metadata: dict[str, Any] = dict(service_metadata)
        self.env: dict[str, Any] = dict(self.service_metadata.get("env") or {})
        self.layer_name: str = self.service_metadata.get("layer_name", "")
        self.layer_id: int = self.service_metadata.get("layer_id", 0)
        self.service_name: str = self.service_metadata.get("name", type(self).__name__)
        self.service_id: int = self.service_metadata.get("service_id", 0)
        self.service_extra_info: dict[str, dict[str, Any]] = {}
        self.service_roles: Roles = {}
        self.kept: dict[str, Any] = dict(self._context.kept)
        self.scenario_dir = self._context.scenario_dir
        self.artifacts_dir = self._context.artifacts_dir
        self.logger = logger(self.service_name, self._context)
        self._registry = Registry(self._key(), list(self._acquired.values()))
        for one in self._context.registered:
            self._registry.all.append(one)
            self._show(one)

    @abstractmethod
    def deploy(self) -> Any:
        """Put the service on its hosts, wait until it works, and register it; what it returns is ignored.

        After a deployment that was cut off it is called again, on the same hosts.
        """

    def check(self) -> str | None:
        """Whether the service works: nothing when it does, else the reason; asked by ``inspect`` and ``status``."""
        return None

    def backup(self, folder: Path) -> None:  # noqa: B027 - it may stay as it is
        """Copy what the service has to tell; called at the end of each run.

        Args:
            folder: an empty folder for this service, in the output folder of the run.
        """

    def destroy(self) -> None:  # noqa: B027 - it may stay as it is
        """End the service and remove what it left.

        Called before hosts are released that their testbed does not wipe, and given one minute then; also after a
        deployment that failed half-way.
        """

    def register_service(
        self,
        hosts: Iterable[Host] | None = None,
        roles: Mapping[str, Iterable[Host]] | Iterable[Host] | None = None,
        service_port: int | str | None = None,
        sub_service: str | None = None,
        extra: Sequence[Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, dict[str, Any]], Roles]:
        """Say what runs on which hosts; may be called as often as there are parts.

        Plays find the port in ``_self.url`` and the extra entries in ``_self``; selectors may name the hosts of a
        sub-service as ``layer.service.id.sub-service.number``. A service that registers nothing is registered with
        all its hosts.

        Args:
            hosts: the hosts; an empty list registers none.
            roles: hosts by label, where ``hosts`` is not given. With neither, all hosts of the service.
            service_port: what ``url`` ends in.
            sub_service: name of the part of the service that these hosts carry.
            extra: more entries of ``_self`` for each host, in the order of the hosts; or the same for all.

        Returns:
            ``service_extra_info`` and ``service_roles``.

        Raises:
            ValueError: a host is not one of this service, or a name or value cannot be registered.
        """
        chosen = self._chosen(hosts, roles)
        if not chosen:
            part = f"as sub-service {sub_service}" if sub_service else "by one of its calls"
            self._context.warn(f"{self._key()}: no host was given to register {part}, so none is")
        entries = [extra] * len(chosen) if isinstance(extra, Mapping) else list(extra or ())
        if len(entries) > len(chosen):
            self._context.warn(f"{self._key()}: extra has {len(entries)} entries for {len(chosen)} hosts")
        for place, host in enumerate(chosen):
            own = entries[place] if place < len(entries) else None
            self._show(self._registry.add(host, service_port, sub_service, own or {}))
        return self.service_extra_info, self.service_roles

    def deploy_docker(
        self,
        hosts: Iterable[Host] | None = None,
        docker_version: str | None = None,
        registry: Iterable[Host] | None = None,
        registry_opts: Mapping[str, Any] | None = None,
        bind_var_docker: str | bool | None = "/tmp/docker",  # noqa: S108 - E2Clab's default
        swarm: bool = False,
        credentials: Mapping[str, str] | None = None,
        nvidia_toolkit: bool | None = None,
    ) -> None:
        """Install Docker on hosts with Debian or Ubuntu, and wait until its engine answers.

        Args:
            hosts: default: all hosts of the service.
            docker_version: beginning of the version, as ``28.1``; ``distribution``: what the system itself offers;
                default: the newest. An engine that is there already is kept.
            registry: the first of them carries a registry that caches images for all.
            registry_opts: ``type`` ``internal`` (with ``port``), ``external`` (with ``ip`` and ``port``) or ``none``.
            bind_var_docker: folder for images and containers; false: Docker's own.
            swarm: join the hosts to a swarm, the first one as manager.
            credentials: ``login`` and ``password`` for pulling images.
            nvidia_toolkit: let containers use NVIDIA processors; default: where a host has one.

        Raises:
            RemoteError: it could not be installed on a host.
            ValueError: the options contradict each other.
        """
        chosen = self._chosen(hosts, None)
        plays = docker.plays(
            chosen,
            version=docker_version,
            registry=docker.registry(registry_opts, [] if registry is None else self._chosen(registry, None), chosen),
            data_root=bind_var_docker or None,
            swarm=swarm,
            credentials=credentials,
            nvidia=nvidia_toolkit,
        )
        self._run_plays(plays, [*chosen, *self._chosen(registry or (), None)])

    def run(
        self, command: str, hosts: Iterable[Host] | None = None, *, timeout_s: float = 600, check: bool = True
    ) -> dict[str, shell.Result]:
        """Run a shell command as root on hosts, on all at once; results by service key.

        Args:
            command: text for bash.
            hosts: default: all hosts of the service.
            timeout_s: limit in seconds on each host.
            check: a command that fails is an error.

        Raises:
            RemoteError: it failed on a host.
        """
        results = shell.run_all(self._chosen(hosts, None), command, timeout_s=timeout_s)
        if check:
            shell.require(results, f"{command.strip().splitlines()[0] if command.strip() else 'a command'!r}")
        return results

    def start(self, command: str, hosts: Iterable[Host] | None = None, *, output: str = "/dev/null") -> None:
        """Start a shell command as root on hosts that goes on when this is over.

        Args:
            command: text for bash.
            hosts: default: all hosts of the service.
            output: file there for what it prints.

        Raises:
            RemoteError: it could not be started on a host.
        """
        detached = f"setsid --fork bash -c {shlex.quote(command)} >{shlex.quote(output)} 2>&1 </dev/null"
        shell.require(shell.run_all(self._chosen(hosts, None), detached), f"starting {command.splitlines()[0]!r}")

    def play(
        self,
        tasks: Sequence[Mapping[str, Any]],
        hosts: Iterable[Host] | None = None,
        *,
        variables: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> list[TaskResult]:
        """Run Ansible tasks on hosts.

        Args:
            tasks: as in a playbook.
            hosts: default: all hosts of the service.
            variables: for all of them.
            keywords: other keywords of the play, as ``gather_facts=True``.

        Raises:
            RemoteError: a task failed, or Ansible refused the play.
        """
        chosen = self._chosen(hosts, None)
        play = {"hosts": [host.key for host in chosen], "gather_facts": False, **keywords, "tasks": list(tasks)}
        return self._run_plays([play], chosen, variables)

    def put(
        self, content: bytes | str | Path, path: str, hosts: Iterable[Host] | None = None, *, mode: int = 0o644
    ) -> None:
        """Write a file on hosts; missing folders are made.

        Args:
            content: what is in it, or the file to copy (a ``Path``).
            path: where it goes.
            hosts: default: all hosts of the service.

        Raises:
            RemoteError: a host could not take it.
        """
        data = content.read_bytes() if isinstance(content, Path) else content
        raw = data.encode() if isinstance(data, str) else data
        _on_each(
            self._chosen(hosts, None),
            lambda host: shell.put(host, raw, path, mode=mode, timeout_s=COPY_S),
            f"writing {path}",
        )

    def fetch(self, path: str, folder: Path, hosts: Iterable[Host] | None = None) -> dict[str, Path]:
        """Copy a file of hosts here; gives the copies by service key, each ``folder/<service key>/<name>``.

        Raises:
            RemoteError: a host has no such file, or it cannot be read.
        """
        chosen = self._chosen(hosts, None)
        copies = {host.key: folder / host.key / Path(path).name for host in chosen}
        for copy in copies.values():
            copy.parent.mkdir(parents=True, exist_ok=True)
        command = f"cat {shlex.quote(path)}"
        _on_each(
            chosen, lambda host: shell.fetch(host, command, copies[host.key], timeout_s=COPY_S), f"fetching {path}"
        )
        return copies

    def address(self, host: Host) -> str:
        """The address that other hosts use."""
        native = self._native(host)
        return native.addresses.v4 or native.addresses.v6 or native.address

    @classmethod
    def given(cls, hosts: Sequence[Host]) -> Sequence[Any]:
        """The hosts as the plugin sees them."""
        return list(hosts)

    @property
    def registered(self) -> tuple[Registration, ...]:
        """What was registered so far."""
        return tuple(self._registry.all)

    def _key(self) -> str:
        if self._acquired:
            return next(iter(self._acquired)).rpartition(".")[0]
        return f"{self.layer_name}.{self.service_name}.{self.service_id}".lower()

    def _chosen(
        self, hosts: Iterable[Host] | None, roles: Mapping[str, Iterable[Host]] | Iterable[Host] | None
    ) -> list[Host]:
        """Hosts by E2Clab's rule, each once: those of ``hosts``, else of ``roles``, else all."""
        if hosts is not None:
            groups: list[Any] = [hosts]
        elif isinstance(roles, Mapping):
            groups = list(roles.values())
        elif roles is not None:
            groups = [roles]
        else:
            return list(self._acquired.values())
        return list({host.key: host for group in groups for host in self._members(group)}.values())

    def _members(self, group: Any) -> list[Host]:
        """The hosts of a group in its order; in ours where it has none, or one that is by chance, as EnOSlib's sets."""
        if not isinstance(group, Iterable) or isinstance(group, str):
            group = [group]
        found = {host.key: host for host in map(self._native, group)}
        order = self._acquired if isinstance(group, Set) else found
        return [found[key] for key in order if key in found]

    def _native(self, host: Any) -> Host:
        """The host of this service that was given to a method."""
        known = self._acquired.get(getattr(host, "key", host if isinstance(host, str) else ""))
        if known is None:
            raise ValueError(f"{getattr(host, 'key', host)} is no host of {self._key()}")
        return known

    def _show(self, made: Registration) -> None:
        known = dict(self._context.known.get(made.host, {}))
        for name in _URLS:
            if made.port and known.get(name):
                known[name] = f"{known[name]}:{made.port}"
        self.service_extra_info[made.key] = {**known, **made.extra}
        self.service_roles[made.key] = [self._acquired[made.host]]

    def _run_plays(
        self, plays: Sequence[Mapping[str, Any]], hosts: Sequence[Host], variables: Mapping[str, Any] | None = None
    ) -> list[TaskResult]:
        chosen = list({host.key: host for host in hosts}.values())
        results = playbook.run(plays, chosen, work_dir=self._context.folder, extra_vars=variables or {})
        failed = [result for result in results if result.failed]
        if failed:
            raise RemoteError(
                f"a task failed on {shell.some(sorted({result.host for result in failed}), ', ')}",
                why="\n" + "\n".join(result.words() for result in failed[: shell.MOST_NAMED]),
            )
        return results


def _on_each(hosts: Sequence[Host], work: Callable[[Host], shell.Result], doing: str) -> None:
    """Do something on all hosts at once.

    Raises:
        RemoteError: it failed on one.
    """
    with ThreadPoolExecutor(max(1, min(shell.FORKS, len(hosts)))) as pool:
        shell.require({result.key: result for result in pool.map(work, hosts)}, doing)
