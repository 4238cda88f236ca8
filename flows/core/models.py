"""The text classifier: how it is built, fitted, asked and measured.

Pure: takes and gives texts, labels and frames. Must not know where data comes from, where models are kept or who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from flows.core.terms import build_vectorizer, count_terms, fit_weights, weigh

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import Pipeline

    from flows.core.candidates import Candidate, Codes, Scorer

Texts: TypeAlias = "Sequence[str] | pd.Series"


def fit(texts: Texts, labels: Texts, candidate: Candidate, *, slope: float = 1.0) -> Pipeline:
    """The candidate fitted on these rows, as a plain scikit-learn pipeline of `vectors` and `classifier`.

    `slope` makes probabilities of its scores (`flows.core.calibration.fit_slope`). Raises ValueError when there are
    fewer than two classes, or no term that two texts share.
    """
    classes, codes = encode(labels)
    counts = count_terms(texts, candidate.terms)
    weights = fit_weights(counts)
    scorer = candidate.fit(weigh(counts, weights), codes, candidate.settings)
    return assemble(build_vectorizer(counts, weights), scorer, classes, slope=slope)


def encode(labels: Texts) -> tuple[list[str], Codes]:
    """The classes in order, and every row's place among them; raises ValueError when there are fewer than two."""
    codes, classes = pd.factorize(np.asarray([str(label) for label in labels], dtype=object), sort=True)
    if len(classes) < 2:
        raise ValueError(
            f"training needs at least two classes, the rows hold {len(classes)}: look at the snapshot's labels"
        )
    return [str(name) for name in classes], codes.astype(np.int64)


def assemble(vectors: TfidfVectorizer, scorer: Scorer, classes: Sequence[str], *, slope: float) -> Pipeline:
    """A scorer as a pipeline whose probabilities are softmax(slope * scores).

    That is the form of a multinomial logistic regression, so every candidate is kept as one: a single plain type that
    loads without trust in anything but scikit-learn, whichever classifier made the weights.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    weights, offsets = slope * scorer.weights, slope * scorer.offsets
    if len(classes) == 2:  # scikit-learn keeps the second class's alone
        weights, offsets = weights[1:] - weights[:1], offsets[1:] - offsets[:1]
    classifier = LogisticRegression()
    classifier.classes_ = np.array(classes)
    classifier.coef_ = weights.astype(np.float32)  # half the size, and far below what a decision depends on
    classifier.intercept_ = offsets.astype(np.float32)
    classifier.n_features_in_ = weights.shape[1]
    classifier.n_iter_ = np.zeros(1, dtype=np.int32)
    return Pipeline([("vectors", vectors), ("classifier", classifier)])


def drop_lookup(model: BaseEstimator) -> None:
    """Remove the table of terms that the vectorizer made at its first use; it makes it again when it is asked again.

    To be called before a model is written: skops keeps such a table entry by entry, seconds' worth of small nodes.
    """
    vectors = getattr(model, "named_steps", {}).get("vectors")
    if vectors is not None and vectors.vocabulary is not None:
        vars(vectors).pop("vocabulary_", None)


def predict(model: Pipeline, texts: Texts) -> pd.DataFrame:
    """One row a text, in the same order: prediction (text) and score (its probability, 0 to 1)."""
    if len(texts) == 0:
        return pd.DataFrame({"prediction": pd.Series(dtype=str), "score": pd.Series(dtype=float)})
    probabilities = model.predict_proba(list(texts))
    best = probabilities.argmax(axis=1)
    return pd.DataFrame(
        {
            "prediction": np.asarray(model.classes_, dtype=object)[best].astype(str),
            "score": probabilities[np.arange(len(best)), best],
        }
    )


def measure(labels: Texts, predicted: Texts) -> dict[str, float]:
    """f1_weighted, f1_macro and accuracy, each 0 to 1; a class that was never predicted counts as 0."""
    from sklearn.metrics import accuracy_score, f1_score

    truth, guess = [str(label) for label in labels], [str(label) for label in predicted]
    return {
        "f1_weighted": float(f1_score(truth, guess, average="weighted", zero_division=0)),
        "f1_macro": float(f1_score(truth, guess, average="macro", zero_division=0)),
        "accuracy": float(accuracy_score(truth, guess)),
    }


def confusion(labels: Texts, predicted: Texts) -> pd.DataFrame:
    """Counts of rows by true class (index) and predicted class (columns), both over all classes, sorted."""
    truth, guess = [str(label) for label in labels], [str(label) for label in predicted]
    classes = sorted({*truth, *guess})
    table = pd.crosstab(pd.Series(truth), pd.Series(guess))
    return table.reindex(index=classes, columns=classes, fill_value=0)
