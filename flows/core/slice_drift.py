"""Drift that the whole dilutes: which languages and sources come by, and how sure the model is within class and source.

Pure. Owns which slices are looked at. They are a family of tests of their own, which share one error; must not know
what an alarm sets off. What becomes of the shares over the weeks is `flows.core.trend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from flows.core import drift
from flows.core.drift import Drift, is_missing
from flows.core.slices import spoken_languages

LANGUAGE, SOURCE = "language", "source"
LANGUAGE_ROWS = 5_000
"""So many texts of a side are asked for their language: a fifth of a millisecond each."""
MOST_CLASSES, MOST_SOURCES = 12, 5
"""The most frequent are looked at: more tests would leave none of them an error that permutations can show."""
MOST_SHARES = 50
"""A look keeps the shares of so many values, the most frequent."""
MISSING = ""
SEED = 42

Sides = tuple[pd.DataFrame, pd.DataFrame]
Shares = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Slices(Drift):
    """The slices of one comparison, and what came by: by `language`, `source` and `prediction` each value's share.

    Shares are of the current predictions, 0 to 1; rows without a value stand under "".
    """

    shares: Mapping[str, Shares] = field(default_factory=dict)


def check_slices(reference: pd.DataFrame, current: pd.DataFrame, *, min_samples: int) -> Slices:
    """By slice, how the current predictions differ from the reference.

    `language` and `source` tell which come by, `class <name>` and `source <name>` how sure the model is of them, where
    both sides have `min_samples` rows; without predictions nothing is told of classes. A language that slowly takes
    its share moves no week away from the weeks before, and leaves the words of the whole much as they were; the
    reference is of before it came. Sources are compared where so many rows of either side are of sources that both
    know: names that are new with every file tell of the files.
    """
    found: dict[str, tuple[str, Sides]] = {}
    shares: dict[str, Shares] = {}
    if drift.PREDICTION in reference and drift.PREDICTION in current:
        shares[drift.PREDICTION] = share_of(current[drift.PREDICTION])
        for name, sides in _parts(reference, current, drift.PREDICTION, min_samples, MOST_CLASSES).items():
            found[f"class {name}"] = drift.SCORE, sides
    if "text" in reference and "text" in current:
        found[LANGUAGE] = LANGUAGE, (sides := (_with_language(reference), _with_language(current)))
        shares[LANGUAGE] = share_of(sides[1][LANGUAGE])
    if SOURCE in current and not is_missing(current[SOURCE]).all():
        shares[SOURCE] = share_of(current[SOURCE])
    if SOURCE in reference and SOURCE in shares:
        if _recur(reference[SOURCE], current[SOURCE], min_samples):
            found[SOURCE] = SOURCE, (reference, current)
        for name, sides in _parts(reference, current, SOURCE, min_samples, MOST_SOURCES).items():
            found[f"source {name}"] = drift.SCORE, sides
    compared = {
        name: drift.compare(*sides, (column,), tests=len(found)).columns[column]
        for name, (column, sides) in found.items()
    }
    return Slices(compared, shares)


def share_of(values: pd.Series) -> dict[str, float]:
    """Each value's share of the rows (0 to 1), of the most frequent ones."""
    named = values.astype(object).where(~is_missing(values), MISSING).astype(str)
    counted = named.value_counts(normalize=True).head(MOST_SHARES)
    return {str(name): round(float(share), 5) for name, share in counted.items()}


def _parts(
    reference: pd.DataFrame, current: pd.DataFrame, column: str, min_samples: int, most: int
) -> dict[str, Sides]:
    """By the most frequent values of the column, the rows of both sides where there are enough."""
    found = {}
    for name in current.loc[~is_missing(current[column]), column].value_counts().head(most).index:
        sides = reference[reference[column] == name], current[current[column] == name]
        if min(map(len, sides)) >= min_samples:
            found[str(name)] = sides
    return found


def _recur(older: pd.Series, newer: pd.Series, min_samples: int) -> bool:
    names = set(older[~is_missing(older)]) & set(newer[~is_missing(newer)])
    return bool(min(older.isin(names).sum(), newer.isin(names).sum()) >= min_samples)


def _with_language(frame: pd.DataFrame) -> pd.DataFrame:
    drawn = frame.sample(LANGUAGE_ROWS, random_state=SEED) if len(frame) > LANGUAGE_ROWS else frame
    return drawn.assign(language=spoken_languages(drawn["text"]))
