"""The direction of the next bar of an index, a currency or a share, by the bars before it.

Whether anything can be foretold at all is what it is there to find out: the usual verdict is no.
"""

from datetime import date

from factory.use_cases.clock import Day
from factory.use_cases.columns import YES, Derived
from factory.use_cases.sources import Sample, Series
from factory.use_cases.split import Chronological
from factory.use_cases.tasks import Direction
from factory.use_cases.use_case import Drift, Gate, Model, UseCase

CANDLES = Series(
    table="candles",
    key="bar",
    sample=Sample("factory.series.index_sample", "sp500"),
    columns=(
        # what it gained of late
        *(Derived(f"return_{bars}", "number", measure="return", bars=bars, least=-0.99) for bars in (1, 2, 5, 10, 20)),
        # where it stands, beside its own past
        *(Derived(f"trend_{bars}", "number", measure="trend", bars=bars) for bars in (5, 20, 60)),
        *(Derived(f"place_{bars}", "number", measure="place", bars=bars, least=0, most=1) for bars in (5, 20)),
        # how restless it is
        *(Derived(f"volatility_{bars}", "number", measure="volatility", bars=bars, least=0) for bars in (5, 20, 60)),
        *(Derived(f"range_{bars}", "number", measure="range", bars=bars, least=0) for bars in (1, 10)),
        # how much is traded
        *(Derived(f"volume_{bars}", "number", measure="volume", bars=bars) for bars in (5, 20)),
        # what a position in it would bring: measured by, and never learned from
        Derived("next_return", "number", measure="next return", nullable=True),
    ),
    drift_columns=("return_1", "volatility_20", "range_10", "volume_20"),
)

MARKET = UseCase(
    name="market",
    title="The direction of the next bar",
    dag_id="daily_market",
    source=CANDLES,
    models=(
        Model(
            name="market",
            task=Direction(target="rises", positive=YES, gains="next_return", fee=0.0005, slippage=0.0002),
            gate=Gate(floor=0.5),
            candidates=("logistic-table", "boosting-table"),
        ),
    ),
    clock=Day(first=date(1999, 1, 1)),
    # Outcomes of a bar come with the next one: after a weekend, and once after a week. Thirty days are one
    # observation: what moves a market lasts for longer than a day.
    split=Chronological(test_periods=3 * 365, embargo_periods=14, outcome_periods=7, block_periods=30),
    schedule="5 7 * * 2-6",  # the days that follow a day of trade
    drift=Drift(current_periods=60, before_periods=365, min_samples=30, cooldown_periods=90),
    demo_begins="2018-12-26",
    purpose=(
        "Tells how likely the next bar closes higher, and above all whether that is worth anything: beside buying and "
        "holding, after fees and slippage, on days that no model has seen. It is no advice, and places no order."
    ),
    limits=(
        "On most markets and days prices alone foretell nothing; then no version is promoted, as it should be.",
        "The backtest buys at the close that the answer was made of, whatever the size of the order.",
        "A market may change for good: what held on the days of the test need not hold tomorrow.",
    ),
)
