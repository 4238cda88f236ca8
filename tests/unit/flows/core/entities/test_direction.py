"""What the flows ask of the direction of a price: planted bars that can be foretold, and bars that cannot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from factory.use_cases import get_model
from factory.use_cases.columns import NO, YES
from flows.core.entities.direction import DirectionLogic
from flows.core.logic import logic_of
from flows.core.selection import Choice

DECLARED = get_model("market")
GATE = DECLARED.model.gate
BARS = 500


def bars(*, foretold: float, seed: int = 1, rows: int = BARS) -> pd.DataFrame:
    """Gains follow the return of the day before, `foretold` of each; the rest is noise."""
    random = np.random.default_rng(seed)
    before = random.normal(0, 0.01, rows)
    gains = foretold * before + random.normal(0, 0.01, rows)
    frame = pd.DataFrame({column.name: random.normal(0, 1, rows) for column in DECLARED.source.columns})
    days = pd.date_range("2010-01-01", periods=rows, tz="UTC")
    return frame.assign(
        return_1=before,
        next_return=gains,
        target=np.where(gains > 0, YES, NO),
        entity_id=[f"A@{day:%Y-%m-%d}" for day in days],
        moment=days,
        period=np.arange(1, rows + 1),
        group=np.arange(rows),
    )


def answered(probability: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"prediction": np.where(probability >= 0.5, YES, NO), "score": probability})


@pytest.fixture(scope="module")
def logic() -> DirectionLogic:
    found = logic_of(DECLARED)
    assert isinstance(found, DirectionLogic)
    return found


def test_what_is_won_by_a_bar_is_no_feature_of_it(logic: DirectionLogic) -> None:
    model = logic.fit(bars(foretold=0.9), Choice(logic.find_candidates(["logistic-table"])[0]))
    assert "return_1" in model.feature_names_in_
    assert "next_return" not in model.feature_names_in_


def test_a_direction_that_is_foretold_is_told_with_what_it_brings(logic: DirectionLogic) -> None:
    model = logic.fit(bars(foretold=0.9), Choice(logic.find_candidates(["logistic-table"])[0]))
    test = bars(foretold=0.9, seed=2)

    found = logic.evaluate(model, test, near=[])
    evidence = logic.gather(test, logic.answer(model, test), None, gate=GATE, near=None)
    judged = logic.discount(evidence, 4, 2, GATE)

    assert found.estimates["auc"].low > 0.6
    assert found.estimates["sharpe"].low > 0
    assert found.backtest["followed"].iloc[-1] > found.backtest["held"].iloc[-1]
    costs, luck = judged.guards[-2:]
    assert (costs.rule, costs.passed) == ("costs", True)
    assert "a year beside buying and holding, with 95% confidence more than +" in costs.said
    assert (luck.rule, luck.passed) == ("luck", True)
    assert "4 looks at days of this test set by 2 candidates each are 8 trials" in luck.said


def test_noise_is_worth_nothing_and_is_said_to_be_so(logic: DirectionLogic) -> None:
    test, random = bars(foretold=0.0, seed=3), np.random.default_rng(4)
    answers = answered(random.random(BARS))

    judged = logic.discount(logic.gather(test, answers, None, gate=GATE, near=None), 4, 2, GATE)

    costs, luck = judged.guards[-2:]
    assert not costs.passed
    assert "with 95% confidence only more than -" in costs.said
    assert not luck.passed


def test_who_is_always_in_the_market_is_told_apart_from_nobody(logic: DirectionLogic) -> None:
    test = bars(foretold=0.0, seed=3)
    evidence = logic.gather(test, answered(np.full(BARS, 0.6)), None, gate=GATE, near=None)
    assert evidence.guards[-1].said == (
        "it is in the market on 100% of the days, just as buying and holding: there is nothing to gain by it"
    )


def test_the_champion_is_met_on_the_same_days_in_money_too(logic: DirectionLogic) -> None:
    test, random = bars(foretold=0.0, seed=3), np.random.default_rng(4)
    seer = answered((test["next_return"] > 0).to_numpy(dtype=float))

    evidence = logic.gather(test, seer, answered(random.random(BARS)), gate=GATE, near=None)

    assert evidence.theirs is not None
    assert evidence.gains is not None
    assert {"auc", "sharpe", "excess_return"} <= set(evidence.theirs) & set(evidence.gains)
    assert evidence.gains["excess_return"].low > 0
    assert "a year beside the champion" in evidence.guards[-1].said


def test_intervals_are_those_of_blocks_of_time(logic: DirectionLogic) -> None:
    """Days that all repeat the first of their block tell no more than the blocks do."""
    blocks = np.arange(BARS) // 30
    one = bars(foretold=0.0, seed=5).assign(period=np.arange(BARS))
    first = one.groupby(blocks).transform("first")
    answers = answered(first["return_1"].rank(pct=True).to_numpy())
    repeated = one.assign(next_return=first["next_return"], target=first["target"])

    def width(rows: pd.DataFrame) -> float:
        found = logic.gather(rows, answers, None, gate=GATE, near=None).mine["auc"]
        return found.high - found.low

    assert width(repeated) > 3 * width(repeated.drop(columns="period"))
