"""Unequal selection is found with its size, equal selection is not, and few people decide nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

from flows.core import fairness
from flows.core.fairness import NOT_GIVEN, RATES

FOUR = ["north", "east", "south", "west"]


def people(rows: int, seed: int, **shares: float) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Truths, and selections that come with the share of the person's region."""
    random = np.random.default_rng(seed)
    region = random.choice(list(shares), rows)
    selected = random.random(rows) < pd.Series(region).map(shares)
    return random.integers(0, 2, rows), selected.to_numpy().astype(int), pd.DataFrame({"region": region})


def counted(rows: int, seed: int, **shares: float) -> pd.DataFrame:
    """What `measure` gives of as many people of each region, who are selected with its share."""
    hits = np.random.default_rng(seed).binomial(rows, list(shares.values()))
    rates = {column: value for rate in RATES for column, value in ((rate, hits / rows), (f"{rate}_observations", rows))}
    return pd.DataFrame({"attribute": "region", "value": list(shares), "decides": True, **rates})


def test_the_rates_and_their_differences_are_those_of_fairlearn() -> None:
    truth, selected, attributes = people(600, 1, north=0.2, south=0.5, west=0.4)

    found = fairness.differences(fairness.measure(truth, selected, attributes)).iloc[0]

    asked = {"y_true": truth, "y_pred": selected, "sensitive_features": attributes["region"]}
    assert found["selection_rate"] == pytest.approx(demographic_parity_difference(**asked))
    assert found["equalised_odds"] == pytest.approx(equalized_odds_difference(**asked))
    assert (found["most"], found["least"]) == ("south", "north")


def test_rates_are_counted_by_hand() -> None:
    truth = np.array([1, 1, 0, 0, 1, 0, 0, 0])
    selected = np.array([1, 0, 1, 0, 1, 0, 0, 0])
    table = fairness.measure(truth, selected, pd.DataFrame({"flag": ["yes"] * 4 + ["no"] * 4}))

    assert table["value"].tolist() == ["no", "yes"]
    assert table["rows"].tolist() == [4, 4]
    assert table[list(RATES)].to_numpy().tolist() == [[0.25, 1.0, 0.0], [0.5, 0.5, 0.5]]
    for rate in RATES:
        assert (table[f"{rate}_low"] <= table[rate]).all()
        assert (table[rate] <= table[f"{rate}_high"]).all()


def test_a_rate_that_no_row_can_have_is_no_number_and_may_be_anything() -> None:
    table = fairness.measure([0] * 40 + [1] * 40, [1, 0] * 40, pd.DataFrame({"flag": ["yes"] * 40 + ["no"] * 40}))

    yes = table.set_index("value").loc["yes"]
    assert np.isnan(yes["true_positive_rate"])
    assert (yes["true_positive_rate_low"], yes["true_positive_rate_high"]) == pytest.approx((0, 1))
    assert np.isnan(fairness.differences(table)["equalised_odds"].iloc[0])


def test_a_planted_difference_lies_in_the_interval() -> None:
    truth, selected, attributes = people(2_000, 2, old=0.45, young=0.2)

    found = fairness.differences(fairness.measure(truth, selected, attributes)).iloc[0]

    assert found["selection_rate_low"] < 0.25 < found["selection_rate_high"]
    assert found["selection_rate_low"] > 0.15


def test_equal_groups_differ_surely_in_one_of_twenty_samples_at_most_however_many_there_are() -> None:
    """Four groups, six pairs, 120 samples: .05 and three binomial deviations, .06."""
    shares, sure = dict.fromkeys(FOUR, 0.3), 0
    for seed in range(120):
        sure += fairness.differences(counted(60, seed, **shares))["selection_rate_low"].iloc[0] > 0

    assert sure / 120 <= 0.05 + 0.06


def test_the_interval_of_two_groups_holds_the_difference_as_often_as_it_says() -> None:
    """Also where hardly anybody is selected, so that whole groups are not in many samples."""
    held = 0
    for seed in range(120):
        found = fairness.differences(counted(60, seed, old=0.06, young=0.02)).iloc[0]
        held += found["selection_rate_low"] <= 0.04 <= found["selection_rate_high"]

    assert held / 120 >= 0.95 - 0.06


def test_nobody_selected_is_not_taken_for_certain() -> None:
    attributes = pd.DataFrame({"flag": ["yes"] * 40 + ["no"] * 40})

    found = fairness.differences(fairness.measure([0, 1] * 40, [0] * 80, attributes)).iloc[0]

    assert found["selection_rate"] == 0
    assert found["selection_rate_high"] > 0.05


def test_rows_of_one_group_count_as_one() -> None:
    truth, selected, attributes = people(200, 3, old=0.5, young=0.2)
    four = np.repeat(truth, 4), np.repeat(selected, 4), attributes.loc[np.repeat(attributes.index, 4)]

    once = fairness.differences(fairness.measure(truth, selected, attributes)).iloc[0]
    known = fairness.differences(fairness.measure(*four, groups=np.repeat(np.arange(200), 4))).iloc[0]

    assert known["selection_rate_low"] == pytest.approx(once["selection_rate_low"])


def test_few_people_and_those_who_gave_nothing_are_told_and_decide_nothing() -> None:
    attributes = pd.DataFrame({"region": ["north"] * 50 + ["south"] * 50 + ["islands"] * 29 + [None] * 40})
    selected = [1, 0] * 50 + [1] * 69

    table = fairness.measure([0, 1] * 84 + [1], selected, attributes)

    assert table["value"].tolist() == ["islands", "north", "south", NOT_GIVEN]
    assert table["decides"].tolist() == [False, True, True, False]
    assert fairness.differences(table)["selection_rate"].iloc[0] == 0


def test_an_attribute_of_one_value_has_no_difference() -> None:
    table = fairness.measure([0, 1] * 40, [1, 0] * 40, pd.DataFrame({"age": [None] * 80, "flag": ["yes"] * 80}))

    assert len(table) == 2
    assert fairness.differences(table).empty
    assert fairness.worsened(fairness.differences(table), None, 0.1) == []


def test_no_attribute_is_no_table() -> None:
    table = fairness.measure([0, 1], [1, 0], pd.DataFrame(index=range(2)))

    assert fairness.differences(table).empty


def test_ages_are_cut_into_bands_in_their_order() -> None:
    ages = pd.Series([29.9, 30, 71, None, 18, 59])

    bands = fairness.age_bands(ages)

    assert bands.astype(object).where(bands.notna(), None).tolist() == [
        "below 30",
        "30 to below 45",
        "60 and above",
        None,
        "below 30",
        "45 to below 60",
    ]
    table = fairness.measure([0, 1, 0, 1, 0, 1], [0] * 6, pd.DataFrame({"age": bands}))
    assert table["value"].tolist() == ["below 30", "30 to below 45", "45 to below 60", "60 and above", NOT_GIVEN]


@pytest.mark.parametrize(
    ("truth", "selected", "message"),
    [
        ([0, np.nan], [0, 1], "truth: 1 of 2 rows have none"),
        ([0, 1], [0.2, 1], "predicted: 0 or 1 is meant, and here is also 0.2"),
        ([0, 1, 1], [0, 1, 1], "truth 3, predicted 3, attributes 2"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(truth: list[float], selected: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fairness.measure(truth, selected, pd.DataFrame({"flag": ["yes", "no"]}))


def judged(mine: tuple[float, float], theirs: float | None, limit: float) -> tuple[bool, str]:
    def table(value: float, low: float) -> pd.DataFrame:
        bounds = {"selection_rate": value, "selection_rate_low": low, "selection_rate_high": value + 0.06}
        return pd.DataFrame([{"attribute": "senior", "most": "yes", "least": "no", **bounds}])

    (found,) = fairness.worsened(table(*mine), None if theirs is None else table(theirs, 0.0), limit)
    return found.refused, found.said


def test_a_difference_is_refused_beyond_the_limit_and_beyond_chance() -> None:
    refused, said = judged((0.25, 0.17), None, 0.10)

    assert refused
    assert said == "by senior, 'yes' is selected 0.25 more often than 'no' (0.17 to 0.31): beyond the limit of 0.10"


def test_a_difference_that_may_be_chance_is_told() -> None:
    refused, said = judged((0.25, 0.17), None, 0.20)

    assert not refused
    assert said.endswith("(0.17 to 0.31): by chance or not more than the limit of 0.20")


def test_a_difference_within_the_limit_is_told_as_such() -> None:
    assert judged((0.25, 0.17), 0.01, 0.25) == (
        False,
        "by senior, 'yes' is selected 0.25 more often than 'no' (0.17 to 0.31): within the limit of 0.25",
    )


def test_a_challenger_that_is_no_worse_than_the_champion_is_not_refused_for_what_both_do() -> None:
    refused, said = judged((0.25, 0.17), 0.28, 0.10)

    assert not refused
    assert said.endswith("beyond the limit of 0.10, and the champion's 0.28 is no better")
    assert judged((0.25, 0.17), 0.20, 0.10)[0]
