"""Near texts: what counts as one text written a little differently, and what does not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from factory.grouping.near_texts import components, near_pairs

TITLE = "apple iphone plus 64gb space grey sim free"
LONG = " ".join(f"word{chr(97 + place)}" for place in range(20))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("sim free space grey apple iphone plus 64gb", id="another order"),
        pytest.param("apple iphone plus 64gb space grey sim free unlocked", id="a word added at the end"),
        pytest.param("new apple iphone plus 64gb space grey sim free", id="a word added before"),
        pytest.param("apple iphone plus space grey sim free", id="a word left out"),
        pytest.param("apple iphne plus 64gb space grey sim free", id="a character left out"),
        pytest.param("apple iphoone plus 64gb space grey sim free", id="a character added"),
        pytest.param("apple iphome plus 64gb space grey sim free", id="a character changed"),
        pytest.param("apple ihpone plus 64gb space grey sim free", id="two characters exchanged"),
        pytest.param("free iphome plus 64gb space grey sim apple", id="a typo and another order"),
    ],
)
def test_one_text_written_a_little_differently_is_near(other: str) -> None:
    assert near_pairs(["a lamp for the table", TITLE, other]).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("apple iphone plus 32gb space grey sim free", id="another number"),
        pytest.param("apple iphone plus 64gb space gold sim free", id="another colour"),
        pytest.param("apple iphome plus 64gb spade grey sim free", id="two typos"),
        pytest.param("new apple iphone plus 64gb space grey sim free unlocked", id="two words more"),
    ],
)
def test_another_product_of_the_same_maker_is_not(other: str) -> None:
    assert near_pairs([TITLE, other]).tolist() == []


def test_of_a_long_text_any_one_word_may_differ() -> None:
    assert near_pairs([LONG, LONG.replace("wordc", "17")]).tolist() == [[0, 1]]


def test_short_texts_are_alike_by_chance() -> None:
    assert near_pairs(["chair", "red chair", "red pin", "red bin", ""]).tolist() == []


def test_as_many_as_share_a_sum_are_joined_by_pairs_with_the_first() -> None:
    texts = [TITLE, *(f"{TITLE} {colour}" for colour in ("red", "green", "blue"))]

    pairs = near_pairs(texts)

    assert len(pairs) == 3
    assert components(pairs, 4).tolist() == [0, 0, 0, 0]


def test_components_are_told_by_their_lowest_place() -> None:
    pairs = np.array([[3, 5], [1, 4], [4, 5], [0, 2]])

    assert components(pairs, 7).tolist() == [0, 1, 0, 1, 1, 1, 6]
    assert components(np.zeros((0, 2), np.int64), 3).tolist() == [0, 1, 2]


def test_a_typo_of_every_second_text_is_found_wherever_letters_stand() -> None:
    drawn = np.random.default_rng(7)
    words = ["".join(drawn.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(400)]
    texts = [[str(word) for word in drawn.choice(words, 7, replace=False)] for _ in range(1_000)]
    typed = [_typo(text, drawn) for text in texts]

    found = near_pairs([" ".join(text) for text in [*texts, *typed]])

    assert {(one, other) for one, other in found.tolist()} == {(place, place + 1_000) for place in range(1_000)}


def _typo(words: list[str], drawn: np.random.Generator) -> list[str]:
    chosen, place = drawn.integers(7, size=2)
    word = words[chosen]
    changed = str(drawn.choice(["", "q", f"q{word[place]}"]))
    return [*words[:chosen], word[:place] + changed + word[place + 1 :], *words[chosen + 1 :]]


def test_a_word_of_any_length_takes_no_more_memory_than_its_letters() -> None:
    texts = [f"{letters * 5_000} of a plant" for letters in ("acgt", "acga")]
    tracemalloc.start()
    try:
        assert near_pairs(texts).tolist() == []
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
