"""Evidently's page bears our findings and the error of its sample; its tests are read the right way round."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.adapters import drift_report
from flows.adapters.drift_report import draw_report

# Evidently's text classifier says so itself
pytestmark = pytest.mark.filterwarnings("ignore:Maximum number of iteration reached")
WORDS = np.array([f"word{number}" for number in range(200)])


def predictions(rows: int, seed: int, *, longer: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "prediction": random.integers(0, 3, rows).astype(str),
            "score": random.beta(5, 2, rows),
            "text_length": random.integers(20, 200, rows) + longer,
            "text": [" ".join(random.choice(WORDS, 8)) for _ in range(rows)],
        }
    )


@pytest.mark.parametrize("rows", [400, 1500])
def test_a_column_that_moved_has_drifted_by_p_value_as_by_distance(rows: int) -> None:
    """Evidently tests by p-value on 1,000 rows of reference or fewer, by distance above."""
    report = draw_report(predictions(rows, 1), predictions(rows, 2, longer=300), total=rows, findings="")

    test = report.tests["text_length"]
    assert ("p_value" in test.name) is (rows <= 1000)
    assert {name for name, each in report.tests.items() if each.drifted} == {"text_length"}


def test_the_page_says_what_was_found_and_how_sure_its_sample_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_report, "ROWS", 300)

    report = draw_report(predictions(400, 1), predictions(500, 2), total=1_000_000, findings="Drift: <alert>.")

    assert "Drift: &lt;alert&gt;. Below are 300 of 1,000,000 predictions and 300 of 400 rows" in report.page
    assert "within 5.7 points, 19 times in 20" in report.page


def test_without_texts_the_report_has_three_columns() -> None:
    frames = (predictions(200, seed).drop(columns="text") for seed in (1, 2))

    report = draw_report(*frames, total=200, findings="")

    assert list(report.tests) == ["prediction", "score", "text_length"]
    assert "within" not in report.page.split("</p>")[0]


def test_what_classes_and_texts_say_is_no_part_of_the_page() -> None:
    hostile = "</script><script>document.title = 'taken'</script>"
    sides = [predictions(200, seed).replace({"prediction": {"1": hostile}}) for seed in (1, 2)]
    sides = [side.assign(text=side["text"] + " " + hostile) for side in sides]

    page = draw_report(*sides, total=200, findings=hostile).page

    assert "document.title" in page
    assert "<script>document.title" not in page
    assert "</script><script>document" not in page


@pytest.mark.parametrize("column", ["prediction", "score", "text_length", "text"])
def test_an_empty_column_is_left_out_of_the_report_and_said(column: str) -> None:
    current = predictions(300, 2).assign(**{column: None})

    report = draw_report(predictions(400, 1), current, total=300, findings="")

    assert column not in report.tests
    assert len(report.tests) == 3
    assert f"Without a value on one side, and not drawn: {column}." in report.page


def test_values_that_are_missing_here_and_there_break_nothing() -> None:
    sides = [predictions(400, seed).astype({"text": object, "text_length": float}) for seed in (1, 2)]
    for side in sides:
        side.loc[side.index[::5], :] = None

    assert len(draw_report(*sides, total=400, findings="").tests) == 4


def test_without_any_value_there_is_still_a_page() -> None:
    empty = predictions(300, 2).assign(prediction=None, score=None, text_length=None, text="")

    assert "nothing to draw" in draw_report(predictions(400, 1), empty, total=300, findings="").page
