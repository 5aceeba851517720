"""Filters and tests of templates: which there are.

The lists are those of Jinja 3.1 and ansible-core 2.17; a test compares them with the installed ones.
"""

from __future__ import annotations

from e2c.config.keywords import is_collection, redirect, short

_JINJA_FILTERS = """
    abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format
    groupby indent int items join last length list lower map max min pprint random reject rejectattr replace reverse
    round safe select selectattr slice sort string striptags sum title tojson trim truncate unique upper urlencode
    urlize wordcount wordwrap xmlattr
"""
_ANSIBLE_FILTERS = """
    b64decode b64encode basename bool checksum combinations combine comment commonpath dict2items difference dirname
    expanduser expandvars extract fileglob flatten from_json from_yaml from_yaml_all hash human_readable
    human_to_bytes intersect items2dict log mandatory md5 normpath password_hash path_join permutations pow product
    quote random realpath regex_escape regex_findall regex_replace regex_search rekey_on_member relpath root sha1
    shuffle split splitext strftime subelements symmetric_difference ternary to_datetime to_json to_nice_json
    to_nice_yaml to_uuid to_yaml type_debug union unique unvault urldecode urlsplit vault win_basename win_dirname
    win_splitdrive zip zip_longest
"""
_JINJA_TESTS = """
    boolean callable defined divisibleby eq equalto escaped even false filter float ge greaterthan gt in integer
    iterable le lessthan lower lt mapping ne none number odd sameas sequence string test true undefined upper
    != < <= == > >=
"""
_ANSIBLE_TESTS = """
    abs all any change changed contains directory exists failed failure falsy file finished is_abs is_dir is_file
    is_link is_mount is_same_file isnan issubset issuperset link link_exists match mount nan reachable regex
    same_file search skip skipped started subset succeeded success successful superset truthy unreachable uri url urn
    vault_encrypted version version_compare
"""

FILTERS = frozenset([*_JINJA_FILTERS.split(), *_ANSIBLE_FILTERS.split()])
"""Filters that every template may use."""
TESTS = frozenset([*_JINJA_TESTS.split(), *_ANSIBLE_TESTS.split()])
"""Tests that every template may use."""


def is_filter(name: str) -> bool:
    """Whether templates have a filter of that name: their own, or one of an installed collection."""
    return _is_known(name, FILTERS, "filter")


def is_test(name: str) -> bool:
    """Whether templates have a test of that name: their own, or one of an installed collection."""
    return _is_known(name, TESTS, "test")


def _is_known(name: str, known: frozenset[str], kind: str) -> bool:
    if short(name) in known:
        return True
    target = name if name.count(".") >= 2 else redirect(kind, name)
    # the files of a collection do not tell all names of its filters
    return target is not None and is_collection(target)
