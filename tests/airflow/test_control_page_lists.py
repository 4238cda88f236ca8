"""Runs in lists: searched for, cancelled together, over time; a log that is searched and downloaded; what is stuck.

In Airflow's real application over a fake Prefect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.testing import Course, FakePrefect
from tests.airflow.control_page import HOSTILE, OURS, PAGE, audit_entries

pytest_plugins = ["tests.airflow.control_page"]

Browser = Callable[..., Any]
LIVE = {"x-live": "1"}


def aged(fake: FakePrefect, run: Any, **ages: float) -> None:
    """Let what is told of the run have happened so many seconds ago."""
    document = fake._state.run(run.id)
    for field, seconds in ages.items():
        moment = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
        (document["state"] if field == "timestamp" else document)[field] = moment


def shown(page: str, runs: dict[str, Any]) -> set[str]:
    return {name for name, run in runs.items() if f"/runs/{run.id}" in page}


def test_runs_are_found_by_name_tag_parameter_and_id(as_user: Browser, fake: FakePrefect) -> None:
    runs = {
        "three": fake.run("work/alpha", {"rows": 3}, tags=["week:3", "night"]),
        "thirty": fake.run("work/alpha", {"rows": 30}, tags=["week:30"]),
        "beta": fake.run("work/beta", {"rows": 3, "text": "Trois"}),
    }
    fake._state.run(runs["beta"].id)["name"] = "Brave-Owl"
    admin = as_user("admin")

    def found(asked: str) -> set[str]:
        return shown(admin.get(f"{PAGE}/runs?{asked}").text, runs)

    assert found("name=owl") == {"beta"}
    assert found("tag=week:3") == {"three"}
    assert found("tag=week:3,night") == {"three"}
    assert found("parameter=rows=3") == {"three", "beta"}
    assert found("parameter=rows=3&deployment=work/alpha") == {"three"}
    assert found("parameter=trois") == {"beta"}
    assert found("parameter=rows=4") == set()
    answer = admin.get(f"{PAGE}/runs?name={runs['thirty'].id}")
    assert answer.headers["location"] == f"{PAGE}/runs/{runs['thirty'].id}"
    page = admin.get(f"{PAGE}/runs?parameter=rows=3").text
    assert "2 of the 3 newest runs that were looked through" in page
    assert 'value="rows=3"' in page


def test_a_search_holds_back_what_is_not_the_viewers(as_user: Browser, fake: FakePrefect) -> None:
    runs = {name: fake.run(f"work/{name}", {"rows": 3}, tags=["t"]) for name in ("alpha", "beta")}
    for asked in ("parameter=rows=3", "tag=t", "name=fake", "parameter=rows=3&deployment=work/beta"):
        page = as_user("reads-alpha").get(f"{PAGE}/runs?{asked}").text
        assert shown(page, runs) <= {"alpha"}, asked


def test_several_runs_are_cancelled_and_each_is_told_and_noted_by_itself(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    running, other = fake.run("work/alpha"), fake.run("work/alpha")
    fake.on_run("work/alpha", Course())
    done = fake.run("work/alpha")
    fake.on_run("work/beta", state="RUNNING")
    betas = fake.run("work/beta")
    fake.wait_for(lambda: fake.read(done).state_type == "COMPLETED" and fake.read(betas).state_type == "RUNNING")
    before = len(audit_entries())
    chosen = [running.id, running.id, other.id, done.id, betas.id, "00000000-0000-4000-8000-000000000000"]
    sent = {"run": chosen, "back": "tag=x&span=day"}
    answer = as_user("starts-alpha").post(f"{PAGE}/runs/cancel", headers=OURS, data=sent)
    assert answer.status_code == 200
    page = answer.text
    assert "2 of 5 runs cancelled" in page
    assert "It was left alone: it was Completed before." in page
    assert page.count("Prefect has no such run.") == 2  # that of another DAG is not told to be there
    assert betas.name not in page
    assert f"{PAGE}/runs?span=day&amp;tag=x&amp;page=1" in page
    assert {fake.read(run).state_type for run in (running, other)} <= {"CANCELLING", "CANCELLED"}
    assert [fake.read(run).state_type for run in (done, betas)] == ["COMPLETED", "RUNNING"]
    entries = audit_entries()[before:]
    assert [entry[:3] for entry in entries] == [("control_page_cancel", "starts-alpha", "alpha")] * 2
    assert {running.id, other.id} == {each for each in (running.id, other.id) for entry in entries if each in entry[3]}


def test_a_cancellation_that_prefect_refuses_is_told_with_its_run(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    runs = [fake.run("work/alpha") for _ in range(2)]
    admin = as_user("admin")
    fake.faults.answer(500, path=f"/flow_runs/{runs[0].id}/set_state", times=None)
    page = admin.post(f"{PAGE}/runs/cancel", headers=OURS, data={"run": [run.id for run in runs]}).text
    fake.faults.clear()
    assert "1 of 2 runs cancelled" in page
    assert "Prefect did not do it" in page


def test_who_may_only_read_cancels_nothing_and_is_told_why(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    run, before = fake.run("work/alpha"), audit_entries()
    fake.wait_for(lambda: fake.read(run).state_type == "RUNNING")
    reader = as_user("reads-alpha")
    assert 'type="checkbox"' not in reader.get(f"{PAGE}/runs").text
    page = reader.post(f"{PAGE}/runs/cancel", headers=OURS, data={"run": run.id}).text
    assert "may not do this" in page
    assert fake.read(run).state_type == "RUNNING"
    assert audit_entries() == before
    assert as_user("admin").post(f"{PAGE}/runs/cancel", headers=OURS, data={}).status_code == 422
    assert as_user("admin").post(f"{PAGE}/runs/cancel", headers=OURS, data={"run": HOSTILE}).status_code == 422
    assert as_user("admin").post(f"{PAGE}/runs/cancel", data={"run": run.id}).status_code == 403
    assert as_user().post(f"{PAGE}/runs/cancel", headers=OURS, data={"run": run.id}).status_code == 401


def test_boxes_stand_at_runs_that_can_be_cancelled_alone(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    running = fake.run("work/alpha")
    fake.on_run("work/alpha", Course())
    done = fake.run("work/alpha")
    fake.wait_for(lambda: fake.read(done).state_type == "COMPLETED")
    page = as_user("admin").get(f"{PAGE}/runs").text
    assert [f'id="choose-{run.id}"' in page for run in (running, done)] == [True, False]


def test_a_log_is_searched_by_text_level_and_task(as_user: Browser, fake: FakePrefect) -> None:
    import logging

    lines = ["fitting", (logging.WARNING, "short texts"), (logging.ERROR, "no space left")]
    fake.on_run("work/alpha", Course(logs=lines))
    run = fake.run("work/alpha")
    fake.wait_for(lambda: fake.read(run).state_type == "COMPLETED")
    admin = as_user("admin")

    def words(asked: str) -> list[str]:
        page = admin.get(f"{PAGE}/runs/{run.id}?{asked}").text
        return [each for each in ("fitting", "short texts", "no space left") if f'"words">{each}<' in page]

    assert words("") == ["fitting", "short texts", "no space left"]
    assert words("level=warning") == ["short texts", "no space left"]
    assert words("find=SPACE") == ["no space left"]
    assert words("task=fit-model") == []
    assert "No line fits." in admin.get(f"{PAGE}/runs/{run.id}?find=nothing").text


def test_a_whole_log_is_downloaded_as_text_however_long_it_is(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", Course(logs=[f"line {n}" for n in range(450)]))
    run = fake.run("work/alpha")
    fake.wait_for(lambda: fake.read(run).state_type == "COMPLETED")
    answer = as_user("reads-alpha").get(f"{PAGE}/runs/{run.id}/log.txt")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.headers["content-disposition"] == f'attachment; filename="{run.name}.log.txt"'
    said = re.findall(r"line (\d+)$", answer.text, re.MULTILINE)
    assert said == [str(n) for n in range(450)]
    assert as_user("reads-beta").get(f"{PAGE}/runs/{run.id}/log.txt").status_code == 403
    assert as_user().get(f"{PAGE}/runs/{run.id}/log.txt").status_code == 401
    missing = as_user("admin").get(f"{PAGE}/runs/00000000-0000-4000-8000-000000000000/log.txt")
    assert missing.status_code == 404


def test_runs_lie_over_time_in_lanes_with_links_names_and_a_table(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="FAILED", message="boom")
    failed = fake.run("work/alpha")
    fake.on_run("work/beta", state="RUNNING")
    running = fake.run("work/beta")
    fake.wait_for(lambda: fake.read(failed).state_type == "FAILED" and fake.read(running).state_type == "RUNNING")
    page = as_user("admin").get(f"{PAGE}/timeline?span=hour").text
    assert re.search(
        rf'<a id="block-{failed.id}" href="{PAGE}/runs/{failed.id}" aria-label="{failed.name}, Failed', page
    )
    assert re.search(rf'block-{running.id}.*?<rect class="bar busy"', page, re.DOTALL)
    for name in ("work/alpha", "work/beta"):
        assert re.search(rf'<td data-label="Deployment">{name}</td>', page)
    alone = as_user("reads-beta").get(f"{PAGE}/timeline").text
    assert [run.id in alone for run in (failed, running)] == [False, True]
    assert "No run fits" in as_user("admin").get(f"{PAGE}/timeline?name=nobody").text


def test_a_run_that_is_stuck_needs_attention_with_the_reason_whatever_its_age_and_deployment(
    as_user: Browser, fake: FakePrefect
) -> None:
    fake.deployment("work/gpus", work_pool="gpus")
    fake.on_run("work/gpus", state="SCHEDULED")
    late = fake.run("work/gpus")
    fake.set_state(late, "SCHEDULED", name="Late")
    aged(fake, late, expected_start_time=3 * 86400)
    fake.on_run("work/alpha", state="SCHEDULED")
    submitting, pending = fake.run("work/alpha"), fake.run("work/alpha")
    fake.set_state(submitting, "PENDING", name="Submitting")
    fake.set_state(pending, "PENDING")
    aged(fake, submitting, timestamp=900)
    admin = as_user("admin")
    admin.get(f"{PAGE}/", headers=LIVE)
    page = admin.get(f"{PAGE}/", headers=LIVE).text
    assert f"{late.name} of work/gpus is late." in page
    assert "work pool gpus: no worker has ever polled it" in page
    assert f"{submitting.name} of work/alpha is stuck in Submitting." in page
    assert "its process has not begun" in page
    assert pending.name not in page
    assert late.name not in as_user("reads-alpha").get(f"{PAGE}/", headers=LIVE).text
    own = admin.get(f"{PAGE}/runs/{late.id}").text
    assert "It is late" in own
    assert "prefect worker start --pool gpus" in own


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A catalogue of this test's own, which the page reads."""
    from factory.catalogue.database import open_catalogue
    from plugins.control_page import factory_reader

    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    monkeypatch.setenv("DATABASE_URL", url)
    caches = (factory_reader._engine, factory_reader._facts, factory_reader._measurements)
    for cache in caches:
        cache.cache_clear()
    yield open_catalogue(url)
    for cache in caches:
        cache.cache_clear()


def test_two_versions_are_compared_on_one_page_by_a_link_from_their_decision(
    as_user: Browser, fake: FakePrefect, catalogue: Any
) -> None:
    from factory.records import decisions, measurements
    from plugins.control_page import factory_reader
    from tests.airflow.test_control_page import decision
    from tests.measured import measurement

    page = f"{PAGE}/promotion/products"
    assert "There are not two versions" in as_user("admin").get(f"{page}/compare").text
    factory_reader._facts.cache_clear()
    factory_reader._measurements.cache_clear()
    with catalogue.begin() as connection:
        for number in (1, 2):
            decisions.record(connection, decision(number, "promoted"))
            measurements.record(connection, measurement(number, rival=number - 1))
    admin = as_user("admin")
    assert f'href="{page}/compare?first=1&amp;second=2">Compare v1 with v2</a>' in admin.get(page).text
    compared = admin.get(f"{page}/compare?first=1&second=2").text
    assert "Compare v1 with v2" in compared
    assert "0.8200</span>" not in compared
    assert "0.8200 " in compared
    assert "(+0.0010 to +0.0190)" in compared
    assert "beyond chance" in compared
    assert compared.count("<polyline") >= 4
    assert "F1 by class" in compared
    assert "an answer given with a confidence of 80 % is right" in compared
    assert HOSTILE not in compared
    assert "Compare v2 with v1" in admin.get(f"{page}/compare?first=2&second=1").text
    assert "Compare v1 with v2" in admin.get(f"{page}/compare?first=99&second={HOSTILE[:20]}").text
    assert as_user("starts-alpha").get(f"{page}/compare").status_code == 403


def test_versions_without_classes_are_compared_by_what_they_have(
    as_user: Browser, fake: FakePrefect, catalogue: Any
) -> None:
    from factory.records import decisions, measurements
    from tests.airflow.test_control_page import decision
    from tests.measured import measurement

    with catalogue.begin() as connection:
        for number in (1, 2):
            made = decision(number, "promoted")
            ours = {
                "dataset": made.dataset.model_copy(update={"use_case": "churn"}),
                "result": made.result.model_copy(update={"use_case": "churn", "model": "churn"}),
            }
            decisions.record(connection, made.model_copy(update=ours))
            known = measurement(number, rival=number - 1)
            measurements.record(connection, known.model_copy(update={"model": "churn", "classes": ()}))
    compared = as_user("admin").get(f"{PAGE}/promotion/churn/compare?first=1&second=2").text
    assert "Compare v1 with v2" in compared
    assert "Customers who will leave" in compared
    assert "F1 by class" not in compared
    assert "a probability of 80 % comes true" in compared
    assert compared.count("<polyline") >= 4


def test_a_run_without_a_heartbeat_needs_attention_and_one_that_never_sent_any_does_not(
    as_user: Browser, fake: FakePrefect
) -> None:
    from bridge.heartbeats import EVENT

    fake.on_run("work/alpha", state="RUNNING")
    silent, beating, mute = (fake.run("work/alpha") for _ in range(3))
    for run in (silent, beating, mute):
        fake.wait_for(lambda run=run: fake.read(run).state_type == "RUNNING")
        aged(fake, run, timestamp=7200)
    for run, last in ((silent, 3600), (beating, 20)):
        for ago_seconds in (last, last + 30):
            event = dict(fake._state.events[-1])
            resource = {"prefect.resource.id": f"prefect.flow-run.{run.id}"}
            occurred = (datetime.now(UTC) - timedelta(seconds=ago_seconds)).isoformat()
            fake._state.events.append({**event, "event": EVENT, "resource": resource, "occurred": occurred})
    page = as_user("admin").get(f"{PAGE}/", headers=LIVE).text
    assert f"{silent.name} of work/alpha is running without a heartbeat." in page
    assert [f"/runs/{run.id}" in page for run in (beating, mute)] == [False, False]
    assert "Its process was probably killed." in as_user("admin").get(f"{PAGE}/runs/{silent.id}").text


def test_a_catalogue_that_goes_away_leaves_what_was_read_and_says_when(
    as_user: Browser, fake: FakePrefect, catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factory.records import decisions
    from plugins.control_page import factory_reader
    from tests.airflow.test_control_page import decision

    with catalogue.begin() as connection:
        decisions.record(connection, decision(1, "promoted"))
    admin = as_user("admin")
    assert "version 1, weighted F1" in admin.get(f"{PAGE}/promotion/products").text
    monkeypatch.setenv("DATABASE_URL", "sqlite:////proc/nobody/may/write.sqlite")
    factory_reader._engine.cache_clear()
    factory_reader._facts.cache_clear()
    page = admin.get(f"{PAGE}/promotion/products").text
    assert "The catalogue does not answer" in page
    assert re.search(r"as it was at \d\d:\d\d UTC", page)
    assert "version 1, weighted F1" in page


def test_a_search_finds_no_secret(as_user: Browser, fake: FakePrefect) -> None:
    fake.deployment("work/secret", parameters={"properties": {"password": {"type": "string"}, "user": {}}})
    run = fake.run("work/secret", {"password": "hunter2", "user": "ada"})
    admin = as_user("admin")
    assert run.id in admin.get(f"{PAGE}/runs?parameter=user=ada").text
    for asked in ("hunter2", "password=hunter2", "password=hunter"):
        assert run.id not in admin.get(f"{PAGE}/runs?parameter={asked}").text, asked
