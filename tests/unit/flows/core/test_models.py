"""The classifier learns, is asked in order, and is measured as scikit-learn would."""

from __future__ import annotations

import pandas as pd
import pytest
import skops.io
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from flows.core import candidates, models, terms
from flows.core.candidates import Candidate

TEXTS = ["live horses", "live cattle", "live goats", "steel pipes", "steel wire", "steel sheets"] * 5
LABELS = ["I", "I", "I", "XV", "XV", "XV"] * 5


def test_predictions_come_in_the_order_of_the_texts_with_their_probability() -> None:
    model = models.fit(TEXTS, LABELS, candidates.recipe(50))

    predicted = models.predict(model, ["steel horses of steel", "live birds"])

    assert list(predicted["prediction"]) == ["XV", "I"]
    assert predicted["score"].between(0.5, 1).all()


@pytest.mark.parametrize("candidate", [*candidates.CANDIDATES, candidates.recipe()], ids=lambda chosen: chosen.name)
def test_every_candidate_answers_as_it_scores_whatever_form_it_is_kept_in(candidate: Candidate) -> None:
    """Three classes and two: the pipeline gives the candidate's own best class, as scikit-learn's plainest type."""
    texts = [*TEXTS, *["cotton shirts", "woven cotton", "cotton socks"] * 5]
    for labels in ([*LABELS, *["XI"] * 15], [*LABELS, *["XV"] * 15]):
        model = models.fit(texts, labels, candidate, slope=2.0)
        counts = terms.count_terms(texts, candidate.terms)
        weights = terms.fit_weights(counts)
        classes, codes = models.encode(labels)
        scorer = candidate.fit(terms.weigh(counts, weights), codes, candidate.settings)
        scores = scorer.score(terms.weigh(counts, weights))

        answers = models.predict(model, texts)

        assert list(answers["prediction"]) == [classes[best] for best in scores.argmax(axis=1)]
        assert answers["score"].to_numpy() == pytest.approx(softmax(2 * scores, axis=1).max(axis=1), abs=1e-4)
        assert type(model.named_steps["classifier"]) is LogisticRegression


def test_a_model_is_written_without_its_lookup_and_read_without_trust() -> None:
    model = models.fit(TEXTS, LABELS, candidates.recipe(50))
    before = models.predict(model, TEXTS)
    models.drop_lookup(model)

    written = skops.io.dumps(model)

    assert not hasattr(model.named_steps["vectors"], "vocabulary_")
    assert skops.io.get_untrusted_types(data=written) == []
    pd.testing.assert_frame_equal(models.predict(skops.io.loads(written, trusted=[]), TEXTS), before)


def test_no_text_gives_no_prediction() -> None:
    model = models.fit(TEXTS, LABELS, candidates.recipe(50))

    assert list(models.predict(model, []).columns) == ["prediction", "score"]
    assert len(models.predict(model, [])) == 0


def test_one_class_cannot_be_trained_on() -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        models.fit(["a horse", "a goat"], ["I", "I"], candidates.recipe(10))


def test_metrics_of_a_known_confusion() -> None:
    """Three of four right: F1 is .8 for a and .667 for b; weighted by 2 and 2 rows as by class the mean is .7333."""
    metrics = models.measure(["a", "a", "b", "b"], ["a", "a", "a", "b"])

    assert metrics == pytest.approx({"f1_weighted": 0.7333, "f1_macro": 0.7333, "accuracy": 0.75}, abs=1e-4)


def test_the_confusion_matrix_holds_every_class_on_both_axes() -> None:
    table = models.confusion(["a", "b", "b"], ["b", "b", "c"])

    assert list(table.index) == list(table.columns) == ["a", "b", "c"]
    assert table.loc["b", "c"] == 1
    assert table.to_numpy().sum() == 3
