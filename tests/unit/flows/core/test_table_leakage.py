"""Columns that are known only once the outcome is: planted ones are found, and what merely predicts is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from factory.use_cases.columns import Column
from flows.core.leakage import LeakageError
from flows.core.table_leakage import Leak, equal_rows, find_leaks, refuse_leaks

ROWS = 5_000
COLUMNS = [
    Column("calls", "number"),
    Column("charge", "number", nullable=True),
    Column("plan", "category"),
    Column("abroad", "flag"),
]
Plant = Callable[[np.ndarray, np.random.Generator], object]


def customers(seed: int = 0, rows: int = ROWS) -> tuple[pd.DataFrame, pd.Series]:
    """A quarter leaves; who calls often and pays much leaves oftener."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "entity_id": [f"c{number:05}" for number in random.permutation(rows)],
            "calls": random.poisson(2, rows).astype(float),
            "charge": np.where(random.random(rows) < 0.05, np.nan, random.normal(60, 20, rows).round(2)),
            "plan": random.choice(["monthly", "yearly", "other"], rows, p=[0.6, 0.3, 0.1]),
            "abroad": random.choice(["yes", "no"], rows),
        }
    )
    odds = 0.8 * (frame["calls"] - 2) + (frame["plan"] == "monthly") + 0.02 * (frame["charge"].fillna(60) - 60) - 2.0
    leaves = random.random(rows) < 1 / (1 + np.exp(-odds))
    return frame, pd.Series(np.where(leaves, "yes", "no"))


PLANTED: dict[str, tuple[str, Plant]] = {
    "a reason": ("category", lambda left, random: np.where(left, random.choice(["price", "moved"], len(left)), None)),
    "a date": ("category", lambda left, _: np.where(left, "2026-03-04", None)),
    "a moment": (
        "moment",
        lambda left, _: pd.Series(pd.Timestamp("2026-03-04", tz="UTC"), range(len(left))).where(left),
    ),
    "months after": ("number", lambda left, random: np.where(left, random.integers(1, 12, len(left)), 0)),
    "a score for three fifths": (
        "number",
        lambda left, random: np.where(
            left & (random.random(len(left)) < 0.6),
            random.uniform(0.9, 1, len(left)),
            random.uniform(0, 0.9, len(left)),
        ),
    ),
    "a word for those who stay": (
        "category",
        lambda left, random: np.where(~left & (random.random(len(left)) < 0.6), "renewed", "-"),
    ),
    "decimals": (
        "number",
        lambda left, random: np.where(
            left, random.uniform(0, 100, len(left)).round(3), random.uniform(0, 100, len(left)).round(1)
        ),
    ),
    "the outcome with noise": ("number", lambda left, random: left + random.normal(0, 0.1, len(left))),
    "a code": (
        "category",
        lambda left, random: [f"{'X' if gone else 'A'}{random.integers(10**6)}" for gone in left],
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_column_that_is_known_only_afterwards_is_found_and_no_other(planted: str) -> None:
    kind, plant = PLANTED[planted]
    frame, truth = customers()
    values = plant((truth == "yes").to_numpy(), np.random.default_rng(1))

    found = find_leaks(frame.assign(late=np.asarray(values)), truth, [*COLUMNS, Column("late", kind)])  # type: ignore[arg-type]

    assert [leak.column for leak in found] == ["late"]
    assert found[0].places


@pytest.mark.parametrize("seed", range(8))
def test_what_merely_predicts_is_no_leak(seed: int) -> None:
    frame, truth = customers(seed)

    assert find_leaks(frame, truth, COLUMNS) == []


def test_the_order_of_rows_and_an_id_may_tell() -> None:
    frame, truth = customers(3)
    order = np.argsort((truth == "yes").to_numpy(), kind="stable")
    told = frame.assign(entity_id=[f"{'g' if gone else 'h'}{place}" for place, gone in enumerate(truth == "yes")])

    (by_order,) = find_leaks(frame.iloc[order], truth.iloc[order], COLUMNS)
    (by_id,) = find_leaks(told, truth, COLUMNS)

    assert "the order of the rows" in by_order.said
    assert by_id.column == "entity_id"


def test_what_was_accepted_is_no_finding_and_a_group_is_one_observation() -> None:
    frame, truth = customers()
    late = [*COLUMNS, Column("late", "category")]
    leaking = frame.assign(late=truth.where(truth == "yes"))
    (found,) = find_leaks(leaking, truth, late)

    assert find_leaks(leaking, truth, late, accepted=[found.name]) == []
    assert find_leaks(leaking, truth, late, groups=np.arange(len(frame)) % 20) == []


def test_a_refusal_names_columns_rows_and_the_command() -> None:
    frame, truth = customers()
    late = [*COLUMNS, Column("why it ended", "category")]
    leaking = frame.assign(**{"why it ended": truth.where(truth == "yes")})
    others = frame.head(3).assign(entity_id=["x", "y", "z"])

    with pytest.raises(LeakageError) as refused:
        refuse_leaks(leaking, others, truth, late, use_case="churn")

    said = str(refused.value)
    assert "column 'why it ended': where it is given" in said
    assert "that is 100% of 'yes'; such as c" in said
    assert "python -m factory accept --use-case churn --leak 'column:why it ended'" in said
    with pytest.raises(LeakageError, match="2 values of 'entity_id' stand both"):
        refuse_leaks(frame, frame.head(2), truth, COLUMNS, use_case="churn")


def test_equal_rows_are_those_that_share_every_feature() -> None:
    frame, _ = customers(rows=50)
    other = frame.head(4).assign(entity_id=list("abcd"))
    other.loc[1, "calls"] = 99.0

    assert equal_rows(frame, other, COLUMNS).tolist() == [0, 2, 3]


def test_a_missing_truth_is_refused_and_one_class_tells_nothing() -> None:
    frame, truth = customers(rows=100)

    with pytest.raises(ValueError, match="truth: 1 of 100 rows have none"):
        find_leaks(frame, truth.mask(truth.index == 4), COLUMNS)
    assert find_leaks(frame, pd.Series(["no"] * 100), COLUMNS) == []


def test_a_finding_is_accepted_by_its_column() -> None:
    assert Leak("contract", "yes", "", ()).name == "column:contract"
