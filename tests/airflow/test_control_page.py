"""What the control page shows and does, in Airflow's real application over a fake Prefect."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.prefect_api.client import PrefectClient
from bridge.testing import Course, FakePrefect
from plugins.control_page.run_views import USER_LABEL
from tests.airflow.control_page import HOSTILE, OURS, PAGE, audit_entries, deployment_id
from tests.live_prefect import LivePrefect
from tests.odd_run import LEVELS, run_oddly

pytest_plugins = ["tests.airflow.control_page"]

Browser = Callable[..., Any]


def token_in(page: str) -> str:
    [token] = re.findall(r'name="token" value="([^"]+)"', page)
    return str(token)


def test_the_plugin_is_in_airflows_navigation_and_on_its_task_instances(as_user: Browser) -> None:
    listed = as_user("admin").get("/api/v2/plugins").json()["plugins"]
    [ours] = [each for each in listed if each["name"] == "control_page"]
    views = {view["destination"]: view["href"] for view in ours["external_views"]}
    assert views["nav"] == "control-page/"
    assert views["task_instance"].startswith("control-page/task?dag_id={DAG_ID}")


def test_the_list_shows_runs_and_filters_them(as_user: Browser, fake: FakePrefect) -> None:
    done = fake.run("work/alpha")
    fake.on_run("work/beta", state="FAILED", message="no space left")
    failed = fake.run("work/beta")
    fake.wait_for(lambda: fake.read(failed).state_type == "FAILED" and fake.read(done).state_type == "COMPLETED")
    admin = as_user("admin")
    both, bad, alpha = (
        admin.get(f"{PAGE}/runs?{asked}").text for asked in ("", "state=Failed", "deployment=work/alpha")
    )
    assert [run.id in both for run in (done, failed)] == [True, True]
    assert [run.id in bad for run in (done, failed)] == [False, True]
    assert [run.id in alpha for run in (done, failed)] == [True, False]
    assert "No run fits" in admin.get(f"{PAGE}/runs?state=Crashed").text


def test_a_choice_that_finds_nothing_costs_prefect_nothing(as_user: Browser, fake: FakePrefect) -> None:
    admin = as_user("admin")
    admin.get(f"{PAGE}/deployments")
    before = len(fake.requests)
    for name in ("none/such", "x" * 1000, "work/none"):
        assert "No run fits" in admin.get(f"{PAGE}/runs?deployment={name}").text
    assert [each for each in fake.requests[before:] if each.method != "WEBSOCKET"] == []


def test_a_long_list_has_pages(as_user: Browser, fake: FakePrefect) -> None:
    runs = [fake.run("work/alpha") for _ in range(53)]
    admin = as_user("admin")
    first, second = (admin.get(f"{PAGE}/runs?page={page}").text for page in (1, 2))
    assert "53 runs" in first
    assert "Page 1 of 2" in first
    assert [run.id in first for run in (runs[-1], runs[0])] == [True, False]
    assert [run.id in second for run in (runs[-1], runs[0])] == [False, True]


def test_a_runs_page_shows_its_log_result_parameters_and_inside(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", Course(result={"f1": 0.91, "mlflow_url": "http://mlflow.test/1"}, logs=["fitting"]))
    run = fake.run("work/alpha", {"rows": 77})
    fake.wait_for(lambda: fake.read(run).state_type == "COMPLETED")
    child = fake.run("work/beta")
    fake.task(run, "fit-model")
    fake.task(run, "below", child=child)
    page = as_user("admin").get(f"{PAGE}/runs/{run.id}").text
    for part in ("fitting", "0.91", "http://mlflow.test/1", "&#34;rows&#34;: 77", "fit-model", f"runs/{child.id}"):
        assert part in page, part
    assert f"{fake.api_url.removesuffix('/api')}/runs/flow-run/{run.id}" in page


def test_a_log_grows_between_two_looks_and_no_line_comes_twice(as_user: Browser, fake: FakePrefect) -> None:
    fake.on_run("work/alpha", state="RUNNING", logs=["first"])
    run = fake.run("work/alpha")
    admin = as_user("admin")
    assert "first" in admin.get(f"{PAGE}/runs/{run.id}").text
    fake.log(run, "second")
    admin.post(f"{PAGE}/runs/{run.id}/retry", headers=OURS)  # a live run is left alone; what was read is read anew
    page = admin.get(f"{PAGE}/runs/{run.id}").text
    assert [page.count(f'"words">{word}<') for word in ("first", "second")] == [1, 1]


def test_a_run_that_is_not_there_is_said_so(as_user: Browser, fake: FakePrefect) -> None:
    answer = as_user("admin").get(f"{PAGE}/runs/00000000-0000-4000-8000-000000000000")
    assert (answer.status_code, "no flow run" in answer.text) == (404, True)


def test_a_run_is_started_from_the_form_once_and_bears_its_starters_name(as_user: Browser, fake: FakePrefect) -> None:
    admin, before = as_user("admin"), len(audit_entries())
    path = f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}"
    form = admin.get(path).text
    assert "Default: 10." in form
    sent = {"token": token_in(form), "p.rows": "12", "p.text": ""}
    first, second = (admin.post(path, headers=OURS, data=sent) for _ in range(2))
    [run] = fake.runs("work/alpha")
    assert {first.headers["location"], second.headers["location"]} == {f"{PAGE}/runs/{run.id}"}
    assert run.parameters == {"rows": 12}
    assert run.labels[USER_LABEL] == "admin"
    assert audit_entries()[before][:3] == ("control_page_start", "admin", "alpha")
    assert "admin" in admin.get(f"{PAGE}/runs/{run.id}").text


def test_wrong_input_is_refused_at_its_field_and_kept(as_user: Browser, fake: FakePrefect) -> None:
    admin, before = as_user("admin"), audit_entries()
    path = f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}"
    refused = admin.post(path, headers=OURS, data={"p.rows": "many", "p.text": "kept"})
    assert refused.status_code == 422
    assert re.search(r'id="field-rows"[^>]*aria-invalid="true"', refused.text)
    assert "&#39;many&#39; is not of type &#39;integer&#39;" in refused.text
    assert 'value="kept"' in refused.text
    assert fake.runs() == []
    assert audit_entries() == before


def test_what_prefect_would_render_is_refused(as_user: Browser, fake: FakePrefect) -> None:
    fake.deployment("work/json", parameters={"properties": {"any": {"type": "object"}}})
    path = f"{PAGE}/run/{deployment_id(fake, 'work/json')}"
    template = '{"__prefect_kind": "workspace_variable", "variable_name": "secret"}'
    refused = as_user("admin").post(path, headers=OURS, data={"p.any": template})
    assert (refused.status_code, "template object" in refused.text) == (422, True)
    assert fake.runs() == []


def test_who_may_not_start_has_no_form(as_user: Browser, fake: FakePrefect) -> None:
    path = f"{PAGE}/run/{deployment_id(fake, 'work/alpha')}"
    for name in ("viewer", "reads-alpha", "starts-beta"):
        assert as_user(name).get(path).status_code == 403
        assert as_user(name).post(path, headers=OURS).status_code == 403
    assert fake.runs() == []
    assert as_user("starts-alpha").post(path, headers=OURS).status_code == 303


def test_a_schedule_is_paused_and_resumed(as_user: Browser, fake: FakePrefect) -> None:
    known = deployment_id(fake, "work/alpha")
    fake._state.deployments[known]["schedules"] = [
        {"schedule": {"cron": "0 9 * * *", "timezone": "UTC"}, "active": True}
    ]
    admin = as_user("admin")
    page = admin.get(f"{PAGE}/deployments").text
    assert "0 9 * * * (UTC)" in page
    assert "Pause schedule" in page
    admin.post(f"{PAGE}/deployments/{known}/pause", headers=OURS)
    assert fake._state.deployments[known]["paused"]
    assert "Resume schedule" in admin.get(f"{PAGE}/deployments").text
    admin.post(f"{PAGE}/deployments/{known}/resume", headers=OURS)
    assert not fake._state.deployments[known]["paused"]


@pytest.mark.parametrize("path", ["", "runs", "run", "deployments", "runs/00000000-0000-4000-8000-000000000000"])
def test_a_prefect_that_hangs_is_told_within_two_seconds(
    as_user: Browser, fake: FakePrefect, awaited: list[float], path: str
) -> None:
    admin = as_user("admin")
    fake.faults.delay(30, times=None)
    page = admin.get(f"{PAGE}/{path}", headers={"x-live": "1"})
    fake.faults.clear()
    assert page.status_code == 200
    assert "Prefect does not answer" in page.text
    assert 0 < sum(awaited) < 2


def test_while_prefect_is_away_nothing_looks_like_loading_and_nobody_asks_in_haste(
    as_user: Browser, fake: FakePrefect
) -> None:
    admin = as_user("admin")
    fake.faults.cut(times=None)
    for path in ("", "runs", "run", "deployments"):
        page = admin.get(f"{PAGE}/{path}", headers={"x-live": "1"}).text
        assert "Not known while Prefect does not answer" in page, path
        assert "Asking Prefect" not in page, path
        assert float(re.findall(r'data-live-seconds="([0-9.]+)"', page)[0]) >= 3, path
    fake.faults.clear()


def test_a_prefect_that_is_gone_is_told_and_what_was_seen_stays(as_user: Browser, fake: FakePrefect) -> None:
    run, admin = fake.run("work/alpha"), as_user("admin")
    assert run.id in admin.get(f"{PAGE}/runs").text
    fake.stop()
    time.sleep(3)  # until what was read is too old to be shown without asking
    page = admin.get(f"{PAGE}/runs").text
    assert run.id in page
    assert "Prefect does not answer" in page
    fake.start()


def test_a_missing_connection_is_told_with_its_remedy(
    as_user: Browser, fake: FakePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_PREFECT_DEFAULT")
    assert "has no connection" in as_user("admin").get(f"{PAGE}/runs").text


def test_the_overview_tells_of_a_use_case_and_of_what_needs_attention(
    as_user: Browser, fake: FakePrefect, catalogue: Any
) -> None:
    from factory.records.ledger import announce, batch_name

    with catalogue.begin() as connection:
        announce(connection, batch_name("products", 1, 1), 1, 0.4)
    fake.deployment("training-pipeline/products", work_pool="gpus")
    fake.deployment("score/products", work_pool="models")
    fake.on_run("training-pipeline/products", state="FAILED", message="boom")
    failed = fake.run("training-pipeline/products")
    fake.on_run("score/products", state="SCHEDULED")
    late = fake.run("score/products")
    fake.wait_for(lambda: fake.read(failed).state_type == "FAILED")
    fake.set_state(late, "SCHEDULED", name="Late")
    page = as_user("admin").get(f"{PAGE}/", headers={"x-live": "1"}).text
    assert "No worker is online on pool gpus" in page
    assert f"{failed.name} of training-pipeline/products: failed in the last 24 hours." in page
    assert f"{late.name} of score/products is late." in page
    assert "Product type codes" in page
    assert "No worker is online on pool models" not in page


def test_the_overview_paints_before_prefect_has_answered(
    as_user: Browser, fake: FakePrefect, awaited: list[float]
) -> None:
    fake.deployment("score/products", work_pool="models")
    admin = as_user("admin")
    admin.get(f"{PAGE}/runs")
    fake.faults.delay(30, times=None)
    awaited.clear()
    page = admin.get(f"{PAGE}/")
    fake.faults.clear()
    assert "Asking Prefect" in page.text
    assert 0 < sum(awaited) < 1.5  # a tenth of a second a step


def decision(number: int, outcome: str, **more: Any) -> Any:
    """What the promotion flow writes, with the numbers of version `number`."""
    from factory.contracts import DatasetRef, FileRef, GateCheck, PromotionResult
    from factory.records.decisions import Decision

    file = {"uri": "file:///none", "sha256": "0" * 64, "rows": 900}
    dataset = DatasetRef(
        **file,
        use_case="products",
        week=number,
        as_of=datetime(2026, 3, number, tzinfo=UTC),
        train_rows=800,
        arrivals=100,
        classes=21,
        test=FileRef(**file),
        test_version="test/v1",
    )
    result = PromotionResult(
        **{
            "use_case": "products",
            "promoted": outcome == "promoted",
            "rolled_back": outcome == "rolled back",
            "reason": f"the gate's words on {number} {HOSTILE}",
            "rule": "floor",
            "challenger_version": str(number),
            "challenger_metrics": {"f1_weighted": 0.8 + number / 100, "f1_macro": 0.7},
            "champion_version": str(number),
            "previous_champion_version": str(number - 1) if number > 1 else None,
            "previous_champion_metrics": None,
            "threshold": 0.75,
            "test_version": "test/v1",
            "test_rows": 1100,
            "checks": (GateCheck(rule="floor", passed=True, said="0.82 is above 0.75"),),
            "intervals": {"f1_weighted": (0.79, 0.85)},
            "card_url": "http://mlflow.test/card",
            "mlflow_url": "javascript:alert(1)",
            **more,
        }
    )
    return Decision(decision_id=f"d{number}", decided_at=dataset.as_of, dataset=dataset, result=result)


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A catalogue of this test's own, which the page reads."""
    from factory.catalogue.database import open_catalogue
    from plugins.control_page import factory_reader

    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    monkeypatch.setenv("DATABASE_URL", url)
    caches = (factory_reader._engine, factory_reader._facts)
    for cache in caches:
        cache.cache_clear()
    yield open_catalogue(url)
    for cache in caches:
        cache.cache_clear()


def test_the_history_of_champions_is_shown_with_its_numbers(
    as_user: Browser, fake: FakePrefect, catalogue: Any
) -> None:
    from factory.records import decisions

    with catalogue.begin() as connection:
        for number, outcome in ((1, "promoted"), (2, "promoted")):
            decisions.record(connection, decision(number, outcome))
        kept = {"champion_version": "2", "previous_champion_version": "2"}
        decisions.record(connection, decision(3, "kept", **kept))
    page = as_user("admin").get(f"{PAGE}/promotion/products").text
    assert re.search(r"Champion</dt><dd>version 2, weighted F1 0.8200", page)
    assert re.search(r"Last challenger</dt><dd>version 3", page)
    assert "0.7900 to 0.8500" in page
    assert "it goes back to version 1" in page
    assert "0.82 is above 0.75" in page
    assert "http://mlflow.test/card" in page
    assert "javascript:" not in page
    assert HOSTILE not in page
    assert as_user("viewer").get(f"{PAGE}/promotion/products").text.count("<dialog") == 0
    assert as_user("admin").get(f"{PAGE}/promotion/none").status_code == 404
    overview = as_user("admin").get(f"{PAGE}/").text
    row = next(part for part in overview.split("<tr") if "promotion/products" in part)
    assert "none yet" not in row.partition('data-label="Champion"')[2]


def test_promotion_and_rollback_start_the_deployment_of_everybody_in_the_users_name(
    as_user: Browser, fake: FakePrefect, catalogue: Any
) -> None:
    from factory import contracts

    fake.deployment(contracts.promotion("products"))
    admin, before = as_user("admin"), len(audit_entries())
    for _ in range(2):  # the second press is the first one's
        admin.post(f"{PAGE}/promotion/products/promote", headers=OURS, data={"version": "7", "token": "t"})
    admin.post(f"{PAGE}/promotion/products/rollback", headers=OURS, data={"token": "t"})
    promoted, rolled_back = fake.runs("promotion/products")
    asked = {"use_case": "products", "requested_by": "admin"}
    assert promoted.parameters == {**asked, "model_version": "7"}
    assert rolled_back.parameters == {**asked, "rollback": True}
    assert [entry[:2] for entry in audit_entries()[before:]] == [
        ("control_page_promote", "admin"),
        ("control_page_promote", "admin"),
        ("control_page_rollback", "admin"),
    ]
    for name in ("viewer", "reads-alpha", "starts-alpha"):
        assert as_user(name).post(f"{PAGE}/promotion/products/rollback", headers=OURS).status_code == 403
    assert len(fake.runs("promotion/products")) == 2


def test_a_task_has_its_flow_run_on_a_tab(as_user: Browser, fake: FakePrefect, airflow_app: Any) -> None:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    from tests.airflow.control_page import make_task_instance

    fake.on_run("work/alpha", state="RUNNING", logs=["under way"])
    run = fake.run("work/alpha", tags=["airflow", "dag:alpha", "run:tab", "task:run"])
    fake.task(run, "fit-model")
    path = f"{PAGE}/task?dag_id=alpha&run_id=tab%2B00%3A00&task_id=run&map_index=-1"
    assert "no such task instance" in as_user("admin").get(path).text
    make_task_instance("alpha", "tab+00:00")
    assert "has not started a flow run yet" in as_user("admin").get(path).text
    with create_session() as session:
        XComModel.set(
            key="prefect_flow_run_id", value=run.id, dag_id="alpha", task_id="run", run_id="tab+00:00", session=session
        )
    page = as_user("reads-alpha").get(path).text
    for part in (run.name, "under way", "fit-model"):
        assert part in page
    assert as_user("reads-beta").get(path).status_code == 403


def test_task_names_odd_levels_and_a_result_that_cannot_cross_are_shown_of_a_real_run(
    as_user: Browser, client: PrefectClient, prefect: LivePrefect
) -> None:
    run_id = run_oddly(prefect)
    answer = as_user("admin").get(f"{PAGE}/runs/{run_id}")
    assert answer.status_code == 200
    for part in (
        "clean-3",
        "a line of the flow",
        "result.score is nan",
        *(f"a line at level {level}" for level in LEVELS),
    ):
        assert part in answer.text, part
