"""``workflow-validate.out``: what every play did, as a YAML stream that ``yaml.safe_load_all`` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from e2c.model.plan import Stage
from e2c.remote.results import TaskResult

OUTPUT_FILE = "workflow-validate.out"
_QUICK = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def record(
    path: Path,
    stage: Stage,
    plays: Sequence[Mapping[str, Any]],
    extra_vars: Mapping[str, Any],
    results: Sequence[TaskResult],
) -> None:
    """Append one document per play."""
    documents = [
        {
            "TASK": stage.upper(),
            "ANSIBLE_PLAY": dict(play),
            "EXTRA_VARS": dict(extra_vars),
            "HOSTS": list(play["hosts"]),
            "RETURN": [_returned(result) for result in results if result.play == index],
        }
        for index, play in enumerate(plays)
    ]
    append(path, documents)


def append(path: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    """Append documents to a YAML stream."""
    given: dict[str, Any] = {"explicit_start": True, "sort_keys": False, "allow_unicode": True, "width": 120}
    try:
        text = yaml.dump_all(documents, Dumper=_QUICK, **given)
    except UnicodeError:  # bytes that are no text, which only the slow one writes
        text = yaml.dump_all(documents, Dumper=yaml.SafeDumper, **given)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _returned(result: TaskResult) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "host": result.host,
        "task": result.task,
        "status": result.status.upper(),
        "rc": result.rc,
    }
    fields |= {"stdout": result.stdout, "stderr": result.stderr}
    if result.msg:
        fields["msg"] = result.msg
    if result.job:
        fields["ansible_job_id"] = result.job
    if result.seconds is not None:
        fields["seconds"] = round(result.seconds, 3)
    return fields
