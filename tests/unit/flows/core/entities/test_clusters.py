"""What the flows ask of a kind of task, answered by clusters: planted songs of three kinds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.metrics import adjusted_rand_score

from flows.core import clustering
from flows.core.entities.clusters import ClustersLogic
from flows.core.leakage import LeakageError
from flows.core.logic import logic_of
from flows.core.selection import Choice, NoCandidateError, Score
from tests.unit.flows.core.entities.songs import ALIKE, SOURCE, declare, songs

SONGS = declare(ALIKE, smallest_cluster=0.05)
SOUND = replace(SOURCE, columns=SOURCE.columns[:3])
"""What the songs sound like: the columns in which the three kinds lie apart."""


@pytest.fixture(scope="module")
def logic() -> ClustersLogic:
    found = logic_of(declare(ALIKE, SOUND))
    assert isinstance(found, ClustersLogic)
    return found


@pytest.fixture(scope="module")
def scores(logic: ClustersLogic) -> list[Score]:
    candidates = logic.find_candidates(None)
    folded = logic.prepare(songs(450), candidates)
    return [logic.score(candidate, folded) for candidate in candidates]


def test_the_planted_number_of_clusters_is_chosen(scores: list[Score]) -> None:
    assert [score.candidate.settings["clusters"] for score in scores] == [3, 3]
    assert all(0.3 < score.found.low < score.found.value < score.found.high < 0.8 for score in scores)


def test_the_planted_clusters_are_found_and_come_back(logic: ClustersLogic, scores: list[Score]) -> None:
    train, test = songs(450), songs(300, first=9_000)
    for score in scores:
        model = logic.fit(train, Choice(score.candidate))
        found = logic.evaluate(model, test, near=(3,))

        assert adjusted_rand_score(test["genre"], found.reference["prediction"]) > 0.9
        assert found.estimates["stability"].value > 0.9
        assert found.estimates["clusters"].value == 3
        assert found.sizes["rows"].sum() == 300
        assert found.sizes["share"].sum() == pytest.approx(1)
        assert list(found.plane.columns) == ["across", "up", "cluster"]
        assert found.near == (test["entity_id"][3],)


def test_clusters_are_named_by_size_and_told_with_how_sure_they_are(logic: ClustersLogic, scores: list[Score]) -> None:
    train = songs(450)
    for score in scores:
        answers = logic.answer(logic.fit(train, Choice(score.candidate)), train)

        counts = answers["prediction"].value_counts()
        assert list(counts.index) == ["1", "2", "3"]
        assert answers["score"].between(0, 1).all()
        assert list(answers.columns) == ["prediction", "score"]


def test_a_model_and_its_replicas_answer_the_same_after_they_were_kept_as_a_file(
    logic: ClustersLogic, scores: list[Score]
) -> None:
    rows = songs(200)
    for score in scores:
        model = logic.fit(rows, Choice(score.candidate))
        kept = skops.io.loads(skops.io.dumps(model), trusted=list(logic.trusted))

        assert logic.examine(kept, rows).equals(logic.examine(model, rows))


def test_two_models_are_compared_in_coordinates_that_neither_has_made(
    logic: ClustersLogic, scores: list[Score]
) -> None:
    train, test = songs(450), songs(300, first=9_000)
    three, two = (
        logic.examine(logic.fit(train, Choice(scores[0].candidate.altered(clusters=number))), test) for number in (3, 2)
    )

    better = logic.gather(test, three, two, gate=SONGS.model.gate, near=None)
    again = logic.gather(test, three, three, gate=SONGS.model.gate, near=None)

    assert better.comparison is not None
    assert again.comparison is not None
    assert better.comparison.gain > better.comparison.low > 0
    assert again.comparison.gain == 0
    assert better.gains is not None
    assert better.gains["clusters"].value == 1
    assert [(check.rule, check.passed) for check in better.guards] == [("clusters", True)]
    assert set(better.parts.columns) >= {"kind", "part", "rows", "share", "value"}


def test_a_cluster_of_a_few_rows_stops_a_promotion(logic: ClustersLogic) -> None:
    far = songs(300)
    far.loc[:4, ["loudness", "tempo", "valence"]] = 60.0
    candidate = logic.find_candidates(["k-means-table"])[0].altered(clusters=2)
    answers = logic.examine(logic.fit(far, Choice(candidate)), far)

    evidence = logic.gather(far, answers, None, gate=SONGS.model.gate, near=None)
    (check,) = evidence.guards

    assert not check.passed
    assert "of 2 clusters the smallest, 2, holds 1.7% of the rows, of two or more each must hold 5.0%" in check.said
    assert (
        logic.gather(far, answers, None, gate=replace(SONGS.model.gate, smallest_cluster=0.0), near=None).guards == ()
    )


def test_no_row_is_answered_by_clusters_that_saw_its_group(logic: ClustersLogic) -> None:
    rows = songs(60)

    with pytest.raises(NoCandidateError, match="of one group"):
        logic.prepare(rows.assign(group=1), logic.find_candidates(None))
    with pytest.raises(ValueError, match="at most 1 clusters are allowed, and two are the fewest"):
        clustering.choose_number(logic.find_candidates(None)[0], rows, np.arange(60), SOUND.columns, (), most=1)
    with pytest.raises(ValueError, match="how many clusters k-means-table has was not chosen"):
        logic.fit(rows, Choice(logic.find_candidates(None)[0]))


def test_nothing_is_learned_of_a_truth_that_there_is_not(logic: ClustersLogic) -> None:
    rows = songs(100)

    logic.refuse_leaks(rows, songs(50, first=9_000), ())
    with pytest.raises(LeakageError, match="stand both in the training rows"):
        logic.refuse_leaks(rows, rows, ())
    assert logic.estimate(pd.DataFrame({"label": []})) == {}
    assert logic.classes(rows).empty
    with pytest.raises(ValueError, match=r"no candidate \['svm'\]: there are k-means-table, mixture-table"):
        logic.find_candidates(["svm"])
