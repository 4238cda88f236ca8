"""How long windows are; labelled predictions are taken from samples that hold enough of them, and else read anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from factory.records.predictions import Window
from factory.use_cases import get
from factory.use_cases.clock import Day, Month
from factory.use_cases.use_case import Drift
from flows.adapters import windows


def window(rows: int, total: int, *, labelled: float, version: str = "2", first: int = 0) -> Window:
    known = np.arange(rows) < labelled * rows
    frame = pd.DataFrame(
        {
            "prediction_id": [f"{number:06d}" for number in range(first, first + rows)],
            "model_version": version,
            "label": np.where(known, "toys", None),
        }
    )
    return Window(frame, total)


def test_a_sample_with_enough_labels_is_not_read_again() -> None:
    current, before = window(3_000, 30_000, labelled=1.0), window(3_000, 15_000, labelled=1.0, first=3_000)

    found = windows._labelled_among(current, before, "2")

    assert found is not None
    assert found.total == len(found.rows) == 4_500  # a tenth of both


@pytest.mark.parametrize(
    ("current", "before"),
    [
        (window(3_000, 3_000, labelled=1.0), window(3_000, 3_000, labelled=1.0, first=3_000)),
        (window(3_000, 30_000, labelled=0.1), window(0, 0, labelled=0, first=3_000)),
        (window(3_000, 30_000, labelled=0.1), window(3_000, 30_000, labelled=1.0, version="1", first=3_000)),
    ],
    ids=["read whole", "few labels", "another version's labels"],
)
def test_otherwise_they_are_read_for_themselves(current: Window, before: Window) -> None:
    assert windows._labelled_among(current, before, "2") is None


def test_windows_count_in_periods_of_the_clock() -> None:
    first_of_march = datetime(2017, 3, 1, tzinfo=UTC)
    products, churn = get("products"), get("churn")
    monthly = replace(churn, clock=Month(), drift=Drift(current_periods=1, before_periods=2))
    daily = replace(churn, clock=Day(), drift=Drift(current_periods=30, before_periods=90))

    assert windows.window_days(products, first_of_march) == windows.window_days(churn, first_of_march) == (7.0, 23.0)
    assert windows.window_days(monthly, first_of_march) == (28.0, 62.0)
    assert windows.window_days(daily, first_of_march) == (30.0, 90.0)
