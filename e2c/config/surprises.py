"""Values that YAML 1.1 reads as something else than what is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from e2c.config.document import Document
from e2c.config.problems import Path, Problem, shown

_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


def surprises(document: Document, path: Path) -> Iterator[Problem]:
    """Values at or below a path that YAML reads as something else than what is written."""
    node = document.node(path)
    if node is not None and isinstance(node.value, (dict, list)):
        for key in node.value if isinstance(node.value, dict) else range(len(node.value)):
            yield from surprises(document, (*path, key))
        return
    why = misread(document, path)
    if node is not None and why:
        hint = f'Write it in quotes if it is text: "{node.text}"'
        if isinstance(node.value, str):
            hint = "Write a number with a point and a sign, as 1.0e-3 or 1.0e+3, or text in quotes"
        yield document.problem(path, "yaml-surprise", f"{node.text} is read as {why}", hint, severity="warning")


def misread(document: Document, path: Path) -> str | None:
    """As what YAML 1.1 reads a plain value whose writer may have meant text; ``None`` when it is clear."""
    node = document.node(path)
    if node is None or not node.plain or isinstance(node.value, (dict, list)) or node.value is None:
        return None
    if isinstance(node.value, str):
        return "text, not as a number" if _EXPONENT.fullmatch(node.text) else None
    text = node.text.lower()
    if isinstance(node.value, bool):
        return None if text in ("true", "false") else f"the truth value {shown(node.value)}"
    if ":" in text:
        return f"the number {node.value} (base 60)"
    digits = text.lstrip("+-")
    if isinstance(node.value, int) and len(digits) > 1 and digits.startswith("0") and not digits.startswith("0x"):
        return f"the number {node.value}"
    return None
