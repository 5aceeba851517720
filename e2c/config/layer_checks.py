"""Checks across the keys of layers_services.yaml."""

from __future__ import annotations

from collections.abc import Iterator

from e2c.config.catalogue import G5K_CLUSTERS, IOTLAB_ARCHIS, IOTLAB_SITES, KWOLLECT_METRICS, QUANTITY_MUCH
from e2c.config.document import Document
from e2c.config.layers import Layer, LayersServices, Service
from e2c.config.names import key_part, safe_text
from e2c.config.problems import Path, Problem, nearest, shown, suggestion
from e2c.config.testbeds import TESTBEDS, Grid5000
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
    yield from _firewall(layers, document)
    yield from _sections(layers, document)


def services(layers: LayersServices) -> Iterator[tuple[Path, Service]]:
    """Every service with its path."""
    for place, layer in enumerate(layers.layers):
        for number, service in enumerate(layer.services):
            yield ("layers", place, "services", number), service


def _warn(document: Document, path: Path, code: str, message: str, hint: str = "", *, key: bool = False) -> Problem:
    return document.problem(path, code, message, hint, severity="warning", key=key)


def _environment(layers: LayersServices, document: Document) -> Problems:
    environment = layers.environment
    names: list[tuple[Path, str]] = [(("environment", "job_name"), environment.job_name)]
    names += [
        (("environment", name, "job_name"), testbed.job_name or "") for name, testbed in environment.testbeds.items()
    ]
    for path, job_name in names:
        if job_name and safe_text(job_name) != job_name:
            hint = "Use letters, digits, '-', '_' and '.'"
            yield _warn(
                document, path, "job-name", f"the job name {shown(job_name)} becomes {shown(safe_text(job_name))}", hint
            )
    used: list[tuple[Path, str | None]] = []
    used += [((*path, "environment"), service.environment) for path, service in services(layers)]
    used += [(("provenance", "provider"), layers.provenance.provider)] if layers.provenance else []
    used += [(("monitoring", "provider"), layers.monitoring.provider)] if layers.monitoring else []
    for path, name in used:
        if name is not None and name != "local" and name not in environment.testbeds:
            message = f"{name} is not declared under environment, so its defaults hold"
            yield _warn(document, path, "environment-undeclared", message, f"Add {name}: {{}} under environment")


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
    if layers.monitoring:
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
    for key in service.metadata():
        if nearest(key, Service.model_fields, cutoff=0.75):
            yield unknown_key(document, (*path, key), Service.model_fields, warn=True)
    if service.cluster and service.servers:
        message = "cluster and servers are both given, so the cluster is not used"
        yield _warn(document, (*path, "servers"), "cluster-and-servers", message, "Keep one of them", key=True)
    if service.quantity > QUANTITY_MUCH:
        message = f"the service takes {service.quantity} machines"
        yield _warn(document, (*path, "quantity"), "quantity-large", message, "Make sure that so many are meant")
    yield from _roles(layers, service, path, document)
    yield from _testbed_needs(layers, service, path, document)
    yield from surprises(document, (*path, "env"))


def surprises(document: Document, path: Path) -> Problems:
    """Values below a path that YAML reads as something else than what is written."""
    node = document.node(path)
    for key, (_, value) in node.value.items() if node is not None and isinstance(node.value, dict) else ():
        why = misread(document, (*path, key))
        if why:
            hint = f'Write it in quotes if it is text: "{value.text}"'
            yield _warn(document, (*path, key), "yaml-surprise", f"{value.text} is read as {why}", hint)


def misread(document: Document, path: Path) -> str | None:
    """As what YAML 1.1 reads a plain value whose writer may have meant text; ``None`` when it is clear."""
    node = document.node(path)
    if node is None or not node.plain or isinstance(node.value, (str, dict, list)) or node.value is None:
        return None
    text = node.text.lower()
    if isinstance(node.value, bool):
        return None if text in ("true", "false") else f"the truth value {shown(node.value)}"
    if ":" in text:
        return f"the number {node.value} (base 60)"
    digits = text.lstrip("+-")
    if isinstance(node.value, int) and len(digits) > 1 and digits.startswith("0") and not digits.startswith("0x"):
        return f"the number {node.value}"
    return None


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


def _testbed_needs(layers: LayersServices, service: Service, path: Path, document: Document) -> Problems:
    testbed = service.environment or layers.environment.default
    if testbed == "iotlab":
        if service.archi is None and service.servers is None:
            message = f"the service {shown(service.name)} takes IoT-LAB nodes but names neither archi nor servers"
            yield document.problem(path, "iotlab-archi", message, "Add archi: m3:at86rf231, or another architecture")
        elif service.archi is not None and service.archi not in IOTLAB_ARCHIS:
            message = f"{shown(service.archi)} is not an architecture of FIT IoT-LAB that this version knows"
            yield _warn(document, (*path, "archi"), "archi-unknown", message, suggestion(service.archi, IOTLAB_ARCHIS))
    if testbed == "chameleonedge" and service.containers is None:
        message = f"the service {shown(service.name)} takes CHI@Edge devices but has no containers"
        yield document.problem(path, "chameleonedge-containers", message, "Add containers: [{name: ..., image: ...}]")
    if service.profile is not None and testbed == "iotlab":
        profiles = [profile.name for profile in layers.monitoring_iotlab.profiles] if layers.monitoring_iotlab else []
        if service.profile not in profiles:
            message = f"the profile {shown(service.profile)} is not defined in monitoring_iotlab"
            otherwise = "Define it there" if not profiles else f"Defined: {', '.join(profiles)}"
            yield document.problem(
                (*path, "profile"), "profile-unknown", message, suggestion(service.profile, profiles, otherwise)
            )


def _firewall(layers: LayersServices, document: Document) -> Problems:
    g5k = layers.environment.g5k
    if not isinstance(g5k, Grid5000):
        return
    known = {layer.name for layer in layers.layers} | set(TESTBEDS)
    for _, service in services(layers):
        known |= {service.name, *service.roles}
    known |= {"provenance_service"} if layers.provenance else set()
    known |= {"monitoring_service"} if layers.monitoring else set()
    lowered = {name.lower() for name in known}
    for place, rule in enumerate(g5k.firewall_rules):
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
            if name.lower() in lowered:
                continue
            message = f"the firewall rule opens {shown(name)}, which is no service, role or layer"
            hint = (
                "Add the section provenance:"
                if name == "provenance_service"
                else f"Known: {', '.join(sorted(known - set(TESTBEDS)))}"
            )
            yield document.problem(
                (*path, "services", number), "firewall-service", message, suggestion(name, known, hint)
            )


def _sections(layers: LayersServices, document: Document) -> Problems:
    roles = {role.lower() for _, service in services(layers) for role in service.roles}
    any_service = any(layer.services for layer in layers.layers)
    for role, section in MANAGED_ROLES.items():
        if getattr(layers, section) is not None and role not in roles and any_service:
            message = f"no service has the role {shown(role)}, so {section} reaches no host"
            yield _warn(document, (section,), "role-missing", message, f"Add roles: [{role}] to a service", key=True)
    for place, metric in enumerate(layers.kwollect.metrics if layers.kwollect else ()):
        if not KWOLLECT_METRICS.fullmatch(metric):
            message = f"{shown(metric)} is not a metric that this version knows"
            yield _warn(document, ("kwollect", "metrics", place), "metric-unknown", message, "Use all for every metric")
