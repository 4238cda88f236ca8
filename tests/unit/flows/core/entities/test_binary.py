"""What the flows ask of a kind of task, answered for outcomes of entities: planted customers, whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io

from factory.use_cases import get, get_model
from factory.use_cases.split import Chronological
from flows.core.entities.base import Folded
from flows.core.entities.binary import BinaryLogic
from flows.core.leakage import LeakageError
from flows.core.logic import logic_of
from flows.core.selection import Choice

CHURN = get("churn")
DECLARED = get_model("churn")
GATE = DECLARED.model.gate


def customers(rows: int = 600, *, unfair: float = 0.0, first: int = 0) -> pd.DataFrame:
    """Who calls often leaves; `unfair` is how much oftener those call who are senior."""
    random = np.random.default_rng(first)
    senior = random.random(rows) < 0.4
    calls = random.poisson(1.5 + 4 * unfair * senior, rows).astype(float)
    leaves = random.random(rows) < 1 / (1 + np.exp(-1.2 * (calls - 2.5)))
    frame = pd.DataFrame({column.name: None for column in CHURN.entities.columns}, index=range(rows), dtype=object)
    for column in CHURN.entities.columns:
        if column.kind == "number":
            frame[column.name] = np.nan
    return frame.assign(
        number_customer_service_calls=calls,
        total_day_minutes=random.normal(180, 50, rows),
        international_plan=np.where(random.random(rows) < 0.5, "yes", "no"),
        senior_citizen=np.where(senior, "yes", "no"),
        entity_id=[f"c{first + number:05}" for number in range(rows)],
        group=np.arange(first, first + rows),
        target=np.where(leaves, "yes", "no"),
    )


@pytest.fixture(scope="module")
def logic() -> BinaryLogic:
    found = logic_of(DECLARED)
    assert isinstance(found, BinaryLogic)
    return found


@pytest.fixture(scope="module")
def logistic(logic: BinaryLogic) -> Choice:
    return Choice(logic.find_candidates(["logistic-table"])[0])


def test_a_sensitive_column_and_one_without_a_value_are_no_features(logic: BinaryLogic, logistic: Choice) -> None:
    model = logic.fit(customers(), logistic)

    asked = {"number_customer_service_calls", "total_day_minutes", "international_plan"}
    assert set(model.feature_names_in_) == asked


def test_rows_that_lack_a_column_are_answered_all_the_same(logic: BinaryLogic, logistic: Choice) -> None:
    model = logic.fit(customers(), logistic)
    rows = customers(5, first=9_000)

    answers = logic.answer(model, rows.drop(columns="total_day_minutes"))

    assert answers["score"].between(0, 1).all()
    assert set(answers["prediction"]) <= logic.outcomes(model)
    assert logic.answer(model, rows.head(0)).empty


def test_the_same_rows_give_the_same_model_to_the_last_byte(logic: BinaryLogic) -> None:
    rows = customers(300)
    for candidate in logic.find_candidates(None):
        made = [skops.io.dumps(logic.fit(rows, Choice(candidate))) for _ in range(2)]
        answers = [
            logic.answer(skops.io.loads(each, trusted=list(logic.trusted)), rows)["score"].to_list() for each in made
        ]
        assert answers[0] == answers[1]


def test_candidates_are_compared_by_the_metric_that_decides(logic: BinaryLogic) -> None:
    candidates = logic.find_candidates(None)
    validation = logic.prepare(customers(), candidates)

    scores = [logic.score(candidate, validation) for candidate in candidates]

    assert all(0.7 < score.found.low < score.found.value < score.found.high < 1 for score in scores)
    assert [len(score.scores) for score in scores] == [600] * len(scores)


def test_an_evaluation_tells_ranking_calibration_and_groups(logic: BinaryLogic, logistic: Choice) -> None:
    test = customers(first=9_000)
    found = logic.evaluate(logic.fit(customers(), logistic), test, near=(3,))

    assert set(found.metrics) == {metric.name for metric in DECLARED.model.task.metrics}
    assert found.near == (test["entity_id"][3],)
    assert found.deciles["rows"].sum() == len(test)
    assert found.deciles["lift"].iloc[0] > 1.5
    assert set(found.groups["attribute"]) == {"senior_citizen"}
    assert {"prediction", "score", "group", "tenure"} <= set(found.reference.columns)
    assert found.confusion.to_numpy().sum() == len(test)


@pytest.mark.parametrize(("unfair", "passed"), [(0.0, True), (1.0, False)])
def test_a_group_that_is_selected_much_oftener_stops_a_promotion(
    logic: BinaryLogic, logistic: Choice, unfair: float, passed: bool
) -> None:
    train, test = customers(unfair=unfair), customers(unfair=unfair, first=9_000)
    answers = logic.answer(logic.fit(train, logistic), test)

    evidence = logic.gather(test, answers, None, gate=GATE, near=None)

    (fairness,) = [check for check in evidence.guards if check.rule == "fairness"]
    assert fairness.passed is passed
    assert "'yes' is selected" in fairness.said or passed


def test_a_challenger_is_not_held_to_more_than_the_champion_is(logic: BinaryLogic, logistic: Choice) -> None:
    train, test = customers(unfair=1.0), customers(unfair=1.0, first=9_000)
    answers = logic.answer(logic.fit(train, logistic), test)

    evidence = logic.gather(test, answers, answers, gate=GATE, near=None)

    assert all(check.passed for check in evidence.guards)
    assert evidence.comparison is not None
    assert evidence.comparison.gain == 0


def test_probabilities_that_promise_too_much_stop_a_promotion(logic: BinaryLogic, logistic: Choice) -> None:
    test = customers(first=9_000)
    answers = logic.answer(logic.fit(customers(), logistic), test)
    boasting = answers.assign(score=(answers["score"] + 0.4).clip(upper=1.0))

    good, bad = (logic.gather(test, each, None, gate=GATE, near=None).guards[0] for each in (answers, boasting))

    assert (good.rule, good.passed, bad.passed) == ("calibration", True, False)
    assert "from the truth on average, above the limit of 0.06" in bad.said


def test_a_gate_that_asks_for_nothing_checks_nothing(logic: BinaryLogic, logistic: Choice) -> None:
    test = customers(first=9_000)
    gate = replace(GATE, largest_group_difference=1.0, largest_calibration_error=1.0)
    answers = logic.answer(logic.fit(customers(), logistic), test)

    assert logic.gather(test, answers, None, gate=gate, near=None).guards == ()


def test_an_entity_on_both_sides_is_refused_and_equal_rows_are_counted(logic: BinaryLogic) -> None:
    train = customers(200)
    again = customers(50, first=9_000)
    again.iloc[:10, : len(CHURN.entities.columns)] = train.iloc[:10, : len(CHURN.entities.columns)].to_numpy()

    near = logic.near_duplicates(train, again)

    assert near.rows == tuple(range(10))
    with pytest.raises(LeakageError, match="5 values of 'entity_id' stand both in the training rows"):
        logic.refuse_leaks(train, pd.concat([train.head(5), again]), ())


def test_a_column_that_is_known_only_once_the_customer_has_left_is_caught(logic: BinaryLogic) -> None:
    train, test = customers(), customers(100, first=9_000)
    reason = train["target"].where(train["target"] == "yes").map({"yes": "moved"})
    leaking = train.assign(contract=reason)

    logic.refuse_leaks(train, test, ())
    with pytest.raises(
        LeakageError, match=r"column 'contract': where it is given, [\s\S]*factory accept --use-case churn"
    ) as said:
        logic.refuse_leaks(leaking, test, ())
    assert "--leak column:contract" in str(said.value)
    logic.refuse_leaks(leaking, test, ["column:contract"])


def test_settings_of_texts_fix_no_model_of_a_table(logic: BinaryLogic) -> None:
    with pytest.raises(ValueError, match="max_features fix another kind of model: name candidates instead"):
        logic.recipe({"max_features": 100})


def test_live_quality_needs_both_outcomes(logic: BinaryLogic) -> None:
    rows = pd.DataFrame({"label": ["no"] * 9, "score": [0.1] * 9, "group": range(9)})

    assert logic.estimate(rows) == {}
    assert "auc" in logic.estimate(rows.assign(label=["no"] * 5 + ["yes"] * 4))


def test_candidates_are_compared_by_time_where_the_test_set_rolls_on() -> None:
    logic = logic_of(replace(DECLARED, use_case=replace(CHURN, split=Chronological(test_periods=1, embargo_periods=2))))
    rows = customers(600).assign(period=np.repeat(np.arange(1, 13), 50))

    folded = logic.prepare(rows, logic.find_candidates(None))
    score = logic.score(logic.find_candidates(["logistic-table"])[0], folded)

    assert isinstance(folded, Folded)
    assert folded.splits is not None
    for fitted, held in folded.splits:
        assert rows["period"].iloc[fitted].max() + 2 < rows["period"].iloc[held].min()
    unanswered = rows["period"][np.isnan(score.scores[:, 0])]
    assert set(unanswered) == {1, 2, 3, 4}, "nothing older than the embargo could answer them"
    assert 0.7 < score.found.low <= score.found.value <= score.found.high


def test_too_few_periods_to_compare_candidates_by_time_are_told() -> None:
    logic = logic_of(replace(DECLARED, use_case=replace(CHURN, split=Chronological(test_periods=1, embargo_periods=2))))
    rows = customers(100).assign(period=np.repeat([1, 2], 50))

    with pytest.raises(ValueError, match=r"2 periods to train on are too few .* embargo of 2"):
        logic.prepare(rows, logic.find_candidates(None))
