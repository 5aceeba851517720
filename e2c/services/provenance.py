"""The provenance service on its host, and the capture library on the hosts of the application."""

from __future__ import annotations

import io
import json
import os
import secrets
import shlex
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from e2c.errors import ProvenanceError
from e2c.model.host import Host
from e2c.model.plan import ProvenancePlan
from e2c.model.service import ServiceRecord
from e2c.remote import shell, traces
from e2c.services.shipment import device_bundle, service_archive

PROGRAM = "/opt/e2c"
DATA = "/var/lib/e2c/provenance"
CLIENTS = f"{DATA}.clients.json"
DATAFLOW = f"{DATA}.dataflow.json"
OUTPUT = f"{DATA}.out"
BUNDLE = "/opt/provlight/provlight.zip"
SETTINGS = "/etc/provlight"
AUTHORITY = f"{SETTINGS}/ca.pem"
SPOOL = "/var/spool/provlight"
PORT = 1883
READY_S = 60
BACKUP_S = 3600
DUMP = "provenance_database.sql"
ELSEWHERE = "provenance_database.txt"
"""File that says where the dump is, in the folder of each of several runs."""
PROV_TASKS = 100_000
"""Most tasks of which ``finalize`` writes PROV documents: about two minutes of work."""

# Login shells and `source ~/.bashrc` must see the settings; the line goes first because Debian's ~/.bashrc of
# ordinary users stops early in shells that are not interactive.
HOOK = f"[ -r {SETTINGS}/environment ] && {{ set -a; . {SETTINGS}/environment; set +a; }} # provlight"

_ELSEWHERE = """\
The CSV files and the PROV-JSON here are of this run. The SQL dump of the database, with all runs, is there once:
{}
"""

Progress = Callable[[str], None]


def deploy(plan: ProvenancePlan, hosts: Mapping[str, Host], libraries: Path, progress: Progress) -> ServiceRecord:
    """Start the service, wait until it is ready, and give every agent the library and its settings.

    Args:
        plan: the provenance part of the plan.
        hosts: acquired hosts by service key.
        libraries: folder of the MonetDB libraries on the controller.
        progress: receives one clause per step.

    Raises:
        ProvenanceError: the service did not become ready, or a host lacks an address of the asked family.
        RemoteError: a host could not be prepared.
    """
    server = hosts[plan.host]
    agents = [hosts[key] for key in plan.agents]
    address = _address(server, plan.ipv)
    passwords = {agent.key: secrets.token_urlsafe(24) for agent in agents}
    with ThreadPoolExecutor(2) as pool:
        archive = pool.submit(service_archive, libraries)
        bundle = pool.submit(device_bundle)
        progress(f"provenance service to {server.key}")
        _install_service(server, archive.result(), passwords, plan)
        ready = pool.submit(_start, server, plan)
        progress(f"ProvLight to {', '.join(agent.key for agent in agents)}")
        zipped = bundle.result()
        authority = _authority(server, ready.result()) if plan.tls else None
        _install_agents(agents, environment(plan, hosts), passwords, plan, zipped, authority)
        information = ready.result()
    shown = f"[{address}]" if ":" in address else address
    progress(f"provenance service ready on {shown}:{PORT}")
    return ServiceRecord(
        name="provenance",
        host=server.key,
        endpoints={"mqtt": f"{'mqtts' if plan.tls else 'mqtt'}://{shown}:{PORT}", **information.get("endpoints", {})},
        paths={"program": PROGRAM, "data": DATA, "bundle": BUNDLE},
    )


def environment(plan: ProvenancePlan, hosts: Mapping[str, Host]) -> dict[str, dict[str, str]]:
    """Environment of the application on each agent, by service key; holds no secret."""
    address = _address(hosts[plan.host], plan.ipv)
    return {
        key: {
            "PROVLIGHT_SERVER_URL": address,
            "PROVLIGHT_SERVER_PORT": str(PORT),
            "PROVLIGHT_SERVER_TOPIC": str(plan.topics[key]),
            "PROVLIGHT_CREDENTIALS": f"{SETTINGS}/credentials",
            "PROVLIGHT_DATAFLOW": f"{SETTINGS}/dataflow.json",
            "PROVLIGHT_SPOOL_DIR": SPOOL,
            **({"PROVLIGHT_TLS_CA": AUTHORITY} if plan.tls else {}),
            "PYTHONPATH": BUNDLE,
        }
        for key in plan.agents
    }


def health(host: Host) -> dict[str, Any]:
    """What the service says of itself: ``{"healthy": bool, ...}``, with ``reason`` when it does not answer."""
    result = shell.run(host, command(host, "status", "--format", "json"), timeout_s=30)
    try:
        report: dict[str, Any] = json.loads(result.stdout)
    except json.JSONDecodeError:
        return {"healthy": False, "reason": shell.explain(result)}
    return {"healthy": result.ok, **report}


def backup(
    host: Host,
    folder: Path,
    drain_s: int,
    progress: Progress,
    agents: Iterable[Host] = (),
    run: str | None = None,
    whole: Path | None = None,
) -> list[Path]:
    """Wait until everything captured is stored, then copy the database: SQL dump, CSV files and PROV-JSON.

    Args:
        run: name of the run whose tasks the CSV files and PROV-JSON hold; None: all tasks. The dump holds everything.
        agents: hosts of the application; what ended processes left there in the spool is sent first.
        folder: ``provenance-data`` of the output folder; made if missing.
        drain_s: limit in seconds for what is still on its way into the database.
        whole: folder of the dump, where that is another one; a file in the first one says so. The dump replaces the
            one before, which stays until it is whole.

    Returns:
        The files written.

    Raises:
        ProvenanceError: a step failed; files of earlier steps stay. Or everything was copied, but a host could not send
            what its spool holds: the spool itself lies in the folder then.
    """
    folder.mkdir(exist_ok=True)
    dump = (whole or folder) / DUMP
    dump.parent.mkdir(exist_ok=True)
    kept = _send_spools(agents, folder, drain_s)
    drained = shell.run(host, command(host, "drain", "--timeout", str(drain_s)), timeout_s=drain_s + 30)
    if not drained.ok:
        raise ProvenanceError(
            "records are still on their way into the database", where=host.key, why=shell.explain(drained)
        )
    before = f"{dump} is still the one of before" if dump.exists() else None
    _fetched(shell.fetch(host, command(host, "dump", "--output", "-"), dump, timeout_s=BACKUP_S), "SQL dump", before)
    if whole is None:
        progress(f"{dump.name}: {dump.stat().st_size} bytes")
    else:
        place = os.path.relpath(dump, folder)
        (folder / ELSEWHERE).write_text(_ELSEWHERE.format(place), encoding="utf-8")
        progress(f"{dump.name} of all runs: {dump.stat().st_size} bytes in {dump.parent}")
    chosen = () if run is None else (f"--run={run}",)
    names = _exported(host, "csv", f"{DATA}.csv", folder, chosen)
    progress(f"{sum(name.endswith('.csv') for name in names)} CSV files")
    tasks = _tasks(folder)
    if tasks <= PROV_TASKS:
        for stale in folder.glob("provenance*.prov.json"):
            stale.unlink()
        documents = _exported(host, "prov-json", f"{DATA}.prov/provenance.prov.json", folder, chosen)
        progress(f"{len(documents)} PROV-JSON document{'s' if len(documents) > 1 else ''}")
        names += documents
    else:
        progress(
            f"no PROV-JSON, because {tasks} tasks are more than {PROV_TASKS}: "
            "`e2clab provenance import` loads the dump, `e2clab provenance export` writes it"
        )
    if kept:
        where, why = next(iter(kept.items()))
        raise ProvenanceError(
            f"records in the spool of {', '.join(kept)} did not reach the database",
            why=why,
            hint=f"{SPOOL} of {where} is kept in {folder / _archive(where)}; mend the cause and finalize again",
        )
    return [dump, *(folder / name for name in sorted(names))]


def _exported(host: Host, form: str, output: str, folder: Path, chosen: Sequence[str]) -> list[str]:
    """Export on the host of the service and fetch what was written; returns the names of the files."""
    place = output if form == "csv" else str(PurePosixPath(output).parent)
    archive = folder / f".{form}.tar"
    write = command(host, "export", "--format", form, "--output", output, *chosen)
    made = "" if place == output else f"mkdir -p {place} && "
    script = f"rm -rf {place} && {made}{write} >&2 && tar -C {place} -cf - . && rm -rf {place}"
    try:
        _fetched(shell.fetch(host, script, archive, timeout_s=BACKUP_S), f"export of {form}")
        return _unpack(archive, folder)
    finally:
        archive.unlink(missing_ok=True)


def _tasks(folder: Path) -> int:
    """How many tasks the CSV files of a folder hold, by their description."""
    described = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    return next(int(one["e2c"]["rows"]) for one in described["resources"] if one["e2c"]["table"] == "task")


def _send_spools(agents: Iterable[Host], folder: Path, limit_s: int) -> dict[str, str]:
    """Send what ended processes left. Gives the reason for each host that could not, and copies its spool."""
    commands = {
        agent: f"[ ! -d {SPOOL} ] || {shlex.quote(agent.interpreter)} -m provlight spool send --timeout {limit_s}"
        for agent in agents
    }
    kept = {}
    results = shell.run_each(commands, timeout_s=limit_s + 30)
    for agent, result in zip(commands, results.values(), strict=True):
        if not result.ok:
            kept[agent.key] = shell.explain(result)
            pack = f"tar -C {SPOOL} --warning=no-file-changed -cf - ."
            shell.fetch(agent, pack, folder / _archive(agent.key), timeout_s=BACKUP_S)
    return kept


def _archive(key: str) -> str:
    return f"spool-{key}.tar"


def _unpack(archive: Path, folder: Path) -> list[str]:
    """Write the plain files of a flat archive into a folder, whatever paths a host gave them; returns their names."""
    names = []
    with tarfile.open(archive) as members:
        for member in members:
            content = members.extractfile(member) if member.isfile() else None
            if content is not None:
                names.append(Path(member.name).name)
                with (folder / names[-1]).open("wb") as file:
                    shutil.copyfileobj(content, file)
    return names


def _fetched(result: shell.Result, what: str, hint: str | None = None) -> None:
    if not result.ok:
        raise ProvenanceError(f"the {what} failed", where=result.key, why=shell.explain(result), hint=hint)


def command(host: Host, *arguments: str) -> str:
    """Shell command that runs a subcommand of the service on its host."""
    words = [host.interpreter, "-m", "e2c.provenance", arguments[0], "--data", DATA, *arguments[1:]]
    return f"cd {PROGRAM} && PYTHONPATH={PROGRAM} {' '.join(shlex.quote(word) for word in words)}"


def _address(host: Host, ipv: int) -> str:
    address = host.addresses.v6 if ipv == 6 else host.addresses.v4
    if address is None:
        raise ProvenanceError(
            f"the provenance host has no IPv{ipv} address",
            where=host.key,
            hint=f"Set `ipv: {10 - ipv}` under `provenance:`",
        )
    return address


def _install_service(host: Host, archive: bytes, passwords: dict[str, str], plan: ProvenancePlan) -> None:
    trace = traces.leave("provenance-service", _remove_service(host))
    # what a deployment that was cut off left running here holds the ports and the data
    unpack = f"rm -rf {PROGRAM} && mkdir -p {PROGRAM} && tar -C {PROGRAM} -xzf - --no-same-owner"
    script = f"{trace} || exit 1\n{_end_service(host)}{unpack}"
    shell.require(
        {host.key: shell.run(host, script, stdin=archive, timeout_s=300)}, "installing the provenance service"
    )
    for path, data in ((CLIENTS, passwords), (DATAFLOW, {"dataflows": plan.dataflows})):
        written = shell.put(host, json.dumps(data).encode(), path, mode=0o600)
        shell.require({host.key: written}, f"writing {path}")


def _end_service(host: Host) -> str:
    """Script that ends the service, if one runs."""
    return f"""\
[ ! -d {PROGRAM} ] || ({command(host, "stop")}) >/dev/null 2>&1
for process in /proc/[0-9]*; do
  case "$(readlink $process/cwd)" in
    {PROGRAM}|{PROGRAM}/*|{DATA}|{DATA}/*) kill -9 ${{process#/proc/}} 2>/dev/null;;
  esac
done
"""


def _remove_service(host: Host) -> str:
    """Script that ends the service and removes it with its data."""
    return f"""\
[ -e {PROGRAM} ] || [ -e {DATA} ] || exit 0
{_end_service(host)}
cd / && rm -rf {PROGRAM} {DATA} {DATA}.* && echo 'provenance service with its data'
"""


def _start(host: Host, plan: ProvenancePlan) -> dict[str, Any]:
    bind = [address for address in ("127.0.0.1", host.addresses.v4, host.addresses.v6) if address]
    arguments = ["serve", "--dataflow", DATAFLOW, "--clients", CLIENTS, "--mqtt-port", str(PORT)]
    arguments += ["--partitions", str(plan.parallelism), *(["--tls"] if plan.tls else [])]
    for address in bind:
        arguments += ["--bind", address]
    # The shell waits on the host itself: one round trip, and the end of the process is seen at once.
    script = f"""
: >{OUTPUT}
({command(host, *arguments)}) </dev/null >{OUTPUT} 2>{OUTPUT}.err &
server=$!
for _ in $(seq {READY_S * 20}); do
  grep -m1 '^ready' {OUTPUT} && exit 0
  kill -0 $server 2>/dev/null || {{ tail -n 5 {OUTPUT}.err >&2; exit 1; }}
  sleep 0.05
done
kill $server; echo 'not ready within {READY_S} s' >&2; tail -n 5 {OUTPUT}.err >&2; exit 124
"""
    result = shell.run(host, f"setsid --wait bash -c {shlex.quote(script)}", timeout_s=READY_S + 30)
    if not result.ok:
        words = (result.stderr or result.stdout).strip().removeprefix("e2c.provenance: ").rstrip(".")
        raise ProvenanceError(
            "the provenance service did not start", where=host.key, why=words or f"exit code {result.rc}"
        )
    information: dict[str, Any] = json.loads(result.stdout.strip().removeprefix("ready"))
    return information


def _authority(host: Host, information: dict[str, Any]) -> bytes:
    """The certificate of the authority that agents must trust."""
    result = shell.run(host, f"cat {shlex.quote(information['tls_ca'])}")
    shell.require({host.key: result}, "reading the certificate of the provenance service")
    return result.stdout.encode()


def _install_agents(
    agents: list[Host],
    variables: dict[str, dict[str, str]],
    passwords: dict[str, str],
    plan: ProvenancePlan,
    bundle: bytes,
    authority: bytes | None,
) -> None:
    dataflow = json.dumps({"dataflows": plan.dataflows}).encode()

    def install(agent: Host) -> shell.Result:
        lines = "".join(f"{name}={value}\n" for name, value in variables[agent.key].items())
        secret = f"{agent.key}\n{passwords[agent.key]}\n"
        files = {
            BUNDLE: (bundle, 0o644),
            f"{SETTINGS}/environment": (lines.encode(), 0o644),
            f"{SETTINGS}/dataflow.json": (dataflow, 0o644),
            f"{SETTINGS}/credentials": (secret.encode(), 0o600),
            **({AUTHORITY: (authority, 0o644)} if authority is not None else {}),
        }
        return shell.run(agent, _install_script(agent), stdin=_tar(files), timeout_s=120)

    with ThreadPoolExecutor(min(shell.FORKS, max(1, len(agents)))) as pool:
        shell.require(
            {agent.key: result for agent, result in zip(agents, pool.map(install, agents), strict=True)},
            "installing ProvLight",
        )


def _install_script(agent: Host) -> str:
    return f"""set -e
{traces.leave("provenance-agent", _remove_agent(agent))}
tar -C / -xf - --no-same-owner
folder=$({_site(agent)}); mkdir -p "$folder"; echo {BUNDLE} >"$folder/provlight.pth"
if [ -d {SPOOL} ] && [ -n "$(ls -A {SPOOL})" ]; then mv {SPOOL} {SPOOL}.$(date +%Y%m%d-%H%M%S); fi
mkdir -p {SPOOL}; chmod 1777 {SPOOL}
touch ~/.bashrc; file=$(readlink -f ~/.bashrc); sed -i '/# provlight$/d' "$file"
cp -p "$file" "$file.part"; {{ echo {shlex.quote(HOOK)}; cat "$file"; }} >"$file.part"; mv "$file.part" "$file"
echo {shlex.quote(HOOK)} >/etc/profile.d/provlight.sh
"""


def _remove_agent(agent: Host) -> str:
    """Script that removes the library, its settings and its lines in the login files; records nobody sent stay."""
    return f"""\
file=$(readlink -f ~/.bashrc) && [ -f "$file" ] && sed -i '/# provlight$/d' "$file"
[ -s ~/.bashrc ] || rm -f ~/.bashrc
rm -rf {PurePosixPath(BUNDLE).parent} {SETTINGS} /etc/profile.d/provlight.sh "$({_site(agent)})/provlight.pth" || exit 1
echo 'capture library and its settings'
for spool in {SPOOL} {SPOOL}.*; do
  [ ! -d $spool ] || rmdir $spool 2>/dev/null || echo "kept $spool: it holds records that were never sent"
done
"""


def _site(agent: Host) -> str:
    return f"{agent.interpreter} -c 'import site; print(site.getsitepackages()[0])'"


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (data, mode) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
