"""What a user of the service has to know: where it listens, what to export, how to ask, how to stop it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance import addresses
from e2c.provenance.folder import DataFolder, read_json
from e2c.provenance.reporting.status import is_running

QUESTION = "SELECT * FROM task"
"""Shown as an example."""


def environment(information: Mapping[str, Any], host: str | None = None) -> dict[str, str]:
    """Variables for applications that capture.

    Args:
        information: what the service says of itself (``service.json``).
        host: address or name of this machine as the application sees it; by default an application here.
    """
    variables = {"PROVLIGHT_SERVER_URL": _url(information["mqtt"], host)}
    for name, key in (("CREDENTIALS", "credentials"), ("DATAFLOW", "dataflow"), ("TLS_CA", "tls_ca")):
        if information[key]:
            variables[f"PROVLIGHT_{name}"] = information[key]
    return variables


def running(folder: DataFolder) -> dict[str, Any]:
    """What a running service says of itself.

    Raises:
        ProvenanceError: none is running.
    """
    if not is_running(folder) or not folder.service.exists():
        raise ProvenanceError(
            "no provenance service is running",
            where=str(folder.root),
            hint=f"Start it: python -m e2c.provenance serve --data {shlex.quote(str(folder.root))}",
        )
    information: dict[str, Any] = read_json(folder.service)
    return information


def exports(variables: Mapping[str, str]) -> list[str]:
    """Lines for a shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def block(information: Mapping[str, Any], program: str) -> str:
    """What is shown on a terminal once the service is ready.

    Args:
        program: how this program was called.
    """
    data = shlex.quote(information["data"])
    lines = ["", "Devices send records to"]
    lines += [f"    {url}" for url in reached(information["mqtt"])]
    lines += ["", f'Environment of an application on this machine, or: eval "$({program} env --data {data})"']
    lines += [f"    {line}" for line in exports(environment(information))]
    if not information["credentials"]:
        lines.append("    # PROVLIGHT_CREDENTIALS: a file with user and password, each on a line, of one of --clients")
    lines += ["", "Ask", f"    {program} query --data {data} '{QUESTION}'"]
    lines += ["", "State", f"    {program} status --data {data}"]
    if "metrics" in information["endpoints"]:
        lines += ["", "Figures for Prometheus", f"    {information['endpoints']['metrics']}"]
    lines += ["", f"Stop it with Ctrl-C, or: {program} stop --data {data}", ""]
    return "\n".join(lines)


def reached(urls: list[str]) -> list[str]:
    """Where listeners are reached; one on all addresses is shown with each that the machine has."""
    found = []
    for url in urls:
        scheme, host, port = _split(url)
        hosts = addresses.expanded((host,)) if host in addresses.WILDCARDS else (host,)
        found += [f"{scheme}://{addresses.bracketed(one)}:{port}" for one in hosts]
    return found


def _url(urls: list[str], host: str | None) -> str:
    parts = [_split(url) for url in urls]
    here = [part for part in parts if addresses.reachable(part[1]) in addresses.LOOPBACKS]
    scheme, bound, port = (here or parts)[0]
    return f"{scheme}://{addresses.bracketed(host or addresses.reachable(bound))}:{port}"


def _split(url: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    return scheme, host.strip("[]"), port
