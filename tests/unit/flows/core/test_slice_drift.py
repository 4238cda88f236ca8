"""What the whole dilutes is found in its slice; where nothing changed every slice is quiet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core.drift import Level
from flows.core.drift_check import check_drift
from flows.core.slice_drift import check_slices

ENGLISH = "wooden chair metal table lamp garden kitchen with small large for the children home office white"
FRENCH = "chaise en bois métal pour la maison avec lampe de bureau jardin cuisine petite grande et les enfants"


def texts(rows: int, words: str, random: np.random.Generator) -> list[str]:
    return [" ".join(random.choice(words.split(), 9)) for _ in range(rows)]


def predictions(rows: int, seed: int, *, french: float = 0.0, unsure: str = "") -> pd.DataFrame:
    random = np.random.default_rng(seed)
    foreign = int(french * rows)
    frame = pd.DataFrame(
        {
            "prediction": random.choice(["a", "b", "c"], rows),
            "score": random.beta(5, 2, rows),
            "text": texts(foreign, FRENCH, random) + texts(rows - foreign, ENGLISH, random),
        }
    )
    frame.loc[frame["prediction"] == unsure, "score"] *= 0.5
    return frame.assign(text_length=frame["text"].str.len())


@pytest.mark.parametrize(("french", "least"), [(0.10, Level.ALERT), (0.33, Level.CRITICAL)])
def test_a_part_in_another_language_is_found(french: float, least: Level) -> None:
    found = check_slices(predictions(1_000, 1), predictions(500, 2, french=french), min_samples=100)

    assert found.columns["language"].level.rank >= least.rank


def test_a_language_that_slowly_takes_a_third_alarms_though_no_week_differs_from_those_before() -> None:
    before = pd.concat([predictions(300, week, french=share) for week, share in enumerate((0.27, 0.29, 0.31), 5)])

    found = check_drift(predictions(1_000, 1), predictions(400, 2, french=0.33), before, before, min_samples=100)

    assert found.recent.level is Level.STABLE
    assert found.alarms(0.3)


def test_one_class_of_which_the_model_is_less_sure_is_found() -> None:
    found = check_slices(predictions(1_000, 1), predictions(500, 2, unsure="b"), min_samples=100)

    assert found.drifted() == ["class b"]


def test_slices_of_one_source_are_quiet() -> None:
    found = check_slices(predictions(1_000, 1), predictions(500, 2), min_samples=100)

    assert set(found.columns) == {"language", "class a", "class b", "class c"}
    assert found.level is Level.STABLE


def of_sources(frame: pd.DataFrame, seed: int, **shares: float) -> pd.DataFrame:
    names = np.random.default_rng(seed).choice(list(shares), len(frame), p=list(shares.values()))
    return frame.assign(source=names)


def test_sources_that_come_by_in_other_shares_are_found() -> None:
    before = of_sources(predictions(1_000, 1), 1, north=0.8, south=0.2)

    quiet = check_slices(before, of_sources(predictions(500, 2), 2, north=0.8, south=0.2), min_samples=50)
    moved = check_slices(before, of_sources(predictions(500, 2), 2, north=0.3, south=0.7), min_samples=50)

    assert {"source", "source north", "source south"} <= set(quiet.columns)
    assert quiet.level is Level.STABLE
    assert moved.drifted() == ["source"]
    assert moved.shares["source"]["south"] == pytest.approx(0.7, abs=0.05)


def test_one_source_of_which_the_model_is_less_sure_is_found() -> None:
    sides = [of_sources(predictions(1_000, seed), seed, north=0.8, south=0.2) for seed in (1, 2)]
    sides[1].loc[sides[1]["source"] == "south", "score"] *= 0.4

    found = check_slices(*sides, min_samples=100)

    assert "source south" in found.drifted()
    assert "source north" not in found.drifted()


def test_sources_that_are_new_with_every_file_are_no_drift() -> None:
    sides = [predictions(600, seed).assign(source=f"week-{seed}.csv") for seed in (1, 2)]

    found = check_slices(*sides, min_samples=100)

    assert not [name for name in found.columns if name.startswith("source")]
    assert found.shares["source"] == {"week-2.csv": 1.0}


def test_a_full_set_of_slices_leaves_each_an_error_that_permutations_can_show() -> None:
    random = np.random.default_rng(3)

    def many(seed: int, french: float) -> pd.DataFrame:
        frame = predictions(3_000, seed, french=french)
        drawn = random.integers(0, 14, (2, 3_000)).astype(str)
        return frame.assign(prediction=drawn[0], source=drawn[1])

    found = check_slices(many(1, 0.0), many(2, 0.2), min_samples=100)

    assert len(found.columns) == 1 + 12 + 1 + 5
    assert found.drifted() == ["language"]


def test_a_log_without_texts_has_no_languages() -> None:
    sides = (predictions(400, seed).drop(columns="text") for seed in (1, 2))

    assert "language" not in check_slices(*sides, min_samples=100).columns
