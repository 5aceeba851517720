"""Where settings come from, and what malformed ones do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from provlight_broker import ROOT

from provlight.settings import SETTINGS, Endpoint, Settings, read_credentials

NOWHERE = "/nonexistent"


def settings(environment: dict[str, str], file: str = NOWHERE, **arguments: object) -> Settings:
    return Settings(arguments, environment, file)


def test_defaults() -> None:
    found = settings({})
    assert {setting.name: getattr(found, setting.name) for setting in SETTINGS} == {
        setting.name: setting.default for setting in SETTINGS
    }
    assert found.endpoint is None


def test_an_argument_wins_over_a_variable_and_that_over_the_file_and_that_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text(
        "# a comment\nPROVLIGHT_SERVER_URL=10.0.0.1\nexport PROVLIGHT_SERVER_TOPIC='7'\nPROVLIGHT_BATCH=9\nnonsense\n"
    )
    found = settings({"PROVLIGHT_BATCH": "8"}, str(file), linger_ms=5)
    assert found.endpoint == ("10.0.0.1", 1883)
    assert (found.server_topic, found.batch, found.linger_ms) == ("7", 8, 5)
    assert found.complaints == []
    named = settings({"PROVLIGHT_SERVER_URL": "host"}, str(file))
    assert (named.endpoint, named.server_topic) == (("host", 1883), "1")


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.1.2.3", Endpoint("10.1.2.3", None)),
        ("10.1.2.3:1884", Endpoint("10.1.2.3", 1884)),
        ("2001:660:4406::1", Endpoint("2001:660:4406::1", None)),
        ("[2001:660::1]:1884", Endpoint("2001:660::1", 1884)),
        ("[::1]", Endpoint("::1", None)),
        ("edge.example.org", Endpoint("edge.example.org", None)),
        ("mqtt://host:1884", Endpoint("host", 1884)),
        ("mqtt://[::1]:1884/", Endpoint("::1", 1884)),
    ],
)
def test_server_urls(text: str, endpoint: Endpoint) -> None:
    assert settings({"PROVLIGHT_SERVER_URL": text}).server_url == endpoint


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PROVLIGHT_SERVER_URL", "http://host"),
        ("PROVLIGHT_SERVER_URL", "host:port"),
        ("PROVLIGHT_SERVER_URL", "host:70000"),
        ("PROVLIGHT_SERVER_URL", "[::1"),
        ("PROVLIGHT_SERVER_URL", "a b"),
        ("PROVLIGHT_SERVER_TOPIC", "a/b"),
        ("PROVLIGHT_SERVER_TOPIC", "#"),
        ("PROVLIGHT_SERVER_PORT", "0"),
        ("PROVLIGHT_TRANSPORT", "pigeon"),
        ("PROVLIGHT_FLUSH_TIMEOUT", "-1"),
        ("PROVLIGHT_FLUSH_TIMEOUT", "nan"),
        ("PROVLIGHT_BATCH", "0"),
        ("PROVLIGHT_LINGER_MS", "1.5"),
        ("PROVLIGHT_COMPRESS", "maybe"),
        ("PROVLIGHT_SPOOL_MB", "0"),
        ("PROVLIGHT_DURABILITY", "always"),
    ],
)
def test_a_malformed_variable_is_named_and_the_default_used(variable: str, text: str) -> None:
    found = settings({variable: text})
    setting = next(setting for setting in SETTINGS if setting.variable == variable)
    assert getattr(found, setting.name) == setting.default
    assert len(found.complaints) == 1
    assert found.complaints[0].startswith(f"{variable}={text!r}: ")


def test_a_malformed_argument_raises() -> None:
    for arguments in ({"batch": 0}, {"transport": "pigeon"}, {"no_such": 1}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            settings({}, **arguments)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("1", True), ("No", False), ("false", False)])
def test_switches(text: str, value: bool) -> None:
    assert settings({"PROVLIGHT_COMPRESS": text}).compress is value
    assert settings({}, compress=value).compress is value


def test_credentials(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("edge-1\n pass word \n")
    assert read_credentials(str(path)) == ("edge-1", " pass word ")
    for content in ("", "edge-1", "\npassword\n", "a/b\nsecret-text\n", "#\nsecret-text\n"):
        path.write_text(content)
        with pytest.raises(ValueError, match="credentials") as caught:
            read_credentials(str(path))
        assert "secret-text" not in str(caught.value)
    with pytest.raises(ValueError, match="cannot be read"):
        read_credentials(NOWHERE)


def test_the_manual_has_every_setting() -> None:
    manual = (ROOT / "docs/reference/provlight.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `(PROVLIGHT_\w+)` \|", manual, re.M))
    assert rows == {setting.name: setting.variable for setting in SETTINGS}
    for setting in SETTINGS:
        assert setting.meaning in manual
