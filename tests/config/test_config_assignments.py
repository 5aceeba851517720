"""Values of links on a command line."""

from __future__ import annotations

import pytest

from e2c.cli.completion import LINK_VALUES
from e2c.config.assignments import KEYS, read_change
from e2c.errors import ScenarioError


def test_values_are_those_of_network_yaml() -> None:
    change = read_change(
        "edge", "cloud", ["delay=100ms", "jitter=5ms", "distribution=normal", "rate=1mbit", "loss=5%", "limit=500"]
    )
    named = {name: value for name, value in change.values().named.items() if value is not None}
    assert named == {
        "delay_ms": 100,
        "jitter_ms": 5,
        "distribution": "normal",
        "rate_kbit": 1000,
        "loss_percent": 5,
        "limit_packets": 500,
    }
    assert (change.src, change.dst, change.symmetric) == ("edge", "cloud", False)


@pytest.mark.parametrize(
    ("word", "down"),
    [("down", True), ("up", False), ("down=true", True), ("down=no", False), ("down=On", True), ("down=OFF", False)],
)
def test_links_go_down_and_up(word: str, down: bool) -> None:
    assert read_change("edge", "cloud", [word]).values().down is down


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no value is given. Add one, such as delay=100ms or down"),
        (["dealy=1ms"], "links have no 'dealy'. Did you mean delay=...?"),
        (["dwn"], "'dwn' is no KEY=VALUE. Did you mean 'down'?"),
        (["100ms"], "'100ms' is no KEY=VALUE. Known are delay, jitter, distribution, rate"),
        (["src=cloud"], "links have no 'src'"),
        (["delay=1mz"], "delay has the unit 'mz', which is none of us"),
        (["delay="], "delay must be a delay such as 28ms"),
        (["rate=fast"], "rate must be a rate such as 100mbit"),
        (["loss=5"], "loss must be a percentage such as 0.1%"),
        (["loss=101%"], "loss must lie between 0% and 100%"),
        (["distribution=norml"], "Did you mean 'normal'?"),
        (["down=maybe"], "down must be true or false, not 'maybe'"),
        (["limit=many"], "limit must be a whole number, not 'many'"),
        (["limit=0"], "limit must be at least 1"),
        (["delay=1ms", "delay=2ms"], "delay is given twice"),
        (["up", "down=true"], "down is given twice"),
        (["delay=1ms; reboot"], "delay must be a delay such as 28ms"),
        (["delay=1ms\nloss: 5%"], "delay must be a delay such as 28ms"),
        (["delay=[1"], "delay must be a delay such as 28ms"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(words: list[str], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_change("edge", "cloud", words)
    assert str(caught.value).startswith("command line: ")
    assert said in str(caught.value)


def test_the_shell_proposes_what_there_is() -> None:
    assert LINK_VALUES == KEYS
