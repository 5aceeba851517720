"""Actions on FIT IoT-LAB that its API does; run in a child process by :mod:`e2c.environments.enos.worker`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from enoslib.errors import InvalidReservationTime

from e2c.config.catalogue import runs_linux
from e2c.environments import limits
from e2c.environments.base import Acquisition, Claim, Finding, Watch
from e2c.environments.iotlab.api import TESTBED, refusal, sentences
from e2c.environments.iotlab.client import Client, Item, reservation
from e2c.environments.iotlab.credentials import frontend, keyfile
from e2c.environments.iotlab.nodes import SITE, natural
from e2c.environments.iotlab.profiles import is_of
from e2c.environments.iotlab.releasing import remove_profiles, stop_all
from e2c.environments.iotlab.testbed import Testbed, make
from e2c.errors import TestbedError
from e2c.model.host import Board, Host
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation
from e2c.remote import shell
from e2c.remote.unreachable import reason

SECOND_LOOK_S = 5.0
"""Where nothing is found, seconds before looking again: a submission may still be on its way."""


def provider(claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Testbed:
    """EnOSlib's provider for the planned hosts; nothing is touched."""
    return make(claim, hosts, watch)


def acquire(claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
    """Book, or take up again, and flash; the hosts have still to answer to ssh.

    Raises:
        TestbedError: refused, too late, fewer nodes than planned, or a board does not take its firmware.
    """
    testbed = make(claim, hosts, watch)
    try:
        with sentences(testbed.client.user, "give the nodes"):
            testbed.init()
    except InvalidReservationTime as error:
        raise TestbedError(
            f"{TESTBED} has not all nodes now", why=f"they are free from {error.datetime:%Y-%m-%d %H:%M:%S %Z} on"
        ) from None
    key = keyfile(claim.settings)
    found = Acquisition()
    for planned in hosts:
        node = testbed.dealt[planned.key]
        common: dict[str, Any] = {
            **planned.model_dump(include={"key", "layer", "service", "roles", "testbed"}),
            "provider": "iotlab",
        }
        if runs_linux(node.address):
            address = f"node-{node.address}"
            jump = f"{testbed.client.user}@{frontend(node.site)}"
            host = Host(**common, hostname=address, address=address, keyfile=key, jump=jump)
            found = found.model_copy(update={"hosts": (*found.hosts, host)})
        else:
            image = planned.request.get("image")
            board = Board(**common, address=node.address, site=node.site, archi=node.archi, image=image)
            found = found.model_copy(update={"boards": (*found.boards, board)})
    return found


def release(claim: Claim, watch: Watch) -> list[str]:
    """Stop every living experiment of the claim's name, wait until the testbed confirms, remove our profiles.

    Raises:
        TestbedError: the testbed does not confirm in time.
    """
    client = Client(watch)
    with sentences(client.user, "stop the experiment"):
        if not client.living(claim.job_name):
            time.sleep(SECOND_LOOK_S)
        freed = stop_all(client, claim.job_name, watch)
        profiles = remove_profiles(client, claim.job_name)
    return [*freed, *(f"monitoring profile {name} of {TESTBED}" for name in profiles)]


def reservations(claim: Claim, watch: Watch) -> list[Reservation]:
    """Living experiments of the claim."""
    client = Client(watch)
    with sentences(client.user, "list experiments"):
        return [reservation(item) for item in client.living(claim.job_name)]


def find(scenario: str, watch: Watch) -> list[Claim]:
    """Living experiments whose name carries the mark of a scenario."""
    client = Client(watch)
    with sentences(client.user, "list experiments"):
        mine = [item for item in client.active() if is_of(item["name"], scenario)]
    return [_claim(item, scenario) for item in {item["name"]: item for item in mine}.values()]


def _claim(item: Item, scenario: str) -> Claim:
    return Claim(
        provider="iotlab",
        experiment=item["name"],
        scenario=scenario,
        job_name=item["name"],
        walltime_s=60 * int(item["submitted_duration"]),
        resources={"experiment": item["id"]},
    )


def examine(settings: dict[str, Any], ssh: bool, watch: Watch) -> list[Finding]:
    """Whether the API accepts the account and, if asked, its site the ssh key."""
    client = Client(watch)
    try:
        client.api.method("user")
    except HTTPError as error:
        return [_wrong("API", refusal(error, client.user, "tell of the account")), _unseen("ssh")]
    except TestbedError as error:
        return [_wrong("API", error), _unseen("ssh")]
    accepted = Finding(aspect="API", ok=True, text=f"accepts {client.user}")
    if not ssh:
        return [accepted]
    return [accepted, _ssh(client.user, str(settings.get("cluster") or SITE), settings)]


def _ssh(user: str, site: str, settings: dict[str, Any]) -> Finding:
    where = f"{user}@{frontend(site)}"
    try:
        key = keyfile(settings)
    except TestbedError as error:
        return _wrong("ssh", error)
    host = login(user, site, key)
    answer = shell.run(host, "true", timeout_s=2 * shell.CONNECT_TIMEOUT_S)
    if answer.ok:
        return Finding(aspect="ssh", ok=True, text=f"{where} accepts the key")
    refused = "Permission denied" in answer.stderr
    add = "Add your public key to the account: iotlab-auth --add-ssh-key -i KEYFILE"
    remedy = add if refused else f"Check the network until this works: ssh {where}"
    return Finding(aspect="ssh", ok=False, text=f"{where}: {reason(host, answer)}", remedy=remedy)


def login(user: str, site: str, key: str | None) -> Host:
    """A site's machine that users log in to."""
    address = frontend(site)
    return Host(
        key=address,
        layer=None,
        service="site",
        testbed="iotlab",
        provider="iotlab",
        hostname=address,
        address=address,
        user=user,
        keyfile=key,
    )


def _wrong(aspect: str, error: TestbedError) -> Finding:
    text = f"{error.what}: {error.why}" if error.why else error.what
    return Finding(aspect=aspect, ok=False, text=text, remedy=error.hint or "")


def _unseen(aspect: str) -> Finding:
    return Finding(aspect=aspect, ok=None, text="not looked at, because the API does not accept us")


def collect(claim: Claim, folder: str, watch: Watch) -> list[list[str]]:
    """Fetch the archive that the API keeps of the claim's experiment, the last one if none lives any more.

    Returns:
        For each experiment its number, then the sites of its nodes.

    Raises:
        TestbedError: the testbed knows none of that name.
    """
    client = Client(watch)
    found: list[list[str]] = []
    with sentences(client.user, "give the experiment's archive"):
        mine = client.living(claim.job_name) or client.ended(claim.job_name)[-1:]
        if not mine:
            raise TestbedError(f"{TESTBED} knows no experiment {claim.job_name}, so there is nothing to fetch")
        for item in mine:
            client.job_id = item["id"]
            with client.api.patient(limits.limits().deploy_timeout):
                client.collect_data_experiment(folder)
            sites = sorted({node["site"] for node in client.get_nodes()}, key=natural)
            found.append([str(item["id"]), *sites])
            watch(f"{Path(folder, str(item['id']))}.tar.gz fetched from {TESTBED}")
    return found
