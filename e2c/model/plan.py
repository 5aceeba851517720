"""The plan: the full, inert description of what a deployment would do."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from e2c.model.frozen import Frozen

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
        request: the testbed's own keys (``cluster``, ``servers``, ``archi`` ...), validated.
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


class PlannedLink(Frozen):
    """One rule of ``network.yaml``, resolved to hosts.

    One way: traffic from every host of ``sources`` to every host of ``destinations`` (and back, if ``symmetric``).

    Attributes:
        delay_ms: one-way delay in milliseconds; ``None``: not shaped.
        rate_kbit: rate limit in kilobit per second; ``None``: not limited.
        loss_percent: probability of loss, 0 to 100; ``None``: no loss.
    """

    src: str
    dst: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    delay_ms: float | None = None
    rate_kbit: float | None = None
    loss_percent: float | None = None
    symmetric: bool = False
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


class Plan(Frozen):
    """What a deployment of a scenario does; nothing of it depends on the machine it was made on.

    Attributes:
        job_name: name of the reservation on testbeds.
        walltime_s: length of the reservation in seconds.
        testbeds: validated keys per declared testbed.
        rehearsal: every declared testbed is played by local hosts.
        hosts: in the order of the file; the provenance host comes last.
        links, plays: in the order of their files.
        provenance: ``None`` where the scenario asks for none.
    """

    job_name: str
    walltime_s: int
    testbeds: dict[str, dict[str, Any]]
    rehearsal: bool = False
    hosts: tuple[PlannedHost, ...]
    links: tuple[PlannedLink, ...] = ()
    plays: tuple[PlannedPlay, ...] = ()
    provenance: ProvenancePlan | None = None

    def digest(self) -> str:
        """SHA-256 (hex) of the plan: equal plans, equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
