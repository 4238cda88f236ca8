"""Single features that know too much: a code, a label's name or a mark that an export left in the texts.

Pure. Owns what is searched, and what is too much for the data at hand; what follows from a finding is said by others.

Searched are the terms of every candidate (words and pairs, characters within words), and the form of the texts: case,
punctuation, lengths, the shape of the first and last word. What is plausible is measured on the same rows:

- *alone*: a feature that tells its class as well as all of the text does, and better than the rest of the text. Luck is
  measured by drawing the groups anew.
- *marks*: features that stand in the same share of every class. Words of real texts are as frequent as it comes; how
  many classes agree by luck is measured by altering each class's shares at random.
- *label*: the label's own name stands in its texts and hardly in others.

A word that is truly its class's ("crate" among packages for Rust) looks the same. So a finding is for a person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.text import group_of
from flows.core import candidates, selection
from flows.core.features import LEAST_ROWS, Family, Kind, Numbers, Searched, count_families, hiding, read_rows
from flows.core.resampling import draw_rows
from flows.core.selection import Folds

_KNOWN = {candidate.name: candidate for candidate in candidates.CANDIDATES}
"""As declared here: the search needs those that it names, whichever a training compares."""

ERROR = 0.05
"""The chance of a finding by luck, over all classes together."""
SUSPECT = 0.05
"""A feature whose F1 is lower by more than this than that of a quick model is not looked at more closely."""
SLACK, MOST_SLACK = 0.01, 0.02
"""A feature tells as much as the whole text when its F1 is lower by no more than luck's double standard error, and that
counts for no less and no more than these: in few groups luck explains much."""
RESAMPLES = 200
SEED = 42

PRECISE = 0.95
"""The share of a mark's rows that are of its class, and LEAST_SHARE that of the class's rows that bear it."""
LEAST_SHARE = 0.10
LEAST_MARKED = 3
"""So many classes have to be marked alike, and MOST_MARKED of all."""
MOST_MARKED = 0.6
ALTERED, DRAWS = 0.5, 100
"""By about e to the power of so much a class's shares are altered, up or down, and how often."""

EVERY_CLASS = "every class"
"""What marks are accepted by: one of them is nobody's finding."""

LABEL_SHARE, LABEL_PRECISE = 0.02, 0.8
"""A label's name is told from so many of its class's rows on, when so many of the rows that hold it are the class's."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A feature that tells `label`; `said` is the sentence for people, `products` are ids of rows that show it."""

    kind: Kind
    feature: str
    label: str
    said: str
    products: tuple[str, ...]

    @property
    def name(self) -> str:
        """By which it is accepted."""
        return f"{self.kind}:{self.feature}"


def find_telling(train: pd.DataFrame, accepted: Collection[str] = ()) -> list[Telling]:
    """What tells too much in rows with productid, text, prdtypecode and group; nothing where there is one class.

    `accepted` are names of findings: a feature that is gone where their words and characters are taken out is none.
    """
    rows = read_rows(train, frozenset(accepted))
    if rows.large.sum() < 2:
        return []
    families = list(count_families(rows))
    return [*_labels(rows), *_alone(rows, families), *_marks(rows, families)]


def _alone(rows: Searched, families: Sequence[Family]) -> Iterator[Telling]:
    """Of every class the best feature, where it tells as much as all of the text and more than the rest of it."""
    best = _best(rows, families)
    folds = _folds(rows)
    quick = _class_f1(rows, _answers(folds, rows.texts, "naive-bayes-words"))
    suspects = {code: found for code, found in best.items() if found[0] >= quick[code] - SUSPECT}
    if not suspects:
        return
    whole = [_answers(folds, rows.texts, name) for name in ("sgd-words", "sgd-characters")]
    named = [f"{family.kind}:{family.names[place]}" for _, family, place in suspects.values()]
    rest = _answers(folds, rows.texts.map(hiding(named)), "sgd-words")
    once = np.ones((1, len(rows.codes)))
    drawn = np.concatenate([once, list(draw_rows(rows.groups, RESAMPLES, SEED))])
    sure = NormalDist().inv_cdf(1 - ERROR / int(rows.large.sum()))
    for code, (f1, family, place) in suspects.items():
        has, mine = family.has[:, [place]].toarray().ravel() > 0, rows.codes == code
        gains = [_gain(mine, has, answers == code, drawn) for answers in (*whole, rest)]
        worse = any(gain < -max(SLACK, min(2 * luck, MOST_SLACK)) for gain, luck in gains[:2])
        if (
            worse
            or gains[2][0] <= sure * gains[2][1]
            or not rows.enough(has & mine)
            or rows.is_settled(family, place, has & mine)
        ):
            continue
        yield Telling(
            family.kind,
            str(family.names[place]),
            rows.classes[code],
            f"{_quoted(family, place)} alone tells class {rows.classes[code]!r} (F1 {f1:.3f}; all of the text "
            f"{f1 - min(gain for gain, _ in gains[:2]):.3f}, the rest of it {f1 - gains[2][0]:.3f}; in "
            f"{int((has & mine).sum())} of {int(mine.sum())} rows)",
            rows.products(has & mine),
        )


def _best(rows: Searched, families: Sequence[Family]) -> dict[int, tuple[float, Family, int]]:
    found: dict[int, tuple[float, Family, int]] = {}
    for family in families:
        f1 = (
            2 * rows.of_class(family.has) / np.maximum(np.asarray(family.has.sum(axis=0)).reshape(-1, 1) + rows.rows, 1)
        )
        for code in np.flatnonzero(rows.large).tolist():
            place = int(f1[:, code].argmax()) if len(f1) else 0
            if len(f1) and f1[place, code] > found.get(code, (0.0,))[0]:
                found[code] = float(f1[place, code]), family, place
    return found


def _folds(rows: Searched) -> Folds:
    """Groups dealt to folds at random: to stratify them takes longer than all fits."""
    dealt = np.random.default_rng(SEED).permutation(int(rows.groups.max()) + 1) % selection.FOLDS
    return Folds(np.arange(len(rows.codes)), rows.codes, dealt[rows.groups], len(rows.classes), rows.groups)


def _answers(folds: Folds, texts: pd.Series, name: str) -> NDArray[np.int64]:
    """What the candidate says of every row, fitted on others."""
    contest = selection.prepare_on(folds, texts, [_KNOWN[name]])
    answers: NDArray[np.int64] = selection.score_candidate(_KNOWN[name], contest).scores.argmax(axis=1)
    return answers


def _class_f1(rows: Searched, answers: NDArray[np.int64]) -> Numbers:
    hits = np.bincount(rows.codes[answers == rows.codes], minlength=len(rows.classes))
    f1: Numbers = 2 * hits / np.maximum(rows.rows + np.bincount(answers, minlength=len(rows.classes)), 1)
    return f1


def _gain(
    true: NDArray[np.bool_], mine: NDArray[np.bool_], theirs: NDArray[np.bool_], drawn: Numbers
) -> tuple[float, float]:
    """By how much the first is the better guess at what is true in F1, and its standard error over the draws."""

    def f1(guess: NDArray[np.bool_]) -> Numbers:
        scores: Numbers = 2 * (drawn @ (true & guess)) / np.maximum(drawn @ true + drawn @ guess, 1)
        return scores

    gains = f1(mine) - f1(theirs)
    return float(gains[0]), float(np.std(gains[1:]))


def _marks(rows: Searched, families: Sequence[Family]) -> Iterator[Telling]:
    """Features that stand in the same share of the classes, each in one class alone."""
    if f"marks:{EVERY_CLASS}" in rows.accepted:
        return
    for family in families:
        both = rows.of_class(family.has)
        total = np.asarray(family.has.sum(axis=0)).reshape(-1, 1)
        shares = both / np.maximum(rows.rows, 1)
        precise = (both >= PRECISE * total) & (both >= LEAST_ROWS) & (shares >= LEAST_SHARE) & rows.large
        features, codes = np.nonzero(precise)
        found = shares[features, codes]
        level, times = _agreement(found, codes, rows)
        if times is None:
            continue
        near = np.abs(found - level) < _width(level, rows.rows[codes])
        first = pd.Series(features[near], index=codes[near]).groupby(level=0).first()
        named = ", ".join(
            f"{str(family.names[place])!r} in {rows.classes[code]!r}" for code, place in first.head(3).items()
        )
        has = family.has[:, first.to_numpy()].sum(axis=1) > 0
        yield Telling(
            "marks",
            EVERY_CLASS,
            "",
            f"{len(first)} of {int(rows.large.sum())} classes bear a mark of their own in the same share of their "
            f"rows, {level:.0%} (by luck it would be {times:.0f} at most): {named}",
            rows.products(np.asarray(has).ravel()),
        )
        return


def _agreement(shares: Numbers, codes: NDArray[np.int64], rows: Searched) -> tuple[float, float | None]:
    """The share on which most classes agree, and how many would by luck; None where luck explains it."""
    levels = np.arange(LEAST_SHARE, 1.0001, 0.01)
    sizes = rows.rows[codes]

    def agreeing(shares: Numbers) -> Numbers:
        near = np.abs(shares[None, :] - levels[:, None]) < _width(levels[:, None], sizes)
        return np.array([len(np.unique(codes[row])) for row in near], dtype=float)

    counted = agreeing(shares)
    lucky = [agreeing(np.minimum(shares * np.exp(altered)[codes], 1)) for altered in _alterations(rows)]
    usual = np.mean(lucky, axis=0)
    surplus = np.where(counted >= max(LEAST_MARKED, MOST_MARKED * rows.large.sum()), counted - usual, -np.inf)
    place, limit = int(surplus.argmax()), max(float((one - usual).max()) for one in lucky)
    return float(levels[place]), float(usual[place] + limit) if surplus[place] > limit else None


def _alterations(rows: Searched) -> Numbers:
    return np.random.default_rng(SEED).normal(0, ALTERED, (DRAWS, len(rows.classes)))


def _width(levels: Any, sizes: Any) -> Any:
    return 3 * np.sqrt(np.maximum(levels * (1 - levels), 1e-4) / sizes)


def _labels(rows: Searched) -> Iterator[Telling]:
    """Labels whose own name stands in their texts and hardly in others."""
    padded = rows.texts.map(lambda text: f" {group_of(text)} ")
    for code, label in enumerate(rows.classes):
        name = group_of(label)
        if len(name) < 2 or not rows.large[code] or f"label:{label}" in rows.accepted:
            continue
        holds = padded.str.contains(f" {name} ", regex=False).to_numpy()
        mine = rows.codes == code
        own, every = int((holds & mine).sum()), int(holds.sum())
        if own >= LABEL_SHARE * mine.sum() and rows.enough(holds & mine) and own >= LABEL_PRECISE * every:
            said = f"the label's own name {label!r} stands in {own} of its {int(mine.sum())} rows"
            said += f" and in {every - own} others"
            yield Telling("label", label, label, said, rows.products(holds & mine))


def _quoted(family: Family, place: int) -> str:
    what = {"word": "the word", "characters": "the characters", "form": "the form"}[family.kind]
    return f"{what} {str(family.names[place])!r}"
