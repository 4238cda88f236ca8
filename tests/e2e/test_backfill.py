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

import pandas as pd
import pytest

from factory.settings import read_settings
from stack.airflow_api import AirflowApi, DagRun
from stack.identity import load_identity, write_private
from stack.settings import Home
from tests.e2e.live_stack import WEEK_SECONDS, Stack, live_stack, wait_until
from tests.late_weeks import CHURN, Week, load_customers, run_week, scored, week_of

WEEKS = (1, 2, 3)
SCHEDULE = "5 7 * * 1"
STEPS = ("check_week", "train", "promote")


@dataclass(frozen=True)
class Side:
    """The weeks of one side, and all that its champions said of new customers."""

    weeks: list[Week]
    scored: pd.DataFrame


def epoch(now: datetime) -> datetime:
    """The Monday on which week 1 began, where the schedule has fired for the last time in the last of WEEKS."""
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
            running.command("python", "-m", "factory", "load", "sample", "--use-case", CHURN.name)
            yield running


@pytest.fixture(scope="module")
def late(stack: Stack) -> Side:
    """The weeks as `airflow backfill` ran them, as docs/how-to/backfill.md says."""
    identity = load_identity(stack.home)
    airflow = AirflowApi(stack.airflow_url, identity.admin_password, CHURN.dag_id)
    wait_until(airflow.is_parsed, f"Airflow knows {CHURN.dag_id}", 120)
    begin, end = (identity.week_moment(week).date().isoformat() for week in (WEEKS[0], WEEKS[-1] + 1))
    span = ["--from-date", begin, "--to-date", end, "--max-active-runs", "1"]
    command = [str(stack.home.tools / "airflow"), "backfill", "create", "--dag-id", CHURN.dag_id, *span]
    subprocess.run(command, check=True)
    airflow.unpause()

    def ended() -> list[DagRun]:
        return sorted((run for run in airflow.runs() if run.state in {"success", "failed"}), key=lambda run: run.run_id)

    wait_until(lambda: len(ended()) == len(WEEKS), "the weeks have run", len(WEEKS) * WEEK_SECONDS)
    runs = ended()
    assert [(run.state, run.logical_date) for run in runs] == [
        ("success", identity.week_moment(week)) for week in WEEKS
    ]
    with environment(stack.environment):
        settings = read_settings()
        weeks = [week_of(settings, *(airflow.result(run.run_id, step) for step in STEPS)) for run in runs]
        return Side(weeks, scored(settings))


@pytest.fixture(scope="module")
def in_time(stack: Stack, late: Side, tmp_path_factory: pytest.TempPathFactory) -> Side:
    """The weeks, each run before anything of the next one was known, without Airflow."""
    folder = tmp_path_factory.mktemp("in-time")
    own = {
        "DATABASE_URL": f"sqlite:///{folder / 'catalogue.sqlite'}",
        "SNAPSHOT_URI": (folder / "snapshots").as_uri(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.sqlite'}",
    }
    with environment({**stack.environment, **own}):
        settings, weeks = read_settings(), []
        for week in WEEKS:
            moment = load_identity(stack.home).week_moment(week)
            load_customers(settings, until=moment)
            weeks.append(run_week(settings, moment))
        return Side(weeks, scored(settings))


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """This process' settings, and those of Prefect's client in it."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    names = {PREFECT_API_URL: "PREFECT_API_URL", PREFECT_API_AUTH_STRING: "PREFECT_API_AUTH_STRING"}
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({setting: variables[name] for setting, name in names.items()}),
    ):
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def test_rows_labels_models_and_decisions_are_the_same(late: Side, in_time: Side) -> None:
    assert [week.dataset.week for week in late.weeks] == list(WEEKS)
    assert len({week.dataset.sha256 for week in late.weeks}) == len(WEEKS)
    assert all(week.unknown for week in late.weeks[1:]), "a label is shown before it can be known"
    assert [week.told() for week in late.weeks] == [week.told() for week in in_time.weeks]


def test_models_answer_the_same_to_every_row(late: Side, in_time: Side) -> None:
    for ours, theirs in zip(late.weeks, in_time.weeks, strict=True):
        pd.testing.assert_frame_equal(ours.answers(), theirs.answers(), check_exact=True)


def test_new_customers_were_scored_the_same(late: Side, in_time: Side) -> None:
    assert len(late.scored)
    pd.testing.assert_frame_equal(late.scored, in_time.scored, check_exact=True)
