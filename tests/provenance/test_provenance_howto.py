"""The commands of the page about serving, run as they stand, in a network of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "serve.md"
SERVE = "e2clab provenance serve"

pytestmark = [pytest.mark.broker, pytest.mark.monetdb]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def script() -> str:
    """A block that serves runs beside those that follow, until one of them stops it."""
    lines = ["set -euo pipefail", "ip link set lo up"]
    for block in blocks("sh"):
        if block.startswith(SERVE):
            lines += [": >said", f"{block.rstrip()} --format text >said 2>&1 & server=$!"]
            lines += [
                "until grep -q 'Stop it with' said; do kill -0 $server || { cat said; exit 1; }; sleep 0.05; done"
            ]
        else:
            lines += [block.rstrip(), *(["wait $server; cat said"] if "provenance stop" in block else [])]
    return "\n".join(lines)


@pytest.mark.netns
def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a network of its own needs root")
    for name, program in zip(("dataflow.py", "train.py"), blocks("python"), strict=True):
        (tmp_path / name).write_text(program)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PROVLIGHT_")}
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script()],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), "PATH": programs},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("Stopped; everything that arrived is stored.") == 3
    assert re.search(r"^ *9 +9 +0\.98\d*$", done.stdout, re.MULTILINE)
    assert "mqtts://127.0.0.1:8883" in done.stdout
    assert "-----BEGIN CERTIFICATE-----" in done.stdout
    counted = re.findall(r"^e2c_provenance_records_stored_total\{.*\} (\d+)$", done.stdout, re.MULTILINE)
    assert counted
    assert len(set(counted)) == 1
    assert (tmp_path / "dsn").stat().st_mode & 0o777 == 0o600
