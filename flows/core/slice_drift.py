"""Drift that the whole dilutes: which languages come by, and how sure the model is within each class.

Pure. Owns which slices are looked at. They are a family of tests of their own, which share one error; must not know
what an alarm sets off.
"""

from __future__ import annotations

import pandas as pd

from flows.core import drift
from flows.core.drift import Drift
from flows.core.slices import spoken_languages

LANGUAGE = "language"
LANGUAGE_ROWS = 5_000
"""So many texts of a side are asked for their language: a fifth of a millisecond each."""
MOST_CLASSES = 12
"""The most frequent classes are looked at: more tests would leave none of them an error that permutations can show."""
SEED = 42


def look_at_slices(reference: pd.DataFrame, current: pd.DataFrame, *, min_samples: int) -> Drift:
    """By slice, how the current predictions differ from the reference; the names are `language` and `class <name>`.

    A language that slowly takes its share moves no week away from the weeks before, and leaves the words of the whole
    much as they were; the reference is of before it came. Of a class the confidence is compared, where either side has
    `min_samples` rows of it.
    """
    pairs = {f"class {name}": sides for name, sides in _classes(reference, current, min_samples).items()}
    if "text" in reference and "text" in current:
        pairs[LANGUAGE] = _with_language(reference), _with_language(current)
    found = {}
    for name, (older, newer) in pairs.items():
        column = LANGUAGE if name == LANGUAGE else "confidence"
        found[name] = drift.compare(older, newer, (column,), tests=len(pairs)).columns[column]
    return Drift(found)


def _classes(
    reference: pd.DataFrame, current: pd.DataFrame, min_samples: int
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    frequent = current["predicted_class"].value_counts().head(MOST_CLASSES).index
    found = {}
    for name in frequent:
        sides = reference[reference["predicted_class"] == name], current[current["predicted_class"] == name]
        if min(map(len, sides)) >= min_samples:
            found[str(name)] = sides
    return found


def _with_language(frame: pd.DataFrame) -> pd.DataFrame:
    drawn = frame.sample(LANGUAGE_ROWS, random_state=SEED) if len(frame) > LANGUAGE_ROWS else frame
    return drawn.assign(language=spoken_languages(drawn["text"]))
