"""Settings: an argument of :func:`provlight.configure`, else a ``PROVLIGHT_*`` variable, else a default.

Where no broker is named, ``/etc/provlight/environment`` (lines ``KEY=value``) takes the place of variables that are not
set. A malformed variable is warned of once and the default is used; a malformed argument raises ``ValueError``.
"""

from __future__ import annotations

import os

from .shapes import MAX_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
else:
    from .namedtuples import NamedTuple

ENVIRONMENT_FILE = "/etc/provlight/environment"
"""Defaults of a host, written by whoever prepared it."""

TRANSPORTS = ("mqtt", "file", "memory", "console", "none")
"""Names of transports."""

DURABILITIES = ("batch", "record", "none")
"""When what is in the spool outlives a power cut."""


class Setting(NamedTuple):
    """One setting, declared once."""

    name: str
    variable: str
    default: Any
    parse: Callable[[str], Any]
    meaning: str


class Endpoint(NamedTuple):
    """Where a broker listens."""

    host: str
    port: Optional[int]  # None: the port is set elsewhere
    tls: bool = False


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("it must be at least 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86400:
        raise ValueError("it must be from 0 to 86400")
    return value


def _switch(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("it must be on or off")


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise ValueError("a port is from 1 to 65535")
    return value


def _partition(text: str) -> str:
    value = text.strip()
    if not value or any(character in value for character in "/+#\0"):
        raise ValueError("it must be one level of a topic")
    return value


def _transport(text: str) -> str:
    if text not in TRANSPORTS:
        raise ValueError("it must be one of {}".format(", ".join(TRANSPORTS)))
    return text


def _durability(text: str) -> str:
    if text not in DURABILITIES:
        raise ValueError("it must be one of {}".format(", ".join(DURABILITIES)))
    return text


def _run(text: str) -> str:
    value = text.strip()
    if not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise ValueError("it must have 1 to {} characters that can be printed".format(MAX_NAME))
    return value


def _endpoint(text: str) -> Endpoint:
    address = text.strip()
    scheme, separator, rest = address.partition("://")
    if separator:
        if scheme not in ("mqtt", "mqtts"):
            raise ValueError("the scheme must be mqtt, or mqtts for TLS")
        address = rest.rstrip("/")
    host, port = address, ""
    if address.startswith("["):
        host, closed, rest = address[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address with a port is written [address]:port")
        port = rest[1:]
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    if not host or any(character.isspace() or character == "/" for character in host):
        raise ValueError("it must be an address or host name, with :port if need be")
    return Endpoint(host, _port(port) if port else None, scheme == "mqtts" if separator else False)


SETTINGS: Tuple[Setting, ...] = (
    Setting(
        "server_url",
        "PROVLIGHT_SERVER_URL",
        None,
        _endpoint,
        "Broker: an IPv4 or IPv6 address or a host name, alone or as `host:port`, `[v6]:port`, `mqtt://host:port`, "
        "with TLS `mqtts://host:port`.",
    ),
    Setting(
        "server_port",
        "PROVLIGHT_SERVER_PORT",
        None,
        _port,
        "Port of the broker, where the URL names none; without it 1883, with TLS 8883.",
    ),
    Setting("server_topic", "PROVLIGHT_SERVER_TOPIC", "1", _partition, "Partition of the translator to publish to."),
    Setting(
        "credentials",
        "PROVLIGHT_CREDENTIALS",
        None,
        str,
        "Path of a file (mode 0600): the broker user on the first line, the password on the second.",
    ),
    Setting(
        "tls_ca",
        "PROVLIGHT_TLS_CA",
        None,
        str,
        "Path of the CA certificates (PEM) that the broker's certificate must come from. It turns TLS on; `mqtts://` "
        "without it trusts the CAs of the system.",
    ),
    Setting("transport", "PROVLIGHT_TRANSPORT", "mqtt", _transport, "`mqtt`, `file`, `memory`, `console` or `none`."),
    Setting("file", "PROVLIGHT_FILE", None, str, "Path of the file that the transport `file` writes to."),
    Setting(
        "flush_timeout",
        "PROVLIGHT_FLUSH_TIMEOUT",
        30.0,
        _seconds,
        "Seconds that the end of the program, or `flush()`, waits for delivery.",
    ),
    Setting("batch", "PROVLIGHT_BATCH", 256, _positive, "Records in a message, at most."),
    Setting("linger_ms", "PROVLIGHT_LINGER_MS", 100, _positive, "Milliseconds that a record waits for company."),
    Setting("compress", "PROVLIGHT_COMPRESS", True, _switch, "Compress messages: `on` or `off`."),
    Setting(
        "buffer_kb",
        "PROVLIGHT_BUFFER_KB",
        12288,
        _positive,
        "Memory for captured records that are not encoded yet, in KiB (estimated).",
    ),
    Setting(
        "outbox_kb",
        "PROVLIGHT_OUTBOX_KB",
        32768,
        _positive,
        "Memory for encoded messages that are not stored yet, in KiB.",
    ),
    Setting(
        "spool_dir",
        "PROVLIGHT_SPOOL_DIR",
        None,
        str,
        "Folder that keeps messages until they are stored, even if the process dies. Used by the transport `mqtt`.",
    ),
    Setting(
        "spool_mb",
        "PROVLIGHT_SPOOL_MB",
        256,
        _positive,
        "Size of that folder, of all processes together, in MiB. When it is full, the newest records are dropped.",
    ),
    Setting(
        "durability",
        "PROVLIGHT_DURABILITY",
        "batch",
        _durability,
        "`batch`: a message is on the disk before it is sent; `record`: calls return only then; `none`: it is written, "
        "but not waited for.",
    ),
    Setting(
        "dataflow",
        "PROVLIGHT_DATAFLOW",
        None,
        str,
        "Path of the evaluated dataflow (JSON). Set names, attribute names and counts are then checked at the call.",
    ),
    Setting(
        "run",
        "PROVLIGHT_RUN",
        None,
        _run,
        "Name of the run that tasks are part of, which keeps apart what the same program captures again; at most 256 "
        "characters. An experiment sets it.",
    ),
)
"""Every setting, in the order of the manual."""


class Settings:
    """The values in force, one attribute for each of :data:`SETTINGS`, and ``complaints`` about malformed ones."""

    server_url: Optional[Endpoint]
    server_port: Optional[int]
    server_topic: str
    credentials: Optional[str]
    tls_ca: Optional[str]
    transport: str
    file: Optional[str]
    flush_timeout: float
    batch: int
    linger_ms: int
    compress: bool
    buffer_kb: int
    outbox_kb: int
    spool_dir: Optional[str]
    spool_mb: int
    durability: str
    dataflow: Optional[str]
    run: Optional[str]

    def __init__(
        self,
        arguments: Optional[Mapping[str, Any]] = None,
        environment: Optional[Mapping[str, str]] = None,
        environment_file: str = ENVIRONMENT_FILE,
    ) -> None:
        self.complaints: List[str] = []
        variables = dict(os.environ if environment is None else environment)
        given = dict(arguments or {})
        unknown = sorted(set(given) - {setting.name for setting in SETTINGS})
        if unknown:
            raise ValueError("there is no setting named {}".format(", ".join(unknown)))
        if given.get("server_url") is None and not variables.get("PROVLIGHT_SERVER_URL"):
            for key, value in _read_environment_file(environment_file, self.complaints).items():
                variables.setdefault(key, value)
        for setting in SETTINGS:
            setattr(self, setting.name, self._value(setting, given.get(setting.name), variables))

    def _value(self, setting: Setting, argument: Any, variables: Mapping[str, str]) -> Any:
        if argument is not None:
            try:
                return setting.parse(str(argument))
            except ValueError as error:
                raise ValueError("{}={!r}: {}".format(setting.name, argument, error)) from error
        text = variables.get(setting.variable, "")
        if not text:
            return setting.default
        try:
            return setting.parse(text)
        except ValueError as error:
            self.complaints.append("{}={!r}: {}; using {}".format(setting.variable, text, error, setting.default))
            return setting.default

    @property
    def endpoint(self) -> Optional[Tuple[str, int]]:
        """Host and port of the broker, None when no broker is named."""
        if self.server_url is None:
            return None
        return self.server_url.host, self.server_url.port or self.server_port or (8883 if self.tls else 1883)

    @property
    def tls(self) -> bool:
        """Whether the connection to the broker is encrypted and its certificate checked."""
        return self.tls_ca is not None or (self.server_url is not None and self.server_url.tls)


def read_credentials(path: str) -> Tuple[str, str]:
    """User and password from a credentials file.

    Raises:
        ValueError: the file is unreadable or malformed; the message never holds the password.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError("credentials {} cannot be read: {}".format(path, error)) from error
    if len(lines) < 2 or not lines[0]:
        raise ValueError(
            "credentials {} must hold the user on the first line and the password on the second".format(path)
        )
    if any(character in lines[0] for character in "/+#\0"):
        raise ValueError("credentials {}: a user name cannot hold any of / + #".format(path))
    return lines[0], lines[1]


def _read_environment_file(path: str, complaints: List[str]) -> Dict[str, str]:
    found: Dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return found
    except (OSError, UnicodeDecodeError) as error:
        complaints.append("{} cannot be read: {}".format(path, error))
        return found
    for line in lines:
        key, separator, value = line.strip().partition("=")
        if separator and not key.startswith("#"):
            found[key.strip().replace("export ", "", 1)] = value.strip().strip("\"'")
    return found
