"""The text classifier: how it is built, fitted, asked and measured.

Pure: takes and gives texts, labels and frames. Must not know where data comes from, where models are kept or who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Texts: TypeAlias = "Sequence[str] | pd.Series"

MAX_ITERATIONS = 300
"""Rounds granted to the logistic regression's solver; it converges in far fewer on TF-IDF features."""


def fit(texts: Texts, labels: Texts, *, max_features: int, C: float) -> Pipeline:  # noqa: N803
    """A fitted pipeline of TF-IDF over words and word pairs and a logistic regression.

    `C` is scikit-learn's inverse strength of regularisation. Classes are balanced by weight, which touches nothing but
    the rows given. Raises ValueError when there are fewer than two classes.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    classes = len(set(labels))
    if classes < 2:
        raise ValueError(f"training needs at least two classes, the rows hold {classes}: look at the snapshot's labels")
    vectors = TfidfVectorizer(ngram_range=(1, 2), max_features=max_features, sublinear_tf=True)
    classifier = LogisticRegression(C=C, class_weight="balanced", max_iter=MAX_ITERATIONS)
    model = Pipeline([("vectors", vectors), ("classifier", classifier)]).fit(list(texts), list(labels))
    # skops keeps every NumPy number in a file of its own: with plain ones a model is written and read 2 s sooner
    vectors.vocabulary_ = {term: int(column) for term, column in vectors.vocabulary_.items()}
    return model


def predict(model: Pipeline, texts: Texts) -> pd.DataFrame:
    """One row a text, in the same order: predicted_class (text) and confidence (its probability, 0 to 1)."""
    if len(texts) == 0:
        return pd.DataFrame({"predicted_class": pd.Series(dtype=str), "confidence": pd.Series(dtype=float)})
    probabilities = model.predict_proba(list(texts))
    best = probabilities.argmax(axis=1)
    return pd.DataFrame(
        {
            "predicted_class": np.asarray(model.classes_, dtype=object)[best].astype(str),
            "confidence": probabilities[np.arange(len(best)), best],
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
