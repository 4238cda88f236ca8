"""Days of a market through real flows: one whose direction can be foretold, and one where nothing can."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.contracts import PromotionResult, ScoreResult, TrainingResult
from factory.quality.checking import check_week
from factory.series.bars import CANDLE, DAY_MS, read_bars
from factory.snapshots.cutting import cut_week
from flows.market import data_collection_flow, model_retraining_flow
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from tests.prefect.conftest import START_SECONDS

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect

MARKET = use_cases.get("market")
DAYS = 2_000
BEGIN = datetime(2012, 1, 1, tzinfo=UTC)
KEYS = {"success", "version", "metrics", "activated", "reason", "error"}


def candles(*, foretold: float) -> pd.DataFrame:
    """Every day a bar; `foretold` of each gain is that of the day before."""
    random = np.random.default_rng(11)
    gains = np.zeros(DAYS)
    for day in range(1, DAYS):
        gains[day] = foretold * gains[day - 1] + random.normal(0, 0.01)
    close = 100 * np.exp(np.cumsum(gains))
    begun = int(BEGIN.timestamp() * 1000) + DAY_MS * np.arange(DAYS)
    spread = random.uniform(1.001, 1.01, DAYS)
    volume = random.integers(1_000, 9_000, DAYS).astype(float)
    return pd.DataFrame(dict(zip(CANDLE, (begun, close, close * spread, close / spread, close, volume), strict=True)))


def cut(home: Home, day: str) -> None:
    as_of = MARKET.clock.end(MARKET.clock.parse(day)) + timedelta(hours=7)
    check_week(home.settings, cut_week(home.settings, "market", as_of=as_of))


def train(day: str) -> TrainingResult:
    return TrainingResult.model_validate(
        training_pipeline(use_case="market", period=day, candidates=["logistic-table"], auto_promote_threshold=None)
    )


@pytest.mark.usefixtures("known_costs")
def test_days_are_trained_on_judged_after_costs_and_luck_and_met_again_the_next_day(home: Home) -> None:
    bars = read_bars(candles(foretold=0.6), MARKET.series, "AAA", "planted", now=datetime.now(UTC))
    load_entities(
        open_catalogue(home.settings.database_url), MARKET.series, bars.states, pd.DataFrame(), origin="planted"
    )
    cut(home, "2017-06-20")
    first = train("2017-06-20")
    made = PromotionResult.model_validate(promotion(use_case="market"))
    cut(home, "2017-06-21")
    scored = ScoreResult.model_validate(score(use_case="market", period="2017-06-21"))
    second = train("2017-06-21")
    followed = PromotionResult.model_validate(promotion(use_case="market"))
    cut(home, "2017-06-19")
    earlier = train("2017-06-19")
    refused = PromotionResult.model_validate(promotion(use_case="market", model_version=earlier.model_version))

    assert made.promoted, made.reason
    assert [check.rule for check in made.checks] == [
        *("test set", "floor", "costs", "luck", "size", "latency", "memory"),
    ]
    costs, luck = made.checks[2:4]
    assert "a year beside buying and holding, with 95% confidence more than +" in costs.said
    assert "2 looks at days of this test set by 2 candidates each are 4 trials" in luck.said
    assert (scored.rows, scored.reason) == (1, f"champion v{first.model_version} predicted the arrivals of 2017-06-21")
    assert (followed.promoted, followed.rule) == (False, "gain")
    (met,) = [check for check in followed.checks if check.rule == "overlap"]
    assert met.passed
    assert followed.previous_champion_metrics is not None
    assert followed.previous_champion_metrics["sharpe"] > 1
    assert followed.challenger_version == second.model_version
    assert (refused.promoted, refused.rule) == (False, "overlap")
    assert "with an embargo of 14 days" in refused.reason
    assert "Train a challenger on a later day" in refused.reason

    kept = {item.path for item in home.client.list_artifacts(first.run_id)}
    assert {"backtest.png", "roc.png", "model_card.html"} <= kept
    card = Path(home.client.download_artifacts(first.run_id, "model_card.html")).read_text()
    assert "What following it would have brought" in card
    assert "bootstrap over blocks of 30 days" in card
    assert re.search(r"following it \d+\.\d\d</span>, <span class=\"held\">buying and holding \d+\.\d\d", card)


def test_a_folder_is_enough_to_retrain_with_prefect_and_without_and_nothing_foretold_is_no_failure(
    home: Home, prefect: Prefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise, planted = tmp_path / "noise.csv", tmp_path / "planted.csv"
    candles(foretold=0.0).to_csv(noise, index=False)
    candles(foretold=0.6).to_csv(planted, index=False)

    through_prefect = model_retraining_flow("AAA", provider=str(planted), model_dir=str(tmp_path / "one"))
    run = prefect.last_run("model-retraining")
    asked = {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
    tasks = [each["name"].rpartition("-")[0] for each in prefect.post("task_runs/filter", asked)]

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    collected = data_collection_flow("AAA", provider=str(noise), model_dir=str(tmp_path / "two"), use_prefect=False)
    alone = model_retraining_flow("AAA", provider=str(noise), model_dir=str(tmp_path / "two"), use_prefect=False)
    broken = model_retraining_flow("AAA", provider="nowhere.csv", model_dir=str(tmp_path / "x"), use_prefect=False)

    assert set(through_prefect) == set(alone) == set(broken) == KEYS
    assert through_prefect["activated"], through_prefect["reason"]
    assert run["state_type"] == "COMPLETED"
    assert tasks == ["collect", "validate", "features", "train", "evaluate", "compare", "activate"]
    assert (tmp_path / "one" / "active.json").exists()
    assert collected == {
        "success": True,
        "collected": DAYS,
        "last_bar": "2017-06-22T23:59:59.999000+00:00",
        "error": None,
    }
    assert (alone["success"], alone["version"], alone["activated"], alone["error"]) == (True, "1", False, None)
    assert set(alone["metrics"]) == {metric.name for metric in MARKET.models[0].task.metrics}
    assert (broken["success"], broken["version"], broken["activated"]) == (False, None, False)
    assert broken["error"] == "SourceUnreadable: nowhere.csv: there is no such file"


def test_it_runs_by_cron_and_by_an_interval_until_it_is_ended(
    prefect: Prefect, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "flows.market"]
    log = tmp_path / "served.log"
    start([*command, "retrain", "--provider", "sample", "--model-dir", "one", "--cron", "5 7 * * 2-6"], log)
    start([*command, "collect", "--exchange", "kraken", "--every-seconds", "3600"], tmp_path / "collected.log")

    def served() -> dict[str, Any]:
        names = ("model-retraining/market", "data-collection/market")
        return {name: each for name, each in prefect.deployments().items() if name in names and each["schedules"]}

    deadline = time.monotonic() + START_SECONDS
    while len(found := served()) < 2:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)

    by_cron, by_interval = found["model-retraining/market"], found["data-collection/market"]
    assert by_cron["schedules"][0]["schedule"]["cron"] == "5 7 * * 2-6"
    assert (by_cron["parameters"]["provider"], by_cron["parameters"]["model_dir"]) == ("sample", "one")
    assert by_interval["schedules"][0]["schedule"]["interval"] == 3600.0
