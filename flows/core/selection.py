"""Choosing between candidates on training rows alone: folds, scores, and which candidate is taken.

Pure. The frozen test set is not known here. Must not know who runs the candidates, or in which order.

Every candidate is fitted on all folds but one and scored on that one, which gives every row one answer of a model that
has not seen it. The candidate with the highest weighted F1 over these answers wins, of equals the first declared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.bootstrap import Estimate, estimate
from flows.core.candidates import Candidate, Codes, Numbers, Range
from flows.core.groups import Groups, join_groups
from flows.core.terms import TermCounts, Terms, count_terms, fit_weights, weigh

Rows: TypeAlias = NDArray[np.int64]

FOLDS = 3
SELECTION_ROWS = 20_000
"""At most so many training rows are compared on: candidates differ by more than that leaves uncertain (weighted F1 of
20,000 answers is known to about .006), and all rows would take several times as long."""
LEAST_GROUPS = 50
METRIC = "f1_weighted"
SEED = 42


class AnyCandidate(Protocol):
    """One way to a model, whatever its kind; `ranges` says which of the `settings` a search may alter."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def ranges(self) -> Mapping[str, Range]: ...
    @property
    def least_rows(self) -> int: ...
    def altered(self, **settings: Any) -> Self: ...


Validation: TypeAlias = object
"""What candidates of one kind are compared on; each kind knows its own."""


class NoCandidateError(RuntimeError):
    """Every candidate failed; the message says how."""


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """The rows that are compared on (places among the training rows), their class codes, their fold and their group."""

    rows: Rows
    codes: Codes
    fold: Rows
    classes: int
    groups: Groups | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """The folds, and the terms of their rows' texts by kind, shared by all candidates."""

    folds: Folds
    counts: Mapping[str, TermCounts]

    def counted(self, candidate: Candidate) -> TermCounts:
        """The counts that the candidate looks at, of which it keeps as many as it wants."""
        return replace(self.counts[_kind(candidate.terms)], kind=candidate.terms)


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A candidate's answers on rows that it had not seen: `found` of the metric that decides, and its scores.

    `scores` holds a number for each of the folds' rows (down) and classes (across). `seconds` is the time it took.
    """

    candidate: AnyCandidate
    found: Estimate
    scores: Numbers
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The candidate that is trained, and what was seen of all of them; `slope` makes probabilities of its scores."""

    candidate: AnyCandidate
    slope: float = 1.0
    scores: Sequence[Score] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


def worth_trying(candidates: Sequence[AnyCandidate], rows: int) -> tuple[AnyCandidate, ...]:
    """Those that so many training rows are enough for; all where they are enough for none."""
    large_enough = tuple(each for each in candidates if each.least_rows <= rows)
    return large_enough or tuple(candidates)


def make_folds(
    codes: Codes,
    groups: Sequence[str] | pd.Series | Groups,
    *,
    limit: int = SELECTION_ROWS,
    folds: int = FOLDS,
    seed: int = SEED,
) -> Folds:
    """Rows in `folds` parts, each with the classes' shares; no group stands in two parts.

    Of more than `limit` rows a random part of the groups is taken. A class that does not occur in every part's
    complement is a class that some fit never sees: its rows count as errors there. Of fewer groups than `folds` each is
    a part; raises NoCandidateError where there is one alone.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    group = pd.factorize(np.asarray(groups, dtype=object))[0]
    rows = sample_groups(group, limit, seed)
    held = np.zeros(len(rows), dtype=np.int64)
    there = len(np.unique(group[rows]))
    if there < 2:
        raise NoCandidateError(
            "all rows to train on are of one group, so that nothing can be compared on rows of others: load them with "
            "a finer group (--group), or without one"
        )
    alone = there == len(rows)  # the plain split does the same then, in no time
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    parts = kind(min(folds, there), shuffle=True, random_state=seed)
    split = parts.split(rows, _splittable(codes[rows], folds), None if alone else group[rows])
    for number, (_, place) in enumerate(split):
        held[place] = number
    return Folds(rows, codes[rows], held, int(codes.max()) + 1, join_groups(group[rows]))


def prepare(
    texts: pd.Series, codes: Codes, groups: pd.Series | Groups, candidates: Iterable[Candidate]
) -> CrossValidation:
    """What the candidates are compared on; each kind of terms is counted once, whoever looks at it."""
    return prepare_on(make_folds(codes, groups), texts, candidates)


def prepare_on(folds: Folds, texts: pd.Series, candidates: Iterable[Candidate]) -> CrossValidation:
    """The same on folds that are made already; `texts` are those of all training rows."""
    chosen = list(texts.iloc[folds.rows])
    kinds = {_kind(candidate.terms): candidate.terms for candidate in candidates}
    return CrossValidation(folds, {name: count_terms(chosen, kind) for name, kind in kinds.items()})


def score_candidate(candidate: Candidate, validation: CrossValidation) -> Score:
    """The candidate's answers on every fold, fitted on the others; raises whatever its classifier raises.

    Vocabulary and weights of the terms follow from the rows fitted on, so nothing of a held-out text is known.
    """
    began, folds, counts = time.perf_counter(), validation.folds, validation.counted(candidate)
    scores = np.full((len(folds.rows), folds.classes), -np.inf)
    for number in range(int(folds.fold.max()) + 1):
        fitted, held = np.flatnonzero(folds.fold != number), np.flatnonzero(folds.fold == number)
        weights = fit_weights(counts, fitted)
        known, codes = np.unique(folds.codes[fitted], return_inverse=True)
        scorer = candidate.fit(weigh(counts, weights, fitted), codes, candidate.settings)
        scores[np.ix_(held, known)] = scorer.score(weigh(counts, weights, held))
    found = estimate(folds.codes, scores.argmax(axis=1), groups=folds.groups)[METRIC]
    return Score(candidate, found, scores, time.perf_counter() - began)


def choose(scores: Sequence[Score], failures: Mapping[str, str]) -> Score:
    """The best score; `scores` in the declared order. Raises NoCandidateError with every reason when there are none."""
    if not scores:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise NoCandidateError(f"every candidate failed ({reasons}): look at the snapshot's rows and labels")
    return max(scores, key=lambda score: score.found.value)


def _kind(terms: Terms) -> str:
    return f"{terms.analyzer} {terms.shortest} to {terms.longest}"


def sample_groups(group: Rows, limit: int, seed: int = SEED) -> Rows:
    """Places of at most `limit` rows, whole groups of them (numbered from 0).

    Groups so large that fewer than LEAST_GROUPS would fit are thinned: of few observations nothing could be told.
    """
    if len(group) <= limit:
        return np.arange(len(group))
    random = np.random.default_rng(seed)
    order = random.permutation(int(group.max()) + 1)
    kept = _thinned(group, max(limit // min(len(order), LEAST_GROUPS), 1), random)
    sizes = np.bincount(group[kept], minlength=len(order))[order]
    taken = np.zeros(len(order), dtype=bool)
    taken[order[: int(np.searchsorted(np.cumsum(sizes), limit, side="right"))]] = True
    return kept[taken[group[kept]]]


def _thinned(group: Rows, most: int, random: np.random.Generator) -> Rows:
    """Places of the rows, of each group at most so many, drawn at random."""
    if np.bincount(group).max() <= most:
        return np.arange(len(group))
    shuffled = random.permutation(len(group))
    dealt = shuffled[np.argsort(group[shuffled], kind="stable")]
    first = np.searchsorted(group[dealt], group[dealt])
    return np.sort(dealt[np.arange(len(dealt)) - first < most])


def _splittable(codes: Codes, folds: int) -> Codes:
    """The codes to stratify by: a class of fewer rows than folds cannot be spread, and counts as the largest one."""
    counts = np.bincount(codes)
    return np.where(counts[codes] < folds, counts.argmax(), codes)
