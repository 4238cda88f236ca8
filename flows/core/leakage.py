"""Whether the frozen test set, or the label itself, has leaked into the rows to train on.

Pure. Exact duplicates across the split and words that give the label away are errors. Near duplicates are counted: how
many there may be is a use case's own matter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import pandas as pd

from factory.text import group_of

COLUMNS = ("productid", "group", "text")

NEAR_JACCARD = 0.8
"""Two texts are near duplicates when they share so much (0 to 1) of the words that either has."""
PERMUTATIONS, BANDS = 60, 12
"""Pairs at NEAR_JACCARD are met with a chance of 1 - (1 - 0.8 ** 5) ** 12, 99.2 %, closer ones with a greater one; all
that are met are verified. Pairs at a tenth are met once in 10,000: a greater share would cost more than it finds."""
SHOWN_PAIRS = 10

TELLING = 0.98
"""A word gives its class away when "has the word" has at least this F1 (0 to 1) as a guess at "is of the class"."""
LEAST_CLASS_ROWS = 30
"""In smaller classes one word may stand in every text by chance."""
_WORD = r"(?u)\b\w+\b"


class LeakageError(ValueError):
    """The metrics would flatter the model: test rows, or the labels, stand among what it is trained on."""


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """`share` of the test texts (0 to 1) that nearly equal a training text, and the closest `pairs`.

    A pair is (test text, training text, Jaccard similarity of their words).
    """

    share: float
    pairs: tuple[tuple[str, str, float], ...]

    def sentence(self, alarm: float) -> str:
        """What a log or a card says of it; `alarm` is the use case's threshold (0 to 1)."""
        said = f"{self.share:.1%} of the test rows nearly equal a training row (alarm above {alarm:.0%})"
        shown = "; ".join(f"{ours[:60]!r} and {theirs[:60]!r} ({near:.2f})" for ours, theirs, near in self.pairs[:3])
        return f"{said}, such as {shown}" if shown else said


def refuse_leaks(train: pd.DataFrame, test: pd.DataFrame, *, expected_words: Collection[str] = ()) -> None:
    """Nothing, when no productid, group or text stands on both sides and no word gives its class away.

    Both frames hold COLUMNS and prdtypecode. `expected_words` may give a class away: somebody has said that they do so
    in reality too. Raises LeakageError saying what leaks, with numbers and examples. Empty texts are no duplicates.
    """
    for column in COLUMNS:
        shared = set(train[column].dropna().unique()) & set(test[column].dropna().unique())
        shared.discard("")
        if shared:
            examples = ", ".join(repr(str(value)[:60]) for value in sorted(shared, key=str)[:3])
            raise LeakageError(
                f"{len(shared)} values of {column!r} stand both in the training rows and in the frozen test set "
                f"(such as {examples}): the snapshot's split is broken, cut the week again"
            )
    telling = telling_words(train["text"], train["prdtypecode"])
    telling = telling[~telling["word"].isin(list(expected_words))]
    if len(telling):
        listed = ", ".join(
            f"{row.word!r} for class {row.prdtypecode!r} (F1 {row.f1:.3f} over {row.rows} rows)"
            for row in telling.head(3).itertuples()
        )
        raise LeakageError(
            f"{len(telling)} words of the text alone predict a class: {listed}. The label stands in the text; take it "
            "out at the source, or name the words in the use case's `expected_words` if they are no leak"
        )


def telling_words(texts: pd.Series, labels: pd.Series) -> pd.DataFrame:
    """The words that alone predict a class, best first: word, prdtypecode, f1 (0 to 1) and rows of the class.

    Looked at are classes of at least LEAST_CLASS_ROWS rows. In real goods the best such word stays far below TELLING:
    "tv" has .88 among the TVs of a price comparison, "age" .85 among antiques of customs.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer

    names, codes = np.unique(labels.astype(str), return_inverse=True)
    rows = np.bincount(codes)
    counter = CountVectorizer(binary=True, token_pattern=_WORD, dtype=np.int32)
    counter.min_df = int(LEAST_CLASS_ROWS * TELLING / 2)  # a rarer word cannot reach TELLING
    try:
        found = counter.fit_transform(texts)
    except ValueError:  # scikit-learn's way to say that no word is so frequent
        return pd.DataFrame({"word": [], "prdtypecode": [], "f1": [], "rows": []})
    of_class = csr_matrix((np.ones(len(codes), dtype=np.int32), (codes, np.arange(len(codes)))))
    both = (of_class @ found).toarray()
    f1 = 2 * both / (rows[:, None] + np.asarray(found.sum(axis=0)))
    f1[(rows < LEAST_CLASS_ROWS) | (rows == len(codes))] = 0  # with one class alone every word would tell
    classes, words = np.nonzero(f1 >= TELLING)
    telling = pd.DataFrame(
        {
            "word": counter.get_feature_names_out()[words],
            "prdtypecode": names[classes],
            "f1": f1[classes, words],
            "rows": rows[classes],
        }
    )
    return telling.sort_values(["f1", "word"], ascending=[False, True], ignore_index=True)


def near_duplicates(train: Sequence[str], test: Sequence[str]) -> NearDuplicates:
    """The test texts that nearly equal a training text, by MinHash over their words; candidates are verified.

    Raises nothing: how many there may be is the use case's matter.
    """
    from datasketch import MinHash, MinHashLSH

    hashed = lru_cache(maxsize=None)(_hashed)
    asked, known = [_words(text) for text in test], [_words(text) for text in train]
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, PERMUTATIONS // BANDS))
    settings = {"num_perm": PERMUTATIONS, "hashfunc": hashed}
    with index.insertion_session() as session:
        for row, sketch in enumerate(MinHash.generator(asked, **settings)):
            if asked[row]:
                session.insert(row, sketch, check_duplication=False)
    best: dict[int, tuple[float, int]] = {}
    for row, sketch in enumerate(MinHash.generator(known, **settings)):
        if not known[row]:
            continue
        for other in index.query(sketch):
            near = len(known[row] & asked[other]) / len(known[row] | asked[other])
            if near >= NEAR_JACCARD and near > best.get(other, (0.0, 0))[0]:
                best[other] = (near, row)
    closest = sorted(best.items(), key=lambda pair: (-pair[1][0], pair[0]))[:SHOWN_PAIRS]
    ours, theirs = list(test), list(train)
    pairs = tuple((ours[row], theirs[other], near) for row, (near, other) in closest)
    return NearDuplicates(share=len(best) / max(len(asked), 1), pairs=pairs)


def _words(text: str) -> frozenset[str]:
    return frozenset(group_of(text).split())


def _hashed(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=4).digest(), "big")
