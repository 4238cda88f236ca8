"""What is shown of runs, their inside and their list, made of records alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.prefect_api.records import DeploymentRecord, FlowRun, TaskRun, Worker
from plugins.control_page.deployment_views import deployment_view, schedule_words
from plugins.control_page.run_filter import RunFilter
from plugins.control_page.run_views import USER_LABEL, ago, in_words, links_in, run_view, starter_of
from plugins.control_page.timeline import timeline

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEGAN = NOW - timedelta(seconds=100)


def run(state: str = "COMPLETED", name: str = "", **more: Any) -> FlowRun:
    document = {
        "id": "r",
        "name": "brave-owl",
        "state": {"type": state, "name": name or state.title(), "message": "said"},
        "start_time": BEGAN.isoformat(),
        "end_time": None if state in {"RUNNING", "SCHEDULED"} else NOW.isoformat(),
    }
    return FlowRun.parse({**document, **more})


@pytest.mark.parametrize(
    ("state", "name", "tone", "live"),
    [
        ("RUNNING", "", "busy", True),
        ("COMPLETED", "", "good", False),
        ("COMPLETED", "Skipped", "muted", False),
        ("FAILED", "", "bad", False),
        ("CRASHED", "", "bad", False),
        ("CANCELLED", "", "muted", False),
        ("SCHEDULED", "Late", "bad", True),
        ("ODD", "", "bad", False),
    ],
)
def test_a_state_has_one_tone(state: str, name: str, tone: str, live: bool) -> None:
    view = run_view(run(state, name), "a/b", NOW)
    assert (view.tone, view.is_live) == (tone, live)


def test_a_scheduled_run_waits_and_has_no_duration() -> None:
    view = run_view(run("SCHEDULED", start_time=None), "a/b", NOW)
    assert (view.tone, view.seconds, view.is_live) == ("waiting", None, True)


def test_who_started_a_run_is_told() -> None:
    tags = ["airflow", "dag:weekly", "run:manual__2026-03-02T07:05:00+00:00", "task:train"]
    by_airflow = starter_of(run(tags=tags))
    assert by_airflow.words == "weekly · train"
    assert by_airflow.airflow_path == "/dags/weekly/runs/manual__2026-03-02T07%3A05%3A00%2B00%3A00/tasks/train"
    assert str(starter_of(run(tags=[*tags, "map_index:3"])).airflow_path).endswith("/tasks/train/mapped/3")
    assert starter_of(run(labels={USER_LABEL: "ada"})).words == "ada"
    assert starter_of(run(auto_scheduled=True)).kind == "schedule"
    assert starter_of(run(parent_task_run_id="x")).kind == "run"
    assert starter_of(run()).kind == "Prefect"


def test_links_are_web_addresses_alone() -> None:
    result = {
        "mlflow_url": "http://m/1",
        "model_card_url": "https://m/2",
        "bad_url": "javascript:alert(1)",
        "url": 3,
        "report_url": None,
        "f1": 0.9,
    }
    assert links_in(result) == {"MLflow": "http://m/1", "Model card": "https://m/2"}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0.44, "0.4 s"), (12, "12 s"), (72, "1 min 12 s"), (7500, "2 h 05 min"), (1e5, "1 d 3 h")],
)
def test_durations_are_words(seconds: float | None, words: str) -> None:
    assert in_words(seconds) == words


def test_ages_are_words() -> None:
    assert [ago(NOW - timedelta(seconds=s), NOW) for s in (0, 59, 61, 7200, 172800)] == [
        "0 s ago",
        "59 s ago",
        "1 min ago",
        "2 h ago",
        "2 d ago",
    ]
    assert ago(NOW + timedelta(hours=3), NOW) == "in 3 h"


def test_a_timeline_places_what_runs_within_a_run() -> None:
    def task(key: str, start: int | None, end: int | None, state: str = "COMPLETED") -> TaskRun:
        times = {
            "start_time": None if start is None else (BEGAN + timedelta(seconds=start)).isoformat(),
            "end_time": None if end is None else (BEGAN + timedelta(seconds=end)).isoformat(),
        }
        return TaskRun.parse({"id": key, "name": key, "state_type": state, "state_name": state.title(), **times})

    below = [run("FAILED", id="child", parent_task_run_id="sub")]
    tasks = [task("later", 50, None, "RUNNING"), task("never", None, None, "PENDING"), task("sub", 10, 30)]
    bars = timeline(run("RUNNING"), tasks, below, NOW)
    assert [(bar.name, bar.kind, bar.left, bar.width) for bar in bars] == [
        ("brave-owl", "run", 0, 100),
        ("sub", "sub-run", 10, 20),
        ("later", "task", 50, 50),
        ("never", "task", 0, 0),
    ]
    assert (bars[1].state, bars[1].tone, bars[1].flow_run_id) == ("Failed", "bad", "child")


def test_a_list_is_asked_for_as_its_address_says() -> None:
    ids = {"train/products": "1", "score/products": "2", "train/churn": "3"}
    asked = RunFilter.parse({"state": "Failed", "use_case": "products", "span": "day", "page": "3"})
    query = asked.query(ids, NOW, everything=True)
    assert (query.states, query.deployment_ids, query.since) == (("Failed",), ("1", "2"), NOW - timedelta(days=1))
    assert asked.page == 3
    assert "page=4" in asked.address(4)
    assert RunFilter().query(ids, NOW, everything=True).deployment_ids is None
    assert RunFilter().query(ids, NOW, everything=False).deployment_ids == ("1", "2", "3")
    assert RunFilter(deployment="not/mine").query(ids, NOW, everything=True).deployment_ids == ()


@pytest.mark.parametrize(
    "asked", [{"page": "-1"}, {"page": "x"}, {"page": "9" * 30}, {"state": "<b>"}, {"span": "eon"}]
)
def test_what_is_no_choice_counts_as_not_chosen(asked: dict[str, str]) -> None:
    assert RunFilter.parse(asked) == RunFilter()


def test_a_deployment_without_a_worker_is_not_ready() -> None:
    def view(workers: list[Worker] | None, **more: Any) -> Any:
        document = {"id": "d", "name": "b", "flow_id": "f", "status": "READY", "work_pool_name": "models", **more}
        return deployment_view("a/b", DeploymentRecord.parse(document), workers, may_start=True, may_change=True)

    online, offline = Worker("w", "ONLINE", NOW), Worker("w", "OFFLINE", NOW)
    assert [view(workers).status for workers in ([online], [offline], [], None)] == [
        "ready",
        "no worker",
        "no worker",
        "ready",
    ]
    assert view([online], paused=True).status == "paused"
    assert view([online], status="NOT_READY").status == "nobody serves it"
    schema = {"properties": {"x": {}, "y": {"default": 1}}, "required": ["x", "y"]}
    assert view([online], parameter_openapi_schema=schema).needs_input
    assert not view([online], parameter_openapi_schema=schema, parameters={"x": 1}).needs_input


def test_schedules_are_words() -> None:
    assert schedule_words({"schedule": {"cron": "0 9 * * *", "timezone": "UTC"}, "active": True}) == "0 9 * * * (UTC)"
    assert schedule_words({"schedule": {"interval": 3600.0}, "active": False}) == "every 1 h 00 min, switched off"
