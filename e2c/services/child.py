"""The child's side: one hook of a plugin, told as JSON lines.

Run by :mod:`e2c.services.process` as ``python -m e2c.services.child DESCRIPTOR`` with the request as JSON on standard
input.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from e2c.errors import E2CError
from e2c.remote import inside
from e2c.remote.inside import Send
from e2c.services.running import Answer, Asked, Explain, loaded, perform, words


def answer(request: Mapping[str, Any], send: Send) -> None:
    """Do what the request asks and send what happens, the result or the error last."""
    asked = Asked.model_validate(request)

    def say(text: str) -> None:
        send({"event": "say", "text": text})

    def warn(text: str) -> None:
        send({"event": "warn", "text": text})

    if asked.path:  # files beside it may be imported; this process ends with the hook, so nobody else finds them
        sys.path.append(str(Path(asked.path).resolve().parent))
    stand_in: AbstractContextManager[None] = nullcontext()
    explain: Explain = words
    if asked.foreign:
        from e2c.services import adapter

        stand_in, explain = adapter.stood_in(say, warn, Path(asked.path).resolve().parent), adapter.explained
    try:
        with stand_in:
            cls = loaded(asked, explain)
            brought = Answer() if asked.hook == "load" else perform(cls, asked, say, warn, explain)
    except E2CError as error:
        traceback.print_exc()
        send({"event": "error", "what": error.what, "where": error.where, "why": error.why, "hint": error.hint})
    else:
        send({"event": "result", "value": brought.model_dump(mode="json")})


if __name__ == "__main__":
    inside.answer(answer)
