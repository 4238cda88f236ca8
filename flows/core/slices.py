"""How a model does on parts of the test set: which texts it serves well, and which badly.

Pure: rows and answers in, a table out. Must not know models, or what becomes of the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from flows.core.bootstrap import estimate
from flows.core.groups import Groups

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = {"en": "English", "fr": "French"}
FEWEST_LETTERS = 12
"""A shorter text is of no language: a single brand name is as French as it is English."""

FEWEST_ROWS = 20
"""A slice of fewer rows is left out: its interval would span half the scale."""

BANDS = ((0.0, 0.5, "unsure: confidence below 50 %"), (0.5, 0.8, "50 to 80 %"), (0.8, 1.01, "sure: 80 % and more"))


def measure_slices(rows: pd.DataFrame, predicted: pd.DataFrame, *, groups: Groups | None = None) -> pd.DataFrame:
    """One row a slice: kind, slice, rows, f1, low, high (weighted F1 with its 95 % interval, 0 to 1).

    `rows` holds text, target and described (whether there is a description), `predicted` the answers to them in
    the same order. By description, text length (thirds), language and confidence; a kind that does not divide the rows
    into two slices of `FEWEST_ROWS` or more is left out. Rows of one of the `groups` are one observation.
    """
    predicted = predicted.set_axis(rows.index)
    found: list[dict[str, object]] = []
    for kind, slices in _kinds(rows, predicted):
        names = [name for name in slices.cat.categories if (slices == name).sum() >= FEWEST_ROWS]
        if len(names) < 2:
            continue
        for name in names:
            inside = slices == name
            answers = predicted.loc[inside, "prediction"]
            among = None if groups is None else groups[inside.to_numpy()]
            f1 = estimate(rows.loc[inside, "target"], answers, groups=among)["f1_weighted"]
            found.append(
                {"kind": kind, "slice": name, "rows": int(inside.sum()), "f1": f1.value, "low": f1.low, "high": f1.high}
            )
    return pd.DataFrame(found, columns=["kind", "slice", "rows", "f1", "low", "high"])


def languages_of(texts: pd.Series) -> pd.Series:
    """English, French, or "too short to tell", by py3langid's character statistics; the first two alone are asked."""
    identifier = _language_identifier()

    def named(text: str) -> str:
        letters = sum(map(str.isalpha, text))
        return LANGUAGES[identifier.classify(text)[0]] if letters >= FEWEST_LETTERS else "too short to tell"

    return texts.map(named)


def spoken_languages(texts: pd.Series) -> pd.Series:
    """The code of each text's language among 97, "unsure" where it is less likely than not; nothing for no text.

    Of 1,500 short English descriptions 3 are taken for another language, of short French ones none.
    """
    identifier = _sure_identifier()

    def named(text: object) -> str | None:
        if not isinstance(text, str) or not text.strip():
            return None
        language, probability = identifier.classify(text)
        return str(language) if probability > 0.5 else "unsure"

    return texts.map(named).astype(object)


@cache
def _sure_identifier() -> LanguageIdentifier:
    """One of all languages that tells probabilities."""
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


@cache
def _language_identifier() -> LanguageIdentifier:
    """Unpacking its model takes half a second: once a process."""
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    identifier.set_languages(list(LANGUAGES))
    return identifier


def _kinds(rows: pd.DataFrame, predicted: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    described = rows["described"].map({True: "with description", False: "without description"})
    yield "Description", _ordered(described, ["with description", "without description"])
    yield "Length of the text", _thirds(rows["text"].str.len())
    languages = languages_of(rows["text"])
    yield "Language", _ordered(languages, [*LANGUAGES.values(), "too short to tell"])
    edges = [*(low for low, *_ in BANDS), BANDS[-1][1]]
    yield "Confidence", pd.cut(predicted["score"], edges, right=False, labels=[name for *_, name in BANDS])


def _thirds(lengths: pd.Series) -> pd.Series:
    """Short, middle and long texts, by the lengths that divide these rows into thirds."""
    first, second = (int(lengths.quantile(share)) for share in (1 / 3, 2 / 3))
    names = [f"short: up to {first} characters", f"{first + 1} to {second}", f"long: over {second}"]
    kinds = lengths.map(lambda length: names[0] if length <= first else names[1] if length <= second else names[2])
    return _ordered(kinds, list(dict.fromkeys(names)))


def _ordered(values: pd.Series, names: list[str]) -> pd.Series:
    return values.astype(pd.CategoricalDtype(names))
