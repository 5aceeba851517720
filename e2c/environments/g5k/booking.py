"""Grid'5000 through EnOSlib's provider, whose endless waits are replaced by bounded ones that tell what they see.

Only ever imported in a process of its own (see :mod:`e2c.environments.enos`): EnOSlib keeps its client and what it
read for the whole process.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

import enoslib as en
import requests
from enoslib.errors import (
    EnosFailedHostsError,
    EnosUnreachableHostsError,
    InvalidReservationCritical,
    InvalidReservationTime,
    InvalidReservationTooOld,
    NegativeWalltime,
    NoSlotError,
)
from enoslib.infra.enos_g5k import provider as genuine
from enoslib.infra.enos_g5k.error import EnosG5kKavlanNodesError, MissingNetworkError, NotEnoughNodesError
from enoslib.infra.enos_g5k.objects import G5kHost
from enoslib.infra.providers import Providers
from grid5000.exceptions import Grid5000Error

from e2c.environments.base import Acquisition, Claim, Watch
from e2c.environments.g5k import api, credentials, dates, firewall, kadeploy, kavlan, refusals
from e2c.environments.g5k.jobs import release
from e2c.environments.g5k.order import ROLE, Order, configure
from e2c.environments.g5k.request import deal, fewer
from e2c.environments.g5k.session import Session
from e2c.environments.limits import advice
from e2c.errors import TestbedError
from e2c.model.host import Host, Interface
from e2c.model.plan import PlannedHost
from e2c.remote import shell

SUBMISSIONS = 3
ROOT_PAUSE_S = 3.0
SEARCHED = (TestbedError, InvalidReservationTime, InvalidReservationTooOld, NegativeWalltime, NoSlotError)
"""What the search for a common time lives on; and what needs no explanation any more."""


class _Bounded:
    """What is ours in the provider of one site and in that of several; goes before EnOSlib's class."""

    provider_conf: Any
    driver: Any
    hosts: list[G5kHost]
    undeployed: list[G5kHost]

    def __init__(self, order: Order) -> None:
        super().__init__(order)  # type: ignore[call-arg]  # EnOSlib publishes no types, here and below
        self.order = order
        self.session = order.session
        self.repeated = False

    def reserve(self, need_redeployment: bool = False) -> None:
        """Take up the living jobs of that name, or submit; a submission whose answer is lost is looked for first."""
        sites = self.provider_conf.sites
        for attempt in range(1, SUBMISSIONS + 1):
            if self.session.living(sites) or len(sites) > 1:
                self.session.advance = True
            try:
                self._submit(need_redeployment)
                break
            except SEARCHED:
                raise
            except Exception as error:
                cause = error.__cause__ if isinstance(error, InvalidReservationCritical) else error
                lost = cause is not None and refusals.arrived(cause)
                if not lost or (not self.session.look_for_lost(sites) and attempt == SUBMISSIONS):
                    raise explained(error, self.session.claim) from error
                self.repeated = True
        for job in self.driver.jobs:
            self.session.tell(api.read(job.site, job.attributes))

    def _submit(self, need_redeployment: bool) -> None:
        genuine.G5kBase.reserve(self, need_redeployment)  # not G5k's: that of several sites is below

    def wait(self) -> None:
        """Wait until the jobs run, within E2C_START_TIMEOUT."""
        self.session.wait(self.numbers())
        if self.repeated:  # the first submission may have arrived since, and be the one that is kept
            self.session.living(self.provider_conf.sites)
            self.driver._jobs = self.driver.get_jobs()
            self.session.wait(self.numbers())
        for job in self.driver.jobs:
            job.refresh()

    def numbers(self) -> list[tuple[str, int]]:
        """Site and number of each job."""
        return [(str(job.site), int(job.uid)) for job in self.driver.jobs]

    def destroy(self, wait: bool = True, **kwargs: Any) -> None:  # noqa: ARG002 - EnOSlib's signature
        """Delete the jobs, within E2C_RELEASE_TIMEOUT."""
        claim = self.session.claim
        release(claim.model_copy(update={"resources": {"sites": self.provider_conf.sites}}), self.session.watch)
        self.driver._jobs = []

    def offset_walltime(self, offset: int) -> None:
        """Lengthen or shorten what is going to be asked for; any number of hours (EnOSlib's own stops at 24)."""
        total = dates.seconds(self.provider_conf.walltime, 0) + offset
        if total <= 0:
            raise NegativeWalltime
        self.provider_conf.walltime = dates.duration(total)
        self.driver.walltime = self.provider_conf.walltime  # EnOSlib would submit the one from before

    def wait_nodes(self) -> None:
        """Nothing: whoever asked waits for ssh, within E2C_SSH_TIMEOUT."""

    def grant_root_access(self) -> None:
        """Let the user log in as root, within E2C_SSH_TIMEOUT: machines may just have been switched on."""
        deadline = time.monotonic() + self.session.bounds.ssh_timeout
        while True:
            try:
                super().grant_root_access()  # type: ignore[misc]
                return
            except (EnosUnreachableHostsError, EnosFailedHostsError) as error:
                names = ", ".join(sorted({str(record.host) for record in error.hosts}))
                if time.monotonic() >= deadline:
                    raise TestbedError(
                        f"no root access on {names}",
                        where="Grid'5000",
                        why=f"not within {self.session.bounds.ssh_timeout:g} s as {self.session.username}",
                        hint=f"{advice('ssh_timeout')}, or check that your ssh key is in your account",
                    ) from error
                self.session.require_running(self.numbers())
                self.session.watch.waiting(f"for ssh on {names}")
                time.sleep(ROOT_PAUSE_S)

    def deploy(self) -> None:
        """Let EnOSlib deploy the image, up to three times, within E2C_DEPLOY_TIMEOUT."""
        image = str(self.provider_conf.env_name)
        work = kadeploy.Kadeploy(self.session, image, lambda: self.session.require_running(self.numbers()))
        genuine.grid_deploy = work
        super().deploy()  # type: ignore[misc]
        if self.undeployed:
            raise work.failed([host.fqdn for host in self.undeployed], len(self.hosts))
        self.deployed = self.sshable_hosts = self.hosts  # EnOSlib forgets those of earlier attempts

    def fw_create(self, hosts: Any = None, **options: Any) -> None:
        """As EnOSlib's, but only on the sites where the hosts are: it would ask for empty openings on the others."""
        driver = self.driver
        for job in driver.get_jobs():
            mine = [host for host in hosts if host.alias in job.assigned_nodes]
            if not mine:
                continue
            self.driver = _One(job)
            try:
                super().fw_create(hosts=mine, **options)  # type: ignore[misc]
            finally:
                self.driver = driver


class _One:
    """A driver of one job."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def get_jobs(self) -> list[Any]:
        return [self.job]


class Site(_Bounded, genuine.G5kBase):  # type: ignore[misc]
    """The part of a booking that is on one site."""


class Booking(_Bounded, genuine.G5k):  # type: ignore[misc]
    """A booking on one site, or on several at once."""

    def _submit(self, need_redeployment: bool) -> None:
        sites = sorted(self.provider_conf.sites)
        if len(sites) > 1:
            providers = Providers([Site(self.order.restrict_to(site)) for site in sites])
            date = dates.parse(self.provider_conf.reservation)
            providers.async_init(
                start_time=int(date) if date else None, time_window=int(self.session.bounds.slot_window)
            )
        super()._submit(need_redeployment)


def acquire(claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
    """Book, wait, deploy, open the firewall.

    Raises:
        TestbedError: whatever failed, in the testbed's own words.
    """
    order = configure(claim, hosts, watch)
    _reach_through_jump(order.session)
    booking = Booking(order)
    try:
        booking.init()
        machines = deal(order.asked, _machines(booking))
        kavlan.tell(booking.networks, order.session.watch)
        _open_firewall(booking, hosts, machines)
        booking.session.require_running(booking.numbers())
    except TestbedError:
        raise
    except NotEnoughNodesError as error:
        raise _fewer(booking) from error
    except Exception as error:
        raise explained(error, claim) from error
    devices = kavlan.devices(booking.sshable_hosts)
    return Acquisition(hosts=tuple(_host(order.session, host, machines[host.key], devices) for host in hosts))


def explained(error: Exception, claim: Claim) -> TestbedError:
    """What EnOSlib raised, as a sentence."""
    doing = f"job {claim.job_name} was refused"
    if isinstance(error, InvalidReservationTime):
        date = error.datetime.astimezone(dates.ZONE).strftime(dates.FORMAT)
        return TestbedError(
            doing,
            where="Grid'5000",
            why=f"Reservation not valid --> KO (This reservation could run at {date})",
            hint=f'Write reservation: "{date}" under environment.g5k, or leave reservation out to run when it can',
        )
    if isinstance(error, InvalidReservationTooOld):
        return TestbedError(
            doing,
            where="Grid'5000",
            why=f"Reservation too old: {claim.settings.get('reservation')} is past in Grid'5000's time (Europe/Paris)",
            hint="Write a later reservation under environment.g5k, or leave it out to run when it can",
        )
    if isinstance(error, InvalidReservationCritical):
        if isinstance(error.__cause__, Grid5000Error):
            return refusals.translate(error.__cause__, doing)
        return TestbedError(
            doing,
            where="Grid'5000",
            why=refusals.words(error.msg),
            hint=f"Ask for other or fewer machines, or a shorter walltime; {advice('slot_window')}",
        )
    if isinstance(error, requests.RequestException):
        return refusals.translate(error, "the booking broke off")
    if isinstance(error, MissingNetworkError):
        return kavlan.missing(claim)
    if isinstance(error, EnosG5kKavlanNodesError):
        return kavlan.refused(error)
    return refusals.translate(error, f"job {claim.job_name} could not be used")


def _machines(booking: Booking) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for host in booking.sshable_hosts:
        for role in host.roles:
            found.setdefault(int(role.removeprefix(ROLE)), []).append(host.ssh_address)
    return found


def _fewer(booking: Booking) -> TestbedError:
    nodes, _ = booking.driver.resources()
    left = sorted(set(nodes))
    for group in booking.order.asked:
        mine = [node for node in left if node in group.servers or node.partition("-")[0] == group.cluster]
        if len(mine) < len(group.keys):
            return fewer(group, mine)
        left = [node for node in left if node not in mine[: len(group.keys)]]
    return fewer(booking.order.asked[0], sorted(set(nodes)))


def _open_firewall(booking: Booking, hosts: Sequence[PlannedHost], machines: Mapping[str, str]) -> None:
    session = booking.session
    for opening in firewall.openings(session.claim.settings, hosts, machines):
        ports = "all ports" if opening.ports is None else f"port {', '.join(map(str, opening.ports))}"
        for job in booking.driver.get_jobs():
            mine = [machine for machine in opening.machines if machine in job.assigned_nodes]
            if not mine:
                continue
            what = f"the firewall could not be opened for {', '.join(mine)}, {ports}"
            rules = [rule.attributes for rule in api.call(what, job.firewall.list)]
            if firewall.stands(rules, [firewall.address(machine) for machine in mine], opening):
                continue
            session.watch(f"opening the firewall for {', '.join(mine)}: {ports}, {opening.proto}")
            _create(booking, mine, opening, what)


def _create(booking: Booking, mine: Sequence[str], opening: firewall.Opening, what: str) -> None:
    ports = list(opening.ports) if opening.ports else None
    try:
        booking.fw_create(hosts=[en.Host(machine) for machine in mine], port=ports, proto=opening.proto)
    except Grid5000Error as error:
        if "already exist" not in str(error).lower():
            raise refusals.translate(error, what) from error
    except Exception as error:
        raise refusals.translate(error, what) from error


def _host(session: Session, planned: PlannedHost, machine: str, devices: Mapping[str, str]) -> Host:
    return Host(
        key=planned.key,
        layer=planned.layer,
        service=planned.service,
        roles=planned.roles,
        testbed=planned.testbed,
        provider="g5k",
        hostname=machine,
        address=machine,
        user="root",
        keyfile=str(session.key) if session.key else None,
        jump=credentials.jump(session.username),
        monitoring=Interface(device=devices[machine]) if machine in devices else None,
    )


def _reach_through_jump(session: Session) -> None:
    """Let EnOSlib's own ssh use our key and the access machine with it: it knows no key for that one."""
    made = G5kHost.to_enoslib

    def to_enoslib(node: G5kHost, address: str = "", user: str = "root", extra: dict[str, Any] | None = None) -> Any:
        host = made(node, address, user, extra)
        ours = Host(
            key=host.address, layer=None, service="", testbed="g5k", provider="g5k", hostname=host.address,
            address=host.address, keyfile=str(session.key) if session.key else None,
            jump=credentials.jump(session.username),
        )  # fmt: skip
        host.keyfile = ours.keyfile
        host.extra["ansible_ssh_common_args"] = shlex.join(shell.ssh_options(ours))
        return host

    G5kHost.to_enoslib = to_enoslib
