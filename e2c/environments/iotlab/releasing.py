"""Freeing what an experiment's name holds, and seeing that it is free. In the child process only."""

from __future__ import annotations

import time
from urllib.error import HTTPError

from e2c.environments import limits
from e2c.environments.base import Watch
from e2c.environments.iotlab.api import TESTBED, SilentError, lost
from e2c.environments.iotlab.client import FREE, Client, Item
from e2c.environments.iotlab.profiles import is_profile_of
from e2c.errors import TestbedError

POLL_S = 1.0


def stop_all(client: Client, name: str, watch: Watch) -> list[str]:
    """Stop every living experiment of that name; returns what was stopped once the testbed confirms all of it.

    Raises:
        TestbedError: it does not within ``E2C_RELEASE_TIMEOUT``.
    """
    within = limits.limits().release_timeout
    deadline = time.monotonic() + within
    known: dict[int, Item] = {}
    while True:
        try:
            held = _stop(client, name, known, watch)
        except (SilentError, HTTPError) as error:
            if not lost(error) or time.monotonic() > deadline or not known:
                raise
            held = f"its API does not tell of experiment {', '.join(map(str, known))}"
        if not held:
            return [f"experiment {number} of {TESTBED} ({_count(item)})" for number, item in known.items()]
        if time.monotonic() > deadline:
            raise TestbedError(
                f"{TESTBED} does not confirm within {within:g} s that its nodes are free",
                why=held,
                hint=limits.advice("release_timeout"),
            )
        watch.waiting(f"{held}, being stopped")
        time.sleep(POLL_S)


def _stop(client: Client, name: str, known: dict[int, Item], watch: Watch) -> str:
    """Stop what lives and is not among the known yet; gives what still holds nodes, empty where nothing does."""
    for item in client.living(name):
        if item["id"] not in known:
            watch(f"stopping experiment {item['id']} of {TESTBED}")
            client.stop(item["id"])
            known[item["id"]] = item
    held = {number: state for number, state in client.states(list(known)).items() if state not in FREE}
    held |= {item["id"]: item["state"] for item in client.living(name)}
    return ", ".join(f"experiment {number} is {state}" for number, state in held.items())


def remove_profiles(client: Client, name: str) -> list[str]:
    """Delete the monitoring profiles that were made for experiments of that name; returns their names."""
    found = [profile["profilename"] for profile in client.api.get_profiles() or ()]
    mine = sorted(profile for profile in found if is_profile_of(profile, name))
    for profile in mine:
        client.api.del_profile(profile)
    return mine


def _count(item: Item) -> str:
    number = item.get("nb_nodes", "?")
    return "1 node" if number == 1 else f"{number} nodes"
