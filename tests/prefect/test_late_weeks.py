"""Weeks that are run late, through the flows, are those that would have run in time. By Airflow: tests/e2e."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from factory.snapshots.weeks import start_of
from tests.late_weeks import load_customers, run_week, scored
from tests.prefect.conftest import copy_stores, living_in

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect

WEEKS = (1, 2)
CUSTOMERS = 1_500
QUICKLY = {"candidates": ["logistic-table"]}


def test_snapshots_models_decisions_and_predictions_do_not_depend_on_when_a_week_is_run(
    home: Home, template: Path, prefect: Prefect, tmp_path: Path
) -> None:
    moments = [start_of(week, home.settings.weeks.epoch) for week in WEEKS]
    in_time = []
    for moment in moments:
        load_customers(home.settings, until=moment, most=CUSTOMERS)
        in_time.append(run_week(home.settings, moment, **QUICKLY))
    scored_in_time = scored(home.settings)

    folder = tmp_path / "late"
    folder.mkdir()
    copy_stores(template, folder)
    with living_in(folder, prefect) as other:
        load_customers(other.settings, most=CUSTOMERS)
        late = [run_week(other.settings, moment, **QUICKLY) for moment in moments]
        scored_late = scored(other.settings)

    assert [week.told() for week in late] == [week.told() for week in in_time]
    assert late[0].unknown == 0
    assert late[1].unknown, "who joined this week has an outcome before it can be known"
    for ours, theirs in zip(late, in_time, strict=True):
        pd.testing.assert_frame_equal(ours.answers(), theirs.answers(), check_exact=True)
    assert len(scored_late)
    pd.testing.assert_frame_equal(scored_late, scored_in_time, check_exact=True)
