"""The service that needs no deployment: its hosts are registered as they are."""

from __future__ import annotations

from e2c.services.base import Service


class Default(Service):
    """Registers all hosts of the service, without a port."""

    def deploy(self) -> None:
        """Register all hosts."""
        self.register_service()
