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
from flows.promotion import promotion

if TYPE_CHECKING:
    from tests.prefect.conftest import Home


WEAK, STRONG = "1", "2"


def test_the_better_model_wins_on_the_same_test_set_and_the_decision_is_written_on_it(veteran: Home) -> None:
    first = promotion(model_version=WEAK, threshold=0.1)
    second = promotion(threshold=0.1)

    assert (first["promoted"], first["previous_champion_version"]) == (True, None)
    assert (second["promoted"], second["champion_version"], second["previous_champion_version"]) == (True, STRONG, WEAK)
    assert second["previous_champion_metrics"] == first["challenger_metrics"]
    assert second["challenger_metrics"]["f1_weighted"] > first["challenger_metrics"]["f1_weighted"]
    tags = veteran.tags(STRONG)
    assert tags["decision"] == "promoted"
    assert tags["decision_reason"] == second["reason"]
    assert float(tags["decision_f1_weighted"]) == pytest.approx(second["challenger_metrics"]["f1_weighted"], abs=1e-6)
    assert tags["previous_champion"] == WEAK


def test_a_decision_that_is_taken_again_is_the_same(veteran: Home) -> None:
    promotion(model_version=STRONG, threshold=0.1)

    first, again = (promotion(model_version=WEAK, threshold=0.1) for _ in range(2))

    assert {**first, "decided_by": ""} == {**again, "decided_by": ""}
    assert (first["challenger_version"], first["promoted"]) == (WEAK, False)
    assert "does not beat" in first["reason"]
    assert veteran.alias("champion") == STRONG


def test_the_champion_is_not_promoted_again(veteran: Home) -> None:
    promotion(threshold=0.1)

    again = promotion(threshold=0.1)

    assert not again["promoted"]
    assert again["reason"] == f"version {STRONG} already is the champion"
    assert veteran.alias("champion") == STRONG
    assert veteran.tags(STRONG)["decision"] == "promoted"


def test_rollback_gives_the_title_back_and_the_loser_does_not_win_by_itself(veteran: Home) -> None:
    promotion(model_version=WEAK, threshold=0.1)
    promotion(threshold=0.1)

    back = promotion(rollback=True)

    assert back["champion_version"] == veteran.alias("champion") == WEAK
    assert back["reason"] == f"rolled back from version {STRONG} to version {WEAK}"
    assert veteran.tags(STRONG)["decision"] == "rolled back"
    assert veteran.tags(WEAK)["decision"] == "restored"

    assert "was rolled back" in promotion(threshold=0.1)["reason"]
    assert veteran.alias("champion") == WEAK
    assert promotion(model_version=STRONG, threshold=0.1)["promoted"]
    assert veteran.alias("champion") == STRONG


def test_nobody_to_judge_is_a_clear_error(home: Home) -> None:
    with pytest.raises(RegistryError, match="no challenger: run training-pipeline first"):
        promotion()


def test_nobody_to_go_back_to_is_a_clear_error(veteran: Home) -> None:
    with pytest.raises(RegistryError, match="no champion to roll back"):
        promotion(rollback=True)
    with pytest.raises(RegistryError, match="no version '99'"):
        promotion(model_version="99")
    promotion(threshold=0.1)
    with pytest.raises(RegistryError, match=f"version {STRONG} of 'products' had no champion before it"):
        promotion(rollback=True)


def test_of_two_promotions_at_once_one_wins(veteran: Home, start: Callable[..., Popen[bytes]], tmp_path: Path) -> None:
    logs = [tmp_path / "one.log", tmp_path / "two.log"]

    processes = [start([sys.executable, "-m", "flows.promotion", "--threshold", "0.1"], log) for log in logs]

    assert [process.wait(120) for process in processes] == [0, 0], [log.read_text()[-2000:] for log in logs]
    texts = [log.read_text() for log in logs]
    results = [json.loads(text[text.index("\n{") :]) for text in texts]
    assert sorted(result["promoted"] for result in results) == [False, True]
    assert {result["champion_version"] for result in results} == {STRONG}
    assert f"version {STRONG} already is the champion" in [result["reason"] for result in results]
