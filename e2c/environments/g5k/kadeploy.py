"""System images on nodes: the waiting part of EnOSlib's deployments, bounded, in kadeploy's own words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import requests
from grid5000.exceptions import Grid5000Error

from e2c.environments.g5k import dates, refusals
from e2c.environments.g5k.session import Session
from e2c.environments.limits import advice
from e2c.errors import TestbedError

SHORTEST_S, LONGEST_S = 2.0, 10.0
ENDED = ("terminated", "error", "canceled")


class Kadeploy:
    """Takes the place of EnOSlib's ``grid_deploy``, which waits for ever; called once per attempt.

    Args:
        alive: raises when the job ended meanwhile.
    """

    def __init__(self, session: Session, image: str, alive: Callable[[], None]) -> None:
        self.session = session
        self.image = image
        self.alive = alive
        self.attempts = 0
        self.said = ""
        self._since = time.time()
        self._deadline = time.monotonic() + session.bounds.deploy_timeout

    def __call__(self, configs: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
        """Deploy, site by site at once; returns machines that have the image and machines that do not."""
        if not configs:
            return [], []
        self.attempts += 1
        machines = [node for config in configs for node in config["nodes"]]
        again = f", attempt {self.attempts}" if self.attempts > 1 else ""
        self.session.watch(f"deploying {self.image} on {len(machines)} machines{again}")
        running = [self._start(config) for config in configs]
        pause = SHORTEST_S
        while True:
            for deployment in running:
                if deployment.status not in ENDED:
                    self._refresh(deployment)
            left = [deployment for deployment in running if deployment.status not in ENDED]
            if not left:
                break
            if time.monotonic() >= self._deadline:
                raise self._late(left, machines)
            told = ", ".join(f"{deployment.uid}: {deployment.status}" for deployment in left)
            self.session.watch.waiting(
                f"for {self.image} on {len(machines)} machines ({told}); since {dates.here(self._since)}"
            )
            time.sleep(min(pause, max(0.0, self._deadline - time.monotonic())))
            pause = min(pause * 1.5, LONGEST_S)
        good = [node for deployment in running for node in self._good(deployment)]
        if len(good) < len(machines):
            self.alive()
        return good, [node for node in machines if node not in good]

    def _start(self, config: dict[str, Any]) -> Any:
        asked = dict(config)
        site = asked.pop("site")
        doing = f"{self.image} could not be deployed on {site}"
        manager = self.session.client.sites[site].deployments
        try:
            return manager.create(asked)
        except (requests.RequestException, Grid5000Error) as error:
            if not refusals.arrived(error):
                self.alive()
                raise self._refused(error, doing) from error
        # the answer was lost: a second deployment of the same machines would be refused
        try:
            known = manager.list()
            mine = [one for one in known if set(one.nodes) == set(asked["nodes"]) and one.status not in ENDED]
            return mine[0] if mine else manager.create(asked)
        except (requests.RequestException, Grid5000Error) as error:
            raise self._refused(error, doing) from error

    def _refused(self, error: Exception, doing: str) -> TestbedError:
        refusal = refusals.translate(error, doing)
        hint = refusal.hint or f"Check env_name: {self.image}; kaenv3 -l on a frontend lists all images"
        return type(refusal)(refusal.what, where=refusal.where, why=refusal.why, hint=hint)

    def _refresh(self, deployment: Any) -> None:
        try:
            deployment.refresh()
        except (requests.RequestException, Grid5000Error) as error:
            failure = refusals.translate(error, f"deployment {deployment.uid} could not be read")
            if not isinstance(failure, refusals.SilentError) or time.monotonic() >= self._deadline:
                raise failure from error

    def _good(self, deployment: Any) -> list[str]:
        if deployment.status != "terminated":
            self.said = refusals.words(getattr(deployment, "output", "")) or f"kadeploy: {deployment.status}"
            return []
        result = getattr(deployment, "result", None) or {}
        return [node for node, outcome in result.items() if outcome.get("state") == "OK"]

    def _late(self, left: Sequence[Any], machines: Sequence[str]) -> TestbedError:
        return TestbedError(
            f"{self.image} is not deployed on {len(machines)} machines after {self.session.bounds.deploy_timeout:g} s",
            where="Grid'5000",
            why=", ".join(f"deployment {deployment.uid} is {deployment.status}" for deployment in left),
            hint=advice("deploy_timeout"),
        )

    def failed(self, machines: Sequence[str], total: int) -> TestbedError:
        """The error of machines that have no image after all attempts."""
        times = f"{self.attempts} attempts" if self.attempts > 1 else "one attempt"
        return TestbedError(
            f"{self.image} could not be deployed on {', '.join(machines)}, {len(machines)} of {total} machines, "
            f"in {times}",
            where="Grid'5000",
            why=self.said or "kadeploy: KO",
            hint="Deploy again, for other machines, or name good ones with servers",
        )
