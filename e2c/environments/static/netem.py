"""Whether links of a machine can be shaped."""

from __future__ import annotations

PROBE = """\
PATH=$PATH:/usr/sbin:/sbin
command -v tc >/dev/null || {{ echo 'tc is not there (package iproute2)' >&2; exit 1; }}
for module in sch_netem sch_htb cls_u32; do modprobe -q $module 2>/dev/null; done
tc qdisc show dev {device} | grep -q '^qdisc htb 1: root' && exit 0
tc qdisc add dev {device} root handle fffe: netem delay 0ms || exit 1
tc qdisc del dev {device} root
"""
"""Shell script: loads what the kernel offers as modules and tries netem for a moment, without delay. An interface
that we shaped already is not touched; one that somebody else shaped makes it fail."""
