"""What is wrong with the plugins of services, and with what services say to their plugins; none of these is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from e2c import plugins
from e2c.config.layers import Service
from e2c.config.problems import Path, Problem, Severity, nearest
from e2c.config.scenario import Scenario
from e2c.config.validate import validate_part
from e2c.services import declaring, finding

NEAR = 0.8
"""How much a service's name must be like that of a plugin to be taken for a slip."""


def services(scenario: Scenario) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Names of sub-services that plugins may register, by service; and what is wrong."""
    places: dict[str, list[tuple[Path, Service]]] = {}
    for number, layer in enumerate(scenario.layers_services.layers if scenario.layers_services else ()):
        for place, service in enumerate(layer.services):
            places.setdefault(service.name, []).append((("layers", number, "services", place), service))
    if not places:
        return {}, []
    known = finding.available()
    broken = finding.broken()
    parts: dict[str, tuple[str, ...]] = {}
    problems = [
        Problem(str(one.path), one.line, 1, "", "warning", "service-file", f"it defines no service: {one.reason}", "")
        for one in broken
        if one.origin == "scenario" and one.path.stem not in places and not one.readable
    ]
    for name, named in places.items():
        found, problem = _plugin(name, known, broken)
        if found is not None:
            parts[name] = found.sub_services
            for path, service in named:
                problems += _declared(scenario, path, service, found)
        if problem is not None:
            message, hint, severity = problem
            path = (*named[0][0], "name")
            problems.append(
                scenario.problem("layers_services", path, "service-plugin", message, hint, severity=severity)
            )
    return parts, problems


def _declared(scenario: Scenario, path: Path, service: Service, found: finding.Found) -> Iterator[Problem]:
    """What a service says that its plugin does not take; told once where a plugin's declaration is unclear."""
    made = found.definition
    document = scenario.documents.get("layers_services")
    if made is None or document is None:
        return
    if made.unclear is not None:
        line, why = made.unclear
        hint = f"Correct it there; {finding.PAGE} tells what can be declared"
        message = f"{made.path}:{line} declares keys of {service.name!r} that cannot be read: {why}"
        yield scenario.problem("layers_services", (*path, "name"), "service-plugin", message, hint)
    elif made.declared is not None:
        written = {**service.metadata(), **({"env": service.env} if "env" in service.model_fields_set else {})}
        data = declaring.chosen(made.declared, written, Service.model_fields)
        yield from validate_part(document, path, service.name, declaring.model(made.declared), data)


def _plugin(
    name: str, known: Sequence[finding.Found], broken: Sequence[finding.Broken]
) -> tuple[finding.Found | None, tuple[str, str, Severity] | None]:
    """The plugin of a service, and what is wrong: message, hint and severity."""
    try:
        found = finding.chosen(name, known)
    except plugins.PluginError as error:
        return None, (f"{error.what}: {error.why}", error.hint or "", "error")
    if found is not None:
        return found, None
    wrong = next((one for one in broken if one.path.stem == name), None)
    if wrong is not None:
        message = f"{wrong.path}:{wrong.line} is no plugin of service {name!r}: {wrong.reason}"
        return None, (message, "Correct or remove it", "warning" if wrong.readable else "error")
    near = nearest(name, [one.name for one in known if one.origin != "built in"], cutoff=NEAR)
    if near is not None:
        message = f"no plugin is called {name!r}, so nothing is deployed for this service"
        return None, (message, f"Did you mean {near!r}?", "warning")
    return None, None
