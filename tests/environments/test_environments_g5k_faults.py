"""Booking on Grid'5000 when things go wrong: the sentence that the user reads, and no job that stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from grid5000_user import DEPLOY, IMAGE, PASSWORD, User, hosts, sentence

from e2c.errors import TestbedError

JOBS = "/sites/nancy/jobs$"
JOB = r"/sites/nancy/jobs/\d+$"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """Somebody with an account; whatever was said or raised, the password was not in it."""
    user = User(tmp_path)
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    user.log_in()
    with user.api:
        yield user
    assert PASSWORD not in repr([user.said, user.waited, user.reserved])


def _fails(user: User, number: int = 2, *, kept: bool = False, **settings: Any) -> str:
    """The sentence of a booking that fails; it can be released, and nothing lives afterwards."""
    claim = user.claim(**(DEPLOY | settings))
    with pytest.raises(TestbedError) as caught:
        user.acquire(claim, hosts(number))
    text = sentence(caught.value)
    assert PASSWORD not in text
    assert "Error(" not in text
    if not kept:
        user.release(claim)
        assert user.api.living() == []
    return text


def test_booking_deploys_opens_the_firewall_and_is_taken_up_again(user: User) -> None:
    rules = [{"services": ["Master"], "ports": [1883], "proto": "tcp+udp"}]
    claim = user.claim(**DEPLOY, firewall_rules=rules)
    first = user.acquire(claim, hosts(2))
    assert first == {
        "cloud.master.1.1": "gros-1.nancy.grid5000.fr",
        "cloud.master.1.2": "gros-2.nancy.grid5000.fr",
    }
    (job,) = user.api.living()
    assert user.states == [(str(job.uid), "waiting"), (str(job.uid), "running")]
    assert job.name == claim.job_name
    (rule,) = job.firewall
    assert sorted(rule["addr"]) == ["gros-1-ipv6.nancy.grid5000.fr", "gros-2-ipv6.nancy.grid5000.fr"]
    assert (rule["port"], rule["proto"]) == ([1883], "tcp+udp")
    (deployment,) = user.api.deployments.values()
    assert deployment.key == (user.home / ".ssh" / "id_ed25519.pub").read_text().strip()
    assert user.acquire(claim, hosts(2)) == first
    assert [job.uid] == [living.uid for living in user.api.living()]
    assert len(job.firewall) == 1
    assert user.release(claim) == [f"Grid'5000 job {job.uid} (nancy)"]
    assert job.firewall == []
    assert user.release(claim) == []


def test_machines_of_several_sites_are_booked_for_the_same_time(user: User) -> None:
    claim = user.claim(**DEPLOY, firewall_rules=[{"services": ["Master", "Other"], "ports": [80], "proto": "tcp"}])
    planned = [*hosts(1), *hosts(2, "Other", servers=["taurus-2.lyon", "taurus-1.lyon"])]
    assert user.acquire(claim, planned) == {
        "cloud.master.1.1": "gros-1.nancy.grid5000.fr",
        "cloud.other.1.1": "taurus-1.lyon.grid5000.fr",
        "cloud.other.1.2": "taurus-2.lyon.grid5000.fr",
    }
    jobs = user.api.living()
    assert sorted(job.site for job in jobs) == ["lyon", "nancy"]
    assert max(job.starts for job in jobs) - min(job.starts for job in jobs) < 30  # each is submitted to run now
    assert {job.site: len(job.firewall) for job in jobs} == {"nancy": 1, "lyon": 1}
    assert len(user.release(claim)) == 2
    assert user.api.living() == []


def test_walltime_longer_than_a_day_on_several_sites(user: User) -> None:
    claim = user.claim(**DEPLOY, walltime="123:00:00")
    user.acquire(claim, [*hosts(1), *hosts(1, "Other", cluster="taurus")])
    # EnOSlib shortens it by what the search for a common time took
    assert all(122 * 3600 < job.walltime <= 123 * 3600 for job in user.api.living())
    user.release(claim)
    assert user.api.living() == []


def test_everything_that_the_scenario_asks_for_is_submitted(user: User) -> None:
    claim = user.claim(
        **(DEPLOY | {"job_type": ["deploy", "destructive"]}),
        queue="production",
        walltime="48:30:00",
        monitor="prom_.*",
        project="lab",
        job_name="own",
    )
    user.acquire(claim, hosts(1))
    (job,) = user.api.living()
    assert job.name.startswith("own-")
    assert (job.queue, job.project, job.walltime) == ("production", "lab", 48 * 3600 + 1800)
    assert {"deploy", "destructive", "monitor=prom_.*"} <= set(job.types)
    user.release(claim)


def test_reservation_at_a_date_is_waited_for(user: User) -> None:
    user.api.start_after_s = 3
    claim = user.claim(**DEPLOY, reservation="2035-06-01 10:00:00")
    user.acquire(claim, hosts(1))
    (job,) = user.api.living()
    assert job.starts == datetime(2035, 6, 1, 8, tzinfo=timezone.utc).timestamp()
    assert any(f"job {job.uid} on nancy: waiting, scheduled for 2035-06-01" in text for text in user.waited)
    user.release(claim)


# --- the account


def test_no_credentials(user: User) -> None:
    user.credentials.unlink()
    for action in (lambda: user.provider.check({}), lambda: user.acquire(user.claim(), hosts())):
        with pytest.raises(TestbedError, match="no Grid'5000 credentials on this machine") as caught:
            action()
        assert str(user.credentials) in str(caught.value)
        assert "username: LOGIN" in str(caught.value)
    assert user.provider.find(str(user.scenario)) == []
    (found,) = user.provider.examine({})
    assert (found.aspect, found.ok) == ("credentials", False)


@pytest.mark.parametrize("text", ["username: jdoe\n", "- a\n", "password: [1\n", f"password: {PASSWORD}: x\n", ""])
def test_damaged_credentials(user: User, text: str) -> None:
    user.credentials.write_text(text)
    with pytest.raises(TestbedError, match="the Grid'5000 credentials cannot be used") as caught:
        user.provider.check({})
    assert PASSWORD not in str(caught.value)


def test_wrong_password(user: User) -> None:
    user.log_in("not-the-one")
    with pytest.raises(TestbedError) as caught:
        user.provider.check({})
    assert str(caught.value) == (
        "Grid'5000: it does not accept the user name or the password. "
        f"Correct username and password in {user.credentials}."
    )
    assert "it does not accept the user name or the password" in _fails(user, kept=True)
    with pytest.raises(TestbedError, match="MAY STILL BE BOOKED"):
        user.release(user.claim())
    found = {finding.aspect: finding.ok for finding in user.provider.examine({})}
    assert found == {"credentials": True, "API": True, "account": False, "ssh": False}


def test_credentials_that_others_can_read_are_warned_of(user: User) -> None:
    user.credentials.chmod(0o644)
    first = user.provider.examine({})[0]
    assert first.ok is True
    assert "other users of this machine can read the password" in first.text
    assert first.remedy == f"Run chmod 600 {user.credentials}"
    user.provider.check({})


def test_key_that_is_not_there(user: User) -> None:
    claim = user.claim(key_name="nowhere.pub")
    with pytest.raises(TestbedError) as caught:
        user.provider.acquire(claim, hosts(), user.watch)
    assert f"looked for {user.scenario}/nowhere.pub and {user.home}/.ssh/nowhere.pub" in str(caught.value)
    (user.scenario / "nowhere.pub").write_text("ssh-ed25519 AAAA")
    with pytest.raises(TestbedError, match=r"the private half of the ssh key nowhere\.pub is absent"):
        user.provider.acquire(claim, hosts(), user.watch)
    assert user.api.requests == []


def test_image_that_nobody_could_log_in_to(user: User) -> None:
    (user.home / ".ssh" / "id_ed25519.pub").unlink()
    with pytest.raises(TestbedError, match="there is no ssh key to put on the machines"):
        user.acquire(user.claim(**DEPLOY, key_name=None), hosts(1))
    assert user.api.jobs == {}


def test_keys_of_the_home_folder_are_deployed_where_none_is_named(user: User) -> None:
    claim = user.claim(**DEPLOY, key_name=None)
    user.acquire(claim, hosts(1))
    (deployment,) = user.api.deployments.values()
    assert deployment.key.strip() == (user.home / ".ssh" / "id_ed25519.pub").read_text().strip()
    user.release(claim)


# --- before and at the submission


def test_api_that_is_down(user: User) -> None:
    user.api.close()
    with pytest.raises(TestbedError, match="nothing listens at the address of its API"):
        user.provider.check({})
    assert "nothing listens at the address of its API" in _fails(user, kept=True)
    found = {finding.aspect: finding.ok for finding in user.provider.examine({})}
    assert found == {"credentials": True, "API": False, "account": None, "ssh": False}


def test_api_that_does_not_answer_in_time(user: User) -> None:
    user.api.faults.delay("GET", "/sites$", 60)
    with pytest.raises(TestbedError, match=r"its API did not answer within 3 s\. Allow more time with E2C_API_TIMEOUT"):
        user.provider.check({})


def test_unknown_cluster(user: User) -> None:
    claim = user.claim()
    with pytest.raises(TestbedError, match="there is no cluster grso: it has gros, paravance, taurus"):
        user.acquire(claim, hosts(cluster="grso"))


def test_refused_date_is_told_with_the_next_one(user: User) -> None:
    start = time.time() + 3600
    for number in (1, 2, 3, 4):
        user.api.occupy(f"gros-{number}.nancy.grid5000.fr", start, start + 7200)
    from e2c.environments.g5k import dates

    text = _fails(user, reservation=dates.there(start + 60))
    assert text == (
        "Grid'5000: job try-MARK was refused: Reservation not valid --> KO (This reservation could run at DATE). "
        'Write reservation: "DATE" under environment.g5k, or leave reservation out to run when it can.'
    )


def test_date_in_the_past(user: User) -> None:
    text = _fails(user, reservation="2020-01-01 10:00:00")
    assert "Reservation too old: DATE is past in Grid'5000's time (Europe/Paris)" in text


def test_more_machines_than_there_are(user: User) -> None:
    text = _fails(user, 9)
    assert text.startswith("Grid'5000: job try-MARK was refused: There are not enough resources for your request")


def test_forbidden(user: User) -> None:
    user.api.faults.answer("POST", JOBS, 403, {"code": 403, "message": "You are not a member of any project"})
    assert "job try-MARK was refused: it is not allowed: You are not a member of any project" in _fails(user)


def test_api_that_fails_at_the_submission(user: User) -> None:
    user.api.faults.answer("POST", JOBS, 500, b"<html><body>Oops</body></html>", content_type="text/html")
    assert "job try-MARK was refused: its API failed (500): Oops" in _fails(user)
    assert len(user.api.asked("POST", JOBS)) == 1


@pytest.mark.parametrize("fault", ["lose", "late", "gateway"])
def test_lost_answer_to_the_submission_is_found_again(user: User, fault: str) -> None:
    if fault == "lose":
        user.api.faults.lose("POST", JOBS)
    elif fault == "late":
        user.api.faults.delay("POST", JOBS, 5, times=1)
    else:
        user.api.faults.before("POST", JOBS, lambda: None)
        user.api.faults.answer("POST", JOBS, 502, b"<html>Bad Gateway</html>", content_type="text/html", times=1)
    claim = user.claim(**DEPLOY)
    assert len(user.acquire(claim, hosts(2))) == 2
    assert any("the answer to the submission was lost" in text for text in user.said)
    assert len(user.api.living()) == 1
    assert user.reserved[-1].id == str(user.api.living()[0].uid)
    user.release(claim)
    assert user.api.living() == []


def test_submission_that_arrives_after_its_repetition_is_deleted(user: User) -> None:
    # the first is held up for longer than anybody looks for it
    user.api.faults.delay("POST", JOBS, 16, times=1)
    user.api.start_after_s = 10
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(2))
    # on a busy machine the first may still be found in time; then there never was a second
    assert len(user.api.jobs) == 1 or any("is one too many" in text for text in user.said)
    assert len(user.api.living()) == 1
    user.release(claim)
    assert user.api.living() == []


def test_two_jobs_of_the_name_become_one(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    first = user.api.living()[0]
    second = type(first)(**{**vars(first), "uid": first.uid + 7, "nodes": ["gros-3.nancy.grid5000.fr"], "firewall": []})
    user.api.jobs[second.uid] = second
    assert user.acquire(claim, hosts(1)) == {"cloud.master.1.1": "gros-1.nancy.grid5000.fr"}
    assert user.api.living() == [first]
    assert f"job {second.uid} on nancy is one too many beside {first.uid}: deleting it" in user.said
    user.release(claim)


# --- after the submission


def test_job_in_error(user: User) -> None:
    user.api.error_after = 2
    text = _fails(user)
    assert "went to error before its machines were ready" in text
    assert "oarstat -fj" in text


def test_api_that_goes_down_while_the_job_is_waited_for(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_START_TIMEOUT", "4")
    user.api.start_after_s = None
    start = time.time()
    for number in (1, 2, 3, 4):
        user.api.occupy(f"gros-{number}.nancy.grid5000.fr", start, start + 7200)
    user.api.faults.refuse("GET", JOB, after=2)
    text = _fails(user, kept=True)
    assert "its API closed the connection without an answer" in text
    assert any("which does not answer" in text for text in user.waited)
    user.release(user.claim())
    assert user.api.living() == []


def test_job_that_does_not_start_in_time(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_START_TIMEOUT", "2")
    user.api.start_after_s = 600
    text = _fails(user)
    assert "does not run after 2 s: it is waiting, scheduled for DATE" in text
    assert "Allow more time with E2C_START_TIMEOUT=SECONDS" in text


def test_fewer_machines_than_asked(user: User) -> None:
    user.api.fewer = 1
    text = _fails(user)
    assert "2 machines of gros were asked for, 1 came (gros-1.nancy.grid5000.fr)" in text


def test_image_that_fails_on_one_machine(user: User) -> None:
    user.api.failing_nodes = {"gros-2.nancy.grid5000.fr"}
    text = _fails(user)
    assert f"{IMAGE} could not be deployed on gros-2.nancy.grid5000.fr, 1 of 2 machines, in 3 attempts" in text
    assert [one.nodes for one in user.api.deployments.values()][1:] == [["gros-2.nancy.grid5000.fr"]] * 2


def test_image_that_succeeds_at_the_second_attempt_counts_for_all(user: User) -> None:
    user.api.failing_nodes = {"gros-2.nancy.grid5000.fr"}
    user.api.faults.afterwards("POST", "/deployments$", user.api.failing_nodes.clear)
    claim = user.claim(**DEPLOY)
    assert len(user.acquire(claim, hosts(2))) == 2
    user.release(claim)


def test_image_that_does_not_exist(user: User) -> None:
    text = _fails(user, env_name="debain11-big")
    assert "debain11-big could not be deployed on nancy: The environment 'debain11-big' does not exist" in text
    assert "kaenv3 -l" in text


def test_image_that_takes_too_long(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2C_DEPLOY_TIMEOUT", "3")
    user.api.deploy_s = 600
    text = _fails(user)
    assert f"{IMAGE} is not deployed on 2 machines after 3 s" in text
    assert "E2C_DEPLOY_TIMEOUT" in text


def test_lost_answer_to_a_deployment(user: User) -> None:
    user.api.deploy_s = 2
    user.api.faults.lose("POST", "/deployments$")
    claim = user.claim(**DEPLOY)
    assert len(user.acquire(claim, hosts(2))) == 2
    assert len(user.api.deployments) == 1
    user.release(claim)


def test_walltime_that_is_over_while_the_image_is_deployed(user: User) -> None:
    user.api.deploy_s = 3700
    user.api.faults.afterwards("POST", "/deployments$", lambda: user.api.forward(3650))
    user.api.failing_nodes = {"gros-1.nancy.grid5000.fr"}
    user.api.faults.afterwards("GET", "/deployments/", lambda: user.api.forward(3650), after=1)
    text = _fails(user)
    assert "before its machines were ready" in text


def test_firewall_that_refuses(user: User) -> None:
    user.api.faults.answer("POST", "/firewall/", 403, {"code": 403, "message": "not allowed to open"})
    text = _fails(user, firewall_rules=[{"services": ["Master"], "ports": [80], "proto": "tcp"}])
    assert "the firewall could not be opened for gros-1.nancy.grid5000.fr, gros-2.nancy.grid5000.fr, port 80" in text
    assert "not allowed to open" in text


def test_opening_that_was_made_meanwhile_is_no_failure(user: User) -> None:
    user.api.faults.answer("POST", "/firewall/", 409, {"code": 409, "message": "Rule already exists"})
    claim = user.claim(**DEPLOY, firewall_rules=[{"services": ["Master"], "ports": [80], "proto": "tcp"}])
    assert len(user.acquire(claim, hosts(2))) == 2
    user.release(claim)


# --- release, extend, find


def test_release_finds_jobs_in_every_state_on_every_site(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    (first,) = user.api.living()
    copy = {**vars(first), "firewall": [], "nodes": []}
    copy |= {"begins": time.time() + 9999, "starts": time.time() + 9999}
    for uid, site, state in ((first.uid + 1, "lyon", "toLaunch"), (first.uid + 2, "rennes", "waiting")):
        user.api.jobs[uid] = type(first)(**{**copy, "uid": uid, "site": site, "state": state})
    stranger = type(first)(**{**copy, "uid": first.uid + 9, "name": f"{first.name}-not"})
    user.api.jobs[stranger.uid] = stranger
    freed = user.release(claim)
    assert sorted(freed) == [
        f"Grid'5000 job {first.uid} (nancy)",
        f"Grid'5000 job {first.uid + 1} (lyon)",
        f"Grid'5000 job {first.uid + 2} (rennes)",
    ]
    assert user.api.living() == [stranger]


def test_release_of_a_job_that_ends_meanwhile(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    (job,) = user.api.living()
    user.api.faults.before("DELETE", JOB, lambda: user.api.end(job))
    assert user.release(claim) == [f"Grid'5000 job {job.uid} (nancy)"]


def test_release_repeats_a_deletion_that_was_not_answered(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    user.api.faults.answer("DELETE", JOB, 503, b"", times=2)
    assert len(user.release(claim)) == 1
    assert user.api.living() == []


def test_release_waits_for_the_api(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    user.api.faults.refuse("GET", "/sites$", times=4)
    assert len(user.release(claim)) == 1
    assert user.api.living() == []


def test_release_says_what_may_still_be_booked_until_when_and_how_to_free_it(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E2C_RELEASE_TIMEOUT", "3")
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    (job,) = user.api.living()
    user.api.faults.answer("DELETE", JOB, 503, b"")
    with pytest.raises(TestbedError) as caught:
        user.release(claim)
    text = sentence(caught.value)
    assert f"machines MAY STILL BE BOOKED, at most until DATE, by job {job.uid} (nancy)" in text
    assert f"`oardel {job.uid}` on the frontend of nancy" in text
    assert f"Repeat e2clab destroy {user.scenario} later" in text
    user.api.faults.clear()
    user.api.close()
    with pytest.raises(TestbedError) as caught:
        user.release(claim)
    text = sentence(caught.value)
    assert "machines MAY STILL BE BOOKED, at most for 01:00:00 from their start, by job try-MARK" in text
    user.api.open()
    assert len(user.release(claim)) == 1


def test_release_sees_a_submission_that_arrives_late(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    (job,) = user.api.living()
    job.name = "not yet"
    user.api.faults.afterwards("GET", JOBS, lambda: setattr(job, "name", claim.job_name))
    assert user.release(claim) == [f"Grid'5000 job {job.uid} (nancy)"]


def test_find_reservations_and_extend(user: User) -> None:
    assert user.provider.find(str(user.scenario)) == []
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    (job,) = user.api.living()
    (found,) = user.provider.find(str(user.scenario))
    assert (found.job_name, found.resources) == (claim.job_name, {"sites": ["nancy"]})
    assert user.provider.find("/another") == []
    (reservation,) = user.provider.reservations(claim)
    assert reservation.ends is not None
    (longer,) = user.provider.extend(claim, 100 * 3600, user.said.append)
    assert longer.ends == reservation.ends + 100 * 3600
    assert job.walltime == 101 * 3600
    assert user.release(found) == [f"Grid'5000 job {job.uid} (nancy)"]
    assert user.provider.reservations(claim) == []
    with pytest.raises(TestbedError, match="so there is nothing to lengthen"):
        user.provider.extend(claim, 60, user.said.append)


def test_site_that_does_not_answer_is_not_forgotten(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    user.api.faults.answer("GET", "/sites/lyon/jobs$", 503, b"")
    (found,) = user.provider.find(str(user.scenario))
    assert found.resources == {}
    with pytest.raises(TestbedError, match="MAY STILL BE BOOKED") as caught:
        user.release(found)
    assert "the jobs on lyon could not be read" in str(caught.value)
    assert user.api.living() == []
    known = claim.model_copy(update={"resources": {"sites": ["nancy"]}})
    assert user.release(known) == []


def test_job_of_other_types_is_replaced(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    (first,) = user.api.living()
    first.types.remove("deploy")
    user.acquire(claim, hosts(1))
    (second,) = user.api.living()
    assert second.uid != first.uid
    user.release(claim)


def test_extension_that_is_refused_shows_the_words_of_oar(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    words = "request cannot be updated because the walltime cannot increase by more than +2:00:00"
    user.api.faults.answer("POST", "/walltime$", 403, words.encode(), content_type="text/plain")
    with pytest.raises(TestbedError, match=r"was not lengthened: it is not allowed: request cannot be updated"):
        user.provider.extend(claim, 9000, user.said.append)
    user.release(claim)
