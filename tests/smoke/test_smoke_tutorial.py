"""The published configuration, unmodified, from deployment to the answer; and the ways it can be cut off."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml
from smoke_commands import E2CLAB, EXAMPLE, ROOT, run_e2clab, traces

pytestmark = [pytest.mark.netns, pytest.mark.switch, pytest.mark.broker, pytest.mark.monetdb]

PUBLISHED = ROOT / "tests" / "cases" / "tutorial"
QUESTION = """SELECT i.kernel_size, i.num_kernels, i.length_of_strides, i.pooling_size, o.accuracy, o.training_time
FROM training_input i, training_output o
WHERE i.training_task_id = o.training_task_id AND o.accuracy > 0.9"""
PRINTED = re.compile(
    r"kernel_size=(\S+) num_kernels=(\S+) length_of_strides=(\S+) pooling_size=(\S+) accuracy=(\S+) training_time=(\S+)"
)


@pytest.fixture
def published(scenario: Path) -> Path:
    """The published configuration with our application, which the published one does not ship."""
    for name in ("layers_services.yaml", "network.yaml", "workflow.yaml"):
        shutil.copy(PUBLISHED / name, scenario / name)
    shutil.rmtree(scenario / "artifacts")
    shutil.copytree(PUBLISHED / "artifacts", scenario / "artifacts")
    shutil.copy(EXAMPLE / "artifacts" / "user-application.py", scenario / "artifacts")
    return scenario


def printed(folder: Path) -> set[tuple[float, ...]]:
    """What the applications printed, as recorded in workflow-validate.out."""
    documents = list(yaml.safe_load_all((folder / "workflow-validate.out").read_text()))
    texts = [result["stdout"] for document in documents for result in document["RETURN"]]
    return {tuple(map(float, row)) for row in PRINTED.findall("\n".join(texts))}


def questions_over_ssh(scenario: Path) -> None:
    """All ways to ask a deployed scenario; what needs packages that its host has not is made here."""
    file = scenario / "rows.parquet"
    asked = "SELECT * FROM training_input WHERE kernel_size >= :least ORDER BY id"
    done = run_e2clab("query", scenario, asked, "--param", "least=0", "--format", "parquet", "--output", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert pyarrow.parquet.read_table(file).num_rows == 18
    few = run_e2clab("query", scenario, "SELECT id FROM task", "--limit", "2", "--format", "csv")
    assert (few.returncode, len(few.stdout.splitlines())) == (0, 3)
    assert "more than these 2 rows" in few.stderr
    wrong = run_e2clab("query", scenario, "SELECT * FROM training_inputs")
    assert wrong.returncode == 1
    assert "Perhaps you mean `training_input`" in wrong.stderr

    tasks = json.loads(run_e2clab("provenance", "list", "--scenario", scenario, "--format", "json").stdout)
    assert len(tasks) == 18
    row = f"row:{tasks[0]['id']}"
    shown = json.loads(run_e2clab("provenance", "show", row, "--scenario", scenario, "--format", "json").stdout)
    assert set(shown["inputs"]) == {"training_input"}
    drawn = run_e2clab("provenance", "lineage", row, f"--scenario={scenario}", "--format", "svg")
    assert drawn.stdout.startswith("<svg")
    missing = run_e2clab("provenance", "show", "nobody's", "--scenario", scenario)
    assert missing.returncode == 1
    assert "there is no task nobody's" in missing.stderr

    typed = subprocess.run(
        [*E2CLAB, "db", "shell", str(scenario)],
        input="\\f csv\nselect count(*) as n from task;\nselect nothing;\nselect 3;\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (typed.returncode, typed.stdout) == (1, "n\n18\n")
    assert "identifier 'nothing' unknown" in typed.stderr


def test_the_published_configuration_runs_whole(published: Path) -> None:
    done = run_e2clab("--testbed", "local", "deploy", published, published / "artifacts")
    assert done.returncode == 0, done.stderr
    assert "rehearsal" in done.stderr
    folder = Path(done.stdout.strip())

    parts = json.loads(run_e2clab("inspect", published, "--format", "json").stdout)
    assert [host["service"] for host in parts["hosts"]] == [
        "cloud.master.1.1",
        "edge.worker.1.1",
        "provenance_service.1",
    ]
    assert [host["layer"] for host in parts["hosts"]] == ["cloud", "edge", None]
    assert all(host["addresses"]["v4"] and host["addresses"]["v6"] for host in parts["hosts"])
    assert parts["services"][0]["health"]["healthy"] is True
    phases = [record["phase"] for record in parts["phases"]]
    assert phases == ["acquire", "connect", "serve", "emulate", "prepare", "launch", "finalize", "backup"]

    counts = json.loads(
        run_e2clab(
            "query",
            published,
            "SELECT (SELECT count(*) FROM task WHERE status = 'FINISHED') AS tasks,"
            " (SELECT count(*) FROM training_input) AS ins, (SELECT count(*) FROM training_output) AS outs",
            "--format",
            "json",
        ).stdout
    )
    assert counts == [{"tasks": 18, "ins": 18, "outs": 18}]

    shown = printed(folder)
    assert len(shown) == 18
    rows = csv.DictReader(io.StringIO(run_e2clab("query", published, QUESTION, "--format", "csv").stdout))
    assert {tuple(map(float, row.values())) for row in rows} == {row for row in shown if row[4] > 0.9}

    refused = run_e2clab("query", published, "DELETE FROM task")
    assert refused.returncode == 1
    assert "database refused" in refused.stderr
    questions_over_ssh(published)

    for name in (
        "state.json",
        "plan.json",
        "manifest.json",
        "e2clab.log",
        "layers_services-validate.yaml",
        "network-validate",
        "workflow-validate.out",
        "provenance-data/provenance_database.sql",
        "provenance-data/datapackage.json",
        "provenance-data/training_input.csv",
        "provenance-data/provenance.prov.json",
    ):
        assert (folder / name).exists(), name
    layers = yaml.safe_load((folder / "layers_services-validate.yaml").read_text())
    assert list(layers) == ["cloud", "edge"]

    again = run_e2clab("--testbed", "local", "layers-services", published, published / "artifacts")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr

    freed = run_e2clab("destroy", published)
    assert freed.returncode == 0
    assert traces(published) == []
    late = run_e2clab("query", published, QUESTION)
    assert late.returncode == 1
    assert str(folder) in late.stderr


def test_a_failing_task_is_told_in_full_and_nothing_stays(scenario: Path) -> None:
    (scenario / "artifacts" / "user-application.py").write_text(
        "import sys\nprint('before it broke')\nprint('the reason', file=sys.stderr)\nsys.exit(3)\n"
    )
    (scenario / "network.yaml").write_text("networks: []\n")
    done = run_e2clab("--testbed", "local", "deploy", scenario, scenario / "artifacts")
    assert done.returncode == 1
    assert done.stdout == ""
    for words in ("edge.worker.1.1", "train at the edge", "rc 3", "before it broke", "the reason"):
        assert words in done.stderr
    assert traces(scenario) == []
    folder = Path(run_e2clab("get-output-dir", scenario).stdout.strip())
    assert (folder / "provenance-data" / "provenance_database.sql").exists()
    assert "the reason" in (folder / "workflow-validate.out").read_text()


def test_a_failing_background_task_fails_finalize_but_the_data_is_saved(scenario: Path) -> None:
    (scenario / "network.yaml").write_text("networks: []\n")
    (scenario / "workflow.yaml").write_text(
        "- hosts: cloud\n  launch:\n  - name: dies late\n    shell: sleep 2; echo why >&2; exit 5\n"
        "    async: 60\n    poll: 0\n"
    )
    assert run_e2clab("--testbed", "local", "layers-services", scenario, scenario / "artifacts").returncode == 0
    assert run_e2clab("workflow", scenario, "launch").returncode == 0
    done = run_e2clab("finalize", scenario)
    assert done.returncode == 1
    assert "cloud.master.1.1: 'dies late' rc 5" in done.stderr
    assert (Path(run_e2clab("get-output-dir", scenario).stdout.strip()) / "provenance-data").is_dir()


@pytest.mark.parametrize("step", ["acquire", "serve", "emulate", "launch"])
def test_killed_in_a_phase_then_destroyed_leaves_nothing(scenario: Path, step: str) -> None:
    process = subprocess.Popen(
        [*E2CLAB, "--testbed", "local", "deploy", str(scenario), str(scenario / "artifacts")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if f" {step} " in line or (step == "launch" and "prepare" in line and "done" in line):
                break
        else:
            raise AssertionError(f"{step} never began")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    freed = run_e2clab("destroy", scenario)
    assert freed.returncode == 0, freed.stderr
    assert traces(scenario) == []
    assert "nothing to release" in run_e2clab("destroy", scenario).stderr
    assert list(scenario.glob("*/.ansible-*")) == []


def test_an_interrupt_releases_everything(scenario: Path) -> None:
    process = subprocess.Popen(
        [*E2CLAB, "--testbed", "local", "deploy", str(scenario), str(scenario / "artifacts")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if " connect " in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130, rest
    assert "interrupted" in rest
    assert traces(scenario) == []


def test_without_privileges_one_sentence_says_so(scenario: Path) -> None:
    powerless = ["setpriv", "--securebits=+noroot", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
    done = subprocess.run(
        [*powerless, *E2CLAB, "--testbed", "local", "deploy", str(scenario), str(scenario / "artifacts")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "CAP_SYS_ADMIN" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in scenario.iterdir() if re.match(r"\d{8}-", path.name)]


def test_a_lost_state_hides_nothing(scenario: Path) -> None:
    deploy = ("--testbed", "local", "layers-services", scenario, scenario / "artifacts")
    first = Path(run_e2clab(*deploy).stdout.strip())
    (first / "state.json").write_text("{")
    second = run_e2clab(*deploy)
    assert second.returncode == 0, second.stderr
    assert "cannot be read" in second.stderr
    assert "released what a lost experiment held" in second.stderr
    assert len(traces(scenario)) == 1
    shutil.rmtree(Path(second.stdout.strip()))
    freed = run_e2clab("destroy", scenario)
    assert freed.returncode == 0, freed.stderr
    assert "hosts" in freed.stderr
    assert traces(scenario) == []


def test_a_failing_deploy_keeps_what_an_earlier_command_deployed(scenario: Path) -> None:
    (scenario / "network.yaml").write_text("networks: []\n")
    (scenario / "workflow.yaml").write_text("- hosts: cloud\n  launch:\n  - command: /bin/false\n")
    arguments = scenario, scenario / "artifacts"
    assert run_e2clab("--testbed", "local", "layers-services", *arguments).returncode == 0
    done = run_e2clab("--testbed", "local", "deploy", *arguments)
    assert done.returncode == 1
    assert f"e2clab destroy {scenario}" in done.stderr
    assert len(traces(scenario)) == 1
    assert run_e2clab("exec", scenario, "cloud", "--", "true").returncode == 0


def test_an_interrupted_launch_remembers_what_runs_in_the_background(scenario: Path) -> None:
    (scenario / "network.yaml").write_text("networks: []\n")
    (scenario / "workflow.yaml").write_text(
        "- hosts: cloud\n  launch:\n  - name: behind\n    shell: sleep 3; echo still here\n    async: 60\n    poll: 0\n"
        "- hosts: edge\n  launch:\n  - name: before\n    shell: sleep 60\n"
    )
    assert run_e2clab("--testbed", "local", "layers-services", scenario, scenario / "artifacts").returncode == 0
    process = subprocess.Popen([*E2CLAB, "workflow", str(scenario), "launch"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "behind" in line and "changed" in line:
            break
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    assert process.wait(60) == 130
    done = run_e2clab("finalize", scenario)
    assert done.returncode == 0, done.stderr
    folder = Path(run_e2clab("get-output-dir", scenario).stdout.strip())
    assert "still here" in (folder / "workflow-validate.out").read_text()
