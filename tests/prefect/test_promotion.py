"""Promotion: one rule, one decision at a time, and a way back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import pytest

from flows.adapters.registry import RegistryError
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect


def train(max_features: int) -> str:
    return str(training_pipeline(week=1, max_features=max_features, auto_promote_threshold=None)["model_version"])


def test_the_better_model_wins_on_the_same_test_set_and_the_decision_is_written_on_it(home: Home) -> None:
    weak, strong = train(100), train(900)

    first = promotion(model_version=weak, threshold=0.1)
    second = promotion(threshold=0.1)

    assert (first["promoted"], first["previous_champion_version"]) == (True, None)
    assert (second["promoted"], second["champion_version"], second["previous_champion_version"]) == (True, strong, weak)
    assert second["previous_champion_metrics"] == first["challenger_metrics"]
    assert second["challenger_metrics"]["f1_weighted"] > first["challenger_metrics"]["f1_weighted"]
    tags = home.tags(strong)
    assert tags["decision"] == "promoted"
    assert tags["decision_reason"] == second["reason"]
    assert float(tags["decision_f1_weighted"]) == pytest.approx(second["challenger_metrics"]["f1_weighted"], abs=1e-6)
    assert tags["previous_champion"] == weak


def test_a_decision_that_is_taken_again_is_the_same(home: Home) -> None:
    strong, weak = train(900), train(100)
    promotion(model_version=strong, threshold=0.1)

    first, again = promotion(threshold=0.1), promotion(threshold=0.1)

    assert first == again
    assert (first["challenger_version"], first["promoted"]) == (weak, False)
    assert "does not beat" in first["reason"]
    assert home.alias("champion") == strong


def test_the_champion_is_not_promoted_again(home: Home) -> None:
    version = train(800)
    promotion(threshold=0.1)

    again = promotion(threshold=0.1)

    assert not again["promoted"]
    assert again["reason"] == f"version {version} already is the champion"
    assert home.alias("champion") == version
    assert home.tags(version)["decision"] == "promoted"


def test_rollback_gives_the_title_back_and_the_loser_does_not_win_by_itself(home: Home) -> None:
    weak = train(100)
    promotion(threshold=0.1)
    strong = train(900)
    promotion(threshold=0.1)

    back = promotion(rollback=True)

    assert back["champion_version"] == home.alias("champion") == weak
    assert back["reason"] == f"rolled back from version {strong} to version {weak}"
    assert home.tags(strong)["decision"] == "rolled back"
    assert home.tags(weak)["decision"] == "restored"

    assert "was rolled back" in promotion(threshold=0.1)["reason"]
    assert home.alias("champion") == weak
    assert promotion(model_version=strong, threshold=0.1)["promoted"]
    assert home.alias("champion") == strong


def test_nobody_to_judge_and_nobody_to_go_back_to_are_clear_errors(home: Home) -> None:
    with pytest.raises(RegistryError, match="no challenger: run training-pipeline first"):
        promotion()
    version = train(100)
    with pytest.raises(RegistryError, match="no champion to roll back"):
        promotion(rollback=True)
    with pytest.raises(RegistryError, match="no version '99'"):
        promotion(model_version="99")
    promotion(threshold=0.1)
    with pytest.raises(RegistryError, match=f"version {version} of 'products' had no champion before it"):
        promotion(rollback=True)


def test_of_two_promotions_at_once_one_wins(
    home: Home, prefect: Prefect, start: Callable[..., Popen[bytes]], tmp_path: Path
) -> None:
    version = train(800)
    logs = [tmp_path / "one.log", tmp_path / "two.log"]

    processes = [start([sys.executable, "-m", "flows.promotion", "--threshold", "0.1"], log) for log in logs]

    assert [process.wait(120) for process in processes] == [0, 0], [log.read_text()[-2000:] for log in logs]
    texts = [log.read_text() for log in logs]
    results = [json.loads(text[text.index("\n{") :]) for text in texts]
    assert sorted(result["promoted"] for result in results) == [False, True]
    assert {result["champion_version"] for result in results} == {version}
    assert f"version {version} already is the champion" in [result["reason"] for result in results]
