"""Weeks that Airflow backfills are the weeks that would have run in time: the same rows, files, models and champions.

One side is a whole stack whose catalogue holds everything from the beginning, and `airflow backfill create`. The other
is a catalogue that learns week by week what had happened by then, cut and trained at once without Airflow.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select

from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import CHANGED_AT, KNOWN_AT, load_entities
from factory.catalogue.schema import predictions
from factory.contracts import DatasetRef, PromotionResult, TrainingResult
from factory.quality.checking import check_week
from factory.settings import Settings, read_settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.store import read_frame
from factory.sources.tables import dated, read_sample
from factory.use_cases import get
from flows.adapters import registry
from flows.core.logic import logic_of
from stack.airflow_api import AirflowApi, DagRun
from stack.identity import load_identity, write_private
from stack.settings import Home
from tests.e2e.live_stack import WEEK_SECONDS, Stack, live_stack, wait_until

CHURN = get("churn")
WEEKS = (1, 2, 3)
SCHEDULE = "5 7 * * 1"


@dataclass(frozen=True)
class Week:
    """What became of a week, on either side."""

    dataset: DatasetRef
    training: TrainingResult
    decision: PromotionResult
    model: Any
    """The fitted pipeline."""


@dataclass(frozen=True)
class Side:
    """The weeks of one side, and all that its champions said of new customers."""

    weeks: list[Week]
    scored: pd.DataFrame


def epoch(now: datetime) -> datetime:
    """The Monday on which week 1 began, where the schedule has fired for the last time in week 3."""
    fired = now - timedelta(hours=7, minutes=5)
    monday = (fired - timedelta(days=fired.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    return monday - timedelta(weeks=len(WEEKS) - 1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a schedule, whose third week is the present one, and all customers that there will be."""
    home = Home(tmp_path_factory.mktemp("backfill"))
    home.make()
    write_private(home.identity_file, json.dumps({"week_epoch": epoch(datetime.now(UTC)).isoformat()}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_SCHEDULE", SCHEDULE)
        with live_stack(home.path, "embedded") as running:
            running.command("python", "-m", "factory", "load", "sample", "--use-case", "churn")
            yield running


@pytest.fixture(scope="module")
def late(stack: Stack) -> Side:
    """The weeks as `airflow backfill` ran them, as docs/how-to/backfill.md says."""
    identity = load_identity(stack.home)
    airflow = AirflowApi(stack.airflow_url, identity.admin_password, CHURN.dag_id)
    wait_until(airflow.is_parsed, f"Airflow knows {CHURN.dag_id}", 120)
    dates = [identity.week_moment(week).date().isoformat() for week in (WEEKS[0], WEEKS[-1] + 1)]
    span = ["--from-date", dates[0], "--to-date", dates[1], "--max-active-runs", "1"]
    command = [str(stack.home.tools / "airflow"), "backfill", "create", "--dag-id", CHURN.dag_id, *span]
    subprocess.run(command, check=True)
    airflow.unpause()

    def ended() -> list[DagRun]:
        return sorted((run for run in airflow.runs() if run.state in {"success", "failed"}), key=lambda run: run.run_id)

    wait_until(lambda: len(ended()) == len(WEEKS), "the weeks have run", len(WEEKS) * WEEK_SECONDS)
    assert [(run.state, run.logical_date) for run in ended()] == [
        ("success", identity.week_moment(week)) for week in WEEKS
    ]
    with environment(stack.environment):
        return Side([week_of(airflow, run) for run in ended()], scored(read_settings()))


@pytest.fixture(scope="module")
def in_time(stack: Stack, late: Side, tmp_path_factory: pytest.TempPathFactory) -> Side:
    """The weeks, each run before anything of the next one was known."""
    folder = tmp_path_factory.mktemp("in time")
    own = {
        "DATABASE_URL": f"sqlite:///{folder / 'catalogue.sqlite'}",
        "SNAPSHOT_URI": (folder / "snapshots").as_uri(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.sqlite'}",
    }
    with environment({**stack.environment, **own}):
        settings, moments = read_settings(), [load_identity(stack.home).week_moment(week) for week in WEEKS]
        return Side([run_in_time(settings, moment) for moment in moments], scored(settings))


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """This process' settings, and those of Prefect's client in it."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    prefect = {
        PREFECT_API_URL: variables["PREFECT_API_URL"],
        PREFECT_API_AUTH_STRING: variables["PREFECT_API_AUTH_STRING"],
    }
    with pytest.MonkeyPatch.context() as patch, temporary_settings(prefect):
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def week_of(airflow: AirflowApi, run: DagRun) -> Week:
    """What the DAG run's tasks handed back, and the model that it trained."""
    told = {task: airflow.result(run.run_id, task) for task in ("check_week", "train", "promote")}
    training = TrainingResult.model_validate(told["train"])
    return Week(
        DatasetRef.model_validate(told["check_week"]),
        training,
        PromotionResult.model_validate(told["promote"]),
        model_of(read_settings(), training.model_version),
    )


def run_in_time(settings: Settings, moment: datetime) -> Week:
    """The week of that moment from what was known then, through the same flows called as functions."""
    from flows.pipeline_flow import training_pipeline
    from flows.promotion import promotion
    from flows.scoring import score

    source = CHURN.entities
    rows = dated(read_sample(source, CHURN.task.target, print), source, settings.weeks, None)
    states, outcomes = rows.states, rows.outcomes
    known = states[states[CHANGED_AT] <= moment], outcomes[outcomes[KNOWN_AT] <= moment]
    load_entities(open_catalogue(settings.database_url), source, *known, origin="the customers until now")
    dataset = check_week(settings, cut_week(settings, CHURN.name, as_of=moment))
    score(use_case=CHURN.name, dataset=dataset, return_state=True)  # week 1 has no champion that could
    training = TrainingResult.model_validate(
        training_pipeline(use_case=CHURN.name, dataset=dataset, auto_promote_threshold=None)
    )
    decision = PromotionResult.model_validate(promotion(use_case=CHURN.name, model_version=training.model_version))
    return Week(dataset, training, decision, model_of(settings, training.model_version))


def scored(settings: Settings) -> pd.DataFrame:
    """All that champions said, by moment and customer."""
    told = predictions.c
    query = select(told.timestamp, told.entity_id, told.model_version, told.prediction, told.score, told.details)
    with open_catalogue(settings.database_url).connect() as connection:
        return pd.DataFrame(connection.execute(query.order_by(told.timestamp, told.entity_id)).mappings())


def model_of(settings: Settings, number: str) -> Any:
    client = registry.connect(settings.mlflow_tracking_uri)
    version = registry.get_version(client, CHURN.model_name, number)
    return registry.load_model(client, version, settings.data_roots, trusted=logic_of(CHURN).trusted)


def pairs(late: Side, in_time: Side) -> Iterator[tuple[Week, Week]]:
    """Each week late and in time."""
    yield from zip(late.weeks, in_time.weeks, strict=True)


def test_snapshots_are_the_same_files(late: Side, in_time: Side) -> None:
    assert [week.dataset.week for week in late.weeks] == list(WEEKS)
    assert len({week.dataset.sha256 for week in late.weeks}) == len(WEEKS)
    for backfilled, timely in pairs(late, in_time):
        assert backfilled.dataset.sha256 == timely.dataset.sha256
        assert backfilled.dataset.test.sha256 == timely.dataset.test.sha256
        places = {"uri", "test"}
        assert backfilled.dataset.model_dump(exclude=places) == timely.dataset.model_dump(exclude=places)


def test_labels_are_those_that_were_known_then(late: Side, in_time: Side) -> None:
    unknown = [int(read_frame(week.dataset)["target"].isna().sum()) for week in late.weeks]

    assert unknown[0] == 0
    assert all(unknown[1:]), "who joined this week has an outcome before it can be known"
    assert unknown == [int(read_frame(week.dataset)["target"].isna().sum()) for week in in_time.weeks]


def test_models_are_the_same(late: Side, in_time: Side) -> None:
    logic = logic_of(CHURN)
    for backfilled, timely in pairs(late, in_time):
        assert backfilled.training.candidate == timely.training.candidate
        assert backfilled.training.metrics == timely.training.metrics
        assert backfilled.training.cv_scores == timely.training.cv_scores
        rows = read_frame(backfilled.dataset)
        ours, theirs = (logic.answer(week.model, rows) for week in (backfilled, timely))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_champions_are_the_same_and_scored_the_same(late: Side, in_time: Side) -> None:
    decided = ("challenger_metrics", "promoted", "rule", "champion_version", "previous_champion_version", "gain")
    for backfilled, timely in pairs(late, in_time):
        ours, theirs = ({name: getattr(week.decision, name) for name in decided} for week in (backfilled, timely))
        assert ours == theirs
    assert len(late.scored)
    pd.testing.assert_frame_equal(late.scored, in_time.scored, check_exact=True)
