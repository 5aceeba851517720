"""What a booking asks EnOSlib for: its configuration, made from the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import enoslib as en
from enoslib.infra.enos_g5k import g5k_api_utils

from e2c.environments.base import Claim, Watch
from e2c.environments.g5k import api, credentials, dates, kavlan
from e2c.environments.g5k.jobs import release
from e2c.environments.g5k.request import Group, groups
from e2c.environments.g5k.session import Session
from e2c.errors import TestbedError
from e2c.model.plan import PlannedHost

ROLE = "e2c-group-"
"""Before the position of a group: the role that EnOSlib gives its machines."""
FORKS = 50


class Order:
    """A booking, configured: EnOSlib's configuration, the groups of machines it asks for, and what is shared."""

    def __init__(self, configuration: Any, asked: Sequence[Group], session: Session) -> None:
        self.configuration = configuration
        self.asked = tuple(asked)
        self.session = session

    def restrict_to(self, site: str) -> Order:
        """The part of it that is for one site."""
        return Order(self.configuration.restrict_to(site), self.asked, self.session)

    def finalize(self) -> Any:
        """EnOSlib asks for its own configuration here."""
        return self.configuration.finalize()


def configure(claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Order:
    """EnOSlib's configuration for the planned hosts; asks the API where clusters are.

    Raises:
        TestbedError: the scenario asks for what Grid'5000 does not have.
    """
    settings = claim.settings
    asked = groups(hosts)
    session = _session(claim, watch)
    en.set_config(ansible_stdout="noop", g5k_auto_jump=False, ansible_forks=max(5, min(FORKS, len(hosts))))
    public = credentials.public_key(settings, claim.scenario)
    if settings.get("env_name") and public is None:
        credentials.require_any_key()
    options = {
        "reservation": settings.get("reservation"),
        "env_name": settings.get("env_name"),
        "key": str(public) if public else None,
        "monitor": settings.get("monitor"),
        "project": settings.get("project"),
    }
    configuration = en.G5kConf.from_settings(
        job_name=claim.job_name,
        job_type=list(settings.get("job_type") or ()),
        walltime=dates.duration(claim.walltime_s),
        queue=settings.get("queue") or "default",
        **{name: value for name, value in options.items() if value is not None},
    )
    configuration.dhcp = False  # it waits for ever, and only asks after a deployment: see kavlan.py
    sites = api.call("its clusters could not be read", g5k_api_utils.get_all_clusters_sites)
    network = _network(asked, sites)
    if network is not None:
        configuration.add_network_conf(network)
        session.network = True
    for position, group in enumerate(asked):
        _add(configuration, position, group, sites, network if group.monitored else None)
    return Order(configuration, asked, session)


def _session(claim: Claim, watch: Watch) -> Session:
    """Our client and our way to delete jobs, in place of EnOSlib's, which wait for ever."""
    client = api.bounded(g5k_api_utils.Client(**credentials.read().options))
    session = Session(client, claim, watch)

    def destroy(job_name: str, wait: bool = False, restrict_to: Iterable[str] | None = None) -> None:  # noqa: ARG001
        watch(f"deleting the jobs named {job_name}, which are not of the types that are asked for now")
        release(claim, watch)

    g5k_api_utils._api_client = client
    g5k_api_utils.grid_destroy_from_name = destroy
    return session


def _network(asked: Sequence[Group], sites: Mapping[str, str]) -> Any:
    """The KaVLAN that the monitored hosts are put into: of their site, or one that all sites share."""
    monitored = [group for group in asked if group.monitored]
    if not monitored:
        return None
    where = [_site(group, sites) for group in monitored]
    for group in monitored:
        _require_second(group)
    kind = "kavlan" if len(set(where)) == 1 else "kavlan-global"
    return en.G5kNetworkConf(id=kavlan.NETWORK, type=kind, roles=[kavlan.NETWORK], site=where[0])


def _require_second(group: Group) -> None:
    """Refuse machines without a second interface before they are booked.

    Raises:
        TestbedError: they have one only.
    """
    doing = f"the interfaces of {group.name} could not be read"
    free = api.call(doing, g5k_api_utils.get_cluster_interfaces, group.name, lambda nic: not nic["mounted"])
    if not free:
        raise TestbedError(
            f"the machines of {group.name} have no second interface for the monitoring network",
            where="Grid'5000",
            hint="Take monitored hosts from another cluster (https://www.grid5000.fr/w/Hardware tells the number of "
            "interfaces), or write network: shared under monitoring",
        )


def _site(group: Group, sites: Mapping[str, str]) -> str:
    """The site of the machines of a group.

    Raises:
        TestbedError: there is no such cluster.
    """
    if group.name not in sites:
        raise TestbedError(
            f"there is no cluster {group.name}",
            where="Grid'5000",
            why=f"it has {', '.join(sorted(sites))}",
            hint="Correct cluster or servers in layers_services.yaml",
        )
    return sites[group.name]


def _add(configuration: Any, position: int, group: Group, sites: Mapping[str, str], network: Any) -> None:
    number = len(group.keys)
    _site(group, sites)
    chosen: dict[str, Any] = {"servers": list(group.servers)} if group.servers else {"cluster": group.cluster}
    if network is not None:
        chosen["secondary_networks"] = [network]
    doing = f"{group.wanted} could not be asked for"
    api.call(doing, configuration.add_machine, roles=[f"{ROLE}{position}"], nodes=number, min=number, **chosen)
