"""Runs E2Clab's own workflow code, in the environment it is installed in; never imported by the benchmark.

Its testbeds are left out: it gets the hosts of a local testbed as EnOSlib's ``Host`` objects, as its providers would
give them. Everything after that is its own: reading ``workflow.yaml``, choosing hosts, running Ansible, the results.

Arguments: a JSON file with ``scenario``, ``folder``, ``task``, ``runs`` and ``hosts``. Prints the seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

began = time.perf_counter()

from e2clab.constants import WorkflowTasks  # noqa: E402 - its import is timed
from e2clab.workflow import Workflow  # noqa: E402
from enoslib import Host, Roles  # noqa: E402

imported = time.perf_counter() - began


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(asked["folder"])
    hosts = [
        Host(
            address=host["address"],
            alias=host["key"],
            user="root",
            keyfile=host["keyfile"],
            extra={"_self": {"_id": host["key"]}},
        )
        for host in asked["hosts"]
    ]
    roles = Roles({"edge": hosts, **{host.alias: [host] for host in hosts}})
    config = Path(asked["scenario"], "workflow.yaml")
    seconds = []
    for _ in range(asked["runs"]):
        workflow = Workflow(config, folder, Path(asked["scenario"]), Path(asked["scenario"]), roles, {})
        before = time.perf_counter()
        workflow.run_task(WorkflowTasks(asked["task"]))
        seconds.append(time.perf_counter() - before)
    Path(asked["answer"]).write_text(json.dumps({"import": imported, "task": seconds}))


if __name__ == "__main__":
    main()
