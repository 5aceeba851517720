"""TLS below MQTT. A module of its own, because ``ssl`` is large and seldom needed."""

from __future__ import annotations

import socket
import ssl

from . import LinkError, RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional


class Encryption:
    """How a connection is encrypted.

    Args:
        ca: path of the CA certificates that are trusted, None for those of the system. It is read at each connection.
    """

    def __init__(self, ca: Optional[str]) -> None:
        self._ca = ca

    def __call__(self, connection: socket.socket, host: str, where: str) -> socket.socket:
        """The connection, encrypted, its other end known to be ``host``. A connection that fails is closed.

        Raises:
            RefusedError: the certificate is not trusted, or is another host's.
            LinkError: the other end does not speak TLS, or went away.
        """
        try:
            context = ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            connection.close()
            raise RefusedError("CA certificates {} cannot be read: {}".format(self._ca, _reason(error))) from error
        try:
            context.sslsocket_class = TlsSocket
            return context.wrap_socket(connection, server_hostname=host.partition("%")[0])
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise RefusedError("{} is not trusted: {}".format(where, error.verify_message)) from error
        except OSError as error:
            connection.close()
            raise LinkError("{} does not answer with TLS: {}".format(where, _reason(error))) from error


class TlsSocket(ssl.SSLSocket):
    """A TLS connection that tells "not now" as every other socket does."""

    def send(self, data: Any, flags: int = 0) -> int:
        """As that of a socket."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError(str(error)) from error

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As that of a socket; whatever is decrypted comes at once, because nothing would announce it later."""
        try:
            data = super().recv(buflen, flags)
            while data and self.pending():
                data += super().recv(self.pending(), flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError(str(error)) from error
        return data


def _reason(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", None) or str(error)
