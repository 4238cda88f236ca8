"""Reasons add up to the model's own answer and name the words that a person would name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core import candidates, explanation, models
from flows.core.evaluation import evaluate

TEXTS = ["live horses", "live cattle", "steel pipes", "steel wire", "cotton shirts", "woven cotton"] * 5
LABELS = ["I", "I", "XV", "XV", "XI", "XI"] * 5


@pytest.mark.parametrize("name", ["svm-words", "svm-characters", "naive-bayes-words"])
@pytest.mark.parametrize("labels", [LABELS, ["I" if label == "I" else "no" for label in LABELS]], ids=["three", "two"])
def test_contributions_add_up_to_the_log_odds(name: str, labels: list[str]) -> None:
    model = models.fit(TEXTS, labels, candidates.find([name])[0], slope=3.0)

    for found in explanation.explain(model, ["steel horses of steel", "cotton wire"], strongest=1000):
        total = found.offset + found.terms["contribution"].sum()

        assert total == pytest.approx(found.log_odds)
        assert found.log_odds == pytest.approx(np.log(found.score / found.runner_up_score), abs=1e-5)


def test_the_strongest_terms_come_first_and_are_those_of_the_text() -> None:
    model = models.fit(TEXTS, LABELS, candidates.find(["svm-words"])[0])

    (found,) = explanation.explain(model, ["live horses of steel"], strongest=2)

    assert found.prediction == "I"
    assert len(found.terms) == 2
    assert set(found.terms["term"]) <= {"live", "horses", "live horses", "steel"}
    assert found.terms["contribution"].abs().is_monotonic_decreasing


def test_a_model_of_character_groups_is_explained_by_whole_words() -> None:
    model = models.fit(TEXTS, LABELS, candidates.find(["svm-characters"])[0])

    (found,) = explanation.explain(model, ["live HORSES, of steel steel"], strongest=100)

    assert sorted(found.terms["term"]) == ["horses,", "live", "steel"]
    assert found.offset + found.terms["contribution"].sum() == pytest.approx(found.log_odds)
    assert dict(zip(found.terms["term"], found.terms["contribution"] > 0, strict=True))[
        "live" if found.prediction == "I" else "steel"
    ]


def test_a_text_without_a_known_term_is_explained_by_the_offsets_alone() -> None:
    model = models.fit(TEXTS, LABELS, candidates.find(["svm-words"])[0])

    (found,) = explanation.explain(model, ["zzz"])

    assert found.terms.empty
    assert found.log_odds == found.offset


def test_every_class_is_known_by_its_own_words() -> None:
    model = models.fit(TEXTS, LABELS, candidates.find(["svm-words"])[0])

    table = explanation.strongest_terms(model, strongest=1).set_index("class")["term"]

    assert dict(table) == {"I": "live", "XI": "cotton", "XV": "steel"}


def test_the_errors_that_the_model_was_surest_of_are_listed_with_their_reasons() -> None:
    model = models.fit(TEXTS, LABELS, candidates.find(["svm-words"])[0], slope=3.0)
    test = pd.DataFrame(
        {
            "entity_id": ["1", "2", "3"],
            "text": ["live steel steel", "live horses", "cotton shirts woven"],
            "target": ["I", "I", "XV"],
        }
    )

    found = evaluate(model, test)

    assert set(found.errors["productid"]) == {"1", "3"}
    assert found.errors["confidence"].is_monotonic_decreasing
    assert all("steel" in row.terms or "cotton" in row.terms for row in found.errors.itertuples())
    assert found.metrics["accuracy"] == pytest.approx(1 / 3)
    assert list(found.reference.columns) == ["prediction", "score", "text", "text_length"]
