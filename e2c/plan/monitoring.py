"""Which hosts are sampled, and how."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from e2c.config.monitoring import AGENT_ROLE, Monitoring, read_options
from e2c.model.plan import MonitoringPlan, PlannedHost


def plan_monitoring(
    monitoring: Monitoring, hosts: Sequence[PlannedHost], without: Collection[str]
) -> MonitoringPlan | None:
    """The sampling of the hosts with the role ``monitoring``, in the order of the plan; ``None`` where there are none.

    Args:
        monitoring: of the type ``dstat``.
        without: keys of boards, on which nothing runs that could sample.
    """
    roled = (host.key for host in hosts if AGENT_ROLE in (role.lower() for role in host.roles))
    agents = tuple(key for key in roled if key not in without)
    options, period_s = read_options(monitoring.options, monitoring.period)
    return MonitoringPlan(agents=agents, period_s=period_s, options=options) if agents else None
