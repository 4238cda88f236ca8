"""Which texts are one text written a little differently: by words and by characters, at a cost that grows as they do.

Pure. Owns what a near duplicate is; what is done about one is said by others (`factory.grouping.joined_groups`, and the
probe of a training).

Two texts are near when they hold

- the same words in another order,
- the same words and one more,
- the same words, of which one has a typo: a character more, less, changed, or two exchanged.

Words with a digit have no typos: "s8" and "s9", "32gb" and "64gb" name different products. In texts of more than
LONG_WORDS words any one word may differ.

No pair of texts is compared. A text is a sum of its words' hashes, whatever their order; what it would be without a
word, or with a character less in one, is another sum, and texts that share a sum are near (deletion neighbourhoods, as
in Garbe's SymSpell). So the cost is that of sorting one number a character.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_array

Places: TypeAlias = NDArray[np.int64]
Sums: TypeAlias = NDArray[np.uint64]

LEAST_WORDS = 3
"""So many words have to be shared: of shorter texts many are alike by chance ("chair", "red chair")."""
LEAST_TYPO_CHARACTERS = 4
"""Shorter words are others when a character changes ("pin", "bin")."""
LONGEST_TYPO_CHARACTERS = 50
"""A longer word has none: what it costs to look for them grows with the square of its length."""
LONG_WORDS = 15
"""From so many words on, a word that differs is as little as a typo is in few."""

_WHOLE, _TYPO, _WITHOUT = range(3)
"""What a sum is of, in the order in which one that others are compared with is taken."""


def near_pairs(texts: Sequence[str]) -> Places:
    """Pairs of places of near texts, the lower place first.

    Texts are as `factory.text.group_of` gives them, no two the same. Of many that share a sum each is paired with the
    first: whoever joins pairs gets all of them together.
    """
    words = [text.split() for text in texts]
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    numbers, known = pd.factorize(np.array(list(chain.from_iterable(words)), dtype=object))
    hashes = _hashes(known)
    text = np.repeat(np.arange(len(texts)), lengths)
    parts = hashes[numbers]
    whole = np.zeros(len(texts), np.uint64)
    np.add.at(whole, text, parts)
    enough, long = lengths[text] >= LEAST_WORDS, lengths[text] > LONG_WORDS
    rest = whole[text] - parts
    typed, typed_text = _typos(known, np.where(enough & ~long, numbers, -1), rest, text)
    spared = np.flatnonzero(lengths[text] > LEAST_WORDS)
    sums = np.concatenate([_marked(whole, _WHOLE), _marked(typed, _TYPO), _marked(rest, _kind_of_rest(long))[spared]])
    return _sharing(sums, np.concatenate([np.arange(len(texts)), typed_text, text[spared]]))


def components(pairs: Places, size: int) -> Places:
    """For each of `size` places the lowest one that it is connected with by the pairs."""
    lowest = np.arange(size)
    while len(pairs):
        ends = lowest[pairs]
        pairs = pairs[ends[:, 0] != ends[:, 1]]
        ends = ends[ends[:, 0] != ends[:, 1]]
        np.minimum.at(lowest, ends.max(axis=1), ends.min(axis=1))
        while (lowest != (further := lowest[lowest])).any():
            lowest = further
    return lowest


def _typos(known: Sequence[str], numbers: Places, rest: Sums, text: Places) -> tuple[Sums, Places]:
    """Sums of texts in which a word lacks a character, and whose they are; `numbers` is -1 where no word may."""
    shorter = [_shorter(word) for word in known]
    lengths = np.fromiter(map(len, shorter), np.int64, len(shorter))
    hashes = _hashes(list(chain.from_iterable(shorter)))
    begins = np.cumsum(lengths) - lengths
    times = np.where(numbers >= 0, lengths[numbers], 0)
    word = np.repeat(np.arange(len(numbers)), times)
    within = np.arange(len(word)) - np.repeat(np.cumsum(times) - times, times)
    return rest[word] + hashes[begins[numbers[word]] + within], text[word]


def _shorter(word: str) -> list[str]:
    if not LEAST_TYPO_CHARACTERS <= len(word) <= LONGEST_TYPO_CHARACTERS or not word.isalpha():
        return []
    return [word[:place] + word[place + 1 :] for place in range(len(word))]


def _hashes(words: Sequence[str]) -> Sums:
    """64 bits a word, the same in every process."""
    found: Sums = hash_array(np.array(words, dtype=object), categorize=False)
    return found


def _marked(sums: Sums, kinds: int | Sums) -> Sums:
    """The sums with their kind in the two lowest bits: so that one order sorts by both."""
    return (sums << np.uint64(2)) | np.asarray(kinds, np.uint64)


def _kind_of_rest(long: NDArray[np.bool_]) -> Sums:
    return np.where(long, _TYPO, _WITHOUT).astype(np.uint64)


def _sharing(sums: Sums, places: Places) -> Places:
    """Pairs of the texts of equal sums, each with the first; that two lack a word does not make them near."""
    order = np.argsort(sums, kind="stable")
    places, kinds, sums = places[order], sums[order] & np.uint64(3), sums[order] >> np.uint64(2)
    first = np.flatnonzero(np.concatenate([[True], sums[1:] != sums[:-1]])) if len(sums) else np.zeros(0, np.int64)
    times = np.diff(np.append(first, len(sums)))
    beside, near = np.repeat(places[first], times), np.repeat(kinds[first] != _WITHOUT, times)
    near &= beside != places
    pairs = np.stack([np.minimum(beside, places)[near], np.maximum(beside, places)[near]], axis=1)
    return np.unique(pairs, axis=0)
