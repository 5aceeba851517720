"""Testbeds that others wrote: in a distribution of their own, or in the ``environments/`` folder of a scenario.

What they must offer is :class:`e2c.environments.base.Provider`; :class:`OwnTestbed` has all of it but ``acquire``.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from e2c import plugins
from e2c.environments import discovery, limits
from e2c.environments.base import Acquisition, Claim, Finding, Progress, Provider, Watch
from e2c.environments.unbooked import Unbooked
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.remote import sockets

_METHODS = ("check", "examine", "claim", "acquire", "enable_netem", "release", "reservations", "extend", "find")


class OwnTestbed(Unbooked, ABC):
    """A testbed that books nothing; give it a ``name`` and ``acquire``, and override what else it can do.

    Attributes:
        name: what ``environment:`` calls it.
        Settings: pydantic model of its keys under ``environment:``; ``None``: any keys, unchecked.
    """

    name: str
    wiped = False
    Settings: type[BaseModel] | None = None

    @abstractmethod
    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
        """Give every planned host a machine that answers to ssh; :meth:`reached` makes the hosts."""

    def reached(
        self, claim: Claim, addresses: Mapping[str, str], hosts: Sequence[PlannedHost], watch: Watch, **login: Any
    ) -> Acquisition:
        """Hosts at these addresses, once they answer to ssh.

        Args:
            addresses: address by service key.
            hosts: the planned hosts.
            login: ``user``, ``port``, ``keyfile``, ``jump`` of :class:`e2c.model.host.Host`.

        Raises:
            TestbedError: one does not answer in time.
        """
        folder = sockets.folder(claim.experiment)
        sockets.make(folder)
        made = [
            Host(
                **{name: getattr(host, name) for name in ("key", "layer", "service", "roles", "testbed")},
                provider=self.name,
                hostname=addresses[host.key],
                address=addresses[host.key],
                control_dir=folder,
                **login,
            )
            for host in hosts
        ]
        return Acquisition(hosts=discovery.discover(made, limits.limits().ssh_timeout, watch.waiting))

    def check(self, settings: Mapping[str, Any]) -> None:
        """Nothing to refuse."""

    def examine(self, settings: Mapping[str, Any]) -> list[Finding]:
        """What :meth:`check` refuses."""
        try:
            self.check(settings)
        except TestbedError as error:
            return [Finding(aspect="testbed", ok=False, text=str(error.why or error.what), remedy=error.hint or "")]
        return [Finding(aspect="testbed", ok=True, text="nothing speaks against it")]

    def enable_netem(self, claim: Claim, hosts: Sequence[Host], progress: Progress) -> str:  # noqa: ARG002
        """The kernels of the hosts shape links."""
        return "kernel"

    def release(self, claim: Claim, progress: Progress) -> list[str]:  # noqa: ARG002
        """Nothing was booked."""
        sockets.remove(sockets.folder(claim.experiment))
        return []

    def find(self, scenario: str) -> list[Claim]:  # noqa: ARG002
        """None are known without a state."""
        return []


class Guarded:
    """A testbed that others wrote, with its mistakes told as theirs: file, line, and what is wrong.

    ``reserves`` and every method are its own; what it returns is looked at.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._code = Path(inspect.getfile(type(inner)))
        missing = [method for method in _METHODS if not callable(getattr(inner, method, None))]
        if missing:
            raise plugins.PluginError(
                f"the class {type(inner).__name__} has no method {missing[0]}",
                where=f"{self._code}:{inspect.getsourcelines(type(inner))[1]}",
                hint="Derive it from e2c.environments.own.OwnTestbed, which has all methods but acquire",
            )

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._watched(name, value) if name in _METHODS else value

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            with plugins.blamed(self._code):
                answer = method(*arguments, **keywords)
            wanted = _ANSWERS[name]
            if not isinstance(answer, wanted):
                raise self._fault(name, f"returned {type(answer).__name__} where {wanted.__name__} is expected", method)
            if isinstance(answer, Acquisition):
                asked = {host.key for host in arguments[1]}
                given = {host.key for host in answer.hosts} | {board.key for board in answer.boards}
                if asked != given:
                    odd = min(asked ^ given)
                    what = f"gave no machine for {odd}" if odd in asked else f"gave {odd}, which was not planned"
                    raise self._fault(name, what, method)
            return answer

        return call

    def _fault(self, name: str, what: str, method: Callable[..., Any]) -> plugins.PluginError:
        code = inspect.unwrap(method).__code__ if inspect.ismethod(method) else None
        where = f"{code.co_filename}:{code.co_firstlineno}" if code else str(self._code)
        return plugins.PluginError(f"{name} {what}", where=where, hint="See docs/howto/own-testbed.md")


_ANSWERS: dict[str, type] = {
    "check": type(None),
    "examine": list,
    "claim": Claim,
    "acquire": Acquisition,
    "enable_netem": str,
    "release": list,
    "reservations": list,
    "extend": list,
    "find": list,
}


def provider(name: str) -> Provider:
    """The testbed of that name, ready to use.

    Raises:
        UnknownPluginError: there is none.
        PluginError: it is not ours, and wrong.
    """
    made = plugins.load(plugins.ENVIRONMENTS, name)
    if not plugins.is_foreign(plugins.ENVIRONMENTS, name):
        built: Provider = made()
        return built
    code = Path(inspect.getfile(made))
    with plugins.blamed(code):
        inner = made()
    guarded: Any = Guarded(inner)
    return guarded  # type: ignore[no-any-return]


def wrong_settings(name: str, settings: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What a testbed's own model says against its keys: the way to each value, and what is wrong there."""
    model = getattr(provider(name), "Settings", None)
    if model is None:
        return
    known = {key: value for key, value in settings.items() if key not in ("job_name", "walltime", "cluster")}
    with plugins.blamed(Path(inspect.getfile(model))):
        try:
            model.model_validate(known)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                text = detail["msg"]
                named = ".".join(map(str, detail["loc"]))
                yield tuple(detail["loc"]), f"{named}: {text[0].lower()}{text[1:]}" if named else text
