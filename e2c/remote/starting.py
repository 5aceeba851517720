"""``ansible-playbook`` with what it does not need left out: half of the time until its first task.

Run as ``python -m e2c.remote.starting``. paramiko, another way of ssh, is loaded by every start of Ansible where it is
installed, and used by none of ours.
"""

from __future__ import annotations

import gc
import os
import sys

from e2c.remote.lifeline import die_with_parent


def main() -> None:
    """Run plays; the arguments are those of ``ansible-playbook``."""
    # its workers would go on with their tasks, and begin new ones, when it is killed
    os.register_at_fork(after_in_child=die_with_parent)
    sys.modules["paramiko"] = None  # type: ignore[assignment]  # as if it were not installed
    gc.set_threshold(100_000, 50, 50)  # starting makes many objects that stay, and every task is a fork of them

    from ansible.cli import playbook

    playbook.main()


if __name__ == "__main__":
    main()
