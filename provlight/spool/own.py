"""The spool of a capturing process, as its settings want it."""

from __future__ import annotations

import os
import platform

from provlight.report import Report
from provlight.settings import Settings
from provlight.shapes import RUN
from provlight.transport import Transport

from .adoption import Adopter
from .outbox import Bounds, SpoolOutbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Tuple


def make_spool(
    settings: Settings,
    client: str,
    shapes: Callable[[], List[Any]],
    make_transport: Callable[[str], Transport],
    report: Report,
) -> Tuple[SpoolOutbox, Adopter]:
    """The outbox of a client, and what adopts orphans beside it. Nothing is written or started yet.

    Args:
        client: identity of the client.
        shapes: gives the shapes announced so far.
        make_transport: makes the way out for a partition.
        report: where problems are said and counted.
    """
    assert settings.spool_dir is not None
    assert settings.endpoint is not None
    spool = os.path.abspath(settings.spool_dir)  # the application may change its folder
    broker = "{}:{}".format(*settings.endpoint)
    about = {
        "host": platform.node().replace("\n", " "),
        "pid": str(os.getpid()),
        "broker": broker,
        "partition": settings.server_topic,
    }
    if settings.run is not None:
        about[RUN] = settings.run
    bounds = Bounds(disk=settings.spool_mb << 20, memory=settings.outbox_kb << 10)
    outbox = SpoolOutbox(spool, client, about, bounds, settings.durability != "none", shapes, report)
    return outbox, Adopter(spool, broker, make_transport, outbox, report)
