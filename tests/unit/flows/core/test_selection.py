"""Candidates are compared on rows they have not seen, by groups, and the best one is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core import candidates, models, selection
from flows.core.candidates import Range
from flows.core.search import search
from flows.core.selection import NoCandidateError

SVM = candidates.find(["svm-words"])[0]
BAYES = candidates.find(["naive-bayes-words"])[0]


def products(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """Three classes with words of their own among common ones; every product comes twice, as one group."""
    random = np.random.default_rng(seed)
    own = {"a": ["lamp", "bulb", "light"], "b": ["shirt", "cotton", "sleeve"], "c": ["pipe", "steel", "wire"]}
    labels = random.choice(list(own), rows // 2)
    texts = [" ".join([*random.choice(own[label], 1), *random.choice(["new", "red", "big"], 3)]) for label in labels]
    groups = [f"g{number}" for number in range(rows // 2)]
    return pd.DataFrame({"text": texts * 2, "target": list(labels) * 2, "group": groups * 2})


def validation(frame: pd.DataFrame) -> selection.CrossValidation:
    _, codes = models.encode(frame["target"])
    return selection.prepare(frame["text"], codes, frame["group"], candidates.CANDIDATES)


def test_no_group_stands_in_two_folds_and_every_fold_has_every_class() -> None:
    frame = products()
    folds = validation(frame).folds

    by_group = pd.Series(folds.fold).groupby(frame["group"].to_numpy()[folds.rows]).nunique()
    assert (by_group == 1).all()
    assert set(zip(folds.fold, folds.codes, strict=True)) == {(fold, code) for fold in range(3) for code in range(3)}


def test_of_many_rows_whole_groups_are_taken_up_to_the_limit() -> None:
    frame = products(400)
    _, codes = models.encode(frame["target"])

    folds = selection.make_folds(codes, frame["group"], limit=101)

    assert len(folds.rows) == 100
    assert (frame["group"].iloc[folds.rows].value_counts() == 2).all()
    assert list(folds.codes) == list(codes[folds.rows])


def test_of_few_large_groups_each_gives_its_share() -> None:
    frame = products(480).assign(group=[f"shop {row % 8}" for row in range(480)])
    _, codes = models.encode(frame["target"])

    folds = selection.make_folds(codes, frame["group"], limit=100)

    assert frame["group"].iloc[folds.rows].value_counts().tolist() == [12] * 8
    assert list(folds.codes) == list(codes[folds.rows])


def test_fewer_groups_than_folds_are_a_fold_each_and_one_group_is_refused() -> None:
    frame = products()
    _, codes = models.encode(frame["target"])

    folds = selection.make_folds(codes, pd.Series(["north", "south"] * 120))
    assert set(folds.fold) == {0, 1}
    with pytest.raises(NoCandidateError, match="of one group"):
        selection.make_folds(codes, pd.Series(["north"] * 240))


def test_a_class_with_fewer_rows_than_folds_is_no_obstacle() -> None:
    frame = products()
    frame.loc[0, ["target", "group"]] = ["rare", "alone"]

    score = selection.score_candidate(SVM, validation(frame))

    assert score.found.value > 0.9
    assert np.isneginf(score.scores).any()


def test_answers_come_from_models_that_have_not_seen_the_row() -> None:
    """Labels that are pure chance can be learnt by heart but not foretold: a fit that saw its row would be near 1."""
    frame = products(600)
    for group, rows in frame.groupby("group"):
        frame.loc[rows.index, "text"] = f"lamp unique{group} word{group}"
        frame.loc[rows.index, "target"] = str(np.random.default_rng(int(str(group)[1:])).integers(3))

    score = selection.score_candidate(SVM, validation(frame))

    assert score.found.value < 0.45


def test_the_same_rows_give_the_same_scores() -> None:
    one, other = (selection.score_candidate(SVM, validation(products())) for _ in range(2))

    assert np.array_equal(one.scores, other.scores)
    assert one.found == other.found


def test_the_best_score_wins_and_of_equals_the_first() -> None:
    known = validation(products())
    good = selection.score_candidate(SVM, known)
    same = selection.score_candidate(BAYES.altered(), known)
    worse = selection.Score(BAYES, type(good.found)(0.1, 0.0, 0.2), good.scores, 0.0)

    assert selection.choose([worse, good], {}) is good
    assert selection.choose([same, good], {}) is (same if same.found.value >= good.found.value else good)


def test_nobody_left_is_an_error_that_tells_every_reason() -> None:
    with pytest.raises(NoCandidateError, match="svm-words: no memory; sgd-words: no luck"):
        selection.choose([], {"svm-words": "no memory", "sgd-words": "no luck"})


def test_a_search_never_ends_with_less_than_it_began_with_and_repeats_itself() -> None:
    known = validation(products())
    begun = selection.score_candidate(SVM.altered(C=1e-4), known)

    first, again = (search(begun, lambda each: selection.score_candidate(each, known), trials=4) for _ in range(2))

    assert first.found.value >= begun.found.value
    assert first.candidate.settings == again.candidate.settings


def test_a_search_keeps_within_the_ranges_and_needs_some() -> None:
    known = validation(products())
    told: list[str] = []
    narrow = selection.score_candidate(SVM, known)
    fixed = selection.Score(candidates.recipe(), narrow.found, narrow.scores, 0.0)

    found = search(narrow, lambda each: selection.score_candidate(each, known), trials=3, tell=told.append)

    assert len(told) == 3
    assert SVM.ranges["C"] == Range(0.01, 10)
    assert 0.01 <= found.candidate.settings["C"] <= 10
    assert search(fixed, lambda each: selection.score_candidate(each, known), trials=3) is fixed


def test_unknown_candidates_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no candidate .*'forest'.*svm-words"):
        candidates.find(["svm-words", "forest"])
