"""Room for what hosts learn of each other's interfaces (ARP, IPv6 neighbour discovery).

The kernel has one table for each of IPv4 and IPv6, with the entries of all network namespaces in it, and drops packets
when it is full: 1024 entries by default, which 32 hosts that all talk to each other fill. It is enlarged while large
testbeds stand, and set back when the last one goes.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

TABLES = tuple(Path(f"/proc/sys/net/{family}/neigh/default") for family in ("ipv4", "ipv6"))
_LIMITS = ("gc_thresh3", "gc_thresh2", "gc_thresh1")
"""Most entries; entries from which on those older than 5 seconds go; entries up to which all stay."""
_REMEMBERED = "neighbours.json"


def needed(sizes: list[int]) -> int:
    """Entries of testbeds of these sizes: every host, and the controller, may know every other."""
    return sum((size + 1) ** 2 for size in sizes)


def make_room(root: Path, entries: int) -> str | None:
    """Enlarge the tables for so many entries, where they are smaller; the machine's lock must be held.

    Args:
        root: folder where the earlier limits are written down.

    Returns:
        A warning where that is necessary and not possible.
    """
    known = _remembered(root)
    asked: dict[str, list[int]] = {}
    for table in TABLES:
        for place, name in enumerate(_LIMITS):
            path, least = table / name, entries << (2 - place)
            if not table.parent.parent.exists():  # no IPv6
                continue
            try:
                present = int(path.read_text())
            except (OSError, ValueError):  # the machine is a container: only its host may look
                return _warning(entries) if entries > 1024 else None
            if name == "gc_thresh2" and present >= entries:
                asked = {path: limits for path, limits in asked.items() if not path.startswith(str(table))}
                break
            if present < least:
                asked[str(path)] = [known.get(str(path), [present])[0], least]
    if not asked:
        return None
    (root / _REMEMBERED).write_text(json.dumps({**known, **asked}))
    try:
        for name, (_, limit) in asked.items():
            Path(name).write_text(str(limit))
    except OSError:
        return _warning(entries)
    return None


def set_back(root: Path) -> None:
    """Restore the limits that were there before, except those that somebody else has changed since."""
    for name, (before, ours) in reversed(_remembered(root).items()):
        with contextlib.suppress(OSError, ValueError):
            if int(Path(name).read_text()) == ours:
                Path(name).write_text(str(before))
    (root / _REMEMBERED).unlink(missing_ok=True)


def _remembered(root: Path) -> dict[str, list[int]]:
    try:
        return dict(json.loads((root / _REMEMBERED).read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def _warning(entries: int) -> str:
    return (
        "hosts that all talk to each other may lose packets, because the machine's neighbour tables are too small: "
        f"sysctl net.ipv4.neigh.default.gc_thresh3={4 * entries} net.ipv6.neigh.default.gc_thresh3={4 * entries}"
    )
