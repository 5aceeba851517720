"""Settings of the environment are typed, and slips of the pen are told."""

from __future__ import annotations

from pathlib import Path

from e2c.config.settings import Settings, read_settings


def test_nothing_is_set() -> None:
    ours = {"E2C_EVENTS_FD": "3", "E2C_RUN": "trial-1", "E2C_OPTIMIZATION_CONFIG": "{}"}
    assert read_settings({"PATH": "/bin", "E2C_TESTBED": "", **ours}) == (Settings(), [])


def test_known_variables() -> None:
    settings, problems = read_settings({"E2C_TESTBED": "local", "E2C_SCENARIO_DIR": "/x", "E2C_NETEM": "switch"})

    assert (settings.testbed, settings.scenario_dir, settings.netem) == ("local", Path("/x"), "switch")
    assert problems == []


def test_unknown_variables_are_told_with_what_was_meant() -> None:
    _, problems = read_settings({"E2C_TESTBEDS": "local", "E2C_G5K_CLUSER": "gros"})

    assert [(problem.severity, problem.path) for problem in problems] == [
        ("warning", "E2C_G5K_CLUSER"),
        ("warning", "E2C_TESTBEDS"),
    ]
    assert problems[1].hint == "Did you mean 'E2C_TESTBED'?"


def test_a_wrong_value_is_an_error_and_not_taken() -> None:
    settings, problems = read_settings({"E2C_TESTBED": "moon", "E2C_NETEM": "kernel"})

    assert settings == Settings(netem="kernel")
    assert [problem.sentence() for problem in problems] == [
        "environment: error: E2C_TESTBED must be local, not 'moon'."
    ]
