"""A classifier finds other words and nothing else: neither products that repeat themselves nor empty texts."""

from __future__ import annotations

import numpy as np

from flows.core.domain_classifier import score_texts

COMMON = np.array([f"word{number}" for number in range(200)])


def offers(random: np.random.Generator, products: int, each: int) -> list[str]:
    """Several offers of every product: its own two words beside common ones."""
    texts = []
    for product in random.integers(0, 10**9, products):
        own = f"brand{product} model{product}"
        texts += [f"{own} {' '.join(random.choice(COMMON, 6))}" for _ in range(each)]
    return texts


def advantage(older: list[str], newer: list[str]) -> float:
    """By how much a newer text ranks above an older one, on average: 0 when the sides cannot be told apart."""
    mine, theirs = score_texts(older, newer)
    return float(theirs.mean() - mine.mean())


def test_new_words_are_told_apart() -> None:
    random = np.random.default_rng(1)
    older = [" ".join(random.choice(COMMON, 8)) for _ in range(400)]
    newer = [" ".join(random.choice(np.char.add("new", COMMON[:100].astype(str)), 8)) for _ in range(200)]

    assert advantage(older, newer) > 0.4


def test_products_that_stand_on_one_side_alone_are_no_new_words() -> None:
    """Five offers each of products that the other side does not know: two standard errors of a mean rank are .05."""
    random = np.random.default_rng(2)
    advantages = [advantage(offers(random, 80, 5), offers(random, 40, 5)) for _ in range(5)]

    assert abs(float(np.mean(advantages))) < 0.05


def test_one_text_and_empty_texts_have_a_score_too() -> None:
    older, newer = score_texts(["", "one word", "two words"], [""])

    assert (len(older), len(newer)) == (3, 1)
    assert ((older >= 0) & (older <= 1)).all()


def test_the_same_texts_have_the_same_scores_every_time() -> None:
    random = np.random.default_rng(3)
    texts = offers(random, 30, 3)

    first, again = score_texts(texts[:60], texts[60:]), score_texts(texts[:60], texts[60:])

    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
