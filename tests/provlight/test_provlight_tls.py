"""TLS to a real broker: whom it trusts, and what it says when it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from provlight_broker import Broker, Translator

import provlight
from provlight.settings import Settings
from provlight.transport import LinkError, RefusedError
from provlight.transport.choice import transport_maker


class Authority:
    """A CA, and certificates that it signs."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.ca.crt"
        self._key = folder / f"{name}.ca.key"
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def sign(self, *names: str) -> tuple[Path, Path]:
        key, request, certificate, extension = (self._folder / f"server.{end}" for end in ("key", "csr", "crt", "ext"))
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=broker", "-keyout", key, "-out", request,
        )  # fmt: skip
        extension.write_text(f"subjectAltName={','.join(names)}\n")
        self._openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
            "-days", "2", "-extfile", extension, "-out", certificate,
        )  # fmt: skip
        return certificate, key

    def _openssl(self, *words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "experiment")


@pytest.fixture
def encrypted(tmp_path: Path, authority: Authority) -> Iterator[Callable[..., Broker]]:
    """Makes brokers that have a plain listener for the translator and a TLS listener for devices."""
    made: list[Broker] = []

    def make(address: str, *names: str) -> Broker:
        certificate, key = authority.sign(*names)
        broker = Broker(tmp_path, address)
        plain = broker.port
        other = Broker(tmp_path, address)  # for its free port
        broker.configuration.write_text(
            other.configuration.read_text().replace(f"listener {other.port} {address}", f"listener {plain} {address}")
            + f"listener {other.port} {address}\ncertfile {certificate}\nkeyfile {key}\n"
        )
        broker.start()
        broker.tls_port = other.port  # type: ignore[attr-defined]
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.kill()


def url(broker: Broker, scheme: str = "mqtts") -> str:
    host = f"[{broker.address}]" if ":" in broker.address else broker.address
    return f"{scheme}://{host}:{broker.tls_port}"  # type: ignore[attr-defined]


@pytest.mark.broker
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_records_arrive_encrypted(encrypted: Callable[..., Broker], authority: Authority, address: str) -> None:
    broker = encrypted(address, f"IP:{address}")
    translator = Translator(broker)
    try:
        provlight.configure(
            server_url=url(broker),
            tls_ca=str(authority.certificate),
            credentials=str(broker.credentials),
            linger_ms=5,
            compress=False,
        )
        values = [os.urandom(40_000).hex() for _ in range(60)]  # batches of many TLS records
        for number, value in enumerate(values):
            with provlight.Task(number, "flow", "step", []) as task:
                task.used("given", {"value": value})
        assert provlight.flush(30)
        got = [
            text
            for batch in translator.batches
            for group in batch.groups
            for item in group.sets
            for column in item.columns
            for text in column
        ]
        assert got == values
        assert not provlight.stats()["last_error"]
    finally:
        translator.close()


@pytest.mark.broker
def test_who_is_not_trusted_gets_nothing(
    encrypted: Callable[..., Broker], authority: Authority, tmp_path: Path
) -> None:
    broker = encrypted("127.0.0.1", "IP:127.0.0.1")
    stranger = Authority(tmp_path, "stranger")

    def connect(**settings: object) -> None:
        given = {"credentials": str(broker.credentials), **settings}
        transport_maker(Settings(given, {}))("").connect("client")

    with pytest.raises(RefusedError, match=r"port \d+ is not trusted: self.signed certificate|unable to get"):
        connect(server_url=url(broker), tls_ca=str(stranger.certificate))
    with pytest.raises(RefusedError, match="is not trusted"):
        connect(server_url=url(broker))  # the system knows nothing of our CA
    with pytest.raises(RefusedError, match=r"none\.pem cannot be read: No such file"):
        connect(server_url=url(broker), tls_ca=str(tmp_path / "none.pem"))
    (tmp_path / "rubbish.pem").write_text("no certificate")
    with pytest.raises(RefusedError, match=r"rubbish\.pem cannot be read"):
        connect(server_url=url(broker), tls_ca=str(tmp_path / "rubbish.pem"))
    with pytest.raises(LinkError, match="does not answer with TLS"):
        connect(server_url=broker.url, tls_ca=str(authority.certificate))
    with pytest.raises(LinkError, match=r"closed the connection|broke"):
        connect(server_url=url(broker, "mqtt"))


@pytest.mark.broker
def test_a_certificate_of_another_host_is_refused(encrypted: Callable[..., Broker], authority: Authority) -> None:
    broker = encrypted("127.0.0.1", "IP:192.0.2.7", "DNS:elsewhere.example")
    with pytest.raises(RefusedError, match="IP address mismatch"):
        transport_maker(Settings({"server_url": url(broker), "tls_ca": str(authority.certificate)}, {}))("").connect(
            "c"
        )


def test_tls_is_only_loaded_when_it_is_used() -> None:
    program = (
        "import sys, provlight\n"
        "provlight.configure(server_url='127.0.0.1:9', flush_timeout=0)\n"
        "provlight.Workflow('w').begin()\n"
        "sys.exit('ssl' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"server_url": "mqtts://broker"}, (("broker", 8883), True)),
        ({"server_url": "mqtts://broker:1884"}, (("broker", 1884), True)),
        ({"server_url": "mqtts://broker", "server_port": 1885}, (("broker", 1885), True)),
        ({"server_url": "broker", "tls_ca": "ca.pem"}, (("broker", 8883), True)),
        ({"server_url": "mqtt://broker"}, (("broker", 1883), False)),
        ({"server_url": "broker"}, (("broker", 1883), False)),
    ],
)
def test_what_turns_it_on(given: dict[str, object], expected: object) -> None:
    settings = Settings(given, {})
    assert (settings.endpoint, settings.tls) == expected
