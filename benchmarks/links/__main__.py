"""Links between two layers, every host to every other: ``sudo .venv/bin/python benchmarks/links``.

The hosts are acquired by the real command; then their links are applied as ``e2clab network`` does, without measuring
them: for the first time, again without a change, with one pair changed, and with all changed. CPU is that of this
process and of its ssh clients; what the hosts and the switch need is in the wall clock only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from e2c import plugins
from e2c.emulation import apply
from e2c.emulation.constraint import Constraint, constraints
from e2c.environments.base import Claim
from e2c.model.host import Host
from e2c.model.link import PlannedLink

E2CLAB = Path(sys.executable).with_name("e2clab")
LAYERS = """\
environment: {{local: {{}}}}
layers:
- name: cloud
  services: [{{name: Server, quantity: {0}}}]
- name: edge
  services: [{{name: Client, quantity: {0}}}]
"""


def run(*arguments: str | Path) -> str:
    """Standard output of a command."""
    done = subprocess.run([E2CLAB, "--quiet", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}:\n{done.stderr}")
    return done.stdout.strip()


def timed(what: str, act: Callable[[], object]) -> str:
    """A row of the table."""
    before, began = os.times(), time.perf_counter()
    outcome = act()
    seconds, after = time.perf_counter() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    print(f"{what}: {seconds:.2f} s", file=sys.stderr)
    return f"| {what} | {seconds:.2f} | {cpu:.2f} | {os.getloadavg()[0]:.1f} | {outcome or ''} |"


def rows(hosts: Sequence[Host]) -> list[str]:
    """Apply links one way after another."""
    ends = [tuple(host.key for host in hosts if host.layer == layer) for layer in ("cloud", "edge")]
    rule = PlannedLink(
        src="cloud", dst="edge", sources=ends[0], destinations=ends[1], delay_ms=10, rate_kbit=1e5, symmetric=True
    )
    asked = constraints([rule], hosts)
    one = asked[0].model_copy(update={"delay_ms": 20.0})
    other = one.model_copy(update={"delay_ms": 30.0})
    jitter = [each.model_copy(update={"jitter_ms": 2.0, "distribution": "normal"}) for each in asked]

    def applied(what: Sequence[Constraint]) -> Callable[[], object]:
        return lambda: apply.apply(what, hosts, lambda _: None)

    return [
        timed("first", applied(asked)),
        timed("again", applied(asked)),
        timed("one pair changed", applied([one, *asked[1:]])),
        timed("one pair changed by itself", lambda: apply.change([other], hosts)),
        timed("all changed", applied(jitter)),
        timed("none any more", applied([])),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=25, help="of each of the two layers")
    count = parser.parse_args().hosts
    with tempfile.TemporaryDirectory() as name:
        scenario = Path(name)
        (scenario / "layers_services.yaml").write_text(LAYERS.format(count))
        state = json.loads(Path(run("layers-services", scenario, scenario), "state.json").read_text())
        try:
            hosts = [Host.model_validate(host) for host in state["hosts"]]
            claim = Claim.model_validate(state["claims"][0])
            plugins.load(plugins.ENVIRONMENTS, "local")().enable_netem(claim, hosts, lambda _: None)
            table = rows(hosts)
        finally:
            run("destroy", scenario)
    print(f"{count} x {count} pairs both ways\n\n| application | wall s | CPU s | load | sent |\n|---|---|---|---|---|")
    print("\n".join(table))


if __name__ == "__main__":
    main()
