from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from e2c.errors import RemoteError
from e2c.model.host import Host
from e2c.remote import overlong, playbook
from e2c.remote.results import TaskResult, from_event


def play(host: Host, *tasks: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"hosts": [host.key], "gather_facts": False, "tasks": list(tasks), **keywords}


def test_results_of_modules_variables_and_environment(host: Host, tmp_path: Path) -> None:
    plays = [
        play(
            host,
            {"name": "say", "shell": "source /dev/null && echo {{ word }} $NAME {{ mine }}"},
            {"copy": {"content": "x", "dest": str(tmp_path / "made")}},
            environment={"NAME": "value"},
        )
    ]
    seen: list[str] = []
    results = playbook.run(
        plays,
        [host],
        work_dir=tmp_path,
        extra_vars={"word": "hi"},
        variables={host.key: {"mine": [1, 2]}},
        observe=lambda event: seen.append(event["event"]),
    )
    assert [(result.task, result.status, result.rc) for result in results] == [
        ("say", "changed", 0),
        ("copy", "changed", None),
    ]
    assert results[0].stdout == "hi value [1, 2]"
    assert results[0].seconds is not None
    assert results[0].seconds > 0
    assert (tmp_path / "made").read_text() == "x"
    assert seen == ["play", "start", "result", "start", "result"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_failures_are_values_with_all_the_words(host: Host, unreachable: Host, tmp_path: Path) -> None:
    plays = [
        {
            "hosts": [host.key, unreachable.key],
            "gather_facts": False,
            "tasks": [
                {"name": "may fail", "shell": "exit 4", "ignore_errors": True},
                {"name": "must work", "shell": "echo before; echo reason >&2; exit 3"},
                {"name": "never", "shell": "true"},
            ],
        }
    ]
    results = playbook.run(plays, [host, unreachable], work_dir=tmp_path)
    by_host = {(result.host, result.task): result for result in results}
    assert by_host[host.key, "may fail"].status == "ignored"
    failed = by_host[host.key, "must work"]
    assert (failed.failed, failed.rc, failed.stdout, failed.stderr) == (True, 3, "before", "reason")
    assert "must work" in failed.words()
    assert "reason" in failed.words()
    assert by_host[unreachable.key, "may fail"].status == "unreachable"
    assert (host.key, "never") not in by_host


def test_background_tasks_are_named_by_their_job(host: Host, tmp_path: Path) -> None:
    (result,) = playbook.run(
        [play(host, {"name": "later", "shell": f"touch {tmp_path}/done", "async": 60, "poll": 0})],
        [host],
        work_dir=tmp_path,
    )
    assert result.job
    assert result.limit_s == 60


def test_a_loop_is_one_result_with_its_texts_joined(host: Host, tmp_path: Path) -> None:
    (result,) = playbook.run(
        [play(host, {"shell": "echo {{ item }}; test {{ item }} != b", "loop": ["a", "b"], "ignore_errors": True})],
        [host],
        work_dir=tmp_path,
    )
    assert result.stdout == "a\nb"
    assert result.rc == 1


def test_unknown_module_is_refused_in_one_sentence(host: Host, tmp_path: Path) -> None:
    with pytest.raises(RemoteError) as caught:
        playbook.run([play(host, {"shel": {"cmd": "true"}})], [host], work_dir=tmp_path)
    assert "couldn't resolve module/action 'shel'" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_an_interrupt_ends_ansible_and_leaves_no_files(host: Host, tmp_path: Path) -> None:
    class InterruptError(BaseException):
        pass

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            raise InterruptError

    before = threading.active_count()
    with pytest.raises(InterruptError):
        playbook.run([play(host, {"shell": "sleep 30"})], [host], work_dir=tmp_path, observe=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_a_failure_that_is_rescued_is_none(host: Host, tmp_path: Path) -> None:
    rescued = {"name": "around", "block": [{"name": "fails", "shell": "exit 3"}], "rescue": [{"shell": "echo saved"}]}
    results = playbook.run([play(host, rescued, {"name": "after", "shell": "true"})], [host], work_dir=tmp_path)
    assert [(result.task, result.status) for result in results] == [
        ("fails", "ignored"),
        ("shell", "changed"),
        ("after", "changed"),
    ]


def test_the_gist_of_a_failure_is_its_last_line_and_steers_no_terminal() -> None:
    def failed(**said: Any) -> str:
        return TaskResult(play=0, host="h", task="t", status="failed", **said).gist()

    assert failed(rc=1, msg="non-zero return code", stderr="a\nno \x1b[2Jspace\n") == "no  [2Jspace"
    assert failed(rc=1, msg="non-zero return code") == ""
    assert failed(msg="the file is absent") == "the file is absent"


def test_what_batches_of_a_play_do_belongs_to_that_play(host: Host, tmp_path: Path) -> None:
    again = host.model_copy(update={"key": "cloud.master.1.2"})
    both = [host.key, again.key]
    defaults = {"ansible.legacy.shell": {"chdir": str(tmp_path)}}
    plays = [
        {"hosts": both, "serial": 1, "gather_facts": False, "tasks": [{"name": "one by one", "shell": "true"}]},
        {"hosts": both, "gather_facts": False, "module_defaults": defaults, "tasks": [{"name": "all", "shell": "pwd"}]},
    ]
    results = playbook.run(plays, [host, again], work_dir=tmp_path)
    assert sorted((result.play, result.task, result.host) for result in results) == [
        (play, task, key) for play, task in enumerate(("one by one", "all")) for key in both
    ]
    assert {result.stdout for result in results if result.task == "all"} == {str(tmp_path)}


def test_background_tasks_of_a_loop_are_told_one_by_one(host: Host, tmp_path: Path) -> None:
    task = {"name": "later", "shell": "true {{ item }}", "loop": [1, 2], "async": 60, "poll": 0}
    told: list[tuple[str, str]] = []
    pauses: list[int] = []

    def observe(event: dict[str, Any]) -> None:
        told.extend((event["event"], str(result.job)) for result in from_event(event) if result.job)

    again = host.model_copy(update={"key": "cloud.master.1.2"})
    results = playbook.run(
        [play(host, {**task, "delegate_to": again.key})],
        [host, again],
        work_dir=tmp_path,
        observe=lambda event: observe(event) if event["event"] in ("item", "result") else None,
        pause=lambda: pauses.append(len(told)),
    )
    jobs = [str(result.job) for result in results]
    assert told == [("item", jobs[0]), ("item", jobs[1]), ("result", jobs[0]), ("result", jobs[1])]
    assert pauses[-1] == 4
    assert {(result.host, result.at) for result in results} == {(host.key, again.key)}, "they are where they were sent"


def test_long_outputs_are_cut_and_all_of_them_is_in_a_file(host: Host, tmp_path: Path) -> None:
    lines = "\n".join(map(str, range(1, 60_001)))
    tasks = [
        {"name": "light", "shell": "seq 60000"},
        {"name": "module", "shell": "seq 60000 >&2", "args": {"creates": "/nonexistent"}},
        {"name": "asked for", "shell": "seq 60000", "register": "said"},
        {"name": "length", "shell": "echo {{ said.stdout | length }}"},
        {"name": "secret", "shell": "seq 60000", "no_log": True},
    ]
    results = {result.task: result for result in playbook.run([play(host, *tasks)], [host], work_dir=tmp_path)}
    assert sorted(path.name for path in (tmp_path / "output").iterdir()) == [
        f"{host.key}-{name}" for name in ("asked_for.out", "light.out", "module.err")
    ]
    for name, stream in (("light", "out"), ("module", "err"), ("asked for", "out")):
        text = getattr(results[name], f"std{stream}")
        path = f"output/{host.key}-{name.replace(' ', '_')}.{stream}"
        assert f" characters left out; all of it is in {path} ..." in text
        assert (text[:4], text[-6:]) == ("1\n2\n", "\n60000")
        assert len(text) <= overlong.LIMIT
        assert (tmp_path / path).read_text() == f"{lines}\n"
    assert results["length"].stdout == str(len(lines)), "Ansible has all of it"


def test_all_hosts_are_at_work_at_once_as_far_as_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PHYS_PAGES": 16 << 18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert [playbook.forks(hosts) for hosts in (1, 30, 100, 1000)] == [5, 30, 100, 200]
    pages["SC_PHYS_PAGES"] = 1 << 18
    assert playbook.forks(100) == 21
