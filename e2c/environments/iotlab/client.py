"""EnOSlib's client of the testbed with waits that end, duplicates that are stopped, and answers that are looked at.

In the child process only.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.error import HTTPError

import iotlabcli.node
from enoslib.infra.enos_iotlab.configuration import GroupConfiguration, PhysNodeConfiguration
from enoslib.infra.enos_iotlab.iotlab_api import IotlabAPI
from iotlabcli.helpers import ACTIVE_STATES

from e2c.environments import limits
from e2c.environments.base import Watch
from e2c.environments.iotlab.api import TESTBED, BoundedApi, SilentError, lost, refusal, sentences
from e2c.environments.iotlab.nodes import natural
from e2c.errors import TestbedError
from e2c.model.reservation import Reservation

ENDED = frozenset({"Finishing", "Terminated", "Stopped", "Error"})
FREE = frozenset({"Terminated", "Stopped", "Error"})
LOOKS = 4
LOOK_PAUSE_S = 2.0
"""A submission whose answer was lost is looked for that often, at that distance."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0

Item = dict[str, Any]
"""An experiment as the API describes it."""


class Client(IotlabAPI):  # type: ignore[misc]
    """What EnOSlib asks of the testbed, bounded and told.

    Args:
        watch: receives states and numbers.
    """

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.api = BoundedApi(self.user, self.password)
        self.watch = watch
        self._told: tuple[Any, ...] = ()

    def living(self, name: str) -> list[Item]:
        """Experiments of that name that hold nodes or are going to, the oldest first."""
        return [item for item in self.active() if item["name"] == name]

    def ended(self, name: str) -> list[Item]:
        """Experiments of that name that held nodes, the oldest first."""
        return [item for item in self._listed(sorted(ENDED)) if item["name"] == name]

    def active(self) -> list[Item]:
        """All experiments of the account that hold nodes or are going to, the oldest first."""
        return self._listed(ACTIVE_STATES)

    def _listed(self, states: Sequence[str]) -> list[Item]:
        items: list[Item] = self.api.get_experiments(",".join(states))["items"]
        return sorted(items, key=lambda item: int(item["id"]))

    def tell(self, item: Item) -> Reservation:
        """Hand over an experiment's number and state, if they are new."""
        found = reservation(item)
        state = (found.id, found.state, found.starts)
        if state != self._told:
            self._told = state
            self.watch.reserved(found)
        return found

    def job_is_active(self, name: str) -> tuple[int | None, int | None]:
        """The oldest living experiment of that name: number and minutes, or twice nothing."""
        living = self.living(name)
        return (living[0]["id"], living[0]["submitted_duration"]) if living else (None, None)

    def reload_resources(self, name: str) -> None:
        """Take up the oldest living experiment of that name; others, born of a lost answer, are stopped."""
        living = self.living(name)
        self.job_id = self.walltime = None
        if not living:
            return
        self.job_id, self.walltime = living[0]["id"], living[0]["submitted_duration"]
        self.watch(f"taking up experiment {self.job_id} of {TESTBED}, {living[0]['state']}")
        self.tell(living[0])
        for twin in living[1:]:
            self.watch(f"stopping experiment {twin['id']} of {TESTBED}, a double of {self.job_id}")
            self.stop(twin["id"])

    @staticmethod
    def _translate_resources(resources: list[GroupConfiguration]) -> list[Item]:
        """One entry for all nodes that are asked for in the same way."""
        groups: dict[tuple[Any, ...], GroupConfiguration] = {}
        for each in resources:
            named = isinstance(each, PhysNodeConfiguration)
            kind = (named, each.profile) if named else (named, each.profile, each.archi, each.site)
            first = groups.get(kind)
            if first is None:
                groups[kind] = copy.deepcopy(each)
            elif named:
                first.hostname += each.hostname
            else:
                first.number += each.number
        made: list[Item] = IotlabAPI._translate_resources(list(groups.values()))
        return made

    def submit_experiment(
        self, name: str, walltime: str, resources: list[GroupConfiguration], start_time: str | None
    ) -> None:
        """Submit; when the answer is lost, look for the experiment by its name before submitting again."""
        for last in (False, True):
            try:
                super().submit_experiment(name, walltime, resources, start_time)
                break
            except (SilentError, HTTPError) as error:
                if not lost(error) or (isinstance(error, SilentError) and not error.sent):
                    raise
                self.watch(f"{TESTBED} did not answer the submission: looking for experiment {name}")
                if self._found(name):
                    break
                if last:
                    raise
        self.watch(f"experiment {self.job_id} of {TESTBED} submitted, {self.walltime} minutes")
        start = _paris(start_time) if start_time else None
        ends = start + 60 * (self.walltime or 0) if start else None
        number = str(self.job_id)
        self.watch.reserved(
            Reservation(provider="iotlab", id=number, name=name, state="Waiting", starts=start, ends=ends)
        )

    def _found(self, name: str) -> bool:
        for look in range(LOOKS):
            time.sleep(LOOK_PAUSE_S if look else 0)
            living = self.living(name)
            if living:
                self.job_id, self.walltime = living[0]["id"], living[0]["submitted_duration"]
                return True
        return False

    def wait_experiment(self) -> None:
        """Wait until the experiment runs, at most ``E2C_START_TIMEOUT``, counted from a common slot if it has one.

        Raises:
            TestbedError: it ended before, or the time passed.
        """
        within = limits.limits()
        began = time.time()
        deadline = began + within.start_timeout
        pause = FIRST_PAUSE_S
        while True:
            item, trouble = self._look()
            if item is not None:
                starts = self.tell(item).starts
                if item["state"] == "Running":
                    self.watch(f"experiment {self.job_id} of {TESTBED} runs")
                    return
                if item["state"] in ENDED:
                    raise _ended(item)
                if starts is not None and began < starts <= began + within.slot_window:
                    deadline = max(deadline, starts + within.start_timeout)
                self.watch.waiting(f"experiment {self.job_id} of {TESTBED} is {_state(item, starts)}")
            else:
                self.watch.waiting(f"{trouble}")
            if time.time() >= deadline:
                raise trouble or _late(item, time.time() - began)
            time.sleep(max(0.05, min(pause, deadline - time.time())))
            pause = min(LONGEST_PAUSE_S, 1.5 * pause)

    def _look(self) -> tuple[Item | None, TestbedError | None]:
        """The experiment now, or why the API does not tell."""
        try:
            return self.api.get_experiment_info(self.job_id), None
        except SilentError as error:
            return None, error
        except HTTPError as error:
            if not lost(error):
                raise
            return None, refusal(error, self.user, "tell of the experiment")

    def get_nodes(self) -> list[Item]:
        """Nodes of the experiment, in natural order."""
        return sorted(super().get_nodes(), key=lambda item: natural(item["network_address"]))

    def undeployed(self) -> list[str]:
        """Nodes of the running experiment that the testbed itself could not start."""
        try:
            result = self.api.get_experiment_info(self.job_id, "deployment")
        except HTTPError as error:
            if error.code == 401:
                raise
            return []  # not every experiment has one
        return sorted((result or {}).get("1", []), key=natural)

    def flash_nodes(self, image: str, nodes: list[str]) -> None:
        """Flash a firmware, a file or one that the account stored on the testbed; what fails is tried once more.

        Raises:
            TestbedError: nodes that did not take it.
        """
        shown = os.path.basename(image)
        number = "1 board" if len(nodes) == 1 else f"{len(nodes)} boards"
        self.watch(f"flashing {shown} on {number}")
        left = list(nodes)
        for last in (False, True):
            try:
                with self.api.patient(limits.limits().deploy_timeout):
                    left = list((self._flash(image, left) or {}).get("1", []))
            except (SilentError, HTTPError) as error:
                if last or not lost(error):
                    with sentences(self.user, f"flash {shown}"):
                        raise
            else:
                if not left:
                    return
        raise TestbedError(
            f"{len(left)} of {number} did not take the firmware {shown}",
            why=", ".join(sorted(left, key=natural)),
            hint="See that it was built for these boards, or take others",
        )

    def _flash(self, image: str, nodes: list[str]) -> Any:
        if os.path.isabs(image):
            return iotlabcli.node.node_command(self.api, "flash", self.job_id, nodes, image)
        return self.api.node_command("flash", self.job_id, nodes, image)

    def wait_ssh(self, nodes: list[str]) -> None:
        """Nothing: the controller itself waits until nodes answer."""

    def stop(self, number: int) -> None:
        """Stop an experiment; one that ended already is as good."""
        try:
            self.api.stop_experiment(number)
        except HTTPError as error:
            if "already" not in str(error.msg):
                raise

    def states(self, numbers: list[int]) -> dict[int, str]:
        """State of each experiment; one that the testbed does not know any more is ``Terminated``."""
        found: dict[int, str] = {}
        for number in numbers:
            try:
                item = self.api.get_experiment_info(number)
                self.tell(item)
                found[number] = item["state"]
            except HTTPError as error:
                if error.code != 404:
                    raise
                found[number] = "Terminated"
        return found


def reservation(item: Item) -> Reservation:
    """An experiment as a reservation."""
    starts = _epoch(item.get("start_date")) or _epoch(item.get("scheduled_date"))
    ends = _epoch(item.get("stop_date")) if item["state"] in FREE else None
    if starts is not None and ends is None:
        ends = starts + 60 * int(item["submitted_duration"])
    return Reservation(
        provider="iotlab", id=str(item["id"]), name=item["name"], state=item["state"], starts=starts, ends=ends
    )


def _epoch(text: Any) -> float | None:
    """Seconds since the epoch; the API writes 1970 for a date that it does not know."""
    try:
        seconds = datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None
    return seconds or None


def _paris(text: str) -> float:
    from enoslib.infra.enos_iotlab.provider import Iotlab

    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=Iotlab.timezone()).timestamp()


def _state(item: Item, starts: float | None) -> str:
    if starts is not None and starts > time.time():
        return f"{item['state']}, scheduled to start at {datetime.fromtimestamp(starts):%Y-%m-%d %H:%M:%S}"
    return str(item["state"])


def _ended(item: Item) -> TestbedError:
    return TestbedError(
        f"experiment {item['id']} of {TESTBED} went to state {item['state']} before it ran",
        hint=f"What the testbed knows of it: iotlab-experiment get -i {item['id']} -p",
    )


def _late(item: Item | None, seconds: float) -> TestbedError:
    assert item is not None
    return TestbedError(
        f"experiment {item['id']} of {TESTBED} does not run after {seconds:.0f} s",
        why=f"it is {_state(item, reservation(item).starts)}",
        hint=f"Take other nodes, or wait longer. {limits.advice('start_timeout')}",
    )
