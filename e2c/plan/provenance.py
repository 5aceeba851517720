"""Who captures provenance, and on which topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2c.config.provenance import Provenance
from e2c.model.plan import PlannedHost, ProvenancePlan
from e2c.plan.allocation import PROVENANCE_KEY

AGENT_ROLE = "provenance"


def plan_provenance(
    provenance: Provenance, hosts: Sequence[PlannedHost], dataflows: Sequence[Mapping[str, Any]] = ()
) -> ProvenancePlan:
    """The provenance service: its agents in the order of the plan, dealt to topics 1 to ``parallelism`` in turn."""
    agents = tuple(host.key for host in hosts if AGENT_ROLE in (role.lower() for role in host.roles))
    return ProvenancePlan(
        host=PROVENANCE_KEY,
        agents=agents,
        topics={agent: place % provenance.parallelism + 1 for place, agent in enumerate(agents)},
        ipv=provenance.ipv,
        parallelism=provenance.parallelism,
        tls=provenance.tls,
        dataflow_spec=provenance.dataflow_spec,
        dataflows=tuple(dict(dataflow) for dataflow in dataflows),
    )
