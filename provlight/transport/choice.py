"""The transport that the settings name."""

from __future__ import annotations

from provlight.settings import Settings, read_credentials

from . import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional


def transport_maker(settings: Settings) -> Callable[[str], Transport]:
    """What makes the transport, for a partition or, when that is empty, the one of the settings.

    The modules are imported now: a fork while another thread imports would hang the child.
    """
    if settings.transport == "memory":
        from .memory import MemoryTransport

        return lambda _: MemoryTransport()
    if settings.transport == "console":
        from .console import ConsoleTransport

        return lambda _: ConsoleTransport()
    if settings.transport == "file":
        from .file import FileTransport

        path: Optional[str] = settings.file
        assert path is not None
        return lambda _: FileTransport(path)
    from .mqtt import MqttTransport

    assert settings.endpoint is not None
    host, port = settings.endpoint
    encrypt = None
    if settings.tls:
        from .tls import Encryption

        encrypt = Encryption(settings.tls_ca)

    def make(partition: str) -> MqttTransport:
        user, password = read_credentials(settings.credentials) if settings.credentials else (None, None)
        return MqttTransport(host, port, partition or settings.server_topic, user, password, encrypt)

    return make
