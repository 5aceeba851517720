"""``python -m provlight.dataflow.evaluate FILE``: run a specification, print its dataflows as one JSON document.

Modules named ``dfa_lib_python.*`` resolve to this package, so that specifications written for DfAnalyzer run as they
are; the tasks that one makes are not captured. What the specification prints goes to the standard error. A failure is
one line there, and exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import traceback
from typing import Any, Dict, List, Optional, Sequence

from . import declarations
from .modules import install


class SpecificationError(Exception):
    """A specification that cannot be evaluated. The text is ``file:line: message`` on one line."""


def evaluate(path: str) -> List[Dict[str, Any]]:
    """Run a specification in this process and return the JSON objects of the dataflows it saves.

    Raises:
        SpecificationError: unreadable, it raises, it saves nothing, or it saves two dataflows of the same tag.
    """
    install()
    known = len(declarations.saved())
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    argv, sys.argv = sys.argv, [path]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as error:
        if error.code not in (None, 0):
            raise SpecificationError(_where(path, error, "it exits with {!r}".format(error.code))) from error
    except OSError as error:
        raise SpecificationError(_where(path, error, str(error))) from error
    except Exception as error:
        raise SpecificationError(_where(path, error, "{}: {}".format(type(error).__name__, _message(error)))) from error
    finally:
        sys.argv = argv
        sys.path.pop(0)
    flows = declarations.saved()[known:]
    if not flows:
        raise SpecificationError("{}: it saves no dataflow: call save() on one".format(path))
    tags = [flow.tag for flow in flows]
    for tag in tags:
        if tags.count(tag) > 1:
            raise SpecificationError("{}: it saves two dataflows named {!r}".format(path, tag))
    return [flow.to_json() for flow in flows]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m provlight.dataflow.evaluate",
        description="Run a dataflow specification and print what it declares as JSON. Modules of dfa_lib_python are "
        "provided; whatever the specification prints goes to standard error.",
    )
    parser.add_argument("file", metavar="FILE", help="the specification, a Python file")
    specification = parser.parse_args(arguments).file
    # Also what programs started by the specification print must not mix with the document.
    sys.stdout.flush()
    document_fd = os.dup(1)
    os.dup2(2, 1)
    try:
        flows = evaluate(specification)
    except SpecificationError as error:
        sys.stdout.flush()
        sys.stderr.write("{}\n".format(error))
        return 1
    sys.stdout.flush()
    with os.fdopen(document_fd, "w", encoding="utf-8") as document:
        json.dump({"dataflows": flows}, document, ensure_ascii=False)
        document.write("\n")
    return 0


def _where(path: str, error: BaseException, message: str) -> str:
    """``file:line: message``, of the deepest line within the specification."""
    line: Optional[int] = None
    if isinstance(error, SyntaxError) and error.filename == path:
        line = error.lineno
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename == path:
                line = frame.lineno
    place = path if line is None else "{}:{}".format(path, line)
    return " ".join("{}: {}".format(place, message).split())


def _message(error: BaseException) -> str:
    return str(error.msg if isinstance(error, SyntaxError) else error)


if __name__ == "__main__":
    sys.exit(main())
