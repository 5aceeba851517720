"""The child's side: one hook of a plugin of E2Clab, told as JSON lines.

Run by :mod:`e2c.services.process` as ``python -m e2c.services.child DESCRIPTOR`` with the request as JSON on standard
input.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2c import plugins
from e2c.errors import E2CError
from e2c.remote import inside
from e2c.remote.inside import Send
from e2c.services import finding
from e2c.services.running import DOING, Asked, perform


def answer(request: Mapping[str, Any], send: Send) -> None:
    """Do what the request asks and send what happens, the result or the error last."""
    asked = Asked.model_validate(request)

    def say(text: str) -> None:
        send({"event": "say", "text": text})

    def warn(text: str) -> None:
        send({"event": "warn", "text": text})

    try:
        from e2c.services import adapter

        with adapter.stood_in(say, warn):
            code = plugins.module(Path(asked.path), finding.WHAT, finding.PAGE)
            cls = getattr(code, asked.cls)
            if asked.hook == "load":
                send({"event": "result", "value": {}})
                return
            brought = perform(cls, asked, say, warn, adapter.explained)
    except E2CError as error:
        traceback.print_exc()
        what = f"service {asked.service} {DOING[asked.hook]}" if isinstance(error, plugins.PluginError) else error.what
        send({"event": "error", "what": what, "where": error.where, "why": error.why, "hint": error.hint})
    else:
        send({"event": "result", "value": brought.model_dump(mode="json")})


if __name__ == "__main__":
    inside.answer(answer)
