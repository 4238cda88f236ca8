"""Terms are counted and weighed as scikit-learn would, and what is handed over is scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from flows.core import terms
from flows.core.terms import Terms

TEXTS = [
    "Café crème — l'été à la plage, 2 verres",
    "café   CRÈME pour l'hiver",
    "Chaise de jardin en bois d'acacia, chaise pliante",
    "chaise de jardin pliante en ACACIA",
    "İstanbul straße ÉTÉ",
    "",
    "a b cd",
    "verres à pied 2 x 25cl à la plage",
]
KINDS = [
    Terms("word", 1, 1, 1000),
    Terms("word", 1, 2, 1000),
    Terms("char_wb", 2, 4, 1000),
    Terms("char_wb", 3, 3, 1000),
]
WRITTEN = st.lists(st.text(alphabet="aAéß 1_-'\t\nœİ", max_size=12), min_size=3, max_size=8)


def as_table(matrix: object, names: object) -> dict[str, list[float]]:
    return {str(name): list(column) for name, column in zip(names, np.asarray(matrix.T.todense()), strict=True)}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_counts_are_those_of_scikit_learn(kind: Terms) -> None:
    theirs = CountVectorizer(analyzer=kind.analyzer, ngram_range=(kind.shortest, kind.longest), min_df=2)
    expected = as_table(theirs.fit_transform(TEXTS), theirs.get_feature_names_out())

    found = terms.count_terms(TEXTS, kind)

    assert as_table(found.matrix, found.terms) == expected


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_texts_are_counted_the_same_in_whatever_portions(kind: Terms, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = terms.count_terms(TEXTS, kind)
    monkeypatch.setattr(terms, "CHUNK_TEXTS", 3)

    portions = terms.count_terms(TEXTS, kind)

    assert list(portions.terms) == list(whole.terms)
    assert np.array_equal(portions.matrix.toarray(), whole.matrix.toarray())


@given(texts=WRITTEN, kind=st.sampled_from(KINDS))
@settings(deadline=None, max_examples=60)
def test_counts_are_those_of_scikit_learn_whatever_is_written(texts: list[str], kind: Terms) -> None:
    texts = [*texts, texts[0] + " encore une", "encore une"]
    theirs = CountVectorizer(analyzer=kind.analyzer, ngram_range=(kind.shortest, kind.longest), min_df=2)
    expected = as_table(theirs.fit_transform(texts), theirs.get_feature_names_out())

    found = terms.count_terms(texts, kind)

    assert as_table(found.matrix, found.terms) == expected


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_vectorizer_handed_over_gives_the_matrix_that_was_trained_on(kind: Terms) -> None:
    counts = terms.count_terms(TEXTS, kind)
    weights = terms.fit_weights(counts)

    vectorizer = terms.build_vectorizer(counts, weights)

    ours, theirs = terms.weigh(counts, weights), vectorizer.transform(TEXTS)
    assert np.allclose(ours.todense(), theirs.todense(), rtol=0, atol=1e-12)
    assert type(vectorizer) is TfidfVectorizer


def test_weights_are_those_of_scikit_learn() -> None:
    counts = terms.count_terms(TEXTS, KINDS[1])
    theirs = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    expected = as_table(theirs.fit_transform(TEXTS), theirs.get_feature_names_out())

    found = as_table(terms.weigh(counts, terms.fit_weights(counts)), counts.terms)

    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert found[name] == pytest.approx(column), name


def test_a_fold_knows_nothing_of_the_rows_that_are_held_out() -> None:
    rows = np.array([0, 1, 2, 3])
    counts = terms.count_terms(TEXTS, KINDS[1])
    alone = terms.count_terms([TEXTS[row] for row in rows], KINDS[1])

    within, apart = terms.fit_weights(counts, rows), terms.fit_weights(alone)

    assert set(counts.terms.take(within.columns)) == set(alone.terms)
    assert dict(zip(counts.terms.take(within.columns), within.idf, strict=True)) == pytest.approx(
        dict(zip(alone.terms, apart.idf, strict=True))
    )


def test_the_most_frequent_terms_are_kept() -> None:
    counts = terms.count_terms(["rot rot blau"] * 2 + ["rot blau grün"] * 2, Terms("word", 1, 1, 2))

    assert set(counts.terms.take(terms.fit_weights(counts).columns)) == {"rot", "blau"}


def test_texts_without_a_common_term_are_refused() -> None:
    with pytest.raises(ValueError, match="too few or too short"):
        terms.count_terms(["one", "two"], KINDS[0])
