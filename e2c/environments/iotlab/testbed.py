"""EnOSlib's provider of the testbed, for services that name nodes beside services that do not. In the child only."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from enoslib.errors import InvalidReservationCritical, NegativeWalltime
from enoslib.infra.enos_iotlab.configuration import (
    Configuration,
    ConsumptionConfiguration,
    PhysNodeConfiguration,
    RadioConfiguration,
)
from enoslib.infra.enos_iotlab.iotlab_api import get_candidates, get_free_nodes
from enoslib.infra.enos_iotlab.provider import Iotlab

from e2c.environments.base import Claim, Watch
from e2c.environments.iotlab.api import TESTBED, refusal, sentences
from e2c.environments.iotlab.client import Client, Item
from e2c.environments.iotlab.nodes import SITE, Node, Wish, by_name, deal, natural, node, wish
from e2c.environments.iotlab.profiles import profile_names
from e2c.environments.iotlab.releasing import remove_profiles, stop_all
from e2c.errors import TestbedError
from e2c.model.plan import PlannedHost

RESOLUTIONS = 3
"""Choices of free nodes before giving up: others take nodes too."""


class Testbed(Iotlab):  # type: ignore[misc]
    """The genuine provider, which submits, flashes and knows slots; names, bounds and dealing out are ours.

    Args:
        claim: what is acquired.
        wishes: what each service key takes.
        watch: receives what happens.
    """

    __test__ = False  # the name begins like a test class; pytest must not collect it

    def __init__(self, claim: Claim, wishes: Sequence[Wish], watch: Watch) -> None:
        super().__init__(configuration(claim, wishes), name="iotlab")
        self.client = Client(watch)
        self.wishes = tuple(wishes)
        self.dealt: dict[str, Node] = {}

    def _profiles(self) -> None:
        job = self.provider_conf.job_name
        if not self.provider_conf.profiles or self.client.living(job):
            return
        remove_profiles(self.client, job)  # of another wording of the scenario
        super()._profiles()

    def _reserve(self, wait: bool = True) -> None:
        try:
            for last in (False,) * (RESOLUTIONS - 1) + (True,):
                chosen = self._choose()
                try:
                    super()._reserve(wait=False)
                    break
                except InvalidReservationCritical as error:
                    if last or not chosen or "nodes state" not in str(error.msg):
                        raise
        except InvalidReservationCritical as error:
            # EnOSlib kept the text of the answer only, but raised while it handled the answer
            raise refusal(error.__context__, self.client.user, "submit the experiment") from None
        if wait:
            self.client.wait_experiment()
            self._take(self.client.get_nodes())
            self._get_networks()

    def _choose(self) -> bool:
        """Put free nodes into the request where it must name them; whether it was needed."""
        if not by_name(self.wishes) or self.client.living(self.provider_conf.job_name):
            return False
        known = self.client.api.get_nodes()
        try:
            chosen = deal(self.wishes, [node(item) for item in self._free(known)])
        except TestbedError:  # then those that work but are taken: the testbed queues us
            chosen = deal(self.wishes, [node(item) for item in get_candidates(known).values()])
        self.provider_conf.machines = machines(self.wishes, chosen, _names(self.provider_conf))
        return True

    def _free(self, known: Item) -> list[Item]:
        """Nodes that can be had when the experiment starts."""
        if self.provider_conf.start_time is None:
            return [item for item in known["items"] if item["state"] == "Alive"]
        start = datetime.strptime(self.provider_conf.start_time, "%Y-%m-%d %H:%M:%S")
        begin = int(start.replace(tzinfo=self.timezone()).timestamp())
        length = self.provider_conf.walltime_s
        span = "&".join(f"{name}={_date(at)}" for name, at in (("start", time.time()), ("stop", begin + length)))
        plans = self.client.api.method(f"drawgantt/experiments?{span}")
        return list(get_free_nodes(get_candidates(known), plans, begin, length).values())

    def is_created(self) -> bool:
        """Whether an experiment of that name lives."""
        with sentences(self.client.user, "list experiments"):
            created: bool = super().is_created()
            return created

    def async_init(self, start_time: int | None = None, **more: Any) -> None:
        """Submit for a time (seconds since the epoch) without waiting for it."""
        with sentences(self.client.user, "submit the experiment"):
            super().async_init(start_time=start_time, **more)

    def destroy(self, wait: bool = False, **_: Any) -> None:  # noqa: ARG002
        """Stop every experiment of that name, waiting no longer than is allowed, and remove the profiles."""
        with sentences(self.client.user, "stop the experiment"):
            stop_all(self.client, self.provider_conf.job_name, self.client.watch)
            remove_profiles(self.client, self.provider_conf.job_name)

    def test_slot(self, start_time: int, end_time: int) -> bool:
        """Whether all nodes could be had from a moment on (seconds since the epoch)."""
        with sentences(self.client.user, "tell which nodes are free"):
            possible: bool = super().test_slot(start_time, end_time)  # which asks the testbed, once
        if not by_name(self.wishes):
            return possible
        candidates = get_candidates(self.nodes_status)
        free = get_free_nodes(candidates, self.experiments_status, start_time, self.provider_conf.walltime_s)
        try:
            deal(self.wishes, [node(item) for item in free.values()])
        except TestbedError:
            return False
        return True

    def _take(self, items: list[Item]) -> None:
        """Deal out the nodes that the experiment has, and let EnOSlib make its hosts and sensors of them."""
        self.dealt = deal(self.wishes, [node(item) for item in items])
        broken = set(self.client.undeployed()) & {each.address for each in self.dealt.values()}
        if broken:
            raise TestbedError(
                f"{TESTBED} could not start {', '.join(sorted(broken, key=natural))}",
                hint="Try again, or take other nodes",
            )
        mine = {each.address for each in self.dealt.values()}
        self.provider_conf.machines = machines(self.wishes, self.dealt, _names(self.provider_conf))
        self._populate_from_phys_nodes([item for item in items if item["network_address"] in mine])

    def offset_walltime(self, offset: int) -> None:
        """Another length for what is going to be submitted, of any number of hours.

        Raises:
            NegativeWalltime: nothing would be left.
        """
        seconds = self.provider_conf.walltime_s + offset
        if seconds <= 0:
            raise NegativeWalltime()
        self.provider_conf.walltime = _hours(seconds - seconds % 60)


def make(claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Testbed:
    """The provider for the planned hosts; nothing is touched."""
    site = str(claim.settings.get("cluster") or SITE)
    folder = claim.resources.get("artifacts_dir")
    wishes = [wish(host, site) for host in hosts]
    return Testbed(claim, [each.model_copy(update={"image": image(each.image, folder)}) for each in wishes], watch)


def image(name: str | None, folder: str | None) -> str | None:
    """A firmware as it is flashed: the path of a file of the artifacts folder, or a name that the testbed stores.

    Raises:
        TestbedError: it is written as a path and is no file.
    """
    if name is None:
        return None
    path = Path(folder or ".", Path(name).expanduser())
    if path.is_file():
        return str(path.resolve())
    if "/" in name:
        raise TestbedError("the firmware does not exist", where=str(path), hint="Put it into the artifacts folder")
    return name


def configuration(claim: Claim, wishes: Sequence[Wish]) -> Configuration:
    """What is asked of EnOSlib."""
    conf = Configuration.from_settings(job_name=claim.job_name, walltime=_hours(claim.walltime_s))
    declared = {profile["name"]: profile for profile in claim.settings.get("profiles") or ()}
    names = profile_names(list(declared), claim.job_name)
    used = {each.profile for each in wishes}
    for own, profile in declared.items():
        if own in used:
            conf.add_profile(
                name=names[own],
                archi=profile["archi"],
                consumption=_consumption(profile),
                radio=RadioConfiguration(**profile["radio"]) if profile.get("radio") else None,
            )
    named = by_name(wishes)
    for each in wishes:
        common = {"roles": [each.key], "image": each.image, "profile": names.get(each.profile or "")}
        if named:  # a name that stands for the choice, which is made when it is submitted
            conf.add_machine(hostname=[each.names[0] if each.names else f"{each.archi}.{each.site}"], **common)
        else:
            conf.add_machine(archi=each.archi, site=each.site, number=1, **common)
    return conf


def machines(wishes: Sequence[Wish], dealt: Mapping[str, Node], profiles: Mapping[str, str]) -> list[Any]:
    """The request that names every node."""
    return [
        PhysNodeConfiguration(
            roles=[each.key], hostname=[dealt[each.key].address], image=each.image, profile=profiles.get(each.key)
        )
        for each in wishes
    ]


def _names(conf: Configuration) -> dict[str, str]:
    """Profile on the testbed by service key."""
    return {machine.roles[0]: machine.profile for machine in conf.machines if machine.profile}


def _consumption(profile: Mapping[str, Any]) -> ConsumptionConfiguration | None:
    kinds = {kind: bool(profile.get(kind)) for kind in ("current", "power", "voltage")}
    if not any(kinds.values()):
        return None
    return ConsumptionConfiguration(**kinds, period=profile["period"], average=profile["average"])


def _hours(seconds: int) -> str:
    """``HH:MM``, whole minutes upwards, as the testbed counts."""
    minutes = -(-seconds // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
