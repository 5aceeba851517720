"""A user of the Grid'5000 stand-in, without machines behind its nodes: what the provider does by the API alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from grid5000_api import Grid5000Api

from e2c.environments.base import Acquisition, Claim, Watch
from e2c.environments.enos import agent
from e2c.environments.g5k.provider import Grid5000Provider
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation

PASSWORD = "g5k-secret"
LIMIT_S = 120
IMAGE = "debian11-x64-big"
DEPLOY = {"job_type": ["deploy"], "env_name": IMAGE}
# Nothing may leave this machine, and no node stands behind the stand-in here: ssh fails at once.
SSH = "#!/bin/sh\necho 'ssh: connect to host access.grid5000.fr port 22: Connection refused' >&2\nexit 255\n"


class User:
    """Somebody with an account, a home folder and a scenario.

    Attributes:
        api: the stand-in.
        said, waited, reserved: what the provider told.
    """

    def __init__(self, folder: Path) -> None:
        self.api = Grid5000Api(users={"jdoe": PASSWORD})
        self.home = folder / "home"
        self.scenario = folder / "scenario"
        self.provider = Grid5000Provider()
        self.said: list[str] = []
        self.waited: list[str] = []
        self.reserved: list[Reservation] = []
        (self.home / ".ssh").mkdir(parents=True)
        self.scenario.mkdir()
        ssh = folder / "bin" / "ssh"
        ssh.parent.mkdir()
        ssh.write_text(SSH)
        ssh.chmod(0o755)
        key = self.home / ".ssh" / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{ssh.parent}:{os.environ['PATH']}",
            "NO_PROXY": "*",
            "E2C_API_TIMEOUT": "3",
            "E2C_START_TIMEOUT": "30",
            "E2C_RELEASE_TIMEOUT": "8",
        }

    @property
    def credentials(self) -> Path:
        return self.home / ".python-grid5000.yaml"

    def log_in(self, password: str = PASSWORD) -> None:
        self.credentials.write_text(f"uri: {self.api.uri}\nusername: jdoe\npassword: {password}\n")
        self.credentials.chmod(0o600)

    def claim(self, **settings: Any) -> Claim:
        return self.provider.claim(
            experiment="e",
            scenario=str(self.scenario),
            job_name="try",
            walltime_s=3600,
            settings={"cluster": "gros", "key_name": "id_ed25519.pub", **settings},
        )

    def acquire(self, claim: Claim, hosts: list[PlannedHost]) -> dict[str, str]:
        """Machine by service key, as the child process gives them: nobody waits for ssh here."""
        request = {"provider": "g5k", "claim": claim.model_dump(mode="json")}
        request["hosts"] = [host.model_dump(mode="json") for host in hosts]
        given = agent.run("acquire", request, self.watch, LIMIT_S)
        return {host.key: host.address for host in Acquisition.model_validate(given).hosts}

    def release(self, claim: Claim) -> list[str]:
        return self.provider.release(claim, self.said.append)

    @property
    def watch(self) -> Watch:
        return Watch(self.said.append, self.waited.append, self.reserved.append)

    @property
    def states(self) -> list[tuple[str, str]]:
        """Number and state of every reservation that was handed over, in order."""
        return [(reservation.id, reservation.state) for reservation in self.reserved]


def hosts(number: int = 2, service: str = "Master", **request: Any) -> list[PlannedHost]:
    """Planned hosts of one service; of the cluster gros unless told otherwise."""
    return [
        PlannedHost(
            key=f"cloud.{service.lower()}.1.{machine}",
            layer="cloud",
            service=service,
            roles=("cloud", service, "provenance"),
            testbed="g5k",
            provider="g5k",
            request=request or {"cluster": "gros"},
        )
        for machine in range(1, number + 1)
    ]


def sentence(error: BaseException) -> str:
    """What the user reads; without what differs from run to run."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", str(error))
    return re.sub(r"try-[0-9a-f]{8}", "try-MARK", text)
