"""Checks across the keys of layers_services.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice

from e2c.config.catalogue import G5K_CLUSTERS, G5K_JOB_TYPES, IOTLAB_SITES, KWOLLECT_METRICS, QUANTITY_MUCH
from e2c.config.document import Document
from e2c.config.layers import Container, Layer, LayersServices, Service
from e2c.config.machine_checks import check_machines
from e2c.config.monitoring_checks import HEEDED_BY, check_monitoring
from e2c.config.names import key_part, safe_text
from e2c.config.problems import MAX_PROBLEMS, Path, Problem, nearest, shown, suggestion
from e2c.config.static_checks import check_static
from e2c.config.surprises import surprises
from e2c.config.testbeds import TESTBEDS
from e2c.config.validate import unknown_key

MANAGED_ROLES = {"provenance": "provenance", "monitoring": "monitoring", "k_monitor": "kwollect"}
"""Roles that choose the hosts of a section of layers_services.yaml."""

Problems = Iterator[Problem]


def check_layers(layers: LayersServices, document: Document) -> Problems:
    """All problems that one mapping alone does not show."""
    yield from _environment(layers, document)
    yield from _clusters(layers, document)
    yield from _names(layers, document)
    for place, layer in enumerate(layers.layers):
        yield from _layer(layers, layer, ("layers", place), document)
    yield from check_static(layers, services(layers), document)
    yield from _firewall(layers, document)
    yield from _sections(layers, document)
    yield from _twins(document)


def services(layers: LayersServices) -> Iterator[tuple[Path, Service]]:
    """Every service with its path."""
    for place, layer in enumerate(layers.layers):
        for number, service in enumerate(layer.services):
            yield ("layers", place, "services", number), service


def _warn(document: Document, path: Path, code: str, message: str, hint: str = "", *, key: bool = False) -> Problem:
    return document.problem(path, code, message, hint, severity="warning", key=key)


def _twins(document: Document) -> Problems:
    """Entries that stand twice in a list of plain values."""
    stack: list[Path] = [()]
    while stack:
        path = stack.pop()
        node = document.node(path)
        if node is None or not isinstance(node.value, (dict, list)) or path[-1:] in (("env",), ("servers",)):
            continue
        inside = node.value if isinstance(node.value, dict) else range(len(node.value))
        stack += [(*path, key) for key in inside]
        seen: set[str] = set()
        for place, entry in enumerate(node.value if isinstance(node.value, list) else ()):
            if isinstance(entry.value, (dict, list)):
                continue
            if entry.text in seen and path[-1] in _SETS:
                message = f"{path[-1]} lists {shown(entry.value)} twice"
                yield _warn(document, (*path, place), "listed-twice", message, "Remove one")
            seen.add(entry.text)


_SETS = frozenset({"roles", "ports", "job_type", "metrics", "services"})
"""Lists in which an entry means nothing more when it stands twice."""


def _environment(layers: LayersServices, document: Document) -> Problems:
    environment = layers.environment
    names: list[tuple[Path, str]] = [(("environment", "job_name"), environment.job_name)]
    names += [
        (("environment", name, "job_name"), testbed.job_name or "") for name, testbed in environment.testbeds.items()
    ]
    reservation = environment.g5k.reservation if environment.g5k else None
    # Grid'5000 is at most two hours ahead of UTC
    if reservation and datetime.fromisoformat(reservation) < datetime.now(timezone.utc).replace(tzinfo=None):
        message = f"the reservation {reservation} lies in the past"
        hint = "Write a date to come, or remove it to start at once"
        yield _warn(document, ("environment", "g5k", "reservation"), "date-past", message, hint)
    for path, job_name in names:
        if job_name and safe_text(job_name) != job_name:
            hint = "Use letters, digits, '-', '_' and '.'"
            yield _warn(
                document, path, "job-name", f"the job name {shown(job_name)} becomes {shown(safe_text(job_name))}", hint
            )
    for place, job_type in enumerate(environment.g5k.job_type if environment.g5k else ()):
        kind = job_type.partition("=")[0]
        near = nearest(kind, G5K_JOB_TYPES, cutoff=0.75)
        if kind not in G5K_JOB_TYPES and near:
            path = ("environment", "g5k", "job_type", place)
            yield _warn(
                document,
                path,
                "job-type-unknown",
                f"{shown(kind)} is not a job type that this version knows",
                f"Did you mean {near!r}?",
            )
    used: list[tuple[Path, str | None]] = []
    used += [((*path, "environment"), service.environment) for path, service in services(layers)]
    used += [(("provenance", "provider"), layers.provenance.provider)] if layers.provenance else []
    if layers.monitoring and _has_collecting_host(layers):
        used.append((("monitoring", "provider"), layers.monitoring.provider))
    for path, name in used:
        if name is not None and name != "local" and name not in environment.testbeds:
            message = f"{name} is not declared under environment, so its defaults hold"
            yield _warn(document, path, "environment-undeclared", message, f"Add {name}: {{}} under environment")


def _has_collecting_host(layers: LayersServices) -> bool:
    """Keys of monitoring's own host mean something, so that it is worth saying what is wrong with their values."""
    return layers.monitoring is not None and layers.monitoring.type in HEEDED_BY["provider"]


def _clusters(layers: LayersServices, document: Document) -> Problems:
    environment = layers.environment
    given: list[tuple[Path, str, str | None]] = []
    for name, testbed in environment.testbeds.items():
        own = testbed.cluster if "cluster" in testbed.model_fields_set else None  # type: ignore[attr-defined]
        given.append((("environment", name, "cluster"), name, own))
    if len(environment.testbeds) == 1:
        given.append((("environment", "cluster"), environment.default, environment.cluster))
    for path, service in services(layers):
        given.append(((*path, "cluster"), service.environment or environment.default, service.cluster))
    if layers.provenance:
        given.append((("provenance", "cluster"), layers.provenance.provider, layers.provenance.cluster))
    if layers.monitoring and _has_collecting_host(layers):
        given.append((("monitoring", "cluster"), layers.monitoring.provider or "", layers.monitoring.cluster))
    for path, testbed_name, cluster in given:
        known = {"g5k": G5K_CLUSTERS, "iotlab": IOTLAB_SITES}.get(testbed_name)
        if cluster is not None and known is not None and cluster not in known:
            what = "site of FIT IoT-LAB" if testbed_name == "iotlab" else "cluster of Grid'5000"
            message = f"{shown(cluster)} is not a {what} that this version knows"
            yield _warn(document, path, "cluster-unknown", message, suggestion(cluster, known))


def _names(layers: LayersServices, document: Document) -> Problems:
    seen: dict[str, int] = {}
    for place, layer in enumerate(layers.layers):
        path: Path = ("layers", place, "name")
        part = key_part(layer.name)
        if part in seen:
            line = document.position(("layers", seen[part], "name"))[0]
            message = f"the layer {shown(layer.name)} exists already in line {line}"
            yield document.problem(path, "layer-twice", message, "Rename one, or put its services in the other")
            continue
        seen[part] = place
        yield from _spelling(document, path, "layer", layer.name)
        if layer.name != layer.name.lower():
            message = f"the layer {shown(layer.name)} is written {shown(part)} in service keys"
            yield _warn(document, path, "layer-case", message, f"Write it {shown(part)}")
    for service_path, service in services(layers):
        yield from _spelling(document, (*service_path, "name"), "service", service.name)


def _spelling(document: Document, path: Path, what: str, name: str) -> Problems:
    if " " in name:
        message = f"the {what} {shown(name)} is written {shown(key_part(name))} in service keys"
        yield _warn(document, path, "name-blank", message, "Use '-' or '_' instead of blanks")


def _layer(layers: LayersServices, layer: Layer, path: Path, document: Document) -> Problems:
    for key in layer.metadata():
        yield unknown_key(document, (*path, key), Layer.model_fields, warn=True)
    if not layer.services:
        message = f"the layer {shown(layer.name)} has no service"
        yield _warn(document, (*path, "services"), "layer-empty", message, "Add one, or remove the layer")
    for number, service in enumerate(layer.services):
        yield from _service(layers, service, (*path, "services", number), document)


def _service(layers: LayersServices, service: Service, path: Path, document: Document) -> Problems:
    for key in islice(service.metadata(), 2 * MAX_PROBLEMS):
        if nearest(key, Service.model_fields, cutoff=0.75):
            yield unknown_key(document, (*path, key), Service.model_fields, warn=True)
    for place, container in enumerate(service.containers or ()):
        for key in container.metadata():
            if nearest(key, Container.model_fields, cutoff=0.75):
                yield unknown_key(document, (*path, "containers", place, key), Container.model_fields, warn=True)
    if service.cluster and service.servers:
        message = "cluster and servers are both given, so the cluster is not used"
        yield _warn(document, (*path, "servers"), "cluster-and-servers", message, "Keep one of them", key=True)
    if service.quantity > QUANTITY_MUCH:
        message = f"the service takes {service.quantity} machines"
        yield _warn(document, (*path, "quantity"), "quantity-large", message, "Make sure that so many are meant")
    yield from _roles(layers, service, path, document)
    yield from check_machines(layers, service, path, document)
    for key in ("env", "quantity", "repeat", *service.metadata()):
        yield from surprises(document, (*path, key))


def _roles(layers: LayersServices, service: Service, path: Path, document: Document) -> Problems:
    for place, role in enumerate(service.roles):
        where = (*path, "roles", place)
        section = MANAGED_ROLES.get(role.lower())
        near = nearest(role, MANAGED_ROLES, cutoff=0.8)
        if section and getattr(layers, section) is None:
            message = f"the role {shown(role)} has no effect: there is no {section} section"
            yield _warn(document, where, "role-unused", message, f"Add {section}: or remove the role")
        elif not section and near and getattr(layers, MANAGED_ROLES[near]) is not None:
            yield _warn(
                document, where, "role-typo", f"the role {shown(role)} chooses nothing", f"Did you mean {near!r}?"
            )


def _firewall(layers: LayersServices, document: Document) -> Problems:
    known = {layer.name for layer in layers.layers} | set(TESTBEDS)
    for _, service in services(layers):
        known |= {service.name, *service.roles}
    known |= {"provenance_service"} if layers.provenance else set()
    known |= {"monitoring_service"} if layers.monitoring else set()
    g5k, scaleway = layers.environment.g5k, layers.environment.scalewayinstances
    for place, (_, _, role, _) in enumerate(scaleway.ports_to_open if scaleway else ()):
        path: Path = ("environment", "scalewayinstances", "ports_to_open", place, 2)
        yield from _opened(document, path, "ports_to_open", role, known)
    for place, rule in enumerate(g5k.firewall_rules if g5k else ()):
        path = ("environment", "g5k", "firewall_rules", place)
        if rule.ports is None:
            yield _warn(
                document,
                path,
                "firewall-ports",
                "the rule names no ports, so it opens all of them",
                "Add ports: [1883]",
            )
        for number, name in enumerate(rule.services):
            yield from _opened(document, (*path, "services", number), "the firewall rule", name, known)


def _opened(document: Document, path: Path, what: str, name: str, known: set[str]) -> Problems:
    if name.lower() in {other.lower() for other in known}:
        return
    message = f"{what} opens {shown(name)}, which is no service, role or layer"
    hint = (
        "Add the section provenance:"
        if name == "provenance_service"
        else f"Known: {', '.join(sorted(known - set(TESTBEDS)))}"
    )
    yield document.problem(path, "firewall-service", message, suggestion(name, known, hint))


def _sections(layers: LayersServices, document: Document) -> Problems:
    roles = {role.lower() for _, service in services(layers) for role in service.roles}
    any_service = any(layer.services for layer in layers.layers)
    for role, section in MANAGED_ROLES.items():
        if getattr(layers, section) is not None and role not in roles and any_service:
            message = f"no service has the role {shown(role)}, so {section} reaches no host"
            yield _warn(document, (section,), "role-missing", message, f"Add roles: [{role}] to a service", key=True)
    yield from _measurements(layers, document)
    for place, metric in enumerate(layers.kwollect.metrics if layers.kwollect else ()):
        if not KWOLLECT_METRICS.fullmatch(metric):
            message = f"{shown(metric)} is not a metric that this version knows"
            yield _warn(document, ("kwollect", "metrics", place), "metric-unknown", message, "Use all for every metric")


def _measurements(layers: LayersServices, document: Document) -> Problems:
    if layers.monitoring is not None:
        yield from check_monitoring(layers, layers.monitoring, document)
    seen: set[str] = set()
    for place, profile in enumerate(layers.monitoring_iotlab.profiles if layers.monitoring_iotlab else ()):
        path: Path = ("monitoring_iotlab", "profiles", place)
        if profile.name in seen:
            message = f"the profile {shown(profile.name)} is defined twice"
            yield document.problem((*path, "name"), "profile-twice", message, "Rename one of them")
        seen.add(profile.name)
        if not (profile.current or profile.power or profile.voltage or profile.radio):
            message = f"the profile {shown(profile.name)} measures neither current, power, voltage nor radio"
            yield _warn(document, path, "profile-empty", message, "Add power: true")
