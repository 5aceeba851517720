"""Files of the output folder that tell what was deployed and how it can be reproduced."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from e2c import __version__
from e2c.experiment.state import State, now, write_whole
from e2c.model.host import Board, Host
from e2c.model.service import Served, ServiceRecord
from e2c.remote.shell import some

LAYERS_FILE = "layers_services-validate.yaml"
MANIFEST_FILE = "manifest.json"
RECORDED = ("enoslib", "ansible-core", "paho-mqtt", "pymonetdb", "msgpack", "pydantic", "pyyaml", "typer", "dool")

HEADER = """\
# What was deployed. Use these service keys in network.yaml and workflow.yaml.
"""


def write_layers(
    folder: Path,
    layers: Iterable[str],
    hosts: Sequence[Host | Board],
    services: Sequence[ServiceRecord],
    served: Sequence[Served] = (),
) -> None:
    """Write ``layers_services-validate.yaml``: service keys and addresses per layer, services in the header.

    What plugins registered follows the service keys; its ports are in the header.
    """
    header = HEADER
    for service in services:
        where = some(service.hosts or (service.host,), ", ")
        header += f"# {service.name} on {where}: {', '.join(service.endpoints.values())}\n"
    content = {layer: [{host.key: _addresses(host)} for host in hosts if host.layer == layer] for layer in layers}
    by_key = {host.key: host for host in hosts}
    for one in served:
        for made in one.registered:
            header += f"# {made.key} on {made.host}{f', port {made.port}' if made.port else ''}: plugin {one.plugin}\n"
            if made.key not in by_key:
                content[one.layer].append({made.key: _addresses(by_key[made.host])})
    write_whole(folder / LAYERS_FILE, header + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _addresses(host: Host | Board) -> list[str]:
    if isinstance(host, Board):
        return [host.address]
    return [address for address in (host.addresses.v4, host.addresses.v6) if address] or [host.address]


def write_manifest(folder: Path, state: State, inputs: Mapping[str, Path]) -> None:
    """Write ``manifest.json``: versions, digests of all inputs, facts of the hosts, timings.

    Args:
        folder: output folder.
        state: the experiment.
        inputs: files whose content decides the experiment, by name.
    """
    content = {
        "experiment": state.experiment,
        "written": now(),
        "e2c": __version__,
        "python": platform.python_version(),
        "controller": {"system": platform.platform(), "hostname": platform.node()},
        "packages": {name: _version(name) for name in RECORDED},
        "plan": state.plan_digest,
        "testbed": state.testbed,
        "netem": state.netem,
        "inputs": {name: sha256(path) for name, path in inputs.items()},
        "hosts": state.facts,
        "phases": [record.model_dump() for record in state.phases],
        "runs": [record.model_dump() for record in state.runs],
    }
    write_whole(folder / MANIFEST_FILE, json.dumps(content, indent=1) + "\n")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def sha256(path: Path) -> str | None:
    """SHA-256 of a file's content, in hexadecimal; ``None`` where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
