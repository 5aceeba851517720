"""How machines are reached: addresses, and jump hosts on the way."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

DIRECTLY = "none"
"""Value of ``jump`` where a machine is reached without a jump host, whatever holds for the others."""

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"
_HEX = "[0-9A-Fa-f]{1,4}"
_GAPS = "|".join(rf"({_HEX}:){{1,{7 - after}}}(:{_HEX}){{1,{after}}}" for after in range(1, 7))
_V6 = rf"(({_HEX}:){{7}}{_HEX}|({_HEX}:){{1,7}}:|{_GAPS}|:(:{_HEX}){{1,7}}|::)"
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_ADDRESS = f"({_HOST}|{_V6})"
_JUMP = rf"({_USER}@)?({_HOST}|\[{_V6}\])(:{_PORT})?"


def _address(value: str) -> str:
    if not re.fullmatch(_ADDRESS, value):
        raise PydanticCustomError("host-name", "must be a host name or an address, as node-1.example.org or 192.0.2.10")
    return value


def _jump(value: str) -> str:
    if not re.fullmatch(_JUMP, value):
        raise PydanticCustomError("host-name", "must be user@host or user@host:port, as me@gateway.example.org:2222")
    return value


Address = Annotated[
    str,
    Strict(),
    Field(max_length=253),
    AfterValidator(_address),
    WithJsonSchema({"type": "string", "maxLength": 253, "pattern": f"^{_ADDRESS}$"}),
]
JumpHost = Annotated[
    str,
    Strict(),
    Field(max_length=320),
    AfterValidator(_jump),
    WithJsonSchema({"type": "string", "maxLength": 320, "pattern": f"^{_JUMP}$"}),
]
