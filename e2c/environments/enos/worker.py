"""The child's side: one action of a testbed's adapter, told as JSON lines.

Run by :mod:`e2c.environments.enos.agent` as ``python -m e2c.environments.enos.worker DESCRIPTOR`` with the request as
JSON on standard input. The action is a function of the adapter; the request's other keys are its arguments, ``claim``,
``hosts`` and ``requests`` turned into models, and it is given the :class:`~e2c.environments.base.Watch` if it has a
parameter ``watch``.
"""

from __future__ import annotations

import importlib
import inspect
import traceback
from typing import Any

from pydantic import BaseModel

from e2c.environments.base import Claim, Watch
from e2c.errors import E2CError
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation
from e2c.remote import inside
from e2c.remote.inside import Send

ADAPTERS = {
    "g5k": "e2c.environments.g5k.adapter",
    "iotlab": "e2c.environments.iotlab.adapter",
    "slot": "e2c.environments.enos.slot",
}
"""Module that does the actions of each provider; ``slot`` those of several together."""
TESTBEDS = {"g5k": "Grid'5000", "iotlab": "FIT IoT-LAB"}
FAULT = "This is a fault of e2c or of a library that it uses: please report it"


def perform(request: dict[str, Any], send: Send) -> None:
    """Do what the request asks and send its events, the result or the error last."""
    arguments = {key: _decoded(key, value) for key, value in request.items() if key not in ("action", "provider")}
    try:
        function = getattr(importlib.import_module(ADAPTERS[request["provider"]]), request["action"])
        if "watch" in inspect.signature(function).parameters:
            arguments["watch"] = watch(send)
        result = function(**arguments)
    except E2CError as error:
        send({"event": "error", "what": error.what, "where": error.where, "why": error.why, "hint": error.hint})
    except Exception as error:  # noqa: BLE001 - whatever it is, it must become a sentence on the other side
        traceback.print_exc()
        what = f"{request['action']} failed without a reason that e2c knows"
        why = " ".join(str(error).split()) or type(error).__name__
        send(
            {"event": "error", "what": what, "where": name(request["provider"]), "why": why.rstrip("."), "hint": FAULT}
        )
    else:
        send({"event": "result", "value": _encoded(result)})


def watch(send: Send) -> Watch:
    """A watch that sends what it is told."""

    def reserved(reservation: Reservation) -> None:
        send({"event": "reserved", "reservation": reservation.model_dump(mode="json")})

    return Watch(
        lambda text: send({"event": "say", "text": text}),
        lambda text: send({"event": "waiting", "text": text}),
        reserved,
    )


def name(provider: str) -> str:
    """What messages call a testbed."""
    return TESTBEDS.get(provider, provider)


def _decoded(argument: str, value: Any) -> Any:
    if argument == "claim":
        return Claim.model_validate(value)
    if argument == "hosts":
        return tuple(PlannedHost.model_validate(host) for host in value)
    if argument == "requests":
        return tuple((_decoded("claim", claim), _decoded("hosts", hosts)) for claim, hosts in value)
    return value


def _encoded(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (list, tuple)):
        return [_encoded(item) for item in value]
    return value


if __name__ == "__main__":
    inside.answer(perform)
