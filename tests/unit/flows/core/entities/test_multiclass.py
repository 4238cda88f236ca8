"""What the flows ask of a kind of task, answered by classes: planted songs of three genres."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import skops.io

from flows.core import tables
from flows.core.entities import base
from flows.core.entities.multiclass import MulticlassLogic
from flows.core.leakage import LeakageError
from flows.core.logic import logic_of
from flows.core.selection import Choice
from tests.unit.flows.core.entities.songs import GENRE, GENRES, declare, songs

SONGS = declare(GENRE, largest_calibration_error=0.1)


@pytest.fixture(scope="module")
def logic() -> MulticlassLogic:
    found = logic_of(SONGS)
    assert isinstance(found, MulticlassLogic)
    return found


def genres(rows: int = 400, *, first: int = 0) -> pd.DataFrame:
    return songs(rows, first=first, target="genre")


@pytest.fixture(scope="module")
def logistic(logic: MulticlassLogic) -> Choice:
    return Choice(logic.find_candidates(["logistic-table"])[0])


def test_candidates_tell_the_planted_genres(logic: MulticlassLogic) -> None:
    candidates = logic.find_candidates(None)
    folded = logic.prepare(genres(), candidates)

    scores = [logic.score(candidate, folded) for candidate in candidates]

    assert all(0.93 < score.found.value < score.found.high <= 1 for score in scores)
    assert {score.scores.shape for score in scores} == {(400, len(GENRES))}


def test_an_evaluation_tells_classes_and_calibration(logic: MulticlassLogic, logistic: Choice) -> None:
    model = logic.fit(genres(), logistic)
    found = logic.evaluate(model, genres(first=9_000), near=())

    assert logic.outcomes(model) == frozenset(GENRES)
    assert found.classes["class"].tolist() == list(GENRES)
    assert found.calibration_error.value < 0.05
    assert set(found.intervals()) == {"f1_weighted", "f1_macro", "accuracy", "calibration_error"}


def test_a_model_answers_the_same_after_it_was_kept_as_a_file(logic: MulticlassLogic) -> None:
    rows = genres(200)
    for candidate in logic.find_candidates(None):
        model = logic.fit(rows, Choice(candidate))
        kept = skops.io.loads(skops.io.dumps(model), trusted=list(logic.trusted))

        assert logic.answer(kept, rows).equals(logic.answer(model, rows))


def test_a_class_that_is_lost_stops_a_promotion_and_calibration_guards_it(
    logic: MulticlassLogic, logistic: Choice
) -> None:
    test = genres(first=9_000)
    good = logic.answer(logic.fit(genres(), logistic), test)
    poor = good.assign(prediction=good["prediction"].replace("pop", "metal"))

    evidence = logic.gather(test, poor, good, gate=SONGS.model.gate, near=None)

    assert [check.rule for check in evidence.guards] == ["calibration"]
    assert evidence.comparison is not None
    assert [change.name for change in evidence.comparison.lost] == ["pop"]
    assert evidence.slices.empty
    assert logic.estimate(poor.assign(label=test["target"], group=test["group"]))["accuracy"].value < 0.8


def test_the_target_is_no_feature_and_may_not_leak(logic: MulticlassLogic, logistic: Choice) -> None:
    train, test = genres(900), genres(100, first=9_000)

    assert "genre" not in logic.fit(train, logistic).feature_names_in_
    with pytest.raises(LeakageError, match="column 'live'"):
        logic.refuse_leaks(train.assign(live=np.where(train["genre"] == "pop", "yes", "no")), test, ())


def test_one_class_alone_teaches_nothing(logic: MulticlassLogic, logistic: Choice) -> None:
    rows = genres(50)

    with pytest.raises(ValueError, match="all 50 rows are of one class"):
        logic.fit(rows.assign(target="pop"), logistic)
    with pytest.raises(ValueError, match="2 of 50 rows have none"):
        tables.fit(
            rows,
            rows["target"].where(rows.index > 1),
            np.arange(50),
            logistic.candidate,
            logic._features(rows),
        )
    assert logic.answer(None, rows.head(0)).empty


def test_of_very_many_rows_candidates_are_compared_on_whole_groups_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SELECTION_ROWS", 300)
    train = songs(600, target="genre").assign(group=np.repeat(np.arange(200), 3))
    logic = logic_of(declare(GENRE))

    folded = logic.prepare(train, logic.find_candidates(["logistic-table"]))

    assert 250 < len(folded.rows) <= 300
    assert folded.rows.groupby("group").size().eq(3).all()
    assert len(folded.truth) == len(folded.groups) == len(folded.rows)
    assert logic.score(logic.find_candidates(["logistic-table"])[0], folded).found.value > 0.8
