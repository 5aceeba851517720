"""FIT IoT-LAB against the stand-in of its API: EnOSlib's own code books and flashes, ours bounds, tells and frees."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from iotlab_api import IotLabApi
from iotlab_desk import A8, M3, PASSWORD, POWER, RSSI, Desk, planned

from e2c.environments import slot
from e2c.environments.iotlab import credentials
from e2c.environments.iotlab.provider import IotLabProvider
from e2c.errors import TestbedError
from e2c.model.reservation import Reservation


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    home = tmp_path / "home"
    home.mkdir()
    with IotLabApi() as api:
        made = Desk(api, home, monkeypatch)
        yield made
        assert PASSWORD not in repr((made.said, made.waited, made.told))
        api.faults.clear()


def addresses(desk: Desk, *numbers: int, kind: str = "m3", site: str = "grenoble") -> list[str]:
    return [f"{kind}-{number}.{site}.iot-lab.info" for number in numbers]


def test_boards_are_booked_and_freed(desk: Desk) -> None:
    desk.api.launching_s = 0.5
    claim = desk.claim()

    given = desk.acquire(claim, planned("sensor", 2, archi=M3))

    assert [board.address for board in given.boards] == addresses(desk, 1, 2)
    assert [board.key for board in given.boards] == ["edge.sensor.1.1", "edge.sensor.1.2"]
    assert {(board.site, board.archi, board.provider) for board in given.boards} == {("grenoble", M3, "iotlab")}
    assert given.hosts == ()
    (experiment,) = desk.api.living()
    assert experiment.name == claim.job_name
    assert experiment.duration == 60, "minutes, upwards"
    assert len(experiment.asked["nodes"]) == 1, "nodes of one kind are one wish"
    assert desk.told[-1].state == "Running"
    assert desk.told[-1].starts is not None
    assert desk.told[-1].ends == pytest.approx(desk.told[-1].starts + 3600)
    assert any("is Launching" in text for text in desk.waited)

    assert desk.release(claim) == [f"experiment {experiment.id} of FIT IoT-LAB (2 nodes)"]
    assert desk.api.living() == []
    assert desk.told[-1].state == "Stopped"


def test_what_lives_already_is_found_and_taken_up_again(desk: Desk) -> None:
    claim = desk.claim()
    first = desk.acquire(claim, planned("sensor", 2, archi=M3))

    assert [found.job_name for found in desk.provider.find(claim.scenario)] == [claim.job_name]
    assert desk.provider.find("/scenarios/other") == []
    (reservation,) = desk.provider.reservations(claim)
    assert (reservation.state, reservation.name) == ("Running", claim.job_name)
    assert desk.acquire(claim, planned("sensor", 2, archi=M3)) == first
    assert len(desk.api.experiments) == 1
    (orphan,) = desk.provider.find(claim.scenario)
    assert len(desk.release(orphan)) == 1
    assert desk.provider.reservations(claim) == []
    assert desk.provider.find(claim.scenario) == []


def test_nodes_by_name_and_by_architecture_in_one_experiment(desk: Desk) -> None:
    desk.api.nodes["m3-1.grenoble.iot-lab.info"].state = "Dead"
    claim = desk.claim()
    hosts = planned("sensor", 2, archi=M3) + planned("relay", servers=["m3-2", "m3-3.grenoble.iot-lab.info"])

    given = desk.acquire(claim, hosts)

    assert {board.key: board.address for board in given.boards} == dict(
        zip(["edge.sensor.1.1", "edge.sensor.1.2", "edge.relay.1.1"], addresses(desk, 3, 4, 2), strict=True)
    )
    (experiment,) = desk.api.living()
    assert experiment.asked["type"] == "physical"
    desk.release(claim)


def test_named_nodes_that_are_taken_are_queued_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.acquire(desk.claim("/scenarios/field"), planned("relay", servers=["m3-3"]))
    monkeypatch.setenv("E2C_START_TIMEOUT", "1")
    monkeypatch.setenv("E2C_SLOT_WINDOW", "1")

    with pytest.raises(TestbedError, match=r"is Waiting, scheduled to start at 20"):
        desk.acquire(desk.claim(), planned("sensor", archi=M3) + planned("relay", servers=["m3-3"]))


def test_named_nodes_that_are_broken_are_told(desk: Desk) -> None:
    desk.api.nodes["m3-3.grenoble.iot-lab.info"].state = "Dead"

    with pytest.raises(TestbedError, match=r"gives 0 of 1 nodes: edge.relay.1.1 lacks one of m3-3.grenoble"):
        desk.acquire(desk.claim(), planned("relay", servers=["m3-3"]))

    assert desk.api.experiments == {}


def test_a_node_that_somebody_takes_meanwhile_is_replaced(desk: Desk) -> None:
    def take() -> None:
        desk.api.nodes["m3-1.grenoble.iot-lab.info"].state = "Suspected"

    desk.api.faults.afterwards("GET", "^/nodes$", take)
    hosts = planned("sensor", archi=M3) + planned("relay", servers=["m3-3"])

    given = desk.acquire(desk.claim(), hosts)

    assert [board.address for board in given.boards] == addresses(desk, 2, 3)


def test_profiles_are_made_for_each_node_and_removed(desk: Desk) -> None:
    desk.api.profiles["mine"] = {"profilename": "mine", "nodearch": "m3"}
    radio = {"name": "radio", "archi": "m3", "period": 8244, "average": 4, "radio": RSSI}
    claim = desk.claim(profiles=[POWER, radio, {**POWER, "name": "unused"}])
    hosts = planned("sensor", archi=M3, profile="power") + planned("ear", archi=M3, profile="radio")

    given = desk.acquire(claim, hosts)

    made = {name: profile for name, profile in desk.api.profiles.items() if name != "mine"}
    (power,) = (profile for profile in made.values() if profile["consumption"])
    (heard,) = (profile for profile in made.values() if profile["radio"])
    assert power["consumption"] == {"current": False, "power": True, "voltage": False, "period": 8244, "average": 4}
    assert heard["radio"] == RSSI
    (experiment,) = desk.api.living()
    linked = {entry["profilename"]: entry["nodes"] for entry in experiment.asked["profileassociations"]}
    assert linked == {
        power["profilename"]: [given.boards[0].address],
        heard["profilename"]: [given.boards[1].address],
    }
    freed = desk.release(claim)
    assert list(desk.api.profiles) == ["mine"]
    assert len(freed) == 3


def test_a_profile_that_was_worded_otherwise_is_made_anew(desk: Desk) -> None:
    claim = desk.claim(profiles=[POWER])
    hosts = planned("sensor", archi=M3, profile="power")
    desk.acquire(claim, hosts)
    desk.api.end(desk.api.living()[0])
    other = desk.claim(profiles=[{**POWER, "voltage": True}])

    desk.acquire(other, hosts)

    (profile,) = desk.api.profiles.values()
    assert profile["consumption"]["voltage"] is True


@pytest.mark.parametrize(("name", "content"), [("sense.elf", b"\x7fELF..."), ("sub/sense.bin", b"\0\1\2")])
def test_firmware_of_the_artifacts_folder_is_flashed(desk: Desk, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "artifacts/sub").mkdir(parents=True)
    (tmp_path / "artifacts" / name).write_bytes(content)
    hosts = planned("sensor", 2, archi=M3, image=name) + planned("other", archi=M3)

    given = desk.acquire(desk.claim(artifacts=tmp_path / "artifacts"), hosts)

    flashed = [node.network_address for node in desk.api.nodes.values() if node.firmware == Path(name).name]
    assert flashed == addresses(desk, 1, 2)
    assert [board.image for board in given.boards] == [name, name, None]


def test_a_firmware_that_the_testbed_keeps_is_flashed_by_name(desk: Desk) -> None:
    desk.api.firmwares.add("tutorial_m3")

    desk.acquire(desk.claim(), planned("sensor", archi=M3, image="tutorial_m3"))

    assert desk.api.nodes["m3-1.grenoble.iot-lab.info"].firmware == "tutorial_m3"


def test_boards_that_do_not_take_their_firmware_are_named(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "sense.elf").write_bytes(b"\x7fELF")
    desk.api.faults.answer("POST", "/nodes/flash", 200, {"0": addresses(desk, 1), "1": addresses(desk, 2)}, times=2)
    claim = desk.claim(artifacts=tmp_path)

    with pytest.raises(TestbedError, match=r"1 of 2 boards did not take the firmware sense.elf: m3-2.grenoble"):
        desk.acquire(claim, planned("sensor", 2, archi=M3, image="sense.elf"))

    assert len(desk.api.asked("POST", "/nodes/flash")) == 2, "what failed is tried once more"
    assert len(desk.release(claim)) == 1


def test_a_lost_answer_to_flashing_is_asked_again(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "sense.elf").write_bytes(b"\x7fELF")
    desk.api.faults.lose("POST", "/nodes/flash")

    desk.acquire(desk.claim(artifacts=tmp_path), planned("sensor", archi=M3, image="sense.elf"))

    assert desk.api.nodes["m3-1.grenoble.iot-lab.info"].commands == ["flash", "flash"]


def test_a_firmware_that_the_testbed_refuses(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "sense.elf").write_bytes(b"text")

    with pytest.raises(TestbedError, match=r"refuses to flash sense.elf: Invalid firmware"):
        desk.acquire(desk.claim(artifacts=tmp_path), planned("sensor", archi=M3, image="sense.elf"))


def test_the_answer_to_the_submission_is_lost(desk: Desk) -> None:
    desk.api.faults.lose("POST", "^/experiments$")
    claim = desk.claim()

    given = desk.acquire(claim, planned("sensor", archi=M3))

    assert len(given.boards) == 1
    assert len(desk.api.experiments) == 1, "looked for by name before it is submitted again"
    assert any("did not answer the submission" in text for text in desk.said)


def test_a_submission_that_never_arrived_is_repeated(desk: Desk) -> None:
    desk.api.faults.refuse("POST", "^/experiments$", times=1)

    given = desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert len(given.boards) == 1
    assert len(desk.api.experiments) == 1


def test_doubles_are_stopped_and_the_oldest_kept(desk: Desk) -> None:
    claim = desk.claim()
    hosts = planned("sensor", archi=M3)
    first = desk.acquire(claim, hosts)
    original = desk.api.living()[0]
    desk.api.faults.answer("GET", "^/experiments$", 200, {"items": []}, times=1)
    double = desk.acquire(claim, hosts)
    assert double != first
    assert len(desk.api.living()) == 2

    assert desk.acquire(claim, hosts) == first

    assert desk.api.living() == [original]


def test_release_stops_doubles_and_waits_for_each(desk: Desk) -> None:
    claim = desk.claim()
    desk.acquire(claim, planned("sensor", archi=M3))
    desk.api.faults.answer("GET", "^/experiments$", 200, {"items": []}, times=1)
    desk.acquire(claim, planned("sensor", archi=M3))

    assert len(desk.release(claim)) == 2
    assert desk.api.living() == []
    assert desk.release(claim) == []


def test_release_looks_twice_for_what_appears_late(desk: Desk) -> None:
    claim = desk.claim()
    desk.acquire(claim, planned("sensor", archi=M3))
    desk.api.faults.answer("GET", "^/experiments$", 200, {"items": []}, times=1)

    assert len(desk.release(claim)) == 1
    assert desk.api.living() == []


def test_release_repeats_what_was_not_answered(desk: Desk) -> None:
    claim = desk.claim(profiles=[POWER])
    desk.acquire(claim, planned("sensor", archi=M3, profile="power"))
    desk.api.faults.lose("DELETE", "^/experiments")
    desk.api.faults.answer("GET", "^/monitoring", 500, b"Internal Server Error", content_type="text/plain", times=2)

    assert len(desk.release(claim)) == 2
    assert desk.api.living() == []
    assert desk.api.profiles == {}


def test_release_without_the_api_says_so(desk: Desk) -> None:
    claim = desk.claim()
    desk.acquire(claim, planned("sensor", archi=M3))
    desk.api.close()

    with pytest.raises(TestbedError, match="API of FIT IoT-LAB does not answer"):
        desk.release(claim)

    desk.api.open()
    assert len(desk.release(claim)) == 1


def test_release_goes_on_when_the_api_is_out_of_order_for_a_while(desk: Desk) -> None:
    claim = desk.claim()
    desk.acquire(claim, planned("sensor", archi=M3))
    desk.api.faults.answer("GET", r"^/experiments/\d+$", 502, b"Bad Gateway", content_type="text/plain", times=4)

    assert len(desk.release(claim)) == 1
    assert any("does not tell of experiment" in text for text in desk.waited)


def test_release_that_is_not_confirmed_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_RELEASE_TIMEOUT", "1")
    claim = desk.claim()
    desk.acquire(claim, planned("sensor", archi=M3))
    desk.api.faults.answer("DELETE", "^/experiments", 200, {"status": "Delete request registered"}, times=None)

    with pytest.raises(TestbedError, match=r"is Running.*E2C_RELEASE_TIMEOUT") as caught:
        desk.release(claim)

    assert "within 1 s" in str(caught.value)


def test_experiments_of_other_scenarios_stay(desk: Desk) -> None:
    mine, other = desk.claim(), desk.claim("/scenarios/field")
    desk.acquire(mine, planned("sensor", archi=M3))
    desk.acquire(other, planned("sensor", archi=M3))

    desk.release(mine)

    assert [experiment.name for experiment in desk.api.living()] == [other.job_name]


def test_error_before_it_runs(desk: Desk) -> None:
    desk.api.error_after = 0

    with pytest.raises(TestbedError, match="experiment 237000 of FIT IoT-LAB went to state Error before it ran"):
        desk.acquire(desk.claim(), planned("sensor", archi=M3))


def test_the_wait_ends_and_names_its_setting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_START_TIMEOUT", "1")
    monkeypatch.setenv("E2C_SLOT_WINDOW", "1")
    for node in desk.api.nodes.values():
        desk.api.occupy(node.network_address, time.time() - 10, time.time() + 3000)

    with pytest.raises(TestbedError, match=r"Waiting, scheduled to start at 20.*E2C_START_TIMEOUT"):
        desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert any("scheduled to start at" in text for text in desk.waited)


def test_a_date_within_the_slot_window_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_START_TIMEOUT", "1")
    for node in desk.api.nodes.values():
        desk.api.occupy(node.network_address, time.time() - 10, time.time() + 3)

    given = desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert len(given.boards) == 1


def test_fewer_nodes_than_asked(desk: Desk) -> None:
    desk.api.fewer = 1

    with pytest.raises(TestbedError, match=r"gives 1 of 2 nodes: edge.sensor.1.2 lacks a free m3:at86rf231 node"):
        desk.acquire(desk.claim(), planned("sensor", 2, archi=M3))


def test_a_node_that_the_testbed_cannot_start_is_named(desk: Desk) -> None:
    desk.api.failing_nodes.add("m3-2.grenoble.iot-lab.info")

    with pytest.raises(TestbedError, match=r"could not start m3-2.grenoble.iot-lab.info"):
        desk.acquire(desk.claim(), planned("sensor", 2, archi=M3))


def test_nodes_that_are_not_available_are_named(desk: Desk) -> None:
    desk.api.faults.answer(
        "POST", "^/experiments$", 500, {"code": 500, "message": "Invalid nodes state : [m3-1.grenoble.iot-lab.info]"}
    )

    with pytest.raises(TestbedError, match=r"not available: m3-1.grenoble.iot-lab.info") as caught:
        desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert "iotlab-status" in str(caught.value)


def test_more_than_there_are(desk: Desk) -> None:
    with pytest.raises(TestbedError, match="refuses to submit the experiment: There are not enough resources"):
        desk.acquire(desk.claim(), planned("sensor", 9, archi=M3))


def test_wrong_password(desk: Desk) -> None:
    desk.log_in("wr0ng-secret")

    with pytest.raises(TestbedError, match="refuses the password of jdoe") as caught:
        desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert "iotlab-auth -u jdoe" in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(TestbedError, match="refuses the password of jdoe"):
        desk.provider.check({})
    account, api, ssh = desk.provider.examine({})
    assert (account.ok, api.ok, ssh.ok) == (True, False, None)
    assert "refuses the password" in api.text


@pytest.mark.parametrize("content", [None, "", "jdoe", "jdoe:not base64!", "jdoe:aGk=:more", ":aGk="])
def test_credentials_that_are_missing_or_damaged(desk: Desk, content: str | None) -> None:
    file = desk.home / ".iotlabrc"
    file.unlink() if content is None else file.write_text(content)

    with pytest.raises(TestbedError, match="credentials for FIT IoT-LAB") as caught:
        desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert "iotlab-auth -u USER" in str(caught.value)
    findings = desk.provider.examine({})
    assert [finding.ok for finding in findings] == [False, None, None]
    if content is None:
        assert desk.provider.find("/scenarios/forest") == []
    assert desk.api.requests == []


def test_an_account_in_order_is_let_through(desk: Desk) -> None:
    desk.provider.check({"cluster": "grenoble"})

    assert [request.path for request in desk.api.requests] == ["/user"]


def test_a_key_that_does_not_exist_is_told_before_anything_is_asked(desk: Desk) -> None:
    with pytest.raises(TestbedError, match="ssh key of iotlab does not exist"):
        desk.acquire(desk.claim(key_name="~/.ssh/none.pub"), planned("sensor", archi=M3))

    assert desk.api.requests == []


def test_keys_are_those_of_the_scenario_else_of_the_home_folder(desk: Desk) -> None:
    (desk.home / ".ssh").mkdir()
    for name in ("id_rsa", "id_rsa.pub", "mine", "mine.pub"):
        (desk.home / ".ssh" / name).touch()

    assert credentials.keyfile({}) == str(desk.home / ".ssh/id_rsa")
    assert credentials.keyfile({"key_name": "~/.ssh/mine.pub"}) == str(desk.home / ".ssh/mine")
    assert credentials.keyfile({"key_name": "~/.ssh/mine"}) == str(desk.home / ".ssh/mine")


def test_api_down(desk: Desk) -> None:
    desk.api.close()

    with pytest.raises(TestbedError, match="API of FIT IoT-LAB does not answer: connection refused"):
        desk.acquire(desk.claim(), planned("sensor", archi=M3))
    _, api, ssh = desk.provider.examine({})
    assert (api.ok, ssh.ok) == (False, None)
    with pytest.raises(TestbedError, match="connection refused"):
        desk.provider.check({})


def test_an_api_that_keeps_silent_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_API_TIMEOUT", "0.3")
    desk.api.faults.delay("GET", "", 3)

    with pytest.raises(TestbedError, match=r"no answer within 0.3 s.*E2C_API_TIMEOUT"):
        desk.acquire(desk.claim(), planned("sensor", archi=M3))


def test_a_server_in_front_that_fails(desk: Desk) -> None:
    desk.api.faults.answer("*", "", 503, b"<html>Service Unavailable</html>", content_type="text/html")

    with pytest.raises(TestbedError, match="out of order: it answers with HTTP code 503") as caught:
        desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert "<html>" not in str(caught.value)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_in_place_of_an_answer(desk: Desk, method: str) -> None:
    desk.api.faults.answer(method, "", 200, b"<html>Please log in</html>", content_type="text/html")

    with pytest.raises(TestbedError, match="something else answers in place of the API of FIT IoT-LAB"):
        desk.acquire(desk.claim(), planned("sensor", archi=M3))


def test_an_api_that_is_down_while_the_experiment_starts_is_asked_again(desk: Desk) -> None:
    desk.api.launching_s = 2
    desk.api.faults.answer("GET", r"^/experiments/\d+$", 502, b"Bad Gateway", content_type="text/plain", times=4)

    given = desk.acquire(desk.claim(), planned("sensor", archi=M3))

    assert len(given.boards) == 1
    assert any("out of order" in text for text in desk.waited)


def test_a_common_slot_waits_for_the_nodes_that_are_named(desk: Desk) -> None:
    desk.api.start_after_s = None
    for number in (1, 3):
        desk.api.occupy(f"m3-{number}.grenoble.iot-lab.info", time.time() - 10, time.time() + 500)
    mixed, plain = desk.claim(), desk.claim("/scenarios/field", walltime="30:00:00")
    hosts = planned("sensor", archi=M3) + planned("relay", servers=["m3-3"])

    slot.secure([(mixed, hosts), (plain, planned("server", archi=A8))], desk.watch)

    first, second = desk.api.living()
    assert abs(first.starts - second.starts) <= 120
    assert first.starts >= time.time() + 400
    assert sorted(first.asked["nodes"]) == addresses(desk, 1, 3), "free by then, and dealt out first"
    assert second.duration in (1799, 1800), "more than a day, though EnOSlib alone counts to 24 hours"
    assert {reservation.starts for reservation in desk.told} == {first.starts, second.starts}
    desk.provider.release(mixed, desk.watch)
    desk.provider.release(plain, desk.watch)
    assert desk.api.living() == []


def test_a_wrong_password_at_the_common_slot_is_one_sentence(desk: Desk) -> None:
    desk.log_in("wr0ng")

    with pytest.raises(TestbedError, match="refuses the password of jdoe"):
        slot.secure(
            [(claim, planned("s", archi=M3)) for claim in (desk.claim(), desk.claim("/scenarios/field"))], desk.watch
        )


def test_what_was_measured_is_fetched_also_after_the_end(desk: Desk, tmp_path: Path) -> None:
    claim = desk.claim(profiles=[POWER])
    desk.acquire(claim, planned("sensor", archi=M3, profile="power"))
    number = desk.api.living()[0].id
    desk.api.end(desk.api.living()[0])

    # the API is there, the machine of the site is not
    with pytest.raises(TestbedError, match=r"could not be fetched from grenoble: .*~/.iot-lab of the site"):
        desk.provider.collect(claim, tmp_path / "data", desk.watch)

    assert [file.name for file in (tmp_path / "data").iterdir()] == [f"{number}.tar.gz"]


def test_nothing_is_fetched_where_nothing_was_measured(desk: Desk, tmp_path: Path) -> None:
    assert desk.provider.collect(desk.claim(), tmp_path / "data", desk.watch) == []
    assert not (tmp_path / "data").exists()
    with pytest.raises(TestbedError, match="knows no experiment forest_walk_"):
        desk.provider.collect(desk.claim(profiles=[POWER]), tmp_path / "data", desk.watch)


def test_nothing_is_lengthened(desk: Desk) -> None:
    with pytest.raises(TestbedError, match="does not lengthen an experiment"):
        desk.provider.extend(desk.claim(), 600, desk.watch)


def test_numbers_of_experiments_are_told_before_they_run(desk: Desk) -> None:
    seen = threading.Event()

    def note(reservation: Reservation) -> None:
        if reservation.state == "Waiting" and reservation.id == "237000":
            seen.set()

    desk.watch.reserved = note
    desk.api.launching_s = 60
    claim = desk.claim()
    worker = threading.Thread(target=lambda: _quietly(desk, claim), daemon=True)
    worker.start()

    assert seen.wait(30)
    desk.api.end(desk.api.living()[0], "Error")
    worker.join(30)
    assert not worker.is_alive()


def _quietly(desk: Desk, claim: object) -> None:
    with pytest.raises(TestbedError):
        desk.acquire(claim, planned("sensor", archi=M3))  # type: ignore[arg-type]


def test_the_walltime_of_the_testbed_and_its_job_name_go_first() -> None:
    claim = IotLabProvider().claim(
        experiment="x",
        scenario="/s",
        job_name="common",
        walltime_s=60,
        settings={"walltime": "30:00:00", "job_name": "own"},
    )

    assert claim.walltime_s == 30 * 3600
    assert claim.job_name.startswith("own_")


def test_long_experiments_count_hours_beyond_a_day(desk: Desk) -> None:
    desk.acquire(desk.claim(walltime="30:00:00"), planned("sensor", archi=M3))

    assert desk.api.living()[0].duration == 1800


def test_an_experiment_that_ends_before_its_hosts_answer_is_the_reason(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E2C_SSH_TIMEOUT", "1")
    over = lambda: desk.api.end(desk.api.living()[0])  # noqa: E731
    desk.api.faults.afterwards("GET", "/deployment$", over)

    with pytest.raises(TestbedError, match=r"ended before its nodes were ready: its walltime was over"):
        desk.acquire(desk.claim(), planned("server", archi=A8))


def test_hosts_without_ssh_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_SSH_TIMEOUT", "1")

    with pytest.raises(TestbedError, match=r"node-a8-1.grenoble.iot-lab.info.*E2C_SSH_TIMEOUT"):
        desk.acquire(desk.claim(), planned("server", archi=A8))
