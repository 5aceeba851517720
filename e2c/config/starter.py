"""A first scenario to begin with: complete, commented, and made to run on the local testbed."""

from __future__ import annotations

from pathlib import Path

from e2c.config.schema import schemas

ARTIFACTS = "artifacts"
SCHEMAS = ".schemas"
"""Where the first line of each file looks for its schema."""


def starter() -> dict[Path, str]:
    """Text of every file of the scenario, by its path in the scenario folder."""
    folder = Path(__file__).parent / "new_scenario"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    found = {path.relative_to(folder): path.read_text(encoding="utf-8") for path in files}
    found[Path(".gitignore")] = found.pop(Path("gitignore"))  # a package must not hold it under its own name
    wanted = {f"{path.stem}.schema.json" for path in found if path.suffix == ".yaml"}
    return found | {Path(SCHEMAS, name): text for name, text in schemas().items() if name in wanted}
