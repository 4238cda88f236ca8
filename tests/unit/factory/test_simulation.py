"""Simulated products: always the same, shaped as published, and drifting when they are told to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from factory.settings import WeekPlan
from factory.snapshots.weeks import share_of, threshold
from factory.sources.readers import COLUMNS
from factory.sources.simulated_words import FAMILIES
from factory.sources.simulation import CLASS_COUNTS, PUBLISHED_ROWS, Simulation, class_counts, simulate, simulate_frame
from factory.text import group_of, product_text

ROWS = 6_000


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    return simulate_frame(ROWS)


def words(frame: pd.DataFrame) -> set[str]:
    return {word for text in product_text(frame["designation"], frame["description"]) for word in text.lower().split()}


def test_the_published_counts_are_met_exactly_and_scaled_for_other_sizes() -> None:
    assert PUBLISHED_ROWS == 84_916
    assert class_counts(PUBLISHED_ROWS) == CLASS_COUNTS
    assert {code for family in FAMILIES.values() for code in family} == set(CLASS_COUNTS)
    assert sum(class_counts(1_000_003).values()) == 1_000_003
    assert class_counts(1_000_000)["2583"] == pytest.approx(10209 / 84916 * 1_000_000, abs=1)


def test_classes_descriptions_markup_and_duplicates_are_as_announced(drawn: pd.DataFrame) -> None:
    assert drawn["prdtypecode"].value_counts().to_dict() == {k: v for k, v in class_counts(ROWS).items() if v}
    assert drawn["productid"].is_unique
    assert drawn["productid"].is_monotonic_increasing
    # three standard deviations of a share of 6,000 are below two points
    assert drawn["description"].isna().mean() == pytest.approx(1 / 3, abs=0.02)
    assert drawn["description"].str.contains("&eacute;|&#39;|<br />").sum() > 500
    texts = product_text(drawn["designation"], drawn["description"]).map(group_of)
    assert texts.duplicated().mean() == pytest.approx(0.03, abs=0.01)
    assert not texts.str.contains("nbsp|eacute|<").any()


def test_equal_texts_bear_equal_labels(drawn: pd.DataFrame) -> None:
    texts = product_text(drawn["designation"], drawn["description"]).map(group_of)
    assert (drawn["prdtypecode"].groupby(texts).nunique() == 1).all()


def test_the_same_seed_gives_the_same_products_and_another_seed_others(drawn: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(simulate_frame(ROWS), drawn)
    assert (simulate_frame(ROWS, seed=7)["designation"] != drawn["designation"]).mean() > 0.99


def test_batches_are_bounded_and_carry_the_catalogues_columns() -> None:
    batches = list(simulate(Simulation(rows=11_000)))
    assert [len(batch) for batch in batches] == [5_000, 5_000, 1_000]
    assert batches[0].columns.tolist() == [*COLUMNS, "week"]


def test_weeks_are_those_in_which_the_catalogue_lets_a_product_arrive(drawn: pd.DataFrame) -> None:
    plan = WeekPlan()
    shares = np.array([share_of(productid, plan.seed) for productid in drawn["productid"]])
    for week in (1, 2, 9, 21):
        assert ((drawn["week"] <= week) == (shares < threshold(plan, week))).all()
    some = pd.concat(simulate(Simulation(rows=ROWS), first_week=3, last_week=4), ignore_index=True)
    pd.testing.assert_frame_equal(some, drawn[drawn["week"].between(3, 4)].reset_index(drop=True))


def test_the_vocabulary_changes_in_the_chosen_week_and_not_before(drawn: pd.DataFrame) -> None:
    drifting = simulate_frame(ROWS, drift_week=8, drift=0.4)
    before, after = drifting["week"] < 8, drifting["week"] >= 8
    pd.testing.assert_frame_equal(drifting[before], drawn[before])
    known = words(drawn[before])
    # words that are new by chance are rare ones; of the drifting weeks' words two in five are new
    stable = len(words(drawn[after]) - known) / len(words(drawn[after]))
    changed = len(words(drifting[after]) - known) / len(words(drifting[after]))
    assert changed > stable + 0.2


def test_a_creeping_turnover_grows_by_the_week() -> None:
    simulation = Simulation(turnover=0.02, drift_week=5, drift=0.3)
    assert simulation.exchanged(np.array([1, 2, 5, 60])) == pytest.approx([0, 0.02, 0.38, 1.0])


def test_nobody_takes_them_for_real_products_and_wrong_settings_are_refused() -> None:
    assert Simulation(drift_week=5).source == "simulated products (not real: 84,916 rows, seed 42, drift in week 5)"
    with pytest.raises(ValueError, match="at least one"):
        Simulation(rows=0)
    with pytest.raises(ValueError, match="shares, from 0 to 1"):
        Simulation(drift=50)


def test_a_model_learns_much_of_it_and_not_all() -> None:
    """Some labels are wrong and families share words: as hard as the real texts, of which a model gets .8 or so."""
    pytest.importorskip("sklearn", reason="models are the other environment's")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import f1_score

    frame = simulate_frame(20_000)
    texts = product_text(frame["designation"], frame["description"])
    vectors = TfidfVectorizer(max_features=5_000, sublinear_tf=True).fit_transform(texts)
    model = SGDClassifier(random_state=0).fit(vectors[:15_000], frame["prdtypecode"][:15_000])
    f1 = f1_score(frame["prdtypecode"][15_000:], model.predict(vectors[15_000:]), average="weighted")
    assert 0.6 < f1 < 0.95
