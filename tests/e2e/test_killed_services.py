"""Every use case side by side on one stack while its services are killed in turn: nothing is lost, nothing doubled.

Each service is killed with -9 as soon as a flow of somebody runs, and the next once it is up again. The first periods
know no champion and the second ones do, so that scoring and monitoring are among what is interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from factory import use_cases
from factory.use_cases.use_case import UseCase
from stack.airflow_api import AirflowApi, DagRun
from stack.identity import load_identity
from stack.postgresql import postgresql_process
from stack.settings import StackError
from stack.state import read_state
from stack.weeks import run_moment
from tests.e2e.live_stack import MESSAGE_SECONDS, STARTERS, WEEK_SECONDS, Stack, live_stack, wait_until

DATABASE = "postgresql"
KILLED = (("the flows' starter", "mlflow"), ("airflow-triggerer", DATABASE))
"""What is killed during the first periods, and during the second ones."""
AGAIN_SECONDS = 300
ALL_SECONDS = 2 * WEEK_SECONDS
ENDED = {"success", "failed"}


@dataclass(frozen=True)
class Played:
    """A use case's DAG and its runs, a period each."""

    use_case: UseCase
    airflow: AirflowApi
    runs: tuple[DagRun, ...]


@pytest.fixture(scope="module", params=["served", "worker"])
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    with live_stack(tmp_path_factory.mktemp("stack"), "embedded", flows=request.param) as running:
        for use_case in use_cases.current():
            running.command("python", "-m", "factory", "load", "sample", "--use-case", use_case.name)
        yield running


@pytest.fixture(scope="module")
def played(stack: Stack) -> Iterator[list[Played]]:
    """Both periods of each, over."""
    identity = load_identity(stack.home)
    apis = {each: AirflowApi(stack.airflow_url, identity.admin_password, each.dag_id) for each in use_cases.current()}
    runs: dict[UseCase, list[DagRun]] = {each: [] for each in apis}
    for api in apis.values():
        wait_until(api.is_parsed, "Airflow knows every DAG", AGAIN_SECONDS)
        api.unpause()
    for period, victims in enumerate(KILLED):
        for use_case, api in apis.items():
            first = use_case.clock.parse(use_case.demo_begins or 1)
            runs[use_case].append(api.trigger(run_moment(identity, use_case, first + period)))
        for victim in victims:
            wait_until(lambda: _runs_something(stack), f"a flow runs when {victim} is to be killed", AGAIN_SECONDS)
            _kill(stack, victim)
        begun = [(api, runs[use_case][-1]) for use_case, api in apis.items()]
        wait_until(lambda begun=begun: _ended(begun), "every run ends", ALL_SECONDS)
    yield [
        Played(use_case, api, tuple(api.run(run.run_id) for run in runs[use_case])) for use_case, api in apis.items()
    ]
    for api in apis.values():
        api.close()


def _runs_something(stack: Stack) -> bool:
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    return bool(stack.prefect_api.ask("/flow_runs/filter", wanted))


def _ended(begun: Sequence[tuple[AirflowApi, DagRun]]) -> bool:
    """Whether every run has ended; while its database is away, Airflow answers with an error."""
    try:
        return all(api.run(run.run_id).state in ENDED for api, run in begun)
    except StackError:
        return False


def _kill(stack: Stack, victim: str) -> None:
    """With -9; back once it is up again, as another process."""
    if victim == DATABASE:
        server = postgresql_process(stack.home)
        assert server is not None
        server.kill()
        wait_until(lambda: postgresql_process(stack.home) not in (None, server), "PostgreSQL is back", AGAIN_SECONDS)
        return
    state = read_state(stack.home)
    assert state is not None
    name = next((each for each in STARTERS if each in state.services), "") if victim == KILLED[0][0] else victim
    record = state.services[name].process
    process = record.process() if record else None
    assert process is not None, f"{name} does not run"
    process.kill()

    def back() -> bool:
        now = read_state(stack.home)
        assert now is not None, "the stack has ended"
        return now.services[name].process != record and now.services[name].phase == "ready"

    wait_until(back, f"{name} is up again", AGAIN_SECONDS)


def test_every_run_succeeds(played: list[Played]) -> None:
    states = {
        f"{each.use_case.name} {run.logical_date}": (run.state, _failures(each.airflow, run))
        for each in played
        for run in each.runs
        if run.state != "success"
    }
    assert states == {}


def _failures(airflow: AirflowApi, run: DagRun) -> list[str]:
    return [
        f"{task.task_id}: {airflow.error(run.run_id, task)}"
        for task in airflow.tasks(run.run_id)
        if task.state == "failed"
    ]


def test_a_period_is_cut_once(stack: Stack, played: list[Played]) -> None:
    ledger = stack.rows("SELECT batch_name, status FROM data_loads")
    assert {row.status for row in ledger} == {"accepted"}
    loads = Counter(row.batch_name.partition("/")[0] for row in ledger)
    assert loads == {each.use_case.name: len(each.runs) for each in played}


def test_a_model_is_trained_once_a_period_and_judged_once(stack: Stack, played: list[Played]) -> None:
    models = [model.name for each in played for model in each.use_case.models]
    versions = {name: _versions(stack, name) for name in models}
    assert {name: len(found) for name, found in versions.items()} == dict.fromkeys(models, len(KILLED))
    judged = Counter(
        (row.model, row.challenger_version) for row in stack.rows("SELECT model, challenger_version FROM decisions")
    )
    assert judged == Counter((name, version) for name, found in versions.items() for version in found)


def test_nothing_is_predicted_twice(stack: Stack, played: list[Played]) -> None:
    twice = {
        table: stack.rows(
            f"SELECT {key}, model_version, timestamp FROM {table} GROUP BY {key}, model_version, timestamp "  # noqa: S608
            "HAVING count(*) > 1"
        )
        for table, key in (("inference_log", "productid"), ("predictions", "model, entity_id"))
    }
    assert twice == {"inference_log": [], "predictions": []}


def test_each_task_has_one_flow_run_that_completed(stack: Stack, played: list[Played]) -> None:
    completed = Counter(
        tuple(sorted(tag for tag in run["tags"] if tag.startswith(("dag:", "run:", "task:", "map_index:"))))
        for run in _flow_runs(stack)
        if run["state_type"] == "COMPLETED"
    )
    assert completed
    assert {tags: count for tags, count in completed.items() if count > 1} == {}


def test_no_flow_run_is_left_behind(stack: Stack, played: list[Played]) -> None:
    open_states = {"SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED"}
    assert [run["name"] for run in _flow_runs(stack) if run["state_type"] in open_states] == []


def test_every_run_is_told_once(stack: Stack, played: list[Played]) -> None:
    def told() -> list[str]:
        return [request.get_json()["embeds"][0]["title"] for request, _ in stack.sink.log]

    count = sum(len(each.runs) for each in played)
    wait_until(lambda: len(told()) >= count, f"{count} messages", MESSAGE_SECONDS)
    assert len(told()) == count, told()


def _versions(stack: Stack, model: str) -> list[str]:
    asked = {"filter": f"name='{model}'"}
    answer = stack.mlflow.get("/api/2.0/mlflow/model-versions/search", params=asked).raise_for_status().json()
    return [each["version"] for each in answer.get("model_versions", [])]


def _flow_runs(stack: Stack) -> list[dict]:
    """Those that Airflow asked for."""
    found: list[dict] = []
    while True:
        page = {"flow_runs": {"tags": {"all_": ["airflow"]}}, "offset": len(found), "limit": 200}
        more = stack.prefect.post("/flow_runs/filter", json=page).raise_for_status().json()
        if not more:
            return found
        found += more
