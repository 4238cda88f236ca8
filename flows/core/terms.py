"""Terms of many texts, counted and weighed several times faster than scikit-learn does, and handed over as its own.

Owns how texts become a matrix. Pure; must not know labels or classifiers.

scikit-learn's vectorizers walk over every occurrence of every term in Python: for long texts that takes longer than any
classifier. Here only words are read in Python, each distinct one becomes a number, and the rest is arithmetic: a pair
of words is a pair of numbers, and a text's character n-grams are those of its distinct words times how often each word
stands in it. What comes out is a plain `TfidfVectorizer` with a fixed vocabulary, whose `transform` gives the very same
matrix: whoever loads the model needs nothing of this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

Matrix: TypeAlias = "csr_matrix"
Places: TypeAlias = NDArray[np.int64]

MIN_ROWS = 2
"""A term of a single text says nothing about any other."""

LONGEST_TERM_CHARACTERS = 40
"""Longer ones (addresses, codes) are not kept: an array of texts takes the room of its longest for each of them."""

CHUNK_TEXTS = 10_000
"""So many texts are split at a time: their words, as objects, take ten times the room of their numbers."""

_WORD = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's own pattern
_PAIR_LIMIT = 2**31  # pairs of words are numbered within 64 bits


class NoTermsError(ValueError):
    """The texts share no term: they are too few or too short to learn from."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Which terms are counted: words and word pairs, or character n-grams within words; and how many are kept.

    Kept are the most frequent ones of the rows that a model is fitted on.
    """

    analyzer: Literal["word", "char_wb"]
    shortest: int
    longest: int
    max_features: int

    def __post_init__(self) -> None:
        if self.analyzer == "word" and (self.shortest, self.longest) not in ((1, 1), (1, 2)):
            raise ValueError(f"words are counted alone or with pairs, not from {self.shortest} to {self.longest}")


@dataclass(frozen=True, slots=True, eq=False)
class TermCounts:
    """How often each term (columns, text) stands in each text (rows)."""

    kind: Terms
    matrix: Matrix
    terms: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Which columns of the counts are kept and their inverse document frequencies, as fitted on some of the rows."""

    columns: Places
    idf: NDArray[np.float64]


def count_terms(texts: Iterable[str], kind: Terms, *, min_rows: int = MIN_ROWS) -> TermCounts:
    """The terms that stand in at least `min_rows` of the texts, counted; none longer than the longest allowed.

    Raises NoTermsError when there are none.
    """
    counted = _count_words(texts, kind, min_rows) if kind.analyzer == "word" else _count_characters(texts, kind)
    counts, terms = counted
    frequent = np.bincount(counts.indices, minlength=counts.shape[1]) >= min_rows
    kept = np.flatnonzero(frequent & (terms.str.len() <= LONGEST_TERM_CHARACTERS))
    if not len(kept):
        raise NoTermsError(f"no term stands in {min_rows} texts: they are too few or too short to learn from")
    return TermCounts(kind, counts[:, kept], np.asarray(terms.take(kept), dtype=str))


def fit_weights(counts: TermCounts, rows: Places | None = None, *, min_rows: int = MIN_ROWS) -> Weights:
    """Columns and inverse document frequencies as they follow from these rows alone (all of them, where None).

    So a fold's weights know nothing of the rows that are held out. `max_features` takes the most frequent terms, the
    first counted of equals. idf = ln((1 + rows) / (1 + rows with the term)) + 1, as in scikit-learn.
    """
    matrix = counts.matrix if rows is None else counts.matrix[rows]
    width, limit = matrix.shape[1], counts.kind.max_features
    frequency = np.bincount(matrix.indices, minlength=width)
    columns = np.flatnonzero(frequency >= min_rows)
    if len(columns) > limit:
        total = np.bincount(matrix.indices, weights=matrix.data, minlength=width)[columns]
        columns = np.sort(columns[np.argsort(-total, kind="stable")[:limit]])
    idf = np.log((1 + matrix.shape[0]) / (1 + frequency[columns])) + 1
    return Weights(columns, idf)


def weigh(counts: TermCounts, weights: Weights, rows: Places | None = None) -> Matrix:
    """TF-IDF of the rows: (1 + ln count) * idf, every row to length 1."""
    from sklearn.preprocessing import normalize

    matrix = counts.matrix if rows is None else counts.matrix[rows]
    matrix = matrix[:, weights.columns]
    matrix.data = (np.log(matrix.data) + 1) * weights.idf[matrix.indices]
    return normalize(matrix, copy=False)


def build_vectorizer(counts: TermCounts, weights: Weights) -> TfidfVectorizer:
    """scikit-learn's vectorizer that gives the same matrix as `weigh`.

    Its vocabulary is an array, not a dict: skops keeps every entry of a dict in a node of its own, which makes a model
    of 100,000 terms 4 s slower to write and 3 s slower to read.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    kind = counts.kind
    vectorizer = TfidfVectorizer(
        analyzer=kind.analyzer,
        ngram_range=(kind.shortest, kind.longest),
        sublinear_tf=True,
        vocabulary=counts.terms[weights.columns],
    )
    vectorizer.idf_ = weights.idf
    del vectorizer.vocabulary_  # the setter above made it; it is made again at the first use
    return vectorizer


def split_word(word: str, kind: Terms) -> list[str]:
    """The character n-grams of a word between blanks, as scikit-learn's `char_wb` has them: a short one counts once."""
    padded = f" {word} "
    found = []
    for size in range(kind.shortest, kind.longest + 1):
        found += [padded[start : start + size] for start in range(max(len(padded) - size, 0) + 1)]
        if len(padded) <= size:
            break
    return found


def _count_words(texts: Iterable[str], kind: Terms, min_rows: int) -> tuple[Matrix, pd.Index]:
    words = _Words.read(_WORD.findall(text.lower()) for text in texts)
    single = words.matrix()
    if kind.longest == 1:
        return single, pd.Index(words.known, dtype=str)
    pairs, firsts, seconds = words.pairs(min_rows)
    named = [f"{words.known[first]} {words.known[second]}" for first, second in zip(firsts, seconds, strict=True)]
    from scipy.sparse import hstack

    return hstack([single, pairs], format="csr"), pd.Index([*words.known, *named], dtype=str)


def _count_characters(texts: Iterable[str], kind: Terms) -> tuple[Matrix, pd.Index]:
    words = _Words.read(text.lower().split() for text in texts)
    numbers: dict[str, int] = {}
    inside = [[numbers.setdefault(gram, len(numbers)) for gram in split_word(word, kind)] for word in words.known]
    grams = _Words(np.fromiter(chain.from_iterable(inside), np.int64), _lengths(inside), list(numbers))
    return words.matrix() @ grams.matrix(), pd.Index(grams.known, dtype=str)


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """Texts as numbers of words, one after the other: `lengths` words for each text, `known[number]` is the word."""

    numbers: Places
    lengths: Places
    known: Sequence[str]

    @classmethod
    def read(cls, texts: Iterable[list[str]]) -> _Words:
        known: dict[str, int] = {}
        numbers, lengths, waiting = [], [], iter(texts)
        while chunk := list(islice(waiting, CHUNK_TEXTS)):
            flat = np.array(list(chain.from_iterable(chunk)), dtype=object)
            within, names = pd.factorize(flat)
            places = np.fromiter((known.setdefault(name, len(known)) for name in names), np.int64, count=len(names))
            numbers.append(places[within])
            lengths.append(_lengths(chunk))
        empty = np.zeros(0, dtype=np.int64)
        return cls(np.concatenate([empty, *numbers]), np.concatenate([empty, *lengths]), list(known))

    def matrix(self) -> Matrix:
        """Counts of words by text."""
        return _counted(self.numbers, np.repeat(np.arange(len(self.lengths)), self.lengths), self._size())

    def pairs(self, least: int) -> tuple[Matrix, Places, Places]:
        """Counts of word pairs by text, and the numbers of the first and second word of each.

        Pairs of fewer than `least` occurrences are left out before they are named: most of them are of one.
        """
        text = np.repeat(np.arange(len(self.lengths)), self.lengths)
        inside = np.flatnonzero(text[1:] == text[:-1])
        width = max(len(self.known), 1)
        if width > _PAIR_LIMIT:
            raise ValueError(f"{width:,} different words are more than can be paired: train on fewer texts")
        both, found = pd.factorize(self.numbers[inside] * width + self.numbers[inside + 1])
        again = np.bincount(both, minlength=len(found)) >= least
        renumbered = np.cumsum(again) - 1
        kept = again[both]
        matrix = _counted(renumbered[both[kept]], text[inside[kept]], (len(self.lengths), int(again.sum())))
        return matrix, found[again] // width, found[again] % width

    def _size(self) -> tuple[int, int]:
        return len(self.lengths), len(self.known)


def _counted(columns: Places, rows: Places, size: tuple[int, int]) -> Matrix:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((np.ones(len(columns)), (rows, columns)), shape=size)
    matrix.sum_duplicates()
    return matrix


def _lengths(parts: Sequence[Sequence[Any]]) -> Places:
    return np.fromiter(map(len, parts), np.int64, count=len(parts))
