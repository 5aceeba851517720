"""What is said when shaping fails on hosts."""

from __future__ import annotations

from types import SimpleNamespace

from enoslib.errors import EnosError, EnosFailedHostsError

from e2c.emulation.enforce import explain


def record(host: str, said: str) -> SimpleNamespace:
    commands = "tc qdisc add dev eth0 root handle 1: htb ; " * 100
    results = [{"item": commands, "stdout": f"first\r\n{said}\r\n"}, {"item": commands, "msg": ""}]
    return SimpleNamespace(host=host, status="FAILED", payload={"results": results})


def test_each_host_says_its_last_line_and_no_command_is_repeated() -> None:
    error = EnosFailedHostsError([record(f"edge.worker.1.{number}", "no such device") for number in range(1, 8)])
    text = explain(error)
    assert text.startswith("edge.worker.1.1: no such device; edge.worker.1.2: no such device")
    assert text.endswith("and 2 more hosts")
    assert "tc qdisc" not in text


def test_other_errors_keep_their_words() -> None:
    assert explain(EnosError("no  network\nknown")) == "no network known"
