"""Names that users choose: what they may be, because folders, shells, patterns and host names will hold them."""

from __future__ import annotations

import keyword
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from typing_extensions import LiteralString

MAX_NAME = 63
"""Longest name of a layer or service: one label of a host name."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ -]*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CONFIGURATION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*", re.ASCII)
_OTHER_RUN = re.compile(r"run|repeat-[0-9]+", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_.:@/+~ =,-]*", re.ASCII)
_RESOURCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)
_JOB_TYPE = re.compile(r"[A-Za-z0-9_]+(=[A-Za-z0-9_.:*|+@/-]+)?", re.ASCII)
_METRICS = re.compile(r"[A-Za-z0-9_.*|()+?^$\[\]-]+", re.ASCII)
_SHELL = frozenset(";&|<>$`\"'\\*?!{}()\n\r\t")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.@+-]+", re.ASCII)

RESERVED = frozenset({"all", "ungrouped", "localhost", "provenance_service", "monitoring_service"})
"""Names that patterns or the tool itself use."""
_OUTPUT = """
    background e2clab.err e2clab.log layers_services-validate.yaml manifest.json monitoring-data network-validate
    plan.json provenance-data services-data state.json workflow-validate.out
"""
OUTPUT_NAMES = frozenset(_OUTPUT.split())
"""What the output folder holds, so that no configuration can have its name."""


def _refuse(code: LiteralString, message: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError(code, "{why}", {"why": message, "hint": hint})


def _name(value: str) -> str:
    if not value.strip():
        raise _refuse("name", "must not be empty")
    if value != value.strip():
        raise _refuse("name", "must not begin or end with a blank")
    if value.startswith("-"):
        raise _refuse("name", "must begin with a letter, a digit or '_', not with '-'")
    if not _NAME.fullmatch(value):
        bad = next((char for char in value if not _NAME.fullmatch(f"a{char}b")), value[0])
        raise _refuse("name", f"may hold only letters a to z, digits, '-' and '_', not {bad!r}")
    if value.lower() in RESERVED:
        raise _refuse("name", f"must not be {value!r}, which has a meaning of its own")
    return value


def _role(value: str) -> str:
    if not value:
        raise _refuse("name", "must not be empty")
    if value.startswith("-"):
        raise _refuse("name", "must begin with a letter, a digit or '_', not with '-'")
    if not _NAME.fullmatch(value) or " " in value:
        bad = next((char for char in value if char == " " or not _NAME.fullmatch(f"a{char}")), value[0])
        raise _refuse("name", f"may hold only letters a to z, digits, '-' and '_', not {bad!r}")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value) or ".." in value:
        raise _refuse("host-name", "must be a host name, as gros-1.nancy.grid5000.fr")
    return value


def _reservation(value: str) -> str:
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise _refuse("date", "must be a date that exists, YYYY-mm-dd HH:MM:SS") from None
    return value


def _relative(value: str) -> str:
    if not value.strip():
        raise _refuse("path", "must not be empty")
    parts = value.replace("\\", "/").split("/")
    if value.startswith(("/", "~")) or ".." in parts:
        raise _refuse("path-escape", "must lie inside the artifacts folder", "Write a relative path without '..'")
    return value


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        bad = next((char for char in value if not _WORD.fullmatch(f"a{char}")), value[0])
        raise _refuse("name", f"may not hold {bad!r}")
    return value


def _resource(value: str) -> str:
    if not _RESOURCE.fullmatch(value):
        bad = next((char for char in value if not _RESOURCE.fullmatch(f"a{char}")), value[0])
        raise _refuse("name", f"may not hold {bad!r}" if bad in value[1:] else f"may not begin with {bad!r}")
    return value


def _job_type(value: str) -> str:
    if not _JOB_TYPE.fullmatch(value):
        raise _refuse("name", "must be a job type, as deploy or inner=1234")
    return value


def _metrics(value: str) -> str:
    if not _METRICS.fullmatch(value):
        raise _refuse("name", "must be a pattern of metrics, as prom_.*")
    try:
        re.compile(value)
    except re.error as error:
        raise _refuse("name", f"must be a regular expression: {error.msg}") from None
    return value


def _local_file(value: str) -> str:
    if not value.strip():
        raise _refuse("path", "must not be empty")
    bad = next((char for char in value if char in _SHELL or not char.isprintable()), "")
    if bad:
        raise _refuse("name", f"may not hold {bad!r}")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, (bool, float)):
        raise _refuse("type", "must be a whole number")
    return value


def is_identifier(name: str) -> bool:
    """Whether a name can be a variable in Jinja and Ansible."""
    return bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name)


def configuration_fault(name: str) -> str | None:
    """Why a name cannot be an application configuration; ``None`` when it can."""
    if not name.strip():
        return "the name of a configuration must not be empty"
    if "," in name:
        return "the name of a configuration must not hold a comma, which separates them in --app_conf"
    if not _CONFIGURATION.fullmatch(name) or len(name) > MAX_NAME:
        return (
            "the name of a configuration becomes a folder: at most 63 letters a to z, digits, '-', '_' and '.', "
            "the first a letter, a digit or '_'"
        )
    if name.lower() in OUTPUT_NAMES:
        return f"the name of a configuration must not be {name}, where results are written"
    if _OTHER_RUN.fullmatch(name):
        return f"the name of a configuration must not be {name}, which runs without a configuration are called"
    return None


def safe_text(text: str) -> str:
    """Text with everything replaced by ``_`` that a shell, a path or a testbed could take amiss."""
    return _UNSAFE.sub("_", text).strip("_.-") or "E2Clab"


def key_part(name: str) -> str:
    """A layer's or service's name as a part of service keys: lower case, blanks as ``_``."""
    return "_".join(name.lower().split())


Text = Annotated[str, Strict(), Field(min_length=1)]
Name = Annotated[
    str,
    Strict(),
    Field(max_length=MAX_NAME),
    AfterValidator(_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME,
            "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_ -]*[A-Za-z0-9_-])?$",
        }
    ),
]
Role = Annotated[
    str,
    Strict(),
    Field(max_length=MAX_NAME),
    AfterValidator(_role),
    WithJsonSchema({"type": "string", "maxLength": MAX_NAME, "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$"}),
]
HostName = Annotated[
    str,
    Strict(),
    Field(max_length=253),
    AfterValidator(_host),
    WithJsonSchema({"type": "string", "maxLength": 253, "pattern": "^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"}),
]
Reservation = Annotated[
    str,
    Strict(),
    AfterValidator(_reservation),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$"}),
]
ArtifactPath = Annotated[
    str,
    Strict(),
    AfterValidator(_relative),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"^(?![/~])(?!.*(^|[/\\])\.\.([/\\]|$)).*\S"}),
]
Word = Annotated[
    str,
    Strict(),
    Field(min_length=1, max_length=255),
    AfterValidator(_word),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9_./~][A-Za-z0-9_.:@/+~ =,-]*$"}
    ),
]
"""A name that a testbed defines: a cluster, an image, an architecture."""
Resource = Annotated[
    str,
    Strict(),
    Field(min_length=1, max_length=255),
    AfterValidator(_resource),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.+-]*$"}),
]
"""A name of a cluster, site, zone or type that a testbed defines; it never is a path."""
JobType = Annotated[
    str,
    Strict(),
    Field(min_length=1, max_length=255),
    AfterValidator(_job_type),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9_]+(=[A-Za-z0-9_.:*|+@/-]+)?$"}
    ),
]
Metrics = Annotated[
    str,
    Strict(),
    Field(min_length=1, max_length=255),
    AfterValidator(_metrics),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[A-Za-z0-9_.*|()+?^$\[\]-]+$"}),
]
LocalFile = Annotated[
    str,
    Strict(),
    Field(min_length=1, max_length=4096),
    AfterValidator(_local_file),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 4096,
            "pattern": r"""^(?=.*\S)[^;&|<>$`"'\\*?!{}()\n\r\t]+$""",
        }
    ),
]
"""A file of this machine, named without what a shell would take amiss."""
WHOLE = BeforeValidator(_whole)
"""Refuses what only equals a whole number: true, 4.0."""
Flag = Annotated[bool, Strict()]
Metadata = dict[str, Any]
