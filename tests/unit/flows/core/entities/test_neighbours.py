"""What the flows ask of a kind of task, answered by a search for neighbours: planted songs of three genres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import skops.io
from sklearn.metrics.pairwise import cosine_similarity

from flows.core import clustering
from flows.core.entities.neighbours import NeighboursLogic
from flows.core.logic import logic_of
from flows.core.selection import Choice
from tests.unit.flows.core.entities.songs import SIMILAR, declare, songs

SONGS = declare(SIMILAR, largest_part_fall=0.1, least_recall=0.95)


@pytest.fixture(scope="module")
def logic() -> NeighboursLogic:
    found = logic_of(SONGS)
    assert isinstance(found, NeighboursLogic)
    return found


def choice(logic: NeighboursLogic, name: str = "cosine-tree") -> Choice:
    return Choice(logic.find_candidates([name])[0])


def test_the_nearest_are_those_of_the_largest_cosine_and_never_the_song_itself(logic: NeighboursLogic) -> None:
    rows = songs(200)
    points = clustering.as_points(rows, logic._features(rows))
    cosine = cosine_similarity(points) - 2 * np.eye(200)

    for name in ("cosine-tree", "cosine-exhaustive"):
        answers = logic.answer(logic.fit(rows, choice(logic, name)), rows)

        assert answers["score"].to_numpy() == pytest.approx(cosine.max(axis=1), abs=1e-6)
        assert answers["prediction"].tolist() == rows["entity_id"].to_numpy()[cosine.argmax(axis=1)].tolist()
        assert [nearest[0] for nearest in answers["nearest"]] == answers["prediction"].tolist()
        assert {len(set(nearest)) for nearest in answers["nearest"]} == {SIMILAR.k}


def test_songs_are_not_compared_by_what_makes_them_relevant(logic: NeighboursLogic) -> None:
    model = logic.fit(songs(), choice(logic))

    assert "genre" not in model.feature_names_in_
    assert {"loudness", "energy"} <= set(model.feature_names_in_)


def test_the_exact_candidates_find_all_and_mostly_songs_of_one_genre(logic: NeighboursLogic) -> None:
    test = songs(300, first=9_000)
    for candidate in logic.find_candidates(None):
        found = logic.evaluate(logic.fit(songs(), Choice(candidate)), test, near=(3,))

        assert found.estimates["recall_at_k"].value == 1
        assert 0.9 < found.estimates["precision_at_k"].low <= found.estimates["precision_at_k"].high < 1
        assert found.by_k["k"].tolist() == [1, 2, 3, 4, 5]
        assert found.parts["part"].tolist() == ["classical", "metal", "pop"]
        assert list(found.reference.columns[:3]) == ["prediction", "score", "group"]


def test_candidates_are_compared_by_neighbours_of_other_groups(logic: NeighboursLogic) -> None:
    candidates = logic.find_candidates(None)
    folded = logic.prepare(songs(300), candidates)

    scores = [logic.score(candidate, folded) for candidate in candidates]

    assert scores[0].found == scores[1].found
    assert 0.9 < scores[0].found.value < 1


def test_a_model_answers_the_same_after_it_was_kept_as_a_file(logic: NeighboursLogic) -> None:
    rows = songs(200)
    for candidate in logic.find_candidates(None):
        model = logic.fit(rows, Choice(candidate))
        kept = skops.io.loads(skops.io.dumps(model), trusted=list(logic.trusted))

        assert logic.examine(kept, rows).equals(logic.examine(model, rows))


def test_who_misses_the_nearest_or_finds_others_for_one_genre_is_not_promoted(logic: NeighboursLogic) -> None:
    test = songs(300, first=9_000)
    good = logic.examine(logic.fit(songs(), choice(logic)), test)
    pop = test["genre"] == "pop"
    astray = good.assign(
        nearest=[["nobody"] * SIMILAR.k if asked else found for asked, found in zip(pop, good["nearest"], strict=True)],
        relevant=[
            ["metal"] * SIMILAR.k if asked else found for asked, found in zip(pop, good["relevant"], strict=True)
        ],
    )

    same, worse = (logic.gather(test, each, good, gate=SONGS.model.gate, near=None) for each in (good, astray))

    assert [(check.rule, check.passed) for check in same.guards] == [("recall", True), ("parts", True)]
    assert [(check.rule, check.passed) for check in worse.guards] == [("recall", False), ("parts", False)]
    assert "precision among the nearest is worse by more than 10% and no chance: genre pop" in worse.guards[1].said
    assert worse.comparison is not None
    assert worse.comparison.gain < 0
    asks = replace(SONGS.model.gate, largest_part_fall=1.0, least_recall=0.0)
    assert logic.gather(test, astray, good, gate=asks, near=None).guards == ()


def test_too_few_songs_have_no_neighbours(logic: NeighboursLogic) -> None:
    with pytest.raises(ValueError, match="5 rows have no 5 neighbours each: wait for more, or ask for fewer"):
        logic.fit(songs(5), choice(logic))


def test_a_song_without_a_genre_has_neighbours_and_counts_for_no_precision(logic: NeighboursLogic) -> None:
    model, test = logic.fit(songs(), choice(logic)), songs(300, first=9_000)
    some = test.assign(genre=test["genre"].where(test.index >= 100, None))

    found, whole = (logic.evaluate(model, rows, near=()) for rows in (some, test.iloc[100:].reset_index(drop=True)))

    assert found.estimates["precision_at_k"].value == pytest.approx(whole.estimates["precision_at_k"].value)
    assert logic.answer(model, some)["nearest"].map(len).eq(SIMILAR.k).all()
    assert logic.answer(model, test.drop(columns="genre")).equals(logic.answer(model, test))
    assert logic.estimate(some) == {}
