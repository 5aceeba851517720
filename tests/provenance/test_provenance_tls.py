"""TLS: devices that trust the authority get through, others are refused, and given files are looked at first."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from provenance_application import capture, command, credentials
from provenance_parts import Service

from e2c.errors import ProvenanceError
from e2c.provenance.folder import DataFolder
from e2c.provenance.queries import ask
from e2c.provenance.reporting.status import drain, report
from e2c.provenance.serving import tls

FAST = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


def self_signed(root: Path, name: str, *, days: int = 2, subject: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    certificate, key = root / f"{name}.pem", root / f"{name}.key"
    ends = ("-addext", f"subjectAltName={subject}", "-keyout", key, "-out", certificate, "-days", days)
    openssl("req", "-x509", *FAST, "-subj", f"/CN={name}", *ends)
    return certificate, key


def names_of(certificate: Path) -> str:
    said = ["openssl", "x509", "-in", str(certificate), "-noout", "-ext", "subjectAltName"]
    return subprocess.run(said, check=True, capture_output=True, text=True).stdout


@pytest.mark.broker
@pytest.mark.monetdb
def test_devices_get_through_with_the_right_authority_only(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve("--tls", "--bind", "127.0.0.1", "--bind", "::1")
    urls = service.information["mqtt"]
    assert [url.rpartition(":")[0] for url in urls] == ["mqtts://127.0.0.1", "mqtts://[::1]"]
    authority = service.information["tls_ca"]
    known = {"PROVLIGHT_CREDENTIALS": credentials(tmp_path)}
    for url in urls:
        done = capture({**known, "PROVLIGHT_SERVER_URL": url, "PROVLIGHT_TLS_CA": authority})
        assert done.stderr == ""
    drain(service.folder, 30)
    with ask(service.folder, "SELECT count(*), count(DISTINCT client_id) FROM task") as answer:
        assert list(answer.rows) == [(6, 2)]

    other, _ = self_signed(tmp_path, "other")
    wrong = {"another's authority": str(other), "the system's authorities": ""}
    for what, path in wrong.items():
        chosen = {"PROVLIGHT_TLS_CA": path} if path else {}
        done = capture({**known, **chosen, "PROVLIGHT_SERVER_URL": urls[0]}, flush_s=2)
        assert "is not trusted" in done.stderr, what
    done = capture({**known, "PROVLIGHT_SERVER_URL": urls[0].replace("mqtts", "mqtt")}, flush_s=2)
    assert "127.0.0.1 port" in done.stderr
    with ask(service.folder, "SELECT count(*) FROM task") as answer:
        assert list(answer.rows) == [(6,)]
    assert report(service.folder)["healthy"]


@pytest.mark.broker
@pytest.mark.monetdb
def test_only_tls_is_reachable_from_elsewhere(serve: Callable[..., Service]) -> None:
    service = serve("--tls", "--bind", "0.0.0.0")
    configuration = (service.folder.broker / "mosquitto.conf").read_text()
    listeners = [line.split()[1:] for line in configuration.splitlines() if line.startswith("listener")]
    local = str(service.information["local"]["port"])
    assert listeners == [[str(service.port), "0.0.0.0"], [local, "127.0.0.1"]]


@pytest.mark.broker
@pytest.mark.monetdb
def test_env_names_the_authority(tmp_path: Path, serve: Callable[..., Service]) -> None:
    service = serve("--tls")
    printed = command("env", service.folder).stdout
    assert f"export PROVLIGHT_TLS_CA={service.folder.tls / 'ca.pem'}\n" in printed
    assert f"export PROVLIGHT_SERVER_URL=mqtts://127.0.0.1:{service.port}\n" in printed
    assert (service.folder.tls / "ca.pem").stat().st_mode & 0o777 == 0o644
    assert (service.folder.tls / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (service.folder.tls / "server.key").stat().st_mode & 0o777 == 0o600


def test_the_certificate_follows_the_addresses_and_the_authority_stays(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.make()
    first = tls.own(folder, ("127.0.0.1",))
    assert first.authority is not None
    authority, certificate = first.authority.read_bytes(), first.certificate.read_bytes()
    assert tls.own(folder, ("127.0.0.1",)).certificate.read_bytes() == certificate
    second = tls.own(folder, ("192.0.2.7", "2001:db8::7", "fe80::1%lo"))
    assert second.certificate.read_bytes() != certificate
    assert first.authority.read_bytes() == authority
    said = names_of(second.certificate)
    for name in ("192.0.2.7", "2001:DB8:0:0:0:0:0:7", "FE80:0:0:0:0:0:0:1", "127.0.0.1", "DNS:localhost"):
        assert name in said
    openssl("verify", "-x509_strict", "-CAfile", first.authority, second.certificate)


def test_what_an_interrupted_start_left_is_made_anew(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.make()
    for lost in ("ca.pem", "ca.key", "server.pem", "server.key", "server.names"):
        tls.own(folder, ("127.0.0.1",))
        (folder.tls / lost).unlink()
        made = tls.own(folder, ("127.0.0.1",))
        assert made.authority is not None
        openssl("verify", "-CAfile", made.authority, made.certificate)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.certificate, made.key)


def test_a_certificate_about_to_expire_is_renewed(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.make()
    made = tls.own(folder, ("127.0.0.1",))
    short, key = self_signed(tmp_path, "short", days=3)
    made.certificate.write_bytes(short.read_bytes())
    made.key.write_bytes(key.read_bytes())
    renewed = tls.own(folder, ("127.0.0.1",))
    assert renewed.certificate.read_bytes() != short.read_bytes()
    assert renewed.authority is not None
    openssl("verify", "-CAfile", renewed.authority, renewed.certificate)


def test_given_files_are_looked_at(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "given")
    other, other_key = self_signed(tmp_path, "other")
    fits = tls.given(tls.Given(certificate, key, certificate), ("127.0.0.1",))
    assert (fits.certificate, fits.authority, fits.name) == (certificate, certificate, None)

    def sentence(*files: Path | None) -> str:
        with pytest.raises(ProvenanceError) as refused:
            tls.given(tls.Given(*files), ("127.0.0.1",))  # type: ignore[arg-type]
        return str(refused.value)

    assert "--tls-cert cannot be read: No such file" in sentence(tmp_path / "none", key, None)
    assert "--tls-key cannot be read: No such file" in sentence(certificate, tmp_path / "none", None)
    assert "--tls-ca cannot be read: No such file" in sentence(certificate, key, tmp_path / "none")
    assert "--tls-key is not the key of --tls-cert" in sentence(certificate, other_key, None)
    assert "does not come from the authority of --tls-ca" in sentence(certificate, key, other)
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("rubbish")
    assert "is not a file in PEM format" in sentence(rubbish, key, None)
    assert "is not a file in PEM format" in sentence(certificate, rubbish, None)
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", locked)
    assert "--tls-key has a password" in sentence(certificate, locked, None)
    expired, expired_key = _expired(tmp_path)
    assert "has expired" in sentence(expired, expired_key, None)


def test_a_certificate_for_a_name_gives_its_name(tmp_path: Path) -> None:
    named, key = self_signed(tmp_path, "named", subject="DNS:*.lab.example,DNS:broker.lab.example")
    assert tls.given(tls.Given(named, key, None), ("0.0.0.0",)).name == "broker.lab.example"


@pytest.mark.broker
@pytest.mark.monetdb
def test_given_files_serve(serve: Callable[..., Service], tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "given", subject="DNS:localhost")
    files = ("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-ca", str(certificate))
    service = serve(*files, "--bind", "127.0.0.1")
    assert service.information["mqtt"] == [f"mqtts://localhost:{service.port}"]
    environment = {"PROVLIGHT_SERVER_URL": service.information["mqtt"][0], "PROVLIGHT_TLS_CA": str(certificate)}
    done = capture({**environment, "PROVLIGHT_CREDENTIALS": credentials(tmp_path)})
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--tls-cert", "x"), "--tls-cert and --tls-key go together"),
        (("--tls-key", "x"), "--tls-cert and --tls-key go together"),
        (("--tls", "--tls-ca", "x"), "--tls-ca goes with --tls-cert and --tls-key"),
    ],
)
def test_half_of_the_files_is_refused(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    done = command("serve", DataFolder(tmp_path / "data"), *arguments)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def _expired(root: Path) -> tuple[Path, Path]:
    """`openssl req` makes none that is over already; a small authority does."""
    key, request, certificate = root / "expired.key", root / "expired.csr", root / "expired.pem"
    openssl("req", "-new", *FAST, "-subj", "/CN=expired", "-keyout", key, "-out", request)
    (root / "index").write_text("")
    (root / "serial").write_text("01\n")
    configuration = root / "ca.cnf"
    configuration.write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={root}/index\nserial={root}/serial\nnew_certs_dir={root}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    dates = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
    signing = ("-selfsign", "-keyfile", key, "-in", request, "-out", certificate, "-batch", "-notext")
    openssl("ca", "-config", configuration, *signing, *dates)
    return certificate, key
