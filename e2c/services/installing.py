"""Service plugins in the user's folder: put there, taken away."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from e2c.errors import ServiceError
from e2c.services import finding, reading, running
from e2c.services.context import Tell
from e2c.services.finding import DEFAULT, PAGE, Found

LOAD_S = 120


def add(file: Path, *, link: bool, force: bool, tell: Tell) -> tuple[Path, list[Found]]:
    """Put a file of plugins into the user's folder, once it has been shown that it can be used.

    Args:
        link: let the folder point to the file, which then may be edited where it is.
        force: take the place of a file of that name.
        tell: receives what the file says while it is loaded.

    Returns:
        Where it lies now, and the plugins that it defines.

    Raises:
        ServiceError: the file is no plugin, cannot be run, or something is there already; nothing was changed.
    """
    definitions, wrong = reading.read(file)
    if wrong is not None:
        raise ServiceError("cannot be read, so it was not added", where=f"{file}:{wrong[0]}", why=wrong[1])
    if file.suffix != ".py" or not definitions:
        why = "no class in it is derived from Service and has deploy" if file.suffix == ".py" else "it is no .py file"
        what = "defines no service plugin, so it was not added"
        raise ServiceError(what, where=str(file), why=why, hint=f"See {PAGE}")
    beside = [] if link else reading.neighbours(file)
    if beside:
        why = f"it needs {', '.join(one.name for one in beside)} beside it, and one file is copied"
        hint = "Add it with --link, or make a distribution of them"
        raise ServiceError("was not added", where=str(file), why=why, hint=hint)
    unclear = next((one.unclear for one in definitions if one.unclear), None)
    if unclear is not None:
        what = "declares keys that cannot be read, so it was not added"
        raise ServiceError(what, where=f"{file}:{unclear[0]}", why=unclear[1], hint=f"See {PAGE}")
    target = finding.folder() / file.name
    _unclaimed([one.name for one in definitions], target, force=force)
    for one in definitions:
        found = Found(one.name, "user", str(file), one)
        running.call(found, running.Asked(service=one.name, hook="load"), tell, tell, limit_s=LOAD_S)
    _place(file, target, link=link)
    return target, [Found(one.name, "user", str(target), one) for one in definitions]


def remove(name: str) -> list[Path]:
    """Take the file of a plugin, or the file of that name, out of the user's folder; gives what was removed.

    Raises:
        ServiceError: no plugin of that name lies there.
    """
    if name == DEFAULT:
        raise ServiceError(f"{DEFAULT} is part of e2clab and cannot be removed")
    known = finding.available()
    paths = {Path(one.source) for one in known if one.origin == "user" and one.name == name}
    paths |= {one.path for one in finding.broken() if one.origin == "user" and name in (one.path.stem, one.path.name)}
    if not paths:
        elsewhere = next((one for one in known if one.name == name), None)
        if elsewhere is None:
            raise finding.unknown(name)
        raise ServiceError(
            f"the plugin {name!r} is not in {finding.folder()}, so it was not removed",
            why=f"it comes from {elsewhere.source}",
            hint="Remove it there" if elsewhere.origin == "scenario" else "Uninstall the distribution it is part of",
        )
    for path in paths:
        path.unlink()
    return sorted(paths)


def _unclaimed(names: list[str], target: Path, *, force: bool) -> None:
    if os.path.lexists(target) and not force:
        raise ServiceError(f"{target} exists already", hint="Replace it with --force, or remove it first")
    for one in finding.available():
        if one.origin == "user" and one.name in names and Path(one.source) != target:
            hint = f"Remove it first: e2clab services remove {one.name}"
            raise ServiceError(f"a plugin {one.name!r} exists already in {one.source}", hint=hint)


def _place(file: Path, target: Path, *, link: bool) -> None:
    """Put the file in its place, whole or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder, file.name)
            if link:
                part.symlink_to(file.resolve())
            else:
                shutil.copyfile(file, part)
            part.replace(target)
    except OSError as error:
        raise ServiceError("cannot write", where=str(target), why=error.strerror) from error
