"""The local testbed: hosts in namespaces of this machine, real ssh, real links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2c.environments.base import Acquisition, Claim, Finding, Progress, Watch
from e2c.environments.local import registry, requirements, switch, teardown
from e2c.environments.local.construction import Construction
from e2c.environments.local.layout import short_id
from e2c.environments.unbooked import Unbooked
from e2c.errors import MissingToolError, TestbedError
from e2c.model.host import Addresses, Host, Interface
from e2c.model.plan import PlannedHost

if TYPE_CHECKING:
    from enoslib.objects import Roles


class LocalProvider(Unbooked):
    """Fulfils :class:`e2c.environments.base.Provider` on this machine.

    Keys of ``Claim.resources`` that it understands:

    - ``netem``: ``auto``, ``kernel`` or ``switch``, how links are shaped. Its presence says that links are going to be
      shaped, so that what this takes is checked first and prepared while hosts are built. The environment variable
      ``E2C_NETEM`` goes before it.
    """

    name = "local"
    lasts = "local hosts have no walltime: they last until they are destroyed"

    def check(self, settings: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Refuse, with all reasons at once, where hosts cannot be made.

        Raises:
            MissingToolError: a privilege, a program or a part of the kernel is absent.
        """
        requirements.check()

    def examine(self, settings: Mapping[str, Any]) -> list[Finding]:
        """Whether hosts can be made here."""
        try:
            self.check(settings)
        except MissingToolError as error:
            return [Finding(aspect="hosts", ok=False, text=str(error.why or error.what), remedy=error.hint or "")]
        return [Finding(aspect="hosts", ok=True, text="this machine can make hosts in network namespaces")]

    def _resources(self, experiment: str) -> dict[str, Any]:
        return {"testbed": short_id(experiment)}

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
        """Build all hosts. A testbed that the same claim built before is kept if it stands whole, else released first.

        Raises:
            MissingToolError: as :meth:`check`, and where links are to be shaped and cannot be.
            TestbedError: a host could not be built; nothing is left of the others.
        """
        requirements.check()
        mode = switch.choose_mode(claim) if "netem" in claim.resources else None
        if not hosts:
            return Acquisition()
        testbed = short_id(claim.experiment)
        self._refuse_stranger(claim)
        with registry.locked():
            teardown.sweep_unfinished()
        construction = Construction(claim, [host.key for host in hosts], with_switch=mode == "switch")
        if construction.take_up():
            watch(f"testbed {testbed} stands already")
            return Acquisition(hosts=self._init(construction, hosts))
        for clause in self.release(claim, watch):
            watch(f"released from an earlier attempt: {clause}")
        try:
            record = construction.start()
            number = "1 host" if len(hosts) == 1 else f"{len(hosts)} hosts"
            watch(f"building {number} on {record.layout.net4}, testbed {testbed}")
            if construction.warning:
                watch(construction.warning)
            if record.layout.net6 is None:
                watch("the kernel of this machine has no IPv6: hosts have IPv4 addresses only")
            return Acquisition(hosts=self._init(construction, hosts))
        except BaseException:  # Ctrl-C too
            construction.stop()
            teardown.release(testbed)
            raise

    def _init(self, construction: Construction, hosts: Sequence[PlannedHost]) -> tuple[Host, ...]:
        from e2c.environments.local.enos import Configuration, Local  # imports EnOSlib, while the builder works

        roles, _ = Local(Configuration(construction, tuple(hosts)), name=self.name).init()
        assert construction.record is not None
        names = {layout.key: layout.hostname for layout in construction.record.layout.hosts}
        return tuple(self._host(planned, names[planned.key], roles) for planned in hosts)

    def _host(self, planned: PlannedHost, hostname: str, roles: Roles) -> Host:
        (node,) = (host for host in roles[planned.key] if host.alias == planned.key)
        interfaces = tuple(
            Interface(device=device.name, addresses=tuple(sorted((str(a.ip) for a in device.addresses), key=_v4_first)))
            for device in node.net_devices
        )
        plain = [address.partition("/")[0] for interface in interfaces for address in interface.addresses]
        return Host(
            key=planned.key,
            layer=planned.layer,
            service=planned.service,
            roles=planned.roles,
            testbed=planned.testbed,
            provider=self.name,
            hostname=hostname,
            address=node.address,
            addresses=Addresses(
                v4=next((address for address in plain if ":" not in address), None),
                v6=next((address for address in plain if ":" in address), None),
            ),
            interfaces=interfaces,
            user=node.user,
            port=node.port,
            keyfile=node.keyfile,
            control_dir=str(Path(node.keyfile).with_name("cp")),
            interpreter=node.extra["ansible_python_interpreter"],
        )

    def enable_netem(self, claim: Claim, hosts: Sequence[Host], progress: Progress) -> str:  # noqa: ARG002
        """Make sure that ``tc ... netem`` works on the hosts; returns ``kernel`` or ``switch``; may be called again.

        Raises:
            MissingToolError: neither is possible here.
            TestbedError: there is no such testbed, or the switch does not start.
        """
        record = registry.read(short_id(claim.experiment))
        if record is None or record.phase != "ready":
            raise TestbedError(
                "links cannot be shaped: the local testbed of this experiment does not stand",
                hint="Deploy it first: e2clab layers-services SCENARIO_DIR ARTIFACTS_DIR",
            )
        mode = switch.choose_mode(claim)
        if mode == "switch":
            switch.start(record, progress)
        return mode

    def release(self, claim: Claim, progress: Progress) -> list[str]:  # noqa: ARG002 - it takes no time worth telling
        """Free everything of the claim, also after a crash, also twice; returns what was freed, one clause each.

        Raises:
            TestbedError: something resists, or the testbed belongs to another experiment.
        """
        self._refuse_stranger(claim)
        return teardown.release(short_id(claim.experiment))

    def find(self, scenario: str) -> list[Claim]:
        """Claims of that scenario that still hold resources, without help of any state file."""
        records = [registry.read(testbed) for testbed in registry.testbeds()]
        return [record.claim for record in records if record is not None and record.claim.scenario == scenario]

    def _refuse_stranger(self, claim: Claim) -> None:
        testbed = short_id(claim.experiment)
        record = registry.read(testbed)
        if record is not None and record.claim.experiment != claim.experiment:
            raise TestbedError(
                f"local testbed {testbed} belongs to another experiment",
                where=record.claim.scenario,
                why="by chance both have the same short id",
                hint=f"Release that one first: e2clab destroy {record.claim.scenario}",
            )


def _v4_first(address: str) -> tuple[bool, str]:
    return ":" in address, address
