"""What went wrong: counted always, said once."""

from __future__ import annotations

import threading

from .forking import undisturbed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Set


class Report:
    """Counts of losses and misuses. Each kind is logged once, by the logger ``provlight``; nothing here raises."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._said: Set[str] = set()
        self.lost: Dict[str, int] = {}
        """Records dropped, by reason."""
        self.misuses: Dict[str, int] = {}
        """Calls that made no sense, such as a second ``end()``, by kind."""
        self.last_error = ""
        """The latest delivery problem, empty when the last attempt went well."""

    def lose(self, records: int, reason: str, detail: str = "") -> None:
        """Count dropped records."""
        with self._lock:
            self.lost[reason] = self.lost.get(reason, 0) + records
        self.say("lost: " + reason, "records are lost: {}{}".format(reason, ": " + detail if detail else ""))

    def misuse(self, kind: str, detail: str) -> None:
        """Count a call that made no sense."""
        with self._lock:
            self.misuses[kind] = self.misuses.get(kind, 0) + 1
        self.say("misuse: " + kind, "{} (further cases are only counted)".format(detail))

    def say(self, topic: str, sentence: str) -> None:
        """Warn, unless this topic was spoken of already."""
        with self._lock:
            if topic in self._said:
                return
            self._said.add(topic)
        with undisturbed:
            import logging  # most programs never hear from us, so they need not pay for it

        logging.getLogger("provlight").warning("provlight: %s", sentence)

    def forget(self, topic: str) -> None:
        """Allow this topic to be spoken of again."""
        with self._lock:
            self._said.discard(topic)

    @property
    def lost_records(self) -> int:
        """All records dropped."""
        with self._lock:
            return sum(self.lost.values())
