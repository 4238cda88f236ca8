"""A metric is declared once: who shows one takes its title, order and format from there."""

from __future__ import annotations

import re

import pytest

from factory.use_cases import metrics
from factory.use_cases.metrics import MULTICLASS, declared, headlines
from tests.live_prefect import CHECKOUT

SHOWING = ("plugins", "stack", "dags", "bridge")
"""They show metrics, and know none by name."""


def test_the_deciding_metric_comes_first_whatever_the_order_of_the_numbers() -> None:
    found = declared({"accuracy": 0.9, "rows": 1.0, "f1_macro": 0.7, "f1_weighted": 0.8})
    assert [metric.name for metric in found] == ["f1_weighted", "f1_macro", "accuracy"]
    assert [metric.title for metric in headlines({"accuracy": 0.9, "f1_weighted": 0.8})] == ["Weighted F1"]
    assert declared({"rows": 1.0}) == ()


def test_a_metric_is_written_the_same_way_everywhere() -> None:
    assert metrics.F1_WEIGHTED.show(0.91886) == "0.9189"
    assert metrics.F1_WEIGHTED.words == "weighted F1"


@pytest.mark.parametrize("folder", SHOWING)
def test_who_shows_metrics_names_none(folder: str) -> None:
    names = re.compile("|".join(rf"\b{re.escape(word)}\b" for each in MULTICLASS for word in (each.name, each.title)))
    files = [file for ending in ("py", "html", "js") for file in (CHECKOUT / folder).rglob(f"*.{ending}")]
    assert files
    named = [f"{file.relative_to(CHECKOUT)}: {found[0]}" for file in files if (found := names.search(file.read_text()))]
    assert named == []
