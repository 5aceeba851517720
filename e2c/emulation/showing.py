"""What is asked of links, what ``tc`` says and what was measured last, side by side, for ``network --show``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from e2c.emulation import apply, table
from e2c.emulation.constraint import Constraint
from e2c.emulation.difference import agrees
from e2c.emulation.readback import Shape
from e2c.emulation.rows import Row

AGREES, DIFFERS, UNKNOWN = "as asked", "differs", "unknown"


def show(
    asked: Sequence[Constraint],
    told: Mapping[tuple[str, str, str], Shape],
    last: Iterable[Row],
    silent: Container[str] = (),
) -> list[Row]:
    """One row for each host that sends and each address that it sends to.

    Args:
        asked: constraints as they should hold now.
        told: what :func:`e2c.emulation.apply.read_back` found.
        last: rows of the last measurement, from :func:`e2c.emulation.measure.measure` or ``summary.yaml``.
        silent: hosts that did not answer.

    Returns:
        Rows with keys ``src``, ``dst`` (of the rule), ``from``, ``to``, ``device``, ``address``, ``asked``, ``tc``,
        ``state`` (``as asked``, ``differs`` or, of hosts that do not answer, ``unknown``), ``measured`` and
        ``verdict``; the latter two are empty for pairs that were not measured themselves, because others of their rule
        were.
    """
    found: dict[tuple[str, str, str], list[Row]] = {}
    for rule in last:
        for row in rule["pairs"]:
            found.setdefault((row["from"], row["to"], row["family"]), []).append(row)
        for row in rule.get("rates", ()):
            found.setdefault((row["from"], row["to"], row["family"]), []).append(row)
    rows = []
    for constraint in asked:
        for family, address in (("v4", constraint.v4), ("v6", constraint.v6)):
            if not address:
                continue
            shape = told.get((constraint.source, constraint.device, address))
            state = AGREES if shape and agrees(constraint, shape) else DIFFERS
            known = found.get((constraint.source, constraint.destination, family), [])
            rows.append(
                {
                    "src": constraint.src,
                    "dst": constraint.dst,
                    "from": constraint.source,
                    "to": constraint.destination,
                    "device": constraint.device,
                    "address": address,
                    "asked": apply.describe(constraint),
                    "tc": "" if constraint.source in silent else shape.words if shape else "nothing",
                    "state": UNKNOWN if constraint.source in silent else state,
                    "measured": ", ".join(
                        f"rate {table.measured(row)}" if "measured_rate_kbit" in row else table.measured(row)
                        for row in known
                    ),
                    "verdict": ", ".join(dict.fromkeys(row["verdict"] for row in known)),
                }
            )
    return rows
