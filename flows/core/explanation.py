"""Why a model answered as it did: the terms that moved a text towards its class and away from the runner-up.

Pure. Owns what counts as a reason. Every model is linear in its terms, so the reasons add up: the contributions of all
terms and the classes' own offsets are the logarithm of how many times likelier the answer is than the runner-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from flows.core.candidates import Numbers
from flows.core.terms import Terms, split_word

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

STRONGEST = 10


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer and its reasons.

    `terms` has one row a term, strongest first: term, contribution (to `log_odds`, positive for the answer). A model
    of character groups is explained by the words that they stand in. `offset` is what the classes have without any
    term; `log_odds` is the logarithm of p(answer) / p(runner-up).
    """

    text: str
    prediction: str
    score: float
    runner_up: str
    runner_up_score: float
    log_odds: float
    offset: float
    terms: pd.DataFrame


def explain(model: Pipeline, texts: Sequence[str], *, strongest: int = STRONGEST) -> list[Explanation]:
    """The reasons of one answer a text: at most `strongest` terms each, by the size of their contribution."""
    vectors, classifier = model.named_steps["vectors"], model.named_steps["classifier"]
    matrix = vectors.transform(list(texts)).tocsr()
    probabilities = classifier.predict_proba(matrix)
    weights, offsets = class_weights(model)
    names = vectors.get_feature_names_out()
    found = []
    for place, text in enumerate(texts):
        second, first = np.argsort(probabilities[place], kind="stable")[-2:]
        row = matrix[place]
        parts = row.data * (weights[first, row.indices] - weights[second, row.indices])
        reasons = pd.Series(parts, index=names[row.indices].astype(str))
        if vectors.analyzer == "char_wb":
            reasons = _by_word(text, reasons, vectors.ngram_range)
        reasons = reasons.sort_values(key=lambda values: -values.abs(), kind="stable").head(strongest)
        terms = pd.DataFrame({"term": reasons.index.astype(str), "contribution": reasons.to_numpy()})
        offset = float(offsets[first] - offsets[second])
        found.append(
            Explanation(
                text=text,
                prediction=str(classifier.classes_[first]),
                score=float(probabilities[place, first]),
                runner_up=str(classifier.classes_[second]),
                runner_up_score=float(probabilities[place, second]),
                log_odds=offset + float(parts.sum()),
                offset=offset,
                terms=terms,
            )
        )
    return found


def _by_word(text: str, reasons: pd.Series, sizes: tuple[int, int]) -> pd.Series:
    """The contributions of character groups, handed to the words they stand in: equal shares for every occurrence."""
    kind = Terms("char_wb", *sizes, max_features=len(reasons))
    pairs = [(word, group) for word in text.lower().split() for group in split_word(word, kind)]
    table = pd.DataFrame(pairs, columns=["word", "group"])
    table = table[table["group"].isin(reasons.index)]
    shares = table["group"].map(reasons) / table.groupby("group")["group"].transform("size")
    return shares.groupby(table["word"], sort=False).sum()


def strongest_terms(model: Pipeline, *, strongest: int = STRONGEST) -> pd.DataFrame:
    """What each class is known by: class, term and weight, the `strongest` terms of every class, strongest first.

    The weight is that of the class above the mean of all classes.
    """
    weights, _ = class_weights(model)
    names, classes = model.named_steps["vectors"].get_feature_names_out(), model.named_steps["classifier"].classes_
    mean = weights.mean(axis=0)
    parts = []
    for label, row in zip(classes, weights, strict=True):
        above = row - mean
        order = np.argsort(-above, kind="stable")[:strongest]
        parts.append(pd.DataFrame({"class": str(label), "term": names[order].astype(str), "weight": above[order]}))
    return pd.concat(parts, ignore_index=True)


def class_weights(model: Pipeline) -> tuple[Numbers, Numbers]:
    """Weights (classes by terms) and offsets (classes) whose softmax is the model's probability.

    With two classes scikit-learn keeps those of the second alone.
    """
    classifier = model.named_steps["classifier"]
    weights, offsets = np.asarray(classifier.coef_, dtype=float), np.asarray(classifier.intercept_, dtype=float)
    if len(weights) == 1:
        return np.vstack([np.zeros_like(weights), weights]), np.concatenate([[0.0], offsets])
    return weights, offsets
