"""A scenario on two testbeds that book in files."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiment_bookings import SCENARIO, Bookings
from worker_groups import pytest_collection_modifyitems as pytest_collection_modifyitems

from e2c import plugins
from e2c.environments import slot


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "layers_services.yaml").write_text(SCENARIO)
    (folder / "network.yaml").write_text("networks: []\n")
    (folder / "workflow.yaml").write_text("[]\n")
    return folder


@pytest.fixture
def asked() -> list[str]:
    """What the testbeds were asked, in order."""
    return []


@pytest.fixture
def testbeds(tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Bookings]:
    """Providers of these names, in place of the installed ones; their slots are always free."""
    made = {name: Bookings(name, tmp_path, asked) for name in ("g5k", "iotlab")}
    made["static"] = Bookings("static", tmp_path, asked, reserves=False)
    monkeypatch.setattr(plugins, "names", lambda group: sorted(made))
    monkeypatch.setattr(plugins, "load", lambda group, name: lambda: made[name])
    monkeypatch.setattr(slot, "secure", lambda requests, watch: asked.append(f"slot of {len(requests)}"))
    return made
