"""Ansible's words: keywords of plays and tasks, and which modules are there.

The lists are those of ansible-core 2.17; a test compares them with the installed one. Ansible itself is not imported
here, because that takes longer than everything else a check does.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_BOTH = """
    any_errors_fatal become become_exe become_flags become_method become_user check_mode collections connection
    debugger diff environment ignore_errors ignore_unreachable module_defaults name no_log port remote_user run_once
    tags throttle timeout vars
"""
_PLAY_ONLY = """
    fact_path force_handlers gather_facts gather_subset gather_timeout handlers max_fail_percentage order post_tasks
    pre_tasks roles serial strategy vars_files vars_prompt
"""
_TASK_OR_BLOCK = "delegate_facts delegate_to notify when"
_TASK_ONLY = """
    action args async changed_when delay failed_when local_action loop loop_control poll register retries until
"""
_MODULES = """
    add_host apt apt_key apt_repository assemble assert async_status blockinfile command copy cron deb822_repository
    debconf debug dnf dnf5 dpkg_selections expect fail fetch file find gather_facts get_url getent git group
    group_by hostname import_playbook import_role import_tasks include_role include_tasks include_vars iptables
    known_hosts lineinfile meta package package_facts pause ping pip raw reboot replace rpm_key script service
    service_facts set_fact set_stats setup shell slurp stat subversion systemd systemd_service sysvinit tempfile
    template unarchive uri user validate_argument_spec wait_for wait_for_connection yum yum_repository
"""

PLAY_KEYWORDS = frozenset([*_BOTH.split(), *_PLAY_ONLY.split()])
"""Keywords of plays; ``hosts`` and ``tasks`` are ours to write."""
BLOCK_KEYWORDS = frozenset([*_BOTH.split(), *_TASK_OR_BLOCK.split(), "block", "rescue", "always"])
"""Keywords of blocks."""
TASK_KEYWORDS = frozenset([*_BOTH.split(), *_TASK_OR_BLOCK.split(), *_TASK_ONLY.split()])
"""Keywords of tasks; ``with_...`` too."""
CONDITIONS = frozenset({"when", "changed_when", "failed_when", "until"})
"""Keywords whose text is an expression without braces."""
WHOLE_NUMBERS = frozenset({"async", "poll", "retries", "delay", "timeout", "throttle", "port"})
_FLAGS = """
    any_errors_fatal become check_mode diff force_handlers gather_facts ignore_errors ignore_unreachable no_log run_once
"""
FLAGS = frozenset(_FLAGS.split())
TEXTS = frozenset({"name", "register", "remote_user", "become_user", "become_method", "delegate_to", "strategy"})
TRUTHS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0", "y", "n", "t", "f"})
LOOP_CONTROLS = frozenset({"loop_var", "index_var", "label", "pause", "extended", "extended_allitems"})
"""Keys of ``loop_control``."""

MODULES = frozenset(_MODULES.split())
"""Modules of ansible-core."""

INCLUDES = frozenset({"include_tasks", "import_tasks", "include_vars"})
"""Modules that read a file of tasks or variables."""
LOCAL_SOURCES = frozenset({"copy", "template", "script", "unarchive", "assemble", *INCLUDES})
"""Modules that read a file of the controller."""
_LOOKUPS = """
    config csvfile dict env file fileglob first_found indexed_items ini inventory_hostnames items lines list nested
    password pipe random_choice sequence subelements template together unvault url varnames vars
"""
LOOKUPS = frozenset(_LOOKUPS.split())
"""Lookups of ansible-core, over which ``with_...`` loops."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*", re.IGNORECASE | re.ASCII)


def short(module: str) -> str:
    """A module's name without ``ansible.builtin.``."""
    return module.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")


def is_module(name: str) -> bool:
    """Whether Ansible finds a module of that name: its own, or one of an installed collection."""
    if short(name) in MODULES:
        return True
    if not _NAME.fullmatch(name):
        return False
    if name.count(".") >= 2:
        return _in_collection(name)
    target = redirect("modules", name)
    return target is not None and _in_collection(target)


def redirect(kind: str, name: str) -> str | None:
    """The full name that Ansible takes a short one for; ``kind`` is ``modules``, ``filter`` or ``test``."""
    return _redirects(kind).get(name)


def is_collection(name: str) -> bool:
    """Whether the collection of a full name, ``SPACE.COLLECTION.REST``, is installed."""
    space, collection, *_ = name.split(".")
    return bool(_NAME.fullmatch(name)) and any((root / space / collection).is_dir() for root in _collection_folders())


def _in_collection(name: str) -> bool:
    space, collection, *rest = name.split(".")
    tail = Path(space, collection, "plugins")
    files = [
        tail / kind / Path(*rest).with_suffix(suffix) for kind in ("modules", "action") for suffix in (".py", ".ps1")
    ]
    return any((root / file).is_file() for root in _collection_folders() for file in files)


@cache
def _collection_folders() -> tuple[Path, ...]:
    spec = find_spec("ansible_collections")
    installed = [Path(location) for location in (spec.submodule_search_locations or [])] if spec else []
    return (
        *installed,
        Path.home() / ".ansible/collections/ansible_collections",
        Path("/usr/share/ansible/collections/ansible_collections"),
    )


@cache
def _redirects(kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in _routing(kind).splitlines():
        if head := re.fullmatch(r"    (\S+):", line):
            name = head.group(1)
        elif not line.startswith("      "):
            name = ""
        elif name and (target := re.match(r"      redirect: (\S+)", line)):
            found.setdefault(name, target.group(1))
    return found


@cache
def _routing(kind: str) -> str:
    spec = find_spec("ansible")
    for location in (spec.submodule_search_locations or []) if spec else []:
        file = Path(location, "config", "ansible_builtin_runtime.yml")
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            start = text.find(f"\n  {kind}:\n")
            end = re.compile(r"^  \w+:$", re.MULTILINE).search(text, start + len(kind) + 4)
            return text[start : end.start() if end else None] if start >= 0 else ""
    return ""
