"""What this tool leaves on hosts, and how it is undone.

Whoever puts something on a host also puts a script there that removes it. So a host can be cleaned by whoever may log
in, whatever is remembered elsewhere: testbeds that only lend their machines do so when these are given back.
"""

from __future__ import annotations

import shlex

HOME = "/var/lib/e2c"
FOLDER = f"{HOME}/undo"


def leave(name: str, script: str) -> str:
    """Shell command that writes a script onto the host; give it before what the script undoes.

    Args:
        name: plain name of the script; they run in alphabetical order.
        script: for ``sh``, may run twice; prints one clause a line for what it removed, and fails when it could not.
    """
    path = f"{FOLDER}/{name}"
    return f"(umask 022; mkdir -p {FOLDER} && printf '%s\\n' {shlex.quote(script)} >{path})"


def undo() -> str:
    """Shell command that runs all scripts and removes each that ended well; its output is theirs."""
    return (
        f"failed=0; for script in {FOLDER}/*; do [ -f $script ] || continue; "
        "if sh $script; then rm -f $script; else failed=1; fi; done; "
        f"rmdir {FOLDER} 2>/dev/null; [ $failed = 0 ]"
    )
