"""What the flows ask of a kind of task, answered for numbers: planted songs, whose energy is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io

from flows.core.entities.regression import RegressionLogic
from flows.core.leakage import LeakageError
from flows.core.logic import logic_of
from flows.core.selection import Choice
from tests.unit.flows.core.entities.songs import ENERGY, declare, songs

SONGS = declare(ENERGY, largest_part_fall=0.1)


@pytest.fixture(scope="module")
def logic() -> RegressionLogic:
    found = logic_of(SONGS)
    assert isinstance(found, RegressionLogic)
    return found


@pytest.fixture(scope="module")
def ridge(logic: RegressionLogic) -> Choice:
    return Choice(logic.find_candidates(["ridge-table"])[0])


def energies(rows: int = 600, *, first: int = 0) -> pd.DataFrame:
    return songs(rows, first=first, target="energy")


def test_the_target_is_no_feature_nor_is_what_is_sensitive(logic: RegressionLogic, ridge: Choice) -> None:
    model = logic.fit(energies(), ridge)

    assert set(model.feature_names_in_) == {"loudness", "tempo", "valence", "live", "genre"}


def test_candidates_find_the_energy_and_the_curve_in_it(logic: RegressionLogic) -> None:
    candidates = logic.find_candidates(None)
    folded = logic.prepare(energies(), candidates)

    found = [logic.score(candidate, folded) for candidate in candidates]

    assert all(0.95 < each.found.low < each.found.value < each.found.high < 1 for each in found)
    assert [len(each.scores) for each in found] == [600] * len(found)


def test_a_model_answers_the_same_after_it_was_kept_as_a_file(logic: RegressionLogic) -> None:
    rows = energies(300)
    for candidate in logic.find_candidates(None):
        model = logic.fit(rows, Choice(candidate))
        kept = skops.io.loads(skops.io.dumps(model), trusted=list(logic.trusted))
        answers = logic.answer(kept, rows)
        assert answers["score"].tolist() == logic.answer(model, rows)["score"].tolist()
        assert [float(text) for text in answers["prediction"]] == pytest.approx(answers["score"], rel=1e-5)


def test_an_evaluation_tells_errors_by_tenths_and_groups(logic: RegressionLogic, ridge: Choice) -> None:
    test = energies(first=9_000)
    found = logic.evaluate(logic.fit(energies(), ridge), test, near=(3,))

    assert set(found.metrics) == {metric.name for metric in ENERGY.metrics}
    assert found.near == (test["entity_id"][3],)
    assert found.tenths["rows"].tolist() == [60] * 10
    assert set(found.parts["kind"]) == {"energy, by tenths", "country"}
    assert {"prediction", "score", "group", "loudness"} <= set(found.reference.columns)
    assert "calibration_error" not in found.intervals()


def test_who_answers_one_tenth_much_worse_is_not_promoted(logic: RegressionLogic, ridge: Choice) -> None:
    train, test = energies(), energies(first=9_000)
    good = logic.answer(logic.fit(train, ridge), test)
    loud = test["energy"] > test["energy"].quantile(0.9)
    bad = good.assign(score=good["score"] - 2.0 * loud)

    same, worse = (logic.gather(test, each, good, gate=SONGS.model.gate, near=None) for each in (good, bad))
    alone = logic.gather(test, good, None, gate=SONGS.model.gate, near=None)

    assert [(check.rule, check.passed) for check in same.guards] == [("parts", True)]
    assert [(check.rule, check.passed) for check in worse.guards] == [("parts", False)]
    assert "mean absolute error is worse by more than 10% and no chance: energy, by tenths" in worse.guards[0].said
    assert same.comparison is not None
    assert same.comparison.gain == 0
    assert worse.comparison is not None
    assert worse.comparison.gain < 0
    assert (alone.comparison, alone.guards) == (None, ())


def test_a_gate_that_asks_for_nothing_checks_nothing(logic: RegressionLogic, ridge: Choice) -> None:
    test = energies(first=9_000)
    answers = logic.answer(logic.fit(energies(), ridge), test)
    gate = replace(SONGS.model.gate, largest_part_fall=1.0)

    assert logic.gather(test, answers, answers, gate=gate, near=None).guards == ()


def test_a_column_that_holds_the_target_is_caught(logic: RegressionLogic) -> None:
    train, test = energies(), energies(100, first=9_000)
    leaking = train.assign(valence=train["energy"] * 0.5 + 3)

    logic.refuse_leaks(train, test, ["column:loudness"])
    with pytest.raises(LeakageError, match="column 'valence'"):
        logic.refuse_leaks(leaking, test, ["column:loudness"])
    with pytest.raises(LeakageError, match="stand both in the training rows"):
        logic.refuse_leaks(train, train, ())


def test_live_quality_is_measured_once_two_values_are_known(logic: RegressionLogic) -> None:
    rows = pd.DataFrame({"label": ["2", "3.5", "4", "1"] * 9, "score": [2.1, 3.3, 4.2, 1.0] * 9, "group": range(36)})

    assert logic.estimate(rows)["r2"].value > 0.95
    assert logic.estimate(rows.assign(label="2")) == {}
    with pytest.raises(ValueError, match="a regression learns numbers, and here is 'loud'"):
        logic.estimate(rows.assign(label="loud"))


def test_no_row_has_no_answer(logic: RegressionLogic, ridge: Choice) -> None:
    answers = logic.answer(logic.fit(energies(300), ridge), energies(1).head(0))

    assert answers.empty
    assert list(answers.columns) == ["prediction", "score"]
    assert logic.outcomes(None) == frozenset()
    assert np.isnan(logic.classes(energies(3)).to_numpy(dtype=float)).sum() == 0
