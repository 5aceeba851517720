"""An interface under ``tc``: takes the commands that this tool gives, keeps and prints things as iproute2 6.1 does.

Everything here was seen on the real one: times are kept in ticks of 64 ns and printed in three digits, rates in bytes a
second and printed in the largest unit that leaves four digits, a netem keeps what a change does not name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count

_DEFAULTS = {"limit": "1000", "delay": "0ms", "jitter": "0ms", "loss": "0%"}
_KEPT = {"reorder": "0%", "corrupt": "0%", "distribution": ""}
_UNITS = ("", "K", "M", "G", "T")


class Refused(Exception):
    """What the real one refuses."""


@dataclass
class Netem:
    handle: str
    serial: int
    values: dict[str, str] = field(default_factory=dict)

    def tell(self, words: list[str]) -> None:
        named = dict(_DEFAULTS)
        place = 0
        while place < len(words):
            key, value = words[place], words[place + 1]
            named[key] = value
            place += 2
            if key == "delay" and place < len(words) and re.fullmatch(r"[\d.]+ms", words[place]):
                named["jitter"] = words[place]
                place += 1
        self.values = {**_KEPT, **self.values, **named}
        delay, jitter = _ticks(self.values["delay"]), _ticks(self.values["jitter"])
        if named.get("distribution") and not (delay and jitter):
            raise Refused("distribution specified but no latency and jitter values")
        if float(named.get("reorder", "0%")[:-1]) and not delay:
            raise Refused("reordering not possible without specifying some delay")

    def words(self) -> str:
        delay, jitter = _time(self.values["delay"]), _time(self.values["jitter"])
        words = [f"limit {self.values['limit']}"]
        if delay or jitter:
            words.append(f"delay {delay or '0us'}" + (f"  {jitter}" if jitter else ""))
        words += [
            f"{name} {_share(self.values[name])}"
            for name in ("loss", "reorder", "corrupt")
            if float(self.values[name][:-1])
        ]
        return " ".join(words) + (" gap 1" if float(self.values["reorder"][:-1]) else "")


class Interface:
    """One interface."""

    def __init__(self, device: str = "eth0") -> None:
        self.device = device
        self.root = "noqueue 0:"
        self.rates: dict[str, str] = {}
        self.netems: dict[str, Netem] = {}
        self.filters: dict[tuple[str, str], dict[str, tuple[list[str], str, str]]] = {}
        self.record = ""
        self.serials = count()

    def run(self, script: str) -> None:
        """Take a script; what it says of itself is kept apart."""
        self.record = "".join(f"{line}\n" for line in script.splitlines() if line.startswith("#= "))
        for line in script.splitlines():
            if not line.startswith("#"):
                self._run(line)

    def _run(self, line: str) -> None:
        if found := re.fullmatch(rf"qdisc replace dev {self.device} root (?:handle (1:) )?(\w+)", line):
            self.root = f"{found[2]} {found[1] or '8001:'}"
            self.rates, self.netems, self.filters = {}, {}, {}
        elif found := re.fullmatch(
            rf"class (add|change) dev {self.device} parent 1: classid (\S+) htb rate (\S+) quantum 60000", line
        ):
            self._require((found[2] in self.rates) == (found[1] == "change"), line)
            self.rates[found[2]] = found[3]
        elif found := re.fullmatch(rf"class del dev {self.device} classid (\S+)", line):
            used = any(flow == found[1] for table in self.filters.values() for _, flow, _ in table.values())
            self._require(found[1] in self.rates and not used, line)
            del self.rates[found[1]]
            self.netems.pop(found[1], None)
        elif found := re.fullmatch(
            rf"qdisc (add|change|replace) dev {self.device} parent (\S+) handle (\S+): netem (.*)", line
        ):
            self._qdisc(found[1], found[2], found[3], found[4].split(), line)
        elif found := re.fullmatch(
            rf"filter add dev {self.device} parent 1: protocol (\S+) pref (\d+) u32 (match .*) flowid (\S+)"
            r"(?: action mirred egress mirror dev (\S+) continue)?",
            line,
        ):
            table = self.filters.setdefault((found[1], found[2]), {})
            number = next(one for one in count(0x800) if f"{one:x}" not in table)
            table[f"{number:x}"] = found[3].split(" "), found[4], found[5] or ""
        elif found := re.fullmatch(
            rf"filter del dev {self.device} parent 1: protocol (\S+) pref (\d+) handle (\w+)::(\w+) u32", line
        ):
            key = found[1], found[2]
            self._require(key in self.filters and self._table(key) == found[3] and found[4] in self.filters[key], line)
            del self.filters[key][found[4]]
        else:
            raise Refused(line)

    def _qdisc(self, verb: str, parent: str, handle: str, words: list[str], line: str) -> None:
        there = self.netems.get(parent)
        self._require(parent in self.rates, line)
        if verb == "add":
            self._require(there is None, line)
        if verb == "change":
            self._require(there is not None and there.handle == handle, line)
        if there is None or there.handle != handle:
            self._require(all(one.handle != handle for one in self.netems.values()), line)
            there = self.netems[parent] = Netem(handle, next(self.serials))
        there.tell(words)

    def _require(self, fine: bool, line: str) -> None:
        if not fine:
            raise Refused(line)

    def _table(self, key: tuple[str, str]) -> str:
        return f"{0x800 + list(self.filters).index(key):x}"

    def listing(self) -> str:
        """What ``qdisc show``, ``class show`` and ``filter show`` say, after what was kept."""
        lines = [f"qdisc {self.root} root refcnt 2" + (" r2q 10 default 0" if self.root == "htb 1:" else "")]
        for parent, netem in sorted(self.netems.items(), reverse=True):
            lines.append(f"qdisc netem {netem.handle}: parent {parent} {netem.words()}")
        for classid, rate in self.rates.items():
            leaf = f"leaf {self.netems[classid].handle}: " if classid in self.netems else ""
            printed = _rate(rate)
            lines.append(f"class htb {classid} root {leaf}prio 0 rate {printed} ceil {printed} burst 0b cburst 0b ")
        for key, table in sorted(self.filters.items(), key=lambda entry: int(entry[0][1])):
            begin = f"filter parent 1: protocol {key[0]} pref {key[1]} u32 chain 0"
            number = self._table(key)
            lines += [f"{begin} ", f"{begin} fh {number}: ht divisor 1 "]
            for node, (words, flow, copier) in table.items():
                lines.append(
                    f"{begin} fh {number}::{node} order 2048 key ht {number} bkt 0 *flowid {_flow(flow)} not_in_hw "
                )
                lines += ["  mark 0x0000 0x40000000 (success 0)"] * ("mark" in words)
                lines += [f"  match {value:08x}/{mask:08x} at {place}" for place, value, mask in _matches(words)]
                if copier:
                    lines.append(f"\taction order 1: mirred (Egress Mirror to device {copier}) continue")
                    lines += ["\tindex 1 ref 1 bind 1", ""]
        return self.record + "\n".join(lines) + "\n"

    def meaning(self) -> dict[str, tuple[str, str, str]]:
        """What holds per address: rate, words and table of its netem."""
        found = {}
        for table in self.filters.values():
            for words, flow, _ in table.values():
                if flow != "1:0":
                    netem = self.netems[flow]
                    table_name = netem.values["distribution"] if _ticks(netem.values["jitter"]) else ""
                    found[words[-1].partition("/")[0]] = self.rates[flow], netem.words(), table_name
        return found

    def untouched(self) -> set[tuple[str, ...]]:
        """What is exempt or copied, in the words of the filters."""
        return {
            (*words, copier)
            for table in self.filters.values()
            for words, flow, copier in table.values()
            if flow == "1:0"
        }


def _ticks(text: str) -> int:
    microseconds = int(float(text.removesuffix("ms")) * 1000 + 1e-9)
    if microseconds * 15.625 >= 2**32:
        raise Refused(f"Illegal {text} time (too large)")
    return int(microseconds * 15.625)


def _time(text: str) -> str:
    microseconds = int(_ticks(text) / 15.625)
    if microseconds >= 1_000_000:
        return f"{microseconds / 1e6:.3g}s"
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g}ms"
    return f"{microseconds}us" if microseconds else ""


def _share(text: str) -> str:
    return f"{100 * round(float(text[:-1]) / 100 * (2**32 - 1)) / (2**32 - 1):g}%"


def _rate(text: str) -> str:
    found = re.fullmatch(r"([\d.]+)([kmg])bit", text)
    assert found is not None
    bits = int(float(found[1]) * {"k": 1e3, "m": 1e6, "g": 1e9}[found[2]] / 8 + 1e-6) * 8
    for unit in _UNITS[:-1]:
        if bits < 1000 or (bits % 1000 and bits < 1_000_000):
            return f"{bits}{unit}bit"
        bits //= 1000
    return f"{bits}{_UNITS[-1]}bit"


def _flow(flow: str) -> str:
    return flow.removesuffix("0") if flow.endswith(":0") else flow


def _matches(words: list[str]) -> list[tuple[int, int, int]]:
    """The words of u32 as it prints them: place, value and mask."""
    found: list[tuple[int, int, int]] = []
    for place, word in enumerate(words):
        if word != "match":
            continue
        family, field_name, value = words[place + 1 : place + 4]
        if family == "mark":
            continue
        if family == "u8":
            found.append((int(words[place + 5]), int(field_name, 16) << 24, int(value, 16) << 24))
            continue
        if field_name == "protocol":
            found.append((8, int(value) << 16, 0x00FF0000) if family == "ip" else (4, int(value) << 8, 0x0000FF00))
        elif field_name == "dst":
            address = ip_address(value.partition("/")[0])
            shifts = (0,) if family == "ip" else (96, 64, 32, 0)
            first = 16 if family == "ip" else 24
            found += [
                (first + 4 * number, int(address) >> shift & 0xFFFFFFFF, 0xFFFFFFFF)
                for number, shift in enumerate(shifts)
            ]
        else:
            port, at = int(value), 20 if family == "ip" else 40
            found.append((at, port, 0xFFFF) if field_name == "dport" else (at, port << 16, 0xFFFF0000))
    return found
