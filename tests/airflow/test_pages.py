"""What the how-to pages show is what runs, and what they say of names is so."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bridge import errors
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.in_airflow.run_metadata import labels_of, tags_of
from bridge.intention import Intention
from bridge.parameters import check_parameters
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.wire import Submission
from bridge.submitting import submit
from bridge.testing import Course, FakePrefect
from bridge.tracing import Lineage, LineageRun
from tests.airflow.conftest import Played
from tests.live_prefect import CHECKOUT, LivePrefect, wait_until

pytest_plugins = ["bridge.testing.fixtures"]

HOW_TO = CHECKOUT / "docs" / "how-to"
Play = Callable[..., Played]


def training(rows: int = 10, max_features: int = 10_000) -> None:
    """The parameters of the pages' training."""


def scoring(region: str) -> None:
    """The parameters of the pages' scoring."""


@pytest.fixture
def fake(fake_prefect: FakePrefect) -> FakePrefect:
    """With the deployments that the pages name."""
    fake_prefect.deployment("train/products", parameters=training)
    fake_prefect.deployment("train/gpus", parameters=training, work_pool="gpus")
    fake_prefect.deployment("score/products", parameters=scoring)
    return fake_prefect


@pytest.fixture
def task_of(scenarios: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a page's task shorter times than a page would."""

    def change(dag_id: str, task_id: str, **shorter: Any) -> None:
        task = scenarios.dags[dag_id].get_task(task_id)
        for name, value in {"retry_delay": timedelta(0), **shorter}.items():
            assert hasattr(task, name)
            monkeypatch.setattr(task, name, value)

    return change


@pytest.fixture
def served(prefect: LivePrefect, tmp_path: Path) -> Callable[[str, str], Any]:
    """The flow of a page, served by a real Prefect as its deployment of that name."""

    def serve(page: str, name: str) -> Any:
        [flow] = [block for block in blocks(page) if "@flow" in block]
        script = tmp_path / "a_flow.py"
        script.write_text(f'{flow}\nif __name__ == "__main__":\n    train.serve({name!r})\n')
        return prefect.serving(script, name, flows=1)

    return serve


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (HOW_TO / f"{page}.md").read_text(), re.DOTALL)


def table(page: str, head: str) -> Iterator[list[str]]:
    """The rows of the table whose head begins so."""
    text = (HOW_TO / f"{page}.md").read_text()
    for line in text[text.index(head) :].splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_contract_and_its_flow_agree(play: Play, client: PrefectClient, served: Callable[[str, str], Any]) -> None:
    with served("run-a-deployment", "products"):
        played = play("train_products", rows=100)
    assert played.xcom("report") == "trained on 100 rows: F1 0.9"


def test_wrong_parameters_are_told_in_the_pages_words(fake: FakePrefect) -> None:
    [said] = blocks("run-a-deployment", "text")
    with PrefectClient(fake.connection) as asked, pytest.raises(errors.ParametersRejected) as refused:
        check_parameters({"rows": "many"}, asked.run(wire.find_deployment("train/products")), "train/products")
    assert str(refused.value) == said.strip()


def test_a_retry_in_place_keeps_the_run_and_job_variables_arrive(
    play: Play, fake: FakePrefect, task_of: Callable[..., None]
) -> None:
    task_of("train_on_gpus", "train", stream_logs=False)
    fake.on_run("train/gpus", Course("FAILED", message="no space left"), Course())
    assert play("train_on_gpus").state("train") == "success"
    [run] = fake.runs("train/gpus")
    assert run.run_count == 2
    assert fake.document(run)["job_variables"]["env"]["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_run_that_is_only_started_is_handed_on(play: Play, fake: FakePrefect) -> None:
    fake.on_run("train/products", state="RUNNING")
    handed = play("start_training").xcom("start")
    [run] = fake.runs("train/products")
    assert (handed["flow_run_id"], handed["name"]) == (run.id, run.name)
    assert set(handed) == {"flow_run_id", "name", "url"}


def test_clearing_a_task_that_succeeded_starts_a_fresh_run(play: Play, fake: FakePrefect, scenarios: Any) -> None:
    """As Airflow's clear leaves the task instance, the task is executed once more."""
    from airflow.models.taskinstance import clear_task_instances
    from airflow.utils.session import create_session

    played = play("start_training")
    with create_session() as session:
        cleared = session.merge(played.ti("start"))
        clear_task_instances([cleared], session)
        lived = {name: getattr(cleared, name) for name in ("dag_id", "run_id", "task_id", "map_index", "max_tries")}
    page = "http://airflow.test/dags/start_training"
    ti = SimpleNamespace(**lived, id="another", try_number=2, log_url=page, xcom_push=lambda **_: None)
    again = scenarios.dags["start_training"].get_task("start").execute({"ti": ti, "dag_run": played.dag_run})
    assert [run.id for run in fake.runs()] == [played.xcom("start")["flow_run_id"], again["flow_run_id"]]
    assert again["flow_run_id"] != played.xcom("start")["flow_run_id"]


@pytest.mark.parametrize(
    ("state", "shorter", "error", "says"),
    [
        ("SCHEDULED", {"start_timeout_seconds": 0.5}, errors.FlowRunNeverStarted, "is cancelled"),
        ("RUNNING", {"run_timeout_seconds": 0.5}, errors.FlowRunTimedOut, "has often lost its process"),
        ("RUNNING", {"execution_timeout": timedelta(hours=1)}, errors.FlowRunTimedOut, "did not end within 3600 s"),
        ("CRASHED", {"crash_grace_seconds": 0.5}, errors.FlowRunCrashed, "crashed"),
    ],
)
def test_a_limit_that_has_passed_has_the_pages_error(
    play: Play,
    fake: FakePrefect,
    task_of: Callable[..., None],
    old: Callable[[float], None],
    state: str,
    shorter: dict[str, Any],
    error: type[errors.FlowRunError],
    says: str,
) -> None:
    task_of("train_in_time", "train", stream_logs=False, **shorter)
    old(3600 if "execution_timeout" in shorter else 0)
    fake.on_run("train/products", state=state)
    played = play("train_in_time")
    assert [type(raised) for raised in played.raised] == [error]
    assert says in str(played.raised[0])
    [run] = fake.runs("train/products")
    assert run.state_type == ("CRASHED" if state == "CRASHED" else "CANCELLED")
    [row] = [row for row in table("wait-and-time-out", "| argument |") if row[0].strip("`") in shorter]
    assert error.__name__ in row[2] or "run_timeout_seconds" in row[2]


def test_the_defaults_are_those_that_the_page_names() -> None:
    operator = RunPrefectDeployment(task_id="t", deployment="a/b")
    for name, default, _ in table("wait-and-time-out", "| argument |"):
        assert getattr(operator, name.strip("`")) == (None if default == "none" else float(default))


def test_a_run_that_never_starts_is_told_in_the_pages_words(
    play: Play, fake: FakePrefect, task_of: Callable[..., None]
) -> None:
    """On the worker, as the page has it for executors without a triggerer."""
    fake.deployment("train/products", parameters=training, work_pool="gpus")
    fake.on_run("train/products", state="SCHEDULED")
    task_of("train_on_the_worker", "train", start_timeout_seconds=0.5)
    [raised] = play("train_on_the_worker").raised
    [said] = blocks("wait-and-time-out", "text")
    words = re.split(r"'brave-owl'|120 s|\(Late\)|http\S*", " ".join(said.split()))
    assert [part for part in words if part.strip() not in str(raised)] == []


def test_a_training_waits_until_prefect_is_ready(play: Play, fake: FakePrefect) -> None:
    assert play("train_when_ready").state("train") == "success"


def test_the_page_names_every_error_and_says_whether_it_is_retried() -> None:
    told = {
        name: answer == "yes"
        for names, answer in table("end-well", "| error | retried |")
        for name in re.findall(r"`(\w+)`", names)
    }
    roots = {"BridgeError", "PrefectApiError", "FlowRunError", "FlowRunsFailed"}
    assert told == {name: getattr(errors, name).retryable for name in errors.__all__ if name not in roots}


@pytest.mark.parametrize(
    ("state", "tries", "ends"), [("FAILED", 1, "failed"), ("CRASHED", 4, "failed"), ("CANCELLED", 1, "skipped")]
)
def test_the_retry_policy_sees_the_type_of_the_error(
    play: Play, fake: FakePrefect, task_of: Callable[..., None], scenarios: Any, state: str, tries: int, ends: str
) -> None:
    for rule in scenarios.dags["train_with_care"].get_task("train").retry_policy.rules:
        object.__setattr__(rule, "retry_delay", rule.retry_delay and timedelta(0))
    task_of("train_with_care", "train", crash_grace_seconds=0.0, stream_logs=False)
    fake.on_run("train/products", state=state)
    assert play("train_with_care").state("train") == ends
    assert len(fake.runs("train/products")) == tries


def test_a_flow_finds_its_lineage_parent(
    client: PrefectClient, prefect: LivePrefect, served: Callable[[str, str], Any]
) -> None:
    lineage = Lineage(parent=LineageRun("airflow", "train_products.train", "0198c0de-0000-7000-8000-000000000001"))
    with served("follow-a-run", "lineage"):
        record = client.run(wire.find_deployment("train/lineage"))
        asked = Submission({}, labels=lineage.labels)
        run = client.run(submit(record, Intention("train/lineage", ("lineage",)), asked)).run

        def told() -> list[str]:
            lines = client.run(wire.read_logs(run.id))
            return [line.message for line in lines if line.message.startswith("parent: ")]

        wait_until(told, "the flow tells its parent")
    for part in ("ParentRunFacet", "'name': 'train_products.train'", "0198c0de-0000-7000-8000-000000000001"):
        assert part in told()[0]


def test_a_run_bears_the_tags_and_labels_of_the_page() -> None:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=3, try_number=1, log_url="http://airflow.test")
    [tags, labels, url] = list(table("follow-a-run", "| | |"))
    assert [tag.split(":")[0] for tag in tags_of(ti)] == [
        tag.split(":")[0] for tag in re.findall(r"`([^`]+)`", tags[1])
    ]
    named = re.findall(r"`([^`]+)`", labels[1] + url[1])
    assert named == list(labels_of(ti, Lineage()))


def test_the_log_in_the_task_reads_as_on_the_page(
    play: Play, fake: FakePrefect, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.on_run("train/products", logs=[(logging.WARNING, "12 rows without a text were left out")], result=MODEL)
    assert play("train_and_tell").state("train") == "success"
    printed = capsys.readouterr().out
    [said] = blocks("follow-a-run", "text")
    for line in said.splitlines():
        [words] = re.findall(r"(?:- |\] )([A-Z1][^'\[]+?)(?: '|: http|$)", line.replace("[Prefect 07:05:12.318]", "]"))[
            :1
        ]
        assert words in printed


def test_what_went_well_is_told(play: Play, fake: FakePrefect, scenarios: Any) -> None:
    fake.on_run("train/products", result=MODEL)
    played = play("train_and_tell")
    notifier = scenarios.dags["train_and_tell"].on_success_callback
    [notifier] = notifier if isinstance(notifier, list) else [notifier]
    dag = SimpleNamespace(dag_id="train_and_tell")
    message = notifier.compose({"ti": played.ti("train"), "dag": dag, "run_id": played.dag_run.run_id})
    assert "train_and_tell succeeded" in str(message)
    assert "F1 is below 0.8." in str(message)


MODEL = {"model": "m1", "f1": 0.7}


def test_every_member_has_a_run_of_its_own_and_the_results_come_together(play: Play, fake: FakePrefect) -> None:
    fake.on_run("score/products", lambda parameters: {"rows": len(parameters["region"])})
    played = play("score_regions")
    assert played.xcom("add_up") == len("northsoutheastwest")
    runs = fake.runs("score/products")
    assert {run.parameters["region"] for run in runs} == {"north", "south", "east", "west"}
    assert {tag for run in runs for tag in run.tags if tag.startswith("map_index:")} == {
        f"map_index:{index}" for index in range(4)
    }
    assert played.ti("score", 0).rendered_map_index in {"north", "south", "east", "west"}


def test_more_than_one_argument_is_mapped(play: Play, fake: FakePrefect) -> None:
    play("score_and_train")
    assert [len(fake.runs(name)) for name in ("score/products", "train/products")] == [1, 1]


def test_every_link_of_the_docs_leads_somewhere() -> None:
    pages = [*(CHECKOUT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(CHECKOUT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []
