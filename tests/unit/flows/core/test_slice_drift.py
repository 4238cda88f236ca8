"""What the whole dilutes is found in its slice; where nothing changed every slice is quiet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core.drift import Level
from flows.core.look import take_look
from flows.core.slice_drift import look_at_slices

ENGLISH = "wooden chair metal table lamp garden kitchen with small large for the children home office white"
FRENCH = "chaise en bois métal pour la maison avec lampe de bureau jardin cuisine petite grande et les enfants"


def texts(rows: int, words: str, random: np.random.Generator) -> list[str]:
    return [" ".join(random.choice(words.split(), 9)) for _ in range(rows)]


def predictions(rows: int, seed: int, *, french: float = 0.0, unsure: str = "") -> pd.DataFrame:
    random = np.random.default_rng(seed)
    foreign = int(french * rows)
    frame = pd.DataFrame(
        {
            "predicted_class": random.choice(["a", "b", "c"], rows),
            "confidence": random.beta(5, 2, rows),
            "text": texts(foreign, FRENCH, random) + texts(rows - foreign, ENGLISH, random),
        }
    )
    frame.loc[frame["predicted_class"] == unsure, "confidence"] *= 0.5
    return frame.assign(text_length=frame["text"].str.len())


@pytest.mark.parametrize(("french", "least"), [(0.10, Level.ALERT), (0.33, Level.CRITICAL)])
def test_a_part_in_another_language_is_found(french: float, least: Level) -> None:
    found = look_at_slices(predictions(1_000, 1), predictions(500, 2, french=french), min_samples=100)

    assert found.columns["language"].level.rank >= least.rank


def test_a_language_that_slowly_takes_a_third_alarms_though_no_week_differs_from_those_before() -> None:
    before = pd.concat([predictions(300, week, french=share) for week, share in enumerate((0.27, 0.29, 0.31), 5)])

    found = take_look(predictions(1_000, 1), predictions(400, 2, french=0.33), before, before, min_samples=100)

    assert found.recent.level is Level.STABLE
    assert found.alarms(0.3)


def test_one_class_of_which_the_model_is_less_sure_is_found() -> None:
    found = look_at_slices(predictions(1_000, 1), predictions(500, 2, unsure="b"), min_samples=100)

    assert found.drifted() == ["class b"]


def test_slices_of_one_source_are_quiet() -> None:
    found = look_at_slices(predictions(1_000, 1), predictions(500, 2), min_samples=100)

    assert set(found.columns) == {"language", "class a", "class b", "class c"}
    assert found.level is Level.STABLE


def test_a_log_without_texts_has_no_languages() -> None:
    sides = (predictions(400, seed).drop(columns="text") for seed in (1, 2))

    assert "language" not in look_at_slices(*sides, min_samples=100).columns
