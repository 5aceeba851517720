"""What ``check-configuration`` finds, and how long it takes, beside E2Clab's.

    python benchmarks/check.py                              # ours alone
    python -m venv /tmp/peer && /tmp/peer/bin/pip install e2clab==3.7.0
    python benchmarks/check.py --peer /tmp/peer/bin/e2clab  # both, in turn, case by case

Each case replaces one file of the published tutorial. Wall time and memory are those of the whole process.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

CASES = Path(__file__).parents[1] / "tests" / "cases"
LIMIT_S = 120
LARGE = 100_000
"""Services of the large file, about 5 MB."""


@dataclass
class Tool:
    """A program, and what it said."""

    name: str
    command: list[str]
    artifacts: bool
    verdicts: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def run(self, folder: Path, file: str) -> tuple[str, float, float]:
        """Verdict, seconds and MB for a scenario."""
        command = [*self.command, "check-configuration", str(folder)]
        command += [str(folder / "artifacts")] if self.artifacts else []
        command += ["-a"] if file == "workflow_env" else []
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            pid = os.posix_spawn(
                command[0],
                command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
            )
            code, peak = self._wait(pid, began)
            output.seek(0)
            text = output.read()
        verdict = "hangs" if code is None else "crash" if "Traceback" in text or code not in (0, 1) else "ok"
        if verdict == "ok" and (code == 1 or "warning:" in text):
            verdict = "error" if code == 1 else "warning"
        return verdict, time.monotonic() - began, peak

    @staticmethod
    def _wait(pid: int, began: float) -> tuple[int | None, float]:
        """Exit code, None when it took too long; peak memory in MB."""
        while True:
            done, status, used = os.wait4(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), used.ru_maxrss / 1024
            if time.monotonic() - began > LIMIT_S:
                os.kill(pid, 9)
                return None, os.wait4(pid, 0)[2].ru_maxrss / 1024
            time.sleep(0.002)


def scenario(folder: Path, file: str, content: bytes) -> Path:
    """The tutorial with one file replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CASES / "tutorial", folder)
    (folder / "artifacts" / "user-application.py").touch()
    (folder / f"{file}.yaml").write_bytes(content)
    return folder


def large() -> bytes:
    """layers_services.yaml of many services."""
    head = (CASES / "tutorial" / "layers_services.yaml").read_bytes()
    return head + b"".join(b"  - {name: S%d, environment: iotlab, archi: m3:at86rf231}\n" % i for i in range(LARGE))


def main() -> None:
    """Run everything, print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", metavar="E2CLAB", help="the executable of another E2Clab")
    parser.add_argument("--runs", type=int, default=5, help="runs of the timed files")
    given = parser.parse_args()
    tools = [Tool("e2c", [str(Path(sys.executable).parent / "e2clab")], artifacts=True)]
    if given.peer:
        tools.append(Tool("E2Clab", [given.peer], artifacts=False))
    rows = [line.split("\t") for line in (CASES / "badconf/expected.tsv").read_text().splitlines()[1:]]
    outcomes: dict[str, Counter[str]] = {tool.name: Counter() for tool in tools}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "scenario"
        for file, defect, wanted in rows:
            scenario(folder, file, (CASES / "badconf" / f"{file}__{defect}.yaml").read_bytes())
            for tool in tools:
                verdict, seconds, _ = tool.run(folder, file)
                tool.seconds.append(seconds)
                outcomes[tool.name][outcome(wanted, verdict)] += 1
            print(f"{file} {defect}", file=sys.stderr)
        print(f"| {len(rows)} cases | " + " | ".join(tool.name for tool in tools) + " |")
        print("|---|" + "---|" * len(tools))
        for kind in ("as wanted", "warned, not refused", "missed", "false alarm", "crashed", "hung"):
            print(f"| {kind} | " + " | ".join(str(outcomes[tool.name][kind]) for tool in tools) + " |")
        print("| s a case, median | " + " | ".join(f"{statistics.median(tool.seconds):.2f}" for tool in tools) + " |")
        print("\n| file | " + " | ".join(f"{tool.name}, s | MB" for tool in tools) + " |")
        print("|---|" + "---|---|" * len(tools))
        good = (CASES / "tutorial" / "layers_services.yaml").read_bytes()
        bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(12)
        )
        for title, content, runs in (
            ("the tutorial", good, given.runs),
            ("an alias bomb", bomb, given.runs),
            (f"{LARGE:,} services", large(), 1),
        ):
            scenario(folder, "layers_services", content)
            cells = []
            for tool in tools:
                measured = [tool.run(folder, "layers_services") for _ in range(runs)]
                seconds = statistics.median(one[1] for one in measured)
                cells.append(f"{seconds:.2f} ({measured[0][0]}) | {max(one[2] for one in measured):.0f}")
            print(f"| {title} | " + " | ".join(cells) + " |")


def outcome(wanted: str, verdict: str) -> str:
    """How a verdict compares with the wanted one."""
    if verdict in ("hangs", "crash"):
        return "hung" if verdict == "hangs" else "crashed"
    if verdict == wanted:
        return "as wanted"
    if wanted == "ok":
        return "false alarm"
    if verdict == "ok":
        return "missed"
    return "warned, not refused" if verdict == "warning" else "false alarm"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    main()
