"""Pages lead somewhere, and nothing in the repository names the machine it was written on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")],
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if (ROOT / "docs") in page.parents}
    assert {page for page in pages - {"README.md"} if f"({page})" not in index} == set()


def test_the_two_commands_of_the_readme_are_what_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^apt-get install -y make && (make \w+)$", readme, re.MULTILINE)
    assert commands == ["make tutorial", "make test"]
    run = (ROOT / ".ci" / "run").read_text()
    assert all(re.search(f"^{command}( \\|.*)?$", run, re.MULTILINE) for command in commands)


def test_scripts_are_executable_and_parse() -> None:
    for script in (
        ROOT / ".ci" / "run",
        ROOT / ".ci" / "install-system.sh",
        ROOT / "examples/provenance-tutorial/run.sh",
    ):
        assert script.stat().st_mode & 0o111, script
        subprocess.run(["bash", "-n", script], check=True)
