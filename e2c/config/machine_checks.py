"""Whether services say what their testbed must know to give them machines, and nothing that it cannot use."""

from __future__ import annotations

from collections.abc import Iterator

from e2c.config.catalogue import IOTLAB_ARCHIS, runs_linux
from e2c.config.document import Document
from e2c.config.layers import LayersServices, Service
from e2c.config.problems import Path, Problem, listed, shown, suggestion
from e2c.config.testbeds import TESTBEDS
from e2c.config.validate import gap

_USED: dict[str, frozenset[str]] = {
    "cluster": frozenset({"g5k", "iotlab", "chameleoncloud", "chameleonedge"}),
    "servers": frozenset({"g5k", "iotlab", "static"}),
    "archi": frozenset({"iotlab"}),
    "profile": frozenset({"iotlab"}),
    "image": frozenset({"iotlab", "chameleoncloud", "chameleonedge", "scalewayinstances"}),
    "containers": frozenset({"chameleonedge"}),
    "commercial_type": frozenset({"scalewayinstances"}),
}
"""Testbeds that heed a key of services."""


def check_machines(layers: LayersServices, service: Service, path: Path, document: Document) -> Iterator[Problem]:
    """Problems of what one service says about its machines."""
    environment = layers.environment
    testbed = service.environment or environment.default
    for key, heeding in _USED.items():
        if getattr(service, key) is not None and testbed in TESTBEDS and testbed not in heeding:
            message = f"{key} has no effect on {testbed}"
            hint = f"Remove it; it is for {listed(sorted(heeding))}"
            yield document.problem((*path, key), "key-unused", message, hint, severity="warning", key=True)
    machines = service.quantity * (service.repeat + 1)
    if service.servers is not None:
        distinct = len({name.lower() for name in service.servers})
        if distinct < len(service.servers):
            message = "servers names a machine twice"
            yield document.problem((*path, "servers"), "listed-twice", message, "Remove one", severity="warning")
        if distinct < machines:
            message = f"the service takes {machines} machines, but servers names {distinct}"
            hint = "Name more servers, or lower quantity or repeat"
            yield document.problem((*path, "servers"), "servers-few", message, hint, key=True)
    common = environment.cluster or getattr(environment.g5k, "cluster", None)
    if testbed == "g5k" and not (service.cluster or service.servers or common):
        message = f"the service {shown(service.name)} takes Grid'5000 machines but names neither cluster nor servers"
        hint = "Add cluster: gros, or under g5k for all services"
        yield _missing(document, path, "cluster", "cluster-missing", message, hint)
    if testbed == "iotlab":
        yield from _iotlab(layers, service, path, document)
    if testbed == "chameleonedge" and service.containers is None:
        message = f"the service {shown(service.name)} takes CHI@Edge devices but has no containers"
        hint = "Add containers: [{name: ..., image: ...}]"
        yield _missing(document, path, "containers", "chameleonedge-containers", message, hint)


def _missing(document: Document, path: Path, key: str, code: str, message: str, hint: str) -> Problem:
    line, column = gap(document, (*path, key), tuple(Service.model_fields))
    return document.at(line, column, code, message, hint, path=path)


def _iotlab(layers: LayersServices, service: Service, path: Path, document: Document) -> Iterator[Problem]:
    if service.archi is None and service.servers is None:
        message = f"the service {shown(service.name)} takes IoT-LAB nodes but names neither archi nor servers"
        hint = "Add archi: m3:at86rf231, or another architecture"
        yield _missing(document, path, "archi", "iotlab-archi", message, hint)
    elif service.archi is not None and service.archi not in IOTLAB_ARCHIS:
        message = f"{shown(service.archi)} is not an architecture of FIT IoT-LAB that this version knows"
        hint = suggestion(service.archi, IOTLAB_ARCHIS)
        yield document.problem((*path, "archi"), "archi-unknown", message, hint, severity="warning")
    yield from _iotlab_mixed(service, path, document)
    if service.profile is None:
        return
    profiles = (
        {profile.name: profile for profile in layers.monitoring_iotlab.profiles} if layers.monitoring_iotlab else {}
    )
    if service.profile not in profiles:
        message = f"the profile {shown(service.profile)} is not defined in monitoring_iotlab"
        otherwise = "Define it there" if not profiles else f"Defined: {', '.join(profiles)}"
        hint = suggestion(service.profile, profiles, otherwise)
        yield document.problem((*path, "profile"), "profile-unknown", message, hint)
    elif service.archi is not None:
        wanted, board = profiles[service.profile].archi, service.archi.partition(":")[0]
        if wanted != (board if board in ("a8", "m3") else "custom"):
            message = f"the profile {shown(service.profile)} is for {wanted} nodes, but archi is {shown(service.archi)}"
            yield document.problem(
                (*path, "profile"), "profile-archi", message, "Choose a profile of the same archi", severity="warning"
            )


def _iotlab_mixed(service: Service, path: Path, document: Document) -> Iterator[Problem]:
    names = service.servers or ()
    linux = [name for name in names if runs_linux(name)]
    if linux and len(linux) < len(names):
        message = f"servers names {shown(linux[0])}, which runs Linux, beside boards, which do not"
        yield document.problem((*path, "servers"), "servers-mixed", message, "Make two services of them", key=True)
