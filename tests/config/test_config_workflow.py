"""Ansible's words are those of the installed Ansible, and tasks are judged by them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from e2c.config import filters, keywords
from e2c.config.document import parse
from e2c.config.module_table import options
from e2c.config.problems import Problem
from e2c.config.task_checks import TaskCheck
from e2c.config.templates import check_templates, is_reserved


def tasks(text: str, artifacts: Path | None = None) -> list[Problem]:
    document, problems = parse(text.encode(), "workflow.yaml", "workflow")
    assert not problems
    roots = {"working_dir": artifacts, "artifacts_dir": artifacts} if artifacts else {}
    return list(TaskCheck(document, roots).tasks(document.data, ()))


def templates(text: str, *known: str) -> list[Problem]:
    document, problems = parse(text.encode(), "workflow.yaml", "workflow")
    assert not problems
    return list(check_templates(document, (), known, open_ended=False))


def test_keywords_are_those_of_ansible() -> None:
    from ansible.playbook.block import Block
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

    assert set(Play.fattributes) - {"hosts", "tasks"} == keywords.PLAY_KEYWORDS
    assert set(Task.fattributes) - {"async_val", "loop_with"} == keywords.TASK_KEYWORDS - {"local_action"}
    assert set(Block.fattributes) == keywords.BLOCK_KEYWORDS


def test_modules_are_those_of_ansible() -> None:
    import ansible.modules

    installed = {path.stem for path in Path(ansible.modules.__path__[0]).glob("*.py") if not path.stem.startswith("_")}

    assert installed - {"async_wrapper"} == keywords.MODULES - {"yum"}


def test_arguments_are_those_of_ansible() -> None:
    known = sorted(keywords.MODULES - {"yum"})
    command = [sys.executable, "-m", "ansible", "doc", "-j", "-t", "module", *known]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    for module in known:
        wanted = {}
        for name, more in (told[module]["doc"].get("options") or {}).items():
            for alias in (name, *more.get("aliases", ())):
                wanted[alias] = (bool(more.get("required")), more.get("type") == "bool", more.get("type") == "int")
        found = options(module)
        assert found is not None
        assert {name: (option.required, option.truth, option.number) for name, option in found.items()} == {
            name: told for name, told in wanted.items() if name not in ("free_form", "free-form")
        }, module
        for name, option in found.items():
            if option.choices:
                assert list(option.choices) == [
                    str(choice) for choice in told[module]["doc"]["options"][option.names[0]]["choices"]
                ], (module, name)


def test_filters_and_tests_are_those_of_ansible() -> None:
    import ansible.plugins.filter
    import ansible.plugins.test
    from jinja2 import Environment

    found: dict[str, set[str]] = {"filters": set(Environment().filters), "tests": set(Environment().tests)}
    for package, maker, what in (
        (ansible.plugins.filter, "FilterModule", "filters"),
        (ansible.plugins.test, "TestModule", "tests"),
    ):
        for file in Path(package.__path__[0]).glob("[a-z]*.py"):
            plugin = import_module(f"{package.__name__}.{file.stem}")
            found[what] |= set(getattr(getattr(plugin, maker)(), what)())

    assert found["filters"] == filters.FILTERS
    assert found["tests"] == filters.TESTS


def test_lookups_are_those_of_ansible() -> None:
    import ansible.plugins.lookup

    files = Path(ansible.plugins.lookup.__path__[0]).glob("[a-z]*.py")

    assert {file.stem for file in files} == keywords.LOOKUPS


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("shell", True),
        ("ansible.builtin.shell", True),
        ("ansible.legacy.copy", True),
        ("ansible.posix.synchronize", True),
        ("synchronize", True),
        ("docker_container", True),
        ("community.docker.docker_container", True),
        ("community.docker.docker_contaner", False),
        ("ansible.builtin.shel", False),
        ("shelll", False),
        ("../../x", False),
        ("a.b", False),
        ("", False),
    ],
)
def test_installed_modules_are_found(name: str, there: bool) -> None:
    assert keywords.is_module(name) == there


@pytest.mark.parametrize(
    "text",
    [
        "- shell: ls",
        "- {name: x, shell: ls, register: y, changed_when: false, with_items: [1]}",
        "- ansible.builtin.copy: {content: a, dest: /x}",
        "- {action: shell ls}",
        "- {local_action: {module: shell, cmd: ls}}",
        "- {ping: , retries: '3', delay: 2, until: x is succeeded}",
        "- {block: [{ping: }], rescue: [{ping: }], always: [{ping: }], when: x}",
        "- {ping: , async: '{{ limit }}', poll: 0, ignore_errors: '{{ maybe }}'}",
        "- {ping: , timeout: 5, become: yes, no_log: 'True'}",
        "- {copy: content=x dest=/y}",
        "- {copy: {content: x, dest: /y, mode: '0600', owner: root}}",
        "- {copy: , args: '{{ all_of_it }}'}",
        "- {copy: '{{ all_of_it }}'}",
        "- {shell: , args: {cmd: ls, chdir: /tmp}}",
        "- {command: {argv: [ls, -l]}}",
        "- {set_fact: {anything: 1}}",
        "- {package: {name: x, update_cache: yes}}",
        "- {include_role: {name: x}}",
        "- {meta: flush_handlers}",
        "- {apt: name=x state=present}",
        "- {apt: {pkg: [x, y], upgrade: yes, update_cache: 'yes'}}",
        "- {copy: {content: x, dest: /y, mode: 0644}}",
        "- {copy: {content: x, dest: /y, mode: u=rw}}",
        "- {ping: , vars: {a: 1}, environment: {A: b}, tags: [x, y], loop: [1], loop_control: {label: x}}",
        "- {ping: , loop: '{{ all_of_them }}', notify: restart}",
        "- {debug: {msg: [1, 2], verbosity: 1}}",
        "- {find: {paths: [/a, /b], patterns: '*.log', recurse: true}}",
        "- {uri: 'url=http://a/ return_content=yes'}",
        "- {fetch: {src: /x, dest: '{{ working_dir }}/', flat: true}}",
    ],
)
def test_good_tasks(text: str) -> None:
    assert tasks(text) == []


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("- {shell: ls, command: ls}", "task-modules", "[0].command"),
        ("- {shell: ls, asynch: 3}", "unknown-key", "[0].asynch"),
        ("- {name: x}", "task-module", "[0]"),
        ("- {nme: x, shell: ls}", "unknown-key", "[0].nme"),
        ("- {shelll: ls}", "module-unknown", "[0].shelll"),
        ("- {ping: , async: -1}", "out-of-range", "[0].async"),
        ("- {ping: , poll: 1.5}", "type", "[0].poll"),
        ("- {ping: , retries: true}", "type", "[0].retries"),
        ("- {ping: , become: maybe}", "type", "[0].become"),
        ("- {action: ping, shell: ls}", "unknown-key", "[0].shell"),
        ("- {block: [{ping: , asinc: 1}]}", "unknown-key", "[0].block[0].asinc"),
        ("- {block: [{ping: }], shell: ls}", "unknown-key", "[0].shell"),
        ("- {block: ls}", "type", "[0].block"),
        ("- ls", "type", "[0]"),
        ("- {ping: , when: 3}", "type", "[0].when"),
        ("- {ping: , name: [x]}", "type", "[0].name"),
        ("- {shell: }", "module-arguments", "[0].shell"),
        ("- {shell: {}}", "module-arguments", "[0].shell"),
        ("- {ping: , register: a-b}", "register", "[0].register"),
        ("- {shell: [ls]}", "module-arguments", "[0].shell"),
        ("- {command: ''}", "module-arguments", "[0].command"),
        ("- {copy: 3}", "module-arguments", "[0].copy"),
        ("- {copy: {src: /a, dst: b, dest: c}}", "unknown-key", "[0].copy.dst"),
        ("- {copy: {src: /a}}", "module-arguments", "[0].copy"),
        ("- {copy: {dest: a}}", "module-arguments", "[0].copy"),
        ("- {ping: , vars: x}", "type", "[0].vars"),
        ("- {ping: , vars: {a-b: 1}}", "variable-name", "[0].vars.a-b"),
        ("- {ping: , vars: }", "null", "[0].vars"),
        ("- {ping: , environment: PATH}", "type", "[0].environment"),
        ("- {ping: , loop: items}", "type", "[0].loop"),
        ("- {ping: , loop: [1], loop_control: {lop_var: x}}", "unknown-key", "[0].loop_control.lop_var"),
        ("- {ping: , tags: {a: b}}", "type", "[0].tags"),
        ("- {shell: ls, args: chdir}", "type", "[0].args"),
        ("- {shell: ls, args: {chdr: /x}}", "unknown-key", "[0].args.chdr"),
        ("- {shell: , args: {chdir: /x}}", "module-arguments", "[0].shell"),
        ("- {block: [{ping: }], when: {a: b}}", "type", "[0].when"),
        ("- {pip: numpy}", "module-arguments", "[0].pip"),
        ("- {pip: {nme: numpy, name: x}}", "unknown-key", "[0].pip.nme"),
        ("- {apt: nam=x}", "unknown-key", "[0].apt"),
        ("- {apt: {name: x, state: instaled}}", "module-arguments", "[0].apt.state"),
        ("- {apt: {name: x, update_cache: maybe}}", "module-arguments", "[0].apt.update_cache"),
        ("- {wait_for: {port: 80, timeout: 1m}}", "module-arguments", "[0].wait_for.timeout"),
        ("- {uri: {return_content: yes}}", "module-arguments", "[0].uri"),
        ("- {copy: {content: x, dest: /y, mode: 644}}", "file-mode", "[0].copy.mode"),
        ("- {fetch: {src: a}}", "module-arguments", "[0].fetch"),
        ("- {fetch: {src: [a], dest: b}}", "module-arguments", "[0].fetch.src"),
        ("- {file: {state: absent}}", "module-arguments", "[0].file"),
        ("- {ansible.builtin.file: {pth: /x, path: /y}}", "unknown-key", "[0].ansible.builtin.file.pth"),
    ],
)
def test_bad_tasks(text: str, code: str, path: str) -> None:
    assert [(problem.code, problem.path) for problem in tasks(text)] == [(code, path)]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{{ working_dir }}/app.py", None),
        ("{{working_dir}}/sub/", None),
        ("{{ artifacts_dir }}/app.py", None),
        ("{{ working_dir }}", None),
        ("{{ working_dir }}/{{ name }}", None),
        ("{{ other }}/app.py", None),
        ("https://example.org/x.tgz", None),
        ("{{ working_dir }}/ap.py", "artifact"),
        ("{{ working_dir }}/../x", "artifact"),
        ("{{ working_dir }}/outside", "artifact"),
        ("app.py", "source-relative"),
        ("/etc/hosts", "artifact-outside"),
        ("/nothing/here", "artifact-outside"),
    ],
)
def test_sources(source: str, code: str | None, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    (artifacts / "sub").mkdir(parents=True)
    (artifacts / "app.py").touch()
    (artifacts / "outside").symlink_to("/etc")

    for text in (
        f'- copy: {{src: "{source}", dest: /x}}',
        f'- copy: src="{source}" dest=/x',
        f'- {{template: , args: {{src: "{source}", dest: /x}}}}',
    ):
        assert [problem.code for problem in tasks(text, artifacts)] == ([code] if code else []), text


@pytest.mark.parametrize(
    "text", ["- {shell: 'src=x'}", "- {copy: {src: /x, dest: /y, remote_src: true}}", "- script: 'a'"]
)
def test_what_names_no_source_of_the_controller(text: str, tmp_path: Path) -> None:
    assert [problem.code for problem in tasks(text, tmp_path)] == (["source-relative"] if "script" in text else [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: '{{ working_dir }} {{ _self.url }} {{ ansible_facts.x }} {{ hostvars[item] }}'", None),
        ("a: '{{ mine | default(omit) }}'", None),
        ("a: '{{ thine | default(1) }}'", None),
        ("{a: '{{ thine.x }}', when: thine is defined}", None),
        ("a: '{{ mine | from_json | map(attribute=\"x\") | b64decode }}'", None),
        ("a: '{{ mine is succeeded and range(3) | sum > 2 }}'", None),
        ("a: '{{ mine | community.general.json_query(\"x\") }}'", None),
        ("a: '{{ mine | json_query(\"x\") }}'", None),
        ("a: '{{ mine | regex_replac(1, 2) }}'", "filter-unknown"),
        ("a: '{{ mine | no.such.collection }}'", "filter-unknown"),
        ("a: '{{ mine is sucess }}'", "filter-unknown"),
        ("a: '{{ _self.machine_id }}'", None),
        ("a: '{{ _self.machineid }}'", "variable-attribute"),
        ('a: \'{{ lookup("env", "HOME") }}\'', None),
        ("a: '{% for i in range(3) %}{{ i }}{% endfor %}'", None),
        ("when: mine == 1 and inventory_hostname in groups.all", None),
        ("when: [mine is defined, not mine]", None),
        ("a: '{{ thine }}'", "variable-unknown"),
        ("when: thine == 1", "variable-unknown"),
        ("a: '{{ mine'", "jinja"),
        ("a: '{% if %}'", "jinja"),
        ("a: '{{ mine | }}'", "jinja"),
        ("when: mine ==", "jinja"),
        ("a: '{{ " + "(" * 3000 + " }}'", "jinja"),
        ("a: plain text with } and {", None),
    ],
)
def test_templates(text: str, code: str | None) -> None:
    assert [problem.code for problem in templates(text, "mine")] == ([code] if code else [])


def test_reserved_names() -> None:
    assert all(
        is_reserved(name)
        for name in ("working_dir", "_self", "hostvars", "ansible_host", "env_x", "item", "for", "a-b")
    )
    assert not is_reserved("server")
