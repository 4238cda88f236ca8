"""Whether the frozen test set, or the label itself, has leaked into the rows to train on.

Pure. Exact duplicates across the split, and features that know too much (`flows.core.telling`), are errors. Near
duplicates are counted: how many there may be is a use case's own matter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from shlex import quote

import pandas as pd

from factory.text import group_of
from flows.core.telling import Telling, find_telling

COLUMNS = ("entity_id", "group", "text")

NEAR_JACCARD = 0.8
"""Two texts are near duplicates when they share so much (0 to 1) of the words that either has."""
PERMUTATIONS, BANDS = 60, 12
"""Pairs at NEAR_JACCARD are met with a chance of 1 - (1 - 0.8 ** 5) ** 12, 99.2 %, closer ones with a greater one; all
that are met are verified. Pairs at a tenth are met once in 10,000: a greater share would cost more than it finds."""
SHOWN_PAIRS = 10


class LeakageError(ValueError):
    """The metrics would flatter the model: test rows, or the labels, stand among what it is trained on."""


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """`share` of the test texts (0 to 1) that nearly equal a training text, and the closest `pairs`.

    A pair is (test text, training text, Jaccard similarity of their words); `rows` are the places of such test rows.
    """

    share: float
    pairs: tuple[tuple[str, str, float], ...]
    rows: tuple[int, ...] = ()

    def sentence(self, alarm: float) -> str:
        """What a log or a card says of it; `alarm` is the use case's threshold (0 to 1)."""
        said = f"{self.share:.1%} of the test rows nearly equal a training row (alarm above {alarm:.0%})"
        shown = "; ".join(f"{ours[:60]!r} and {theirs[:60]!r} ({near:.2f})" for ours, theirs, near in self.pairs[:3])
        return f"{said}, such as {shown}" if shown else said


def refuse_leaks(
    train: pd.DataFrame, test: pd.DataFrame, *, accepted: Collection[str] = (), use_case: str = "products"
) -> None:
    """Nothing, when no entity_id, group or text stands on both sides and no single feature knows too much of a class.

    Both frames hold COLUMNS and target. `accepted` are names of findings (`flows.core.telling`) that a person has
    looked at. Raises LeakageError saying what leaks, with numbers and examples. Empty texts are no duplicates.
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
    if found := find_telling(train, accepted):
        raise LeakageError(_explain(found, use_case))


def _explain(found: Sequence[Telling], use_case: str) -> str:
    names = " ".join(f"--leak {quote(each.name)}" for each in found)
    lines = [f"{len(found)} features of the texts know too much of a class:"]
    lines += [f"- {each.said}; such as products {', '.join(each.products)}" for each in found]
    lines.append(
        "If the label stands in the text, take it out at the source and cut the week again. If these are no leaks, "
        "since new products bear them too, say so and train again:"
    )
    lines.append(f"python -m factory accept --use-case {use_case} {names} --reason 'new products bear them too'")
    return "\n".join(lines)


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
    return NearDuplicates(share=len(best) / max(len(asked), 1), pairs=pairs, rows=tuple(sorted(best)))


def _words(text: str) -> frozenset[str]:
    return frozenset(group_of(text).split())


def _hashed(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=4).digest(), "big")
