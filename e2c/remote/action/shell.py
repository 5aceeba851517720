"""Ansible's ``shell``; see :mod:`e2c.remote.light`. Loaded by Ansible from this folder, never imported by e2c."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from e2c.remote import light


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs a command."""

    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> Any:  # noqa: ARG002 - Ansible's signature
        """The result of the task."""
        return light.run(self, "shell", task_vars or {})
