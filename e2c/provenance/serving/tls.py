"""TLS of the broker: a certificate authority made for one data folder, or files that are given.

Everything is done by the program ``openssl`` with a configuration of our own, so that it does not matter what a
distribution has put into the system's. Private keys have mode 0600; the authority's certificate has mode 0644, because
it is copied to devices.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2c.errors import MissingToolError, ProvenanceError
from e2c.provenance.addresses import expanded
from e2c.provenance.folder import DataFolder, write_private

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
RENEW_S = 30 * 86400
"""A certificate of our own that expires within this time is made anew at a start."""

OPENSSL_LIMIT_S = 60

_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
utf8 = yes
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = @names
[names]
{names}
"""


@dataclass(frozen=True)
class Given:
    """Files of ``--tls-cert``, ``--tls-key`` and ``--tls-ca``."""

    certificate: Path
    key: Path
    authority: Path | None


@dataclass(frozen=True)
class Identity:
    """What the broker shows its clients.

    Args:
        authority: file with what clients must trust; None: a public authority that systems trust already.
        name: host name that the certificate is for, where it is for no address on which the broker listens.
    """

    certificate: Path
    key: Path
    authority: Path | None
    name: str | None = None


def find() -> str:
    """Path of openssl.

    Raises:
        MissingToolError: it is not installed.
    """
    path = shutil.which("openssl")
    if path is None:
        raise MissingToolError(
            "openssl is not installed", why="TLS needs it", hint="Install it: apt-get install openssl"
        )
    return path


def own(folder: DataFolder, binds: Sequence[str]) -> Identity:
    """The experiment's own authority, made once, and a certificate for the addresses of this host.

    The certificate is made anew when addresses changed or it is about to expire; devices go on trusting the authority.

    Raises:
        ProvenanceError: openssl failed.
    """
    root = folder.tls
    root.mkdir(mode=0o700, exist_ok=True)
    authority, authority_key = root / "ca.pem", root / "ca.key"
    certificate, key, names = root / "server.pem", root / "server.key", root / "server.names"
    wanted = _wanted(binds)
    if not (authority.exists() and authority_key.exists() and _lasts(authority, RENEW_S)):
        names.unlink(missing_ok=True)
        _make_authority(root, authority, authority_key, folder.root.name)
    complete = certificate.exists() and key.exists() and names.exists()
    if not complete or names.read_text() != "\n".join(wanted) or not _lasts(certificate, RENEW_S):
        names.unlink(missing_ok=True)
        _make_server(root, wanted)
        write_private(names, "\n".join(wanted))  # last: what was interrupted is made anew
    return Identity(certificate, key, authority)


def given(files: Given, binds: Sequence[str]) -> Identity:
    """Check the files that were given.

    Raises:
        ProvenanceError: one cannot be read, they do not belong together, or the certificate is not valid now.
    """
    for path, option in ((files.certificate, "--tls-cert"), (files.key, "--tls-key"), (files.authority, "--tls-ca")):
        if path is not None:
            try:
                path.read_bytes()
            except OSError as error:
                raise ProvenanceError(f"{option} cannot be read", where=str(path), why=error.strerror) from error
    _check_pair(files)
    if not _lasts(files.certificate, 0):
        raise ProvenanceError(
            "the certificate of --tls-cert has expired", where=str(files.certificate), hint="Renew it, then start again"
        )
    if files.authority is not None:
        done = _openssl(
            "verify", "-CAfile", files.authority, "-untrusted", files.certificate, files.certificate, check=False
        )
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
            raise ProvenanceError(
                "the certificate of --tls-cert does not come from the authority of --tls-ca",
                where=str(files.certificate),
                why=lines[0].strip() if lines else None,
            )
    addresses, hosts = _names(files.certificate)
    listening = {ipaddress.ip_address(one.partition("%")[0]) for one in expanded(binds)}
    name = None if listening & addresses else next((one for one in hosts if "*" not in one), None)
    return Identity(
        files.certificate.absolute(), files.key.absolute(), files.authority and files.authority.absolute(), name
    )


def _check_pair(files: Given) -> None:
    def no_password() -> bytes:
        raise ValueError("the key has a password")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, no_password)
    except ValueError as error:
        raise ProvenanceError(
            "--tls-key has a password", where=str(files.key), hint="Give a key without one, readable by you alone"
        ) from error
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        raise ProvenanceError(
            "--tls-key is not the key of --tls-cert"
            if mismatch
            else "--tls-cert or --tls-key is not a file in PEM format",
            where=f"{files.certificate}, {files.key}",
        ) from error


def _wanted(binds: Sequence[str]) -> list[str]:
    """Names of the certificate, as openssl writes them."""
    addresses = sorted({one.partition("%")[0] for one in (*expanded(binds), "127.0.0.1", "::1")})
    host = socket.gethostname()
    hosts = ["localhost", *([host] if host != "localhost" and _is_host_name(host) else [])]
    return [f"IP.{number} = {one}" for number, one in enumerate(addresses)] + [
        f"DNS.{number} = {one}" for number, one in enumerate(hosts)
    ]


def _is_host_name(text: str) -> bool:
    return all(label and label.replace("-", "").isalnum() and label.isascii() for label in text.split("."))


def _make_authority(root: Path, certificate: Path, key: Path, name: str) -> None:
    # Distinct authorities have distinct names, or a client that knows several would try the wrong one.
    shown = "".join(one for one in name if one.isalnum() and one.isascii())[:24]
    configuration = _configure(root, f"e2clab provenance {shown} {os.urandom(4).hex()}", ["DNS.0 = unused"])
    part, part_key = root / ".ca.pem.part", root / ".ca.key.part"
    _openssl(
        *("req", "-x509", "-config", configuration, "-extensions", "authority", "-days", AUTHORITY_DAYS),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", part_key, "-out", part),
    )
    part.chmod(0o644)
    part_key.replace(key)
    part.replace(certificate)


def _make_server(root: Path, names: Sequence[str]) -> None:
    configuration = _configure(root, "e2clab provenance broker", names)
    request, part, part_key = root / ".server.csr", root / ".server.pem.part", root / ".server.key.part"
    _openssl(
        *("req", "-new", "-config", configuration, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-keyout", part_key, "-out", request),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-CA", root / "ca.pem", "-CAkey", root / "ca.key", "-days", SERVER_DAYS),
        *("-set_serial", f"0x{os.urandom(15).hex()}", "-sha256"),
        *("-extfile", configuration, "-extensions", "server", "-out", part),
    )
    part_key.replace(root / "server.key")
    part.replace(root / "server.pem")
    request.unlink()


def _configure(root: Path, name: str, names: Sequence[str]) -> Path:
    path = root / "openssl.cnf"
    write_private(path, _CONFIGURATION.format(name=name, names="\n".join(names)))
    return path


def _lasts(certificate: Path, seconds: int) -> bool:
    """Whether a certificate is valid now and for that long."""
    return _openssl("x509", "-in", certificate, "-noout", "-checkend", seconds, check=False).returncode == 0


def _names(certificate: Path) -> tuple[set[ipaddress.IPv4Address | ipaddress.IPv6Address], list[str]]:
    """Addresses and host names of a certificate."""
    said = _openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName", check=False).stdout
    addresses, hosts = set(), []
    for item in said.replace("\n", ",").split(","):
        kind, _, value = item.strip().partition(":")
        if kind == "IP Address":
            addresses.add(ipaddress.ip_address(value))
        elif kind == "DNS":
            hosts.append(value)
    return addresses, hosts


def _openssl(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [find(), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=OPENSSL_LIMIT_S,
        check=False,
        umask=0o077,
        env={**os.environ, "OPENSSL_CONF": os.devnull},
    )
    if check and done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise ProvenanceError(
            f"openssl {arguments[0]} failed", why=lines[-1] if lines else f"exit code {done.returncode}"
        )
    return done
