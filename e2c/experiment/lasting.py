"""The time that a run lasts after its launch, in which nobody asks the hosts anything: they are watched meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from e2c.experiment.events import Event, Observer
from e2c.model.host import Host
from e2c.remote.lookout import lookout
from e2c.remote.watching import Notice

TICK_S = 1.0


def last(
    hosts: Sequence[Host], observe: Observer, until: float, duration_s: float, pause: Callable[[], None] | None
) -> None:
    """Let a run last, then pause. A host that does not answer any more is told within seconds.

    Args:
        hosts: all hosts of the experiment.
        observe: receives how long it still lasts, and which hosts fall silent.
        until: when the duration is over, seconds since the epoch.
        duration_s: how long it is in all.
        pause: called after that; it returns when the pause is over.
    """
    if pause is None and until <= time.time():
        return
    with lookout(hosts, lambda notice: observe(_told(notice))):
        wait = threading.Event()
        while (left := until - time.time()) > 0:
            observe(Event("wait", "launch", f"the run lasts {duration_s:g} s; {left:.0f} s are left"))
            wait.wait(min(TICK_S, left))
        if pause is not None:
            pause()


def _told(notice: Notice) -> Event:
    if notice.kind == "back":
        return Event("step", "launch", f"{notice.key}: answers again")
    text = f"{notice.key}: does not answer any more ({notice.text}) while the run lasts; the others go on"
    return Event("warning", "launch", text, failed=True)
