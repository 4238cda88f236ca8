"""Single features that know too much: a code, a label's name or a mark that an export left in the texts.

Pure. Owns what is searched, and what is too much for the data at hand; what follows from a finding is said by others.

Searched are the terms of every candidate (words and pairs, characters within words), and the form of the texts: case,
punctuation, lengths, the shape of the first and last word. What is plausible is measured on the same rows:

- *alone*: a feature that tells its class as well as all of the text does, and better than the rest of the text. Luck is
  measured by drawing the groups anew.
- *strewn*: a feature of one class that stands in a part of its texts, whatever else they say. Real words go with others
  ("fridge freezer" with the names of those who make them); a mark that an export strews does not. How far words go
  with a strewn one by luck is known (chi-square).
- *label*: the label's own name stands in its texts and hardly in others.

A word that is truly its class's ("crate" among packages for Rust) looks the same. So a finding is for a person.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.text import group_of
from flows.core import candidates, selection
from flows.core.features.text import MOSTLY, Family, Kind, Numbers, Searched, count_families, hiding, read_rows
from flows.core.resampling import draw_rows
from flows.core.selection import Folds
from flows.core.terms import NoTermsError

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
"""The share of a strewn feature's rows that are of its class."""
LEAST_SHARE, MOST_SHARE = 0.12, 0.95
"""Of the class's rows so large a share bears it: what nearly all bear is found alone."""
LEAST_STREWN, LEAST_STREWN_CLASS = 40, 150
"""So many rows have to bear it, of so many of the class: in fewer a word that goes with others cannot be seen to."""
LEAST_OTHERS, LEAST_OTHER_ROWS = 15, 10
"""So many other words have to be there to go with it, each in so many rows and lacking in as many."""
MOST_FREE, SHARE_AMONG_FREE = 0.1, 0.2
"""Where a larger share of the class's other words goes with none either, as in a bag of words that somebody drew, that
is usual there: only a feature that so large a share of the rows bears stands out."""

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
    """What tells too much in rows with entity_id, text, target and group; nothing where there is one class.

    `accepted` are names of findings: a feature that is gone where their words and characters are taken out is none.
    """
    rows = read_rows(train, frozenset(accepted))
    if rows.large.sum() < 2:
        return []
    families = list(count_families(rows))
    alone = list(_alone(rows, families))
    return [*_labels(rows), *alone, *_strewn(rows, families, {each.label for each in alone})]


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
    """What the candidate says of every row, fitted on others; no class (-1) where the texts share no term."""
    try:
        validation = selection.prepare_on(folds, texts, [_KNOWN[name]])
    except NoTermsError:
        return np.full(len(folds.rows), -1)
    answers: NDArray[np.int64] = selection.score_candidate(_KNOWN[name], validation).scores.argmax(axis=1)
    return answers


def _class_f1(rows: Searched, answers: NDArray[np.int64]) -> Numbers:
    hits = np.bincount(rows.codes[answers == rows.codes], minlength=len(rows.classes))
    f1: Numbers = 2 * hits / np.maximum(rows.rows + np.bincount(answers[answers >= 0], minlength=len(rows.classes)), 1)
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


def _strewn(rows: Searched, families: Sequence[Family], told: Collection[str]) -> Iterator[Telling]:
    """Of every class that is not told yet the most frequent feature with which no other word goes."""
    words = next((family for family in families if family.kind == "word"), None)
    if words is None:
        return
    single = [place for place, name in enumerate(words.names) if " " not in name]
    known = words.has[:, single].tocsr()
    names = [words.names[place] for place in single]
    counted = [(family, rows.of_class(family.has)) for family in families]
    for code in np.flatnonzero(rows.rows >= LEAST_STREWN_CLASS).tolist():
        if rows.classes[code] in told:
            continue
        mine = np.flatnonzero(rows.codes == code)
        others = known[mine].toarray()
        found = [
            each
            for family, both in counted
            for each in _strewn_of(rows, family, both[:, code], code, mine, others, names)
        ]
        if not found:
            continue
        has, family, place = max(found, key=lambda each: (int(each[0].sum()), len(str(each[1].names[each[2]]))))
        yield Telling(
            family.kind,
            str(family.names[place]),
            rows.classes[code],
            f"{_quoted(family, place)} stands in {int(has.sum())} of the {len(mine)} rows of class "
            f"{rows.classes[code]!r} and hardly in others, whatever else the text says: real words go with others",
            rows.products(has),
        )


def _strewn_of(
    rows: Searched,
    family: Family,
    both: Numbers,
    code: int,
    mine: NDArray[np.int64],
    others: Numbers,
    names: Sequence[str],
) -> Iterator[tuple[NDArray[np.bool_], Family, int]]:
    """Such features of a family, each with the rows of the class that have it.

    `both` are the class's rows that have each feature, `mine` the places of its rows, `others` their words (rows down),
    `names` those of the words.
    """
    for place in _of_one_class(family, both, int(rows.rows[code])).tolist():
        feature = str(family.names[place])
        if family.kind == "word" and " " in feature:  # its words are looked at by themselves
            continue
        own = np.array([_overlaps(family.kind, feature, name) for name in names])
        inside = family.has[:, [place]].toarray().ravel()[mine] > 0
        # characters within words that are frequent enough are those words' matter
        if family.kind == "characters" and (others[inside][:, own].sum(axis=1) > 0).mean() > MOSTLY:
            continue
        counts = others.sum(axis=0)
        kept = ~own & (counts >= LEAST_OTHER_ROWS) & (counts <= len(mine) - LEAST_OTHER_ROWS)
        if kept.sum() < LEAST_OTHERS or not _is_strewn(inside, others[:, kept]):
            continue
        has = np.zeros(len(rows.codes), bool)
        has[mine[inside]] = True
        if rows.enough(has) and not rows.is_settled(family, place, has):
            yield has, family, place


def _of_one_class(family: Family, both: Numbers, rows: int) -> NDArray[np.int64]:
    total = np.asarray(family.has.sum(axis=0)).ravel()
    frequent = (both >= LEAST_STREWN) & (both >= LEAST_SHARE * rows) & (both <= MOST_SHARE * rows)
    return np.flatnonzero(frequent & (both >= PRECISE * total))


def _overlaps(kind: Kind, feature: str, word: str) -> bool:
    """Whether the word is a part of the feature, or holds a part of it: "wood" holds one of "ood;"."""
    parts = re.findall(r"\w+", feature)
    return word in parts if kind == "word" else kind == "characters" and any(part in word for part in parts)


def _is_strewn(has: NDArray[np.bool_], others: Numbers) -> bool:
    """Whether words (columns) go with the feature no more than with one that is strewn over the rows at random.

    Each word's chi-square is 1 on average then; how far their mean strays follows from how the words go together.
    """
    rows, words = others.shape
    share, shares = has.mean(), others.mean(axis=0)
    scaled = (others - shares) / np.sqrt(rows * shares * (1 - shares))
    together = scaled.T @ ((has - share) / np.sqrt(rows * share * (1 - share)))
    pairs = (scaled.T @ scaled) ** 2
    most = 1 + 2 * np.sqrt(2 * np.sum(pairs)) / words
    if rows * np.mean(together**2) > most:
        return False
    # a word's square with itself is 1, whatever goes with it
    free = rows * (pairs.sum(axis=0) - 1) / (words - 1) <= most
    return bool(share >= SHARE_AMONG_FREE or free.mean() <= MOST_FREE)


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
