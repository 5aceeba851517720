"""Which tests one worker of pytest-xdist runs together, and which begin first.

By ``--dist loadgroup`` alone every worker makes what the tests of a file share anew, for those that it happens to get.
Rooms that share something costly import the hook into their ``conftest.py``.
"""

from __future__ import annotations

import pytest

_COSTLY = {"testbed", "layers", "shaped"}
"""Fixtures of the whole session that are worth a worker: local testbeds with netem."""
_SPREAD = {"test_standins_faults.py"}
"""Files whose tests wait for so long that, one after the other, they would end last."""
_FIRST = ("netns", "monetdb", "broker")
"""Marks of tests that wait for others; files that only compute fill the processors beside them, until the end."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook too
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group tests that share something, and put what waits first; in workers only."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        name = _group(item)
        if name and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(name))
        _name_group(item)
    waiting = {item.path for item in items if any(item.get_closest_marker(name) for name in _FIRST)}
    items.sort(key=lambda item: item.path not in waiting)  # the order within a file stays


def _name_group(item: pytest.Item) -> None:
    """Let the name of a test end in its group, where the scheduler looks for it.

    pytest-xdist 3.8 does so itself, but in an attribute that newer versions of pytest no longer read.
    """
    mark = item.get_closest_marker("xdist_group")
    if mark is None or not hasattr(item, "_id"):
        return
    end = f"@{mark.args[0]}"
    if not item.nodeid.endswith(end):
        item._id = type(item._id).parse(item.nodeid + end)


def _group(item: pytest.Item) -> str | None:
    """The fixture that a test shares with other files, or its file where it shares one with the rest of that."""
    known = getattr(item, "_fixtureinfo", None)
    scopes = {name: made[-1].scope for name, made in known.name2fixturedefs.items() if made} if known else {}
    for name, scope in scopes.items():
        if name in _COSTLY and scope == "session":
            return name
    return item.path.stem if "module" in scopes.values() and item.path.name not in _SPREAD else None
