"""The plan: the full, inert description of what a deployment would do."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from e2c.model.frozen import Frozen
from e2c.model.link import PlannedChange as PlannedChange
from e2c.model.link import PlannedLink as PlannedLink
from e2c.model.link import Traffic

Stage = Literal["prepare", "launch", "finalize"]
STAGES: tuple[Stage, ...] = ("prepare", "launch", "finalize")
Grouping = Literal["round_robin", "asarray", "aggregate", "address_match"]
ArrayInfo = Literal["id", "hostname", "g5k_ipv6_hostname"]


class PlannedHost(Frozen):
    """A host to acquire.

    Attributes:
        key, layer, service, roles: as in :class:`e2c.model.host.Host`.
        testbed: the testbed that the scenario declares for it.
        provider: the provider that will fulfil it; differs from ``testbed`` in a rehearsal.
        request: the testbed's own keys (``cluster``, ``servers``, ``archi`` ...), validated; ``monitoring_network``, 4
            or 6, where the host is to be in one with an address of that family.
        numbers: of its layer, of the service within the layer, and of the machine within the service, each from 1;
            ``None`` for hosts that carry the experiment's own services.
        metadata: the service's other keys, for its plugin; ``env`` among them.
        reason: why it is in the plan, for ``--dry-run``.
    """

    key: str
    layer: str | None
    service: str
    roles: tuple[str, ...] = ()
    testbed: str
    provider: str
    request: dict[str, Any] = {}
    numbers: tuple[int, int, int] | None = None
    metadata: dict[str, Any] = {}
    reason: str = ""


class PlannedDependency(Frozen):
    """One ``depends_on`` of a play, resolved to hosts.

    Attributes:
        selector: the ``service_selector`` as written.
        hosts: service keys it chooses, in stable order.
        grouping: how they are dealt out to the play's hosts.
        prefix: name of the variable.
        array_info: what ``asarray`` lists.
    """

    selector: str
    hosts: tuple[str, ...]
    grouping: Grouping
    prefix: str
    array_info: ArrayInfo = "id"


class PlannedPlay(Frozen):
    """One play of ``workflow.yaml``, resolved to hosts.

    Attributes:
        index: position in the file, from 0.
        selector: the ``hosts:`` pattern as written.
        hosts: service keys it chooses, in stable order.
        depends_on: hosts that its hosts need to know.
        stages: the Ansible tasks of each stage that the play has.
        keywords: other Ansible play keywords (``vars``, ``become`` ...), passed on.
    """

    index: int
    selector: str
    hosts: tuple[str, ...]
    depends_on: tuple[PlannedDependency, ...] = ()
    stages: dict[Stage, tuple[dict[str, Any], ...]] = {}
    keywords: dict[str, Any] = {}


class ProvenancePlan(Frozen):
    """The provenance service to deploy.

    Attributes:
        host: key of the host that carries it.
        agents: keys of the hosts whose applications capture provenance, in stable order.
        topics: for each agent, its partition, 1 to ``parallelism``.
        ipv: address family that agents use, 4 or 6.
        parallelism: number of partitions.
        tls: whether agents reach it by TLS only.
        dataflow_spec: path of the specification as written in the scenario.
        dataflows: the evaluated specification, in the form of ``provlight.dataflow``.
    """

    host: str
    agents: tuple[str, ...]
    topics: dict[str, int]
    ipv: Literal[4, 6] = 4
    parallelism: int = 1
    tls: bool = False
    dataflow_spec: str
    dataflows: tuple[dict[str, Any], ...] = ()


class MonitoringPlan(Frozen):
    """The sampling of what hosts do.

    Attributes:
        agents: keys of the hosts that are sampled, in stable order.
        period_s: seconds between two samples.
        options: further options of the collector, beyond those that are always given.
    """

    agents: tuple[str, ...]
    period_s: int = 1
    options: tuple[str, ...] = ()


class Plan(Frozen):
    """What a deployment of a scenario does; nothing of it depends on the machine it was made on.

    Attributes:
        job_name: name of the reservation on testbeds.
        walltime_s: length of the reservation in seconds.
        testbeds: validated keys per declared testbed.
        rehearsal: every declared testbed is played by local hosts.
        hosts: in the order of the file; the provenance host comes last.
        links, plays: in the order of their files.
        changes: changes of links during the launch, in the order of time.
        untouched: traffic that is not shaped, whatever the links say.
        provenance, monitoring: ``None`` where the scenario asks for none.
        configurations: variables of each application configuration, where the command needs them.
    """

    job_name: str
    walltime_s: int
    testbeds: dict[str, dict[str, Any]]
    rehearsal: bool = False
    hosts: tuple[PlannedHost, ...]
    links: tuple[PlannedLink, ...] = ()
    changes: tuple[PlannedChange, ...] = ()
    untouched: tuple[Traffic, ...] = ("control",)
    plays: tuple[PlannedPlay, ...] = ()
    provenance: ProvenancePlan | None = None
    monitoring: MonitoringPlan | None = None
    configurations: dict[str, dict[str, Any]] = {}

    def digest(self) -> str:
        """SHA-256 (hex) of the plan: equal plans, equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
