"""Every way from the control page to a promotion asks for the permission to promote, and names who is logged in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.testing import FakePrefect
from factory import contracts
from tests.airflow.control_page import OURS, PAGE, audit_entries, deployment_id

pytest_plugins = ["tests.airflow.control_page"]

Browser = Callable[..., Any]
PROMOTION, TRAINING = contracts.promotion("products").name, contracts.training("products").name
MONITOR, SCORE = contracts.monitor("products").name, contracts.score("products").name
FIXED = {"use_case": "products"}
FORGED = {"p.approved_by": "boss", "p.requested_by": "boss", "p.rejected_by": "boss"}


@pytest.fixture
def factory(fake: FakePrefect) -> FakePrefect:
    """A Prefect with the factory's deployments, which belong to the DAG weekly."""
    for build in (contracts.score, contracts.training, contracts.promotion, contracts.monitor):
        fake.deployment(build("products"), defaults=FIXED)
    return fake


@pytest.mark.parametrize(
    ("deployment", "sent"),
    [
        (PROMOTION, {}),
        (PROMOTION, {"p.rollback": "true"}),
        (PROMOTION, {"p.threshold": "0", **FORGED}),
        (PROMOTION, {"p.rehearsal": "true"}),
        (TRAINING, {}),
        (TRAINING, {"p.auto_promote_threshold": "0"}),
        (MONITOR, {}),
        (MONITOR, {"p.force_retrain": "true"}),
    ],
)
def test_who_may_start_and_not_promote_starts_nothing_that_may(
    as_user: Browser, factory: FakePrefect, deployment: str, sent: dict[str, str]
) -> None:
    before = audit_entries()
    refused = as_user("starts-weekly").post(f"{PAGE}/run/{deployment_id(factory, deployment)}", headers=OURS, data=sent)
    assert refused.status_code == 403
    assert "may change the champion, which takes the permission PUT of DAG weekly" in refused.text
    assert (factory.runs(), audit_entries()) == ([], before)


def test_who_may_start_and_not_promote_trains_and_scores_without_a_promotion(
    as_user: Browser, factory: FakePrefect
) -> None:
    starter = as_user("starts-weekly")
    path = f"{PAGE}/run/{deployment_id(factory, TRAINING)}"
    form = starter.get(path).text
    assert '<input type="hidden" name="p.auto_promote_threshold" value="">' in form
    assert 'id="field-auto_promote_threshold"' not in form
    assert starter.post(path, headers=OURS, data={"p.auto_promote_threshold": ""}).status_code == 303
    assert starter.post(f"{PAGE}/run/{deployment_id(factory, SCORE)}", headers=OURS).status_code == 303
    [trained] = factory.runs(TRAINING)
    assert trained.parameters == {**FIXED, "auto_promote_threshold": None}


def test_what_a_starter_may_not_start_is_not_offered_to_him(as_user: Browser, factory: FakePrefect) -> None:
    starter, owner = as_user("starts-weekly"), as_user("edits-weekly")
    ids = {name: deployment_id(factory, name) for name in (PROMOTION, TRAINING, MONITOR, SCORE)}
    listed, choices = starter.get(f"{PAGE}/deployments").text, starter.get(f"{PAGE}/run").text
    assert [f"run/{ids[name]}" in choices for name in (PROMOTION, TRAINING, MONITOR, SCORE)] == [False, True] * 2
    assert [f"quick-{ids[name]}" in listed for name in (PROMOTION, TRAINING, MONITOR, SCORE)] == [False] * 3 + [True]
    everything = owner.get(f"{PAGE}/deployments").text
    assert all(f"quick-{each}" in everything for each in ids.values())
    for name in (PROMOTION, MONITOR):
        assert starter.get(f"{PAGE}/run/{ids[name]}").status_code == 403


@pytest.mark.parametrize(("deployment", "parameters"), [(PROMOTION, {"rollback": True}), (TRAINING, {}), (MONITOR, {})])
@pytest.mark.parametrize("by_airflow", [False, True])
def test_a_run_that_may_promote_is_retried_and_run_again_by_who_may_promote_alone(
    as_user: Browser, factory: FakePrefect, deployment: str, parameters: dict[str, Any], by_airflow: bool
) -> None:
    factory.on_run(deployment, state="FAILED")
    tags = ["airflow", "dag:weekly", "run:r", "task:t"] if by_airflow else []
    run = factory.run(deployment, parameters, tags=tags, labels={"airflow.dag_id": "weekly"} if by_airflow else {})
    factory.wait_for(lambda: factory.read(run).state_type == "FAILED")
    starter, path = as_user("starts-weekly"), f"{PAGE}/runs/{run.id}"
    assert "Retry in place" not in starter.get(path).text
    assert starter.post(f"{path}/retry", headers=OURS).status_code == 403
    assert factory.read(run).run_count == 1
    owner = as_user("edits-weekly")
    assert "Retry in place" in owner.get(path).text
    assert owner.post(f"{path}/retry", headers=OURS).status_code == 303
    assert factory.read(run).labels["control_page.retried_by"] == "edits-weekly"
    if deployment != TRAINING:
        again = f"{PAGE}/run/{deployment_id(factory, deployment)}?like={run.id}"
        assert (starter.get(again).status_code, owner.get(again).status_code) == (403, 200)


def test_a_run_of_which_nobody_knows_what_it_runs_is_retried_by_who_may_promote(
    as_user: Browser, factory: FakePrefect
) -> None:
    factory.on_run("work/alpha", state="FAILED")
    tags = ["airflow", "dag:alpha", "run:r", "task:t"]
    run = factory.run("work/alpha", tags=tags, labels={"airflow.dag_id": "alpha"})
    factory.wait_for(lambda: factory.read(run).state_type == "FAILED")
    del factory._state.deployments[deployment_id(factory, "work/alpha")]
    assert as_user("starts-alpha").post(f"{PAGE}/runs/{run.id}/retry", headers=OURS).status_code == 403
    assert "Retry in place" not in as_user("starts-alpha").get(f"{PAGE}/runs/{run.id}").text
    assert "Retry in place" in as_user("edits-alpha").get(f"{PAGE}/runs/{run.id}").text


def test_another_deployment_of_such_a_flow_and_such_a_flow_under_another_name_are_ways_too(
    as_user: Browser, factory: FakePrefect
) -> None:
    factory.deployment("promotion/another", parameters=contracts.PromotionParams)
    factory.deployment("work/alpha", parameters=contracts.PromotionParams)
    for name, user in (("promotion/another", "starts-weekly"), ("work/alpha", "starts-alpha")):
        refused = as_user(user).post(f"{PAGE}/run/{deployment_id(factory, name)}", headers=OURS)
        assert refused.status_code == 403, name
    assert factory.runs() == []


def test_who_may_promote_for_one_dag_promotes_no_champion_of_another(as_user: Browser, factory: FakePrefect) -> None:
    factory.deployment("work/alpha", parameters=contracts.TrainingParams)  # whose use case anybody may name
    path, editor = f"{PAGE}/run/{deployment_id(factory, 'work/alpha')}", as_user("edits-alpha")
    refused = editor.post(path, headers=OURS, data={"p.use_case": "products"})
    assert (refused.status_code, "DAG weekly" in refused.text) == (403, True)
    taken = editor.post(path, headers=OURS, data={"p.use_case": "products", "p.auto_promote_threshold": ""})
    assert taken.status_code == 303


@pytest.mark.parametrize(
    ("defaults", "planned", "refused"),
    [
        ({}, {"use_case": "products"}, True),
        ({"use_case": "products"}, {}, True),
        ({"use_case": "products", "auto_promote_threshold": None}, {"auto_promote_threshold": 0.1}, True),
        ({"use_case": "products", "auto_promote_threshold": None}, {"week_number": 3}, False),
    ],
)
def test_a_schedule_whose_runs_may_promote_goes_on_by_who_may_promote_alone(
    as_user: Browser, factory: FakePrefect, defaults: dict[str, Any], planned: dict[str, Any], refused: bool
) -> None:
    factory.deployment("work/alpha", parameters=contracts.TrainingParams, defaults=defaults)
    known = deployment_id(factory, "work/alpha")
    factory._state.deployments[known]["schedules"] = [{"schedule": {"cron": "0 9 * * *"}, "parameters": planned}]
    editor, path = as_user("edits-alpha"), f"{PAGE}/deployments"
    assert editor.post(f"{path}/{known}/pause", headers=OURS).status_code == 303
    before = audit_entries()
    assert ("Resume schedule" in editor.get(path).text) is not refused
    answer = editor.post(f"{path}/{known}/resume", headers=OURS)
    assert answer.status_code == (403 if refused else 303)
    assert factory._state.deployments[known]["paused"] is refused
    if refused:
        assert "may change the champion, which takes the permission PUT of DAG weekly" in answer.text
        assert audit_entries() == before
        assert as_user("admin").post(f"{path}/{known}/resume", headers=OURS).status_code == 303


def test_who_decided_is_who_is_logged_in_whatever_the_form_says(
    as_user: Browser, factory: FakePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, owner = f"{PAGE}/run/{deployment_id(factory, PROMOTION)}", as_user("edits-weekly")
    form = owner.get(path).text
    assert not any(f'name="{field}"' in form for field in FORGED)
    before = len(audit_entries())
    for sent in ({"p.threshold": "0.5"}, {"p.rollback": "true"}):
        owner.post(path, headers=OURS, data={**sent, **FORGED, "p.use_case": "other"})
    monkeypatch.setenv("PROMOTION_APPROVAL", "true")
    for sent in ({"p.model_version": "7"}, {"p.rollback": "true"}, {"p.rehearsal": "true"}):
        owner.post(path, headers=OURS, data={**sent, **FORGED})
    asked = {**FIXED, "requested_by": "edits-weekly"}
    assert [run.parameters for run in factory.runs(PROMOTION)] == [
        {**asked, "threshold": 0.5},
        {**asked, "rollback": True},
        {**asked, "model_version": "7", "approved_by": "edits-weekly"},
        {**asked, "rollback": True},
        {**asked, "rehearsal": True},
    ]
    entries = audit_entries()[before:]
    assert {entry[:3] for entry in entries} == {("control_page_start", "edits-weekly", "weekly")}
    said = [json.loads(entry[3]) for entry in entries]
    assert said[0] == {"deployment": PROMOTION, "parameters": {"threshold": 0.5, "requested_by": "edits-weekly"}}
    assert "boss" not in str(entries)


def test_the_audit_log_names_what_was_asked_and_no_secret(as_user: Browser, fake: FakePrefect) -> None:
    secret = {"type": "string", "format": "password", "writeOnly": True}
    fields = {"rows": {"type": "integer"}, "key": secret, "password": {"type": "string"}, "uri": {"type": "string"}}
    fake.deployment("work/alpha", parameters={"properties": {**fields, "deep": {"type": "object"}}})
    sent = {
        "p.rows": "7",
        "p.key": "hush-1",
        "p.password": "hush-2",
        "p.uri": "s3://user:hush-3@store/a",
        "p.deep": '{"api_key": "hush-4", "list": [{"token": "hush-5"}], "n": 1}',
    }
    admin = as_user("admin")
    admin.post(f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}", headers=OURS, data=sent)
    [run] = fake.runs("work/alpha")
    assert run.parameters["key"] == "hush-1"
    admin.post(f"{PAGE}/runs/{run.id}/retry", headers=OURS)
    page = admin.get(f"{PAGE}/runs/{run.id}").text
    again = admin.get(f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}?like={run.id}").text
    started, retried = (json.loads(entry[3])["parameters"] for entry in audit_entries()[-2:])
    assert started == retried
    assert (started["rows"], started["uri"], started["deep"]["n"]) == (7, "s3://***@store/a", 1)
    assert "hush" not in str(audit_entries()[-2:]) + page
    assert "hush-1" not in again
    assert "hush-2" not in again


def test_who_cancelled_and_who_retried_is_said(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING")
    run, admin = fake.run("work/alpha"), as_user("admin")
    path = f"{PAGE}/runs/{run.id}"
    as_user("starts-alpha").post(f"{path}/cancel", headers=OURS)
    assert "Cancelled by starts-alpha." in admin.get(path).text
    admin.post(f"{path}/retry", headers=OURS)
    fake.set_state(run, "CANCELLED")  # by somebody else, who does not say who he is
    page = as_user("reads-alpha").get(path).text
    assert ("Retried in place by admin." in page, "Cancelled by" in page) == (True, False)
