"""A plugin at work: one of its hooks, in a child process that can be bounded and stopped."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from e2c import plugins
from e2c.errors import E2CError, ServiceError
from e2c.model.frozen import Frozen
from e2c.model.host import Host
from e2c.model.service import Registration
from e2c.services import finding, process
from e2c.services.base import Service
from e2c.services.context import CONTEXT, Context, Tell
from e2c.services.finding import Found
from e2c.services.registering import plain

Hook = Literal["load", "deploy", "check", "backup", "destroy"]
DOING: dict[Hook, str] = {
    "load": "cannot be loaded",
    "deploy": "could not be deployed",
    "check": "could not be asked how it is",
    "backup": "could not be saved",
    "destroy": "could not be ended",
}
DATA = "services-data"
"""Folder of an experiment, or of a run, with what plugins save; also what plugins of E2Clab print."""
RECORDED: frozenset[Hook] = frozenset({"deploy", "backup", "destroy"})
"""Hooks whose output is kept."""
Explain = Callable[[BaseException], str]


class Asked(Frozen):
    """What a plugin is asked to do; all of it can be sent to a child process.

    Attributes:
        service: ``layer.service.id``.
        hook: which of its methods; ``load``: only make sure that there is such a class.
        path, cls: its file, and the class in it; or ``entry``, the module and class of one whose file is not known.
        foreign: it was written for E2Clab.
        hosts, metadata, known, kept, registered: see :class:`e2c.services.base.Service` and its context.
        scenario_dir, artifacts_dir, folder: absolute folders.
        target: folder for ``backup``.
    """

    service: str
    hook: Hook
    path: str = ""
    cls: str = ""
    entry: str = ""
    foreign: bool = False
    hosts: tuple[Host, ...] = ()
    metadata: dict[str, Any] = {}
    known: dict[str, dict[str, Any]] = {}
    kept: dict[str, Any] = {}
    registered: tuple[Registration, ...] = ()
    scenario_dir: str = ""
    artifacts_dir: str = ""
    folder: str = ""
    target: str = ""


class Answer(Frozen):
    """What a hook brought.

    Attributes:
        registered, kept: as they are now.
        reason: why the service does not work; ``None``: it does.
    """

    registered: tuple[Registration, ...] = ()
    kept: dict[str, Any] = {}
    reason: str | None = None


def call(
    found: Found, asked: Asked, say: Tell, warn: Tell, *, limit_s: float | None = None, more: str | None = None
) -> Answer:
    """Let a plugin do what is asked.

    Args:
        say, warn: receive what it tells.
        limit_s: seconds after which it is stopped; ``None``: never.
        more: how to allow it more time, a full clause.

    Raises:
        ServiceError: it failed, with the place in its code; or it took too long, or its process died.
    """
    if found.origin == "built in":
        return perform(finding.load(found), asked, say, warn)
    made = found.definition
    own = {"path": str(made.path), "cls": made.cls, "foreign": made.e2clab} if made else {"entry": found.source}
    log = Path(asked.folder, DATA, asked.service, f"{asked.hook}.out") if asked.hook in RECORDED else None
    return Answer.model_validate(
        process.run(
            asked.model_copy(update=own).model_dump(mode="json"),
            say,
            warn,
            limit_s=limit_s,
            log=log,
            what=f"service {asked.service} {DOING[asked.hook]}",
            more=more,
        )
    )


def has(found: Found, hook: Hook) -> bool:
    """Whether a plugin has that method of its own.

    Raises:
        PluginError: its code cannot be run.
    """
    if found.definition is not None:
        return hook in found.definition.hooks
    return getattr(finding.load(found), hook, None) is not getattr(Service, hook, None)


def loaded(asked: Asked, explain: Explain | None = None) -> type[Any]:
    """The class of a plugin, whose code is run by that.

    Raises:
        ServiceError: it cannot be run, or is no plugin.
    """
    with _told(asked, Path(asked.path or asked.entry), explain or words):
        return finding.loaded(Path(asked.path), asked.cls) if asked.path else finding.installed(asked.entry)


def perform(cls: type[Any], asked: Asked, say: Tell, warn: Tell, explain: Explain | None = None) -> Answer:
    """Make an object of a plugin and call one of its hooks, in this process.

    Args:
        explain: makes one clause of an exception.

    Raises:
        ServiceError: the plugin raised something.
    """
    context = Context(
        hosts=asked.hosts,
        known=asked.known,
        scenario_dir=Path(asked.scenario_dir),
        artifacts_dir=Path(asked.artifacts_dir),
        folder=Path(asked.folder),
        say=say,
        warn=warn,
        kept=asked.kept,
        registered=asked.registered,
    )
    token = CONTEXT.set(context)
    try:
        with _told(asked, Path(inspect.getfile(cls)), explain or words):
            service: Service = cls(cls.given(asked.hosts), asked.metadata)
            return _hooked(service, asked, warn)
    finally:
        CONTEXT.reset(token)


def _hooked(service: Service, asked: Asked, warn: Tell) -> Answer:
    reason = None
    if asked.hook == "deploy":
        service.deploy()
        if not service.registered:
            warn(f"{asked.service}: its plugin registered nothing, so all its hosts are registered")
            service.register_service()
    elif asked.hook == "check":
        reason = _reason(service.check())
    elif asked.hook == "backup":
        service.backup(Path(asked.target))
    elif asked.hook == "destroy":
        service.destroy()
    return Answer(registered=service.registered, kept=plain(service.kept, "what is kept"), reason=reason)


def _reason(said: object) -> str | None:
    if said is None or (isinstance(said, str) and said.strip()):
        return None if said is None else str(said)
    raise ValueError(f"check returned {said!r}; it returns None where the service works, else the reason as text")


@contextmanager
def _told(asked: Asked, code: Path, explain: Explain) -> Iterator[None]:
    """Whatever is raised in the block as one sentence, with the place in the plugin's code."""
    what = f"service {asked.service} {DOING[asked.hook]}"
    try:
        yield
    except plugins.PluginError as error:
        raise ServiceError(what, where=error.where, why=error.why or error.what, hint=error.hint) from error
    except E2CError as error:
        why = f"{error.where}: {error.what}" if error.where else error.what
        why = f"{why}: {error.why}" if error.why else why
        raise ServiceError(what, where=plugins.place(error, code), why=why, hint=error.hint) from error
    except (Exception, SystemExit) as error:
        hint = f"Correct it there; {finding.PAGE} tells what is expected"
        raise ServiceError(what, where=plugins.place(error, code), why=explain(error), hint=hint) from error


def words(error: BaseException) -> str:
    """One clause of what a plugin raised."""
    return f"{type(error).__name__}: {error}".rstrip(": .")
