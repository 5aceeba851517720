"""Long outputs of tasks: their beginning and end in what is told and recorded, all of it in a file of the run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

LIMIT = 200_000
"""Characters of a text that is kept as it is. Ansible takes seconds for what is far longer, a YAML file minutes."""
NOTICE = 200
VARIABLE = "E2C_OUTPUT"
"""Environment variable of Ansible: the folder for whole texts."""
FOLDER = "output"


def shortened(text: str, where: str) -> str:
    """The beginning and the end of a text that is longer than :data:`LIMIT`, and between them where all of it is."""
    if len(text) <= LIMIT:
        return text
    half = LIMIT // 2 - NOTICE
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out; {where} ...\n{text[-half:]}"


def kept(text: str, host: str, task: str, stream: str) -> str:
    """The same for what a task wrote to ``stdout`` or ``stderr``, where a text that is too long is in a file first."""
    if len(text) <= LIMIT:
        return text
    folder = os.environ.get(VARIABLE)
    if not folder:
        return shortened(text, "they are not kept")
    try:
        path = _written(Path(folder), f"{host}-{task}", ".err" if stream.endswith("stderr") else ".out", text)
    except OSError as error:
        return shortened(text, f"they are not kept: {error.strerror}")
    return shortened(text, f"all of it is in {path.parent.name}/{path.name}")


def called(task: Any) -> str:
    """The name of a task of Ansible, or that of its module as users write it."""
    return str(task.get_name()).replace("ansible.legacy.", "ansible.builtin.")


def unused(place: Path, name: str, suffix: str = ".out") -> Path:
    """A file that is not there yet, whatever the task is called."""
    plain = re.sub(r"[^A-Za-z0-9._=+-]+", "_", name)[:150].strip("._") or "task"
    path, number = place / f"{plain}{suffix}", 1
    while path.exists():
        number += 1
        path = place / f"{plain}-{number}{suffix}"
    return path


def _written(folder: Path, name: str, suffix: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = unused(folder, name, suffix)
    path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8", errors="surrogateescape")
    return path
