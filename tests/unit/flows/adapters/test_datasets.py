"""Which week a run works on that names none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from factory.snapshots import cutting
from flows.adapters import datasets

SETTINGS: Any = object()


@pytest.mark.parametrize(("standing", "taken"), [(SimpleNamespace(week=7), 7), (None, 1)])
def test_a_run_that_names_no_week_takes_the_newest_accepted_one_and_the_first_before_there_is_any(
    monkeypatch: pytest.MonkeyPatch, standing: Any, taken: int
) -> None:
    monkeypatch.setattr(cutting, "newest_week", lambda *_: standing)
    monkeypatch.setattr(cutting, "find_week", lambda *args: args)
    assert datasets.find_dataset(SETTINGS, "products", None) == (SETTINGS, "products", taken)
    assert datasets.find_dataset(SETTINGS, "products", 3) == (SETTINGS, "products", 3)
