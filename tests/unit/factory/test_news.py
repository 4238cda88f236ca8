"""Yellow is for what a person should look at; that all stays as it is, is news."""

from __future__ import annotations

import pytest

from factory.contracts import PromotionResult, ScoreResult
from tests.decision import DECISION

KEPT = DECISION.model_copy(update={"promoted": False, "reason": "a tie", "rule": "gain"})


def told(result: PromotionResult) -> tuple[list[str], list[str]]:
    return result.reservations(), result.news()


def test_a_promotion_has_nothing_else_to_say() -> None:
    assert told(DECISION) == ([], [])


@pytest.mark.parametrize("changes", [{}, {"rehearsal": True}, {"rule": "approval", "rejected_by": "ada"}])
def test_a_champion_that_is_kept_is_news(changes: dict[str, object]) -> None:
    assert told(KEPT.model_copy(update=changes)) == ([], ["Not promoted: a tie"])


@pytest.mark.parametrize("rule", ["costs", "luck"])
def test_a_gain_that_was_not_to_be_had_is_news_although_nobody_is_champion(rule: str) -> None:
    assert told(KEPT.model_copy(update={"champion_version": None, "rule": rule})) == ([], ["Not promoted: a tie"])


@pytest.mark.parametrize("changes", [{"champion_version": None}, {"rule": "approval"}])
def test_no_champion_and_an_approval_that_nobody_gave_ask_for_somebody(changes: dict[str, object]) -> None:
    assert told(KEPT.model_copy(update=changes)) == (["Not promoted: a tie"], [])


def test_a_class_that_is_lost_wholly_is_told_although_it_stopped_nothing() -> None:
    said = "lost wholly, by chance or not (told apart from 6 right answers on): 'XVI' (4 test rows)"
    warned = DECISION.model_copy(update={"warnings": (said,)})
    assert told(warned) == ([f"Promoted, but classes are {said}"], [])
    assert told(KEPT.model_copy(update={"warnings": (said,)})) == ([], ["Not promoted: a tie"])


def test_a_rollback_is_looked_at() -> None:
    back = KEPT.model_copy(update={"rolled_back": True, "reason": "rolled back from version 3 to version 2"})
    assert told(back) == (["Champion rolled back from version 3 to version 2"], [])


def test_a_scoring_with_nothing_to_do_is_news() -> None:
    result = ScoreResult(
        status="skipped",
        reason="there is no champion yet",
        use_case="products",
        week_number=1,
        rows=0,
        model_version=None,
        mean_confidence=None,
    )
    assert (result.reservations(), result.news()) == ([], ["Scoring skipped: there is no champion yet"])
