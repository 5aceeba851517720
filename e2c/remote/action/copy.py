"""Ansible's ``copy``; see :mod:`e2c.remote.light_copy`. Loaded by Ansible from this folder, never imported by e2c."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from e2c.remote import light_copy


class ActionModule(ActionBase):  # type: ignore[misc]
    """Copies a file."""

    TRANSFERS_FILES = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> Any:  # noqa: ARG002 - Ansible's signature
        """The result of the task."""
        return light_copy.run(self, task_vars or {})
