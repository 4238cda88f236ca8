"""A monthly use case whose test set rolls on, through its flows: trained, promoted, and met again a month later."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.contracts import PromotionResult, ScoreResult, TrainingResult
from factory.errors import WeekUnknown
from factory.quality.checking import check_week
from factory.snapshots.cutting import cut_week
from factory.snapshots.store import read_frame
from factory.use_cases.clock import Month
from factory.use_cases.columns import Column
from factory.use_cases.sources import Entities
from factory.use_cases.split import Chronological
from factory.use_cases.use_case import Gate, Model, UseCase
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from tests.prefect.conftest import SERVING_COSTS

if TYPE_CHECKING:
    from tests.prefect.conftest import Home

CLOCK = Month(first=date(2016, 10, 1))
SOURCE = Entities(
    table="contracts",
    key="contract_month",
    outcomes="contract_outcomes",
    label_delay_days=0,
    columns=(Column("value", "number"), Column("age", "number")),
    drift_columns=("value", "age"),
)
A_MONTH, MONTHS = 120, 10


def renewals() -> UseCase:
    return UseCase(
        name="renewals",
        title="Contracts that will be renewed",
        dag_id="monthly_renewals",
        source=SOURCE,
        models=(Model("renewals", use_cases.get_model("churn").model.task, Gate(floor=0.6, margin=-0.5)),),
        clock=CLOCK,
        split=Chronological(test_periods=2, embargo_periods=1, outcome_periods=1),
    )


@pytest.fixture
def months(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The use case with ten months of contracts, each month's won or lost by the end of the next."""
    monkeypatch.setattr(use_cases, "ALL", (*use_cases.ALL, renewals()))
    random = np.random.default_rng(5)
    frames = []
    for month in range(1, MONTHS + 1):
        value, age = random.normal(0, 1, A_MONTH), random.normal(0, 1, A_MONTH)
        won = random.random(A_MONTH) < 1 / (1 + np.exp(-2 * value + age))
        frame = pd.DataFrame({"value": value, "age": age, "outcome": np.where(won, "yes", "no")})
        frame[SOURCE.key] = [f"o{place:03}@{CLOCK.written(month)}" for place in range(A_MONTH)]
        frames.append(
            frame.assign(
                changed_at=CLOCK.end(month) - timedelta(hours=1), known_at=CLOCK.end(month + 1) - timedelta(hours=1)
            )
        )
    rows = pd.concat(frames)
    load_entities(
        open_catalogue(home.settings.database_url),
        SOURCE,
        rows[[SOURCE.key, "changed_at", "value", "age"]],
        rows[[SOURCE.key, "known_at", "outcome"]],
        origin="contracts",
    )
    return home


def cut(home: Home, month: str) -> None:
    as_of = CLOCK.end(CLOCK.parse(month)) + timedelta(hours=7)
    check_week(home.settings, cut_week(home.settings, "renewals", as_of=as_of))


def train(home: Home, month: str) -> TrainingResult:
    trained = TrainingResult.model_validate(
        training_pipeline(use_case="renewals", period=month, candidates=["logistic-table"], auto_promote_threshold=None)
    )
    for name, value in SERVING_COSTS.items():  # as if measured: another process knows nothing of this use case
        home.client.set_model_version_tag("renewals", trained.model_version, name, value)
    return trained


def test_without_a_month_nothing_is_trained_on(months: Home) -> None:
    with pytest.raises(WeekUnknown, match=r"no month of renewals was cut yet.*cut --month 2017-06 --use-case renewals"):
        training_pipeline(use_case="renewals")


def test_champion_and_challenger_meet_on_the_challenger_s_span_and_never_on_rows_that_one_knows(months: Home) -> None:
    cut(months, "2017-05")
    first = train(months, "2017-05")
    made = PromotionResult.model_validate(promotion(use_case="renewals"))

    cut(months, "2017-06")
    scored = ScoreResult.model_validate(score(use_case="renewals", period="2017-06"))
    second = train(months, "2017-06")
    followed = PromotionResult.model_validate(promotion(use_case="renewals"))

    assert made.promoted, made.reason
    assert (first.test_version, second.test_version) == ("2017-05", "2017-06")
    # the second set shares a month with the first, which a training and a judgement looked at
    assert (first.test_looks, second.test_looks) == (1, 3)
    assert scored.rows == A_MONTH
    assert scored.reason == f"champion v{first.model_version} predicted the arrivals of 2017-06"
    assert followed.promoted, followed.reason
    assert followed.test_version == "2017-06"
    assert followed.test_rows == 2 * A_MONTH
    # the champion was asked anew, on the rows of the challenger's span
    assert followed.previous_champion_metrics is not None
    assert followed.previous_champion_metrics != made.challenger_metrics
    (met,) = [check for check in followed.checks if check.rule == "overlap"]
    assert met.passed
    assert (
        met.said
        == f"champion v{first.model_version} was trained on rows up to 2017-01, the test set begins with 2017-04"
    )

    third = train(months, "2017-05")
    refused = PromotionResult.model_validate(promotion(use_case="renewals", model_version=third.model_version))

    assert (refused.promoted, refused.rule, refused.champion_version) == (False, "overlap", second.model_version)
    assert refused.previous_champion_metrics is None
    assert f"champion v{second.model_version} was trained on rows up to 2017-02" in refused.reason
    assert "Train a challenger on a later month" in refused.reason

    card = Path(months.client.download_artifacts(second.run_id, "model_card.html")).read_text()
    assert "tested on 2017-04 to 2017-05, trained on rows up to 2017-02" in card
    assert "2017-06, as of 01 July 2017" in card
    run = months.client.get_run(second.run_id)
    assert run.info.run_name == "renewals 2017-06"
    answers = read_frame(cut_week(months.settings, "renewals", as_of=CLOCK.end(9)).test)
    assert {CLOCK.written(CLOCK.number(moment)) for moment in answers["moment"]} == {"2017-04", "2017-05"}
