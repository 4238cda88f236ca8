"""The features of texts that a single one of may know too much: the terms of every candidate, and the texts' form.

Pure. Owns how they are read, and how a feature is taken out of a text. Must not know when one knows too much
(`flows.core.telling`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core import candidates, selection
from flows.core.groups import Groups, groups_of
from flows.core.terms import Terms, count_terms

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Kind: TypeAlias = Literal["word", "characters", "form", "label"]
Numbers: TypeAlias = NDArray[np.float64]

SEARCH_ROWS = 10_000
"""At most so many training rows are searched: a share of .05 is known to .002 on them."""
LEAST_CLASS_ROWS = 30
"""In smaller classes one word may stand in every text by chance."""
MOSTLY = 0.5
"""A feature is an accepted one when so large a share of its rows (0 to 1) lacks it without that."""
LEAST_ROWS = 10
"""A feature of fewer rows says little, whatever it says."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Features of one kind: which rows (down) have which (across)."""

    kind: Kind
    has: csc_array
    names: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """The rows that are searched, and what was accepted; classes of too few rows bear `large` False."""

    frame: pd.DataFrame
    texts: pd.Series
    classes: list[str]
    codes: NDArray[np.int64]
    groups: Groups
    accepted: frozenset[str]

    @property
    def rows(self) -> NDArray[np.int64]:
        return np.bincount(self.codes, minlength=len(self.classes))

    @property
    def large(self) -> NDArray[np.bool_]:
        return self.rows >= LEAST_CLASS_ROWS

    def of_class(self, has: Any) -> Numbers:
        """Rows by feature (down) and class (across)."""
        from scipy.sparse import csr_array

        ones = (np.ones(len(self.codes)), (np.arange(len(self.codes)), self.codes))
        both: Numbers = (has.T @ csr_array(ones, shape=(len(self.codes), len(self.classes)))).toarray()
        return both

    def enough(self, mask: NDArray[np.bool_]) -> bool:
        """Whether the rows are of so many groups that they say something; where there are few, of half of them."""
        return len(np.unique(self.groups[mask])) >= min(LEAST_ROWS, (int(self.groups.max()) + 1) // 2)

    def is_settled(self, family: Family, place: int, mask: NDArray[np.bool_]) -> bool:
        """Whether the feature is one of what was accepted: without that, most of the rows under the mask lack it."""
        hidden, feature = _masking(self.accepted), str(family.names[place])
        if hidden is None or family.kind == "form":
            return False
        own = _masking([f"{family.kind}:{feature}"])
        lacking = [_without(rest, own) == rest for rest in (_without(text, hidden) for text in self.texts[mask])]
        return sum(lacking) > MOSTLY * len(lacking)

    def products(self, mask: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(self.frame["entity_id"][mask].astype(str)[:3])


def read_rows(train: pd.DataFrame, accepted: frozenset[str]) -> Searched:
    """The rows that are searched, at most SEARCH_ROWS, whole groups of them."""
    groups = groups_of(train)
    codes, names = pd.factorize(train["target"].astype(str), sort=True)
    places = selection.sample_groups(groups, SEARCH_ROWS)
    frame = train.iloc[places].reset_index(drop=True)
    joined = pd.factorize(groups[places])[0]
    return Searched(frame, frame["text"], [str(name) for name in names], codes[places], joined, accepted)


def count_families(rows: Searched) -> Iterator[Family]:
    """The features of the rows by kind."""
    kinds = {(c.terms.analyzer, c.terms.shortest, c.terms.longest) for c in candidates.CANDIDATES}
    for analyzer, shortest, longest in sorted(kinds, reverse=True):
        try:
            counts = count_terms(rows.texts, Terms(analyzer, shortest, longest, 1), min_rows=LEAST_ROWS)
        except ValueError:  # no term is so frequent
            continue
        has = counts.matrix.tocsc(copy=True)
        has.data = np.ones_like(has.data)
        yield Family("word" if analyzer == "word" else "characters", has, list(counts.terms))
    yield _forms(rows)


def _forms(rows: Searched) -> Family:
    from scipy.sparse import csc_array

    known: dict[str, int] = {}
    places = [(row, known.setdefault(form, len(known))) for row, text in enumerate(rows.texts) for form in _form(text)]
    down, across = np.array(places, dtype=np.int64).reshape(-1, 2).T
    has = csc_array((np.ones(len(down)), (down, across)), shape=(len(rows.texts), max(len(known), 1)))
    kept = [place for form, place in known.items() if f"form:{form}" not in rows.accepted]
    names = list(known)
    return Family("form", has[:, kept], [names[place] for place in kept])


def _form(text: str) -> set[str]:
    words = text.split()
    found = {f"{len(words)} words", f"{len(text)} characters"}
    found |= {f"holds {sign}" for sign in set(text) if not sign.isalnum() and sign != " "}
    found |= {f"a number of {len(number)} digits" for number in re.findall(r"\d+", text)}
    found |= {f"case {name}" for name in ("upper", "lower", "title") if getattr(text, f"is{name}")()}
    for place, word in (("first", words[:1]), ("last", words[-1:])):
        found |= {f"{place} word like {_shape(each)}" for each in word}
    return found


def _shape(word: str) -> str:
    return "".join(
        "9" if sign.isdigit() else "A" if sign.isupper() else "a" if sign.isalpha() else sign for sign in word
    )


def hiding(names: Collection[str]) -> Callable[[str], str]:
    """What gives a text without the words that these features stand in."""
    hidden = _masking(names)
    return lambda text: _without(text, hidden)


def _masking(names: Collection[str]) -> tuple[frozenset[str], tuple[str, ...]] | None:
    """The words, and the characters within words, that the names of findings speak of."""
    words = frozenset(word for name in names if name.startswith("word:") for word in name[5:].split())
    grams = tuple(name[11:] for name in names if name.startswith("characters:"))
    return (words, grams) if words or grams else None


def _without(text: str, hidden: tuple[frozenset[str], tuple[str, ...]] | None) -> str:
    if hidden is None:
        return text
    words, grams = hidden
    return " ".join(
        word
        for word in text.split()
        if not words & set(re.findall(r"\w+", word.lower())) and not any(gram in f" {word.lower()} " for gram in grams)
    )
