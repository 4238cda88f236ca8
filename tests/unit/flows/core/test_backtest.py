"""What following a probability brings after costs, by hand, and how sure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core import backtest
from flows.core.backtest import Backtest

COST = 0.01


def run(
    probability: list[float],
    gains: list[float],
    *,
    symbols: list[str] | None = None,
    days: int = 1,
    cost: float = COST,
) -> Backtest:
    moments = pd.Series(pd.date_range("2018-01-01", periods=len(gains) // days, tz="UTC").repeat(days))
    return Backtest.run(
        np.array(probability), np.array(gains), moments, pd.Series(symbols or ["A"] * len(gains)), cost=cost
    )


def test_returns_and_drawdowns_by_hand() -> None:
    found = run([0.9, 0.5, 0.1, 0.8], [0.10, -0.20, 0.30, -0.10])

    assert found.position.tolist() == [1, 1, 0, 1]
    assert found.followed.tolist() == pytest.approx([0.10 - COST, -0.20, -COST, -0.10 - COST])
    assert found.held.tolist() == pytest.approx([0.10 - COST, -0.20, 0.30, -0.10])
    table = found.table()
    grown = [1.09, 1.09 * 0.8, 1.09 * 0.8 * 0.99, 1.09 * 0.8 * 0.99 * 0.89]
    assert table["followed"].tolist() == pytest.approx(grown)
    assert table["followed_drawdown"].tolist() == pytest.approx([0, *(worth / 1.09 - 1 for worth in grown[1:])])
    assert table["held"].iloc[-1] == pytest.approx(1.09 * 0.8 * 1.3 * 0.9)


def test_a_loss_from_the_first_day_on_is_a_drawdown() -> None:
    table = run([0.9, 0.9], [-0.5, 0.1]).table()
    assert table["followed_drawdown"].iloc[0] == pytest.approx(-0.51)


def test_symbols_are_held_side_by_side_and_each_pays_for_its_own_changes() -> None:
    found = run([0.9, 0.1, 0.9, 0.1], [0.1, 0.2, 0.1, 0.2], symbols=["A", "B", "A", "B"], days=2)
    assert found.followed.tolist() == pytest.approx([0.1 - COST, 0, 0.1, 0])
    assert found.daily().tolist() == pytest.approx([(0.1 - COST) / 2, 0.05])
    assert found.table()["position"].tolist() == [0.5, 0.5]


def test_the_ratio_is_that_of_its_formula() -> None:
    random = np.random.default_rng(2)
    gains = random.normal(0.001, 0.01, 500)
    found = run([0.9] * 500, gains.tolist())
    ratio = backtest.estimate(found, groups=np.arange(500) // 20)["sharpe"]
    expected = found.followed.mean() / found.followed.std() * np.sqrt(500 / (499 / 365.25))
    assert ratio.value == pytest.approx(expected)
    assert ratio.low < ratio.value < ratio.high


def test_who_foretells_is_surely_better_than_holding_and_who_guesses_is_not() -> None:
    random = np.random.default_rng(5)
    gains, blocks = random.normal(0.0, 0.01, 750), np.arange(750) // 20
    rises = (gains > 0).astype(float).tolist()
    seer, guesser = (run(told, gains.tolist(), cost=0.001) for told in (rises, random.random(750).tolist()))

    assert backtest.estimate(seer, groups=blocks)["excess_return"].low > 0
    assert backtest.estimate(guesser, groups=blocks)["excess_return"].low < 0
    apart = backtest.estimate_difference(seer, guesser, groups=blocks)["excess_return"]
    assert apart.low > 0
    dear = backtest.estimate(run(rises, gains.tolist(), cost=COST), groups=blocks)["excess_return"]
    assert dear.high < 0, "changes at the price of a day's gain eat up even what is foretold"


def test_who_was_never_in_the_market_paid_nothing_and_won_nothing() -> None:
    found = backtest.estimate(run([0.1] * 60, [0.01, -0.01] * 30), groups=np.arange(60) // 20)
    assert (found["sharpe"].value, found["sharpe"].low, found["sharpe"].high) == (0.0, 0.0, 0.0)


def test_a_gain_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="what 1 of 2 rows gained is not known"):
        run([0.9, 0.9], [0.1, float("nan")])
