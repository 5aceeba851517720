"""Running our own modules as processes of the standard library only."""

from __future__ import annotations

import sys
from pathlib import Path

import e2c


def standalone(module: str) -> list[str]:
    """Command that runs ``main()`` of one of our modules, quickly and whatever the environment."""
    home = str(Path(e2c.__file__).parent.parent)
    code = f"import sys; sys.path.append({home!r}); from {module} import main; sys.exit(main())"
    return [sys.executable, "-I", "-S", "-B", "-c", code]
