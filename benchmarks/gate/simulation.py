"""Test sets and pairs of models whose truth is known, since it was chosen.

A class of rank r has 1 / r ** .7 of the rows of the largest one, and never fewer than four: many classes, most of them
small. Two models share most of what they know: an answer is the common one with `SHARED` chance, else its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]

SHARED = 0.9
SMALLEST, LARGE = 4, 360
OVERCONFIDENT = 0.1
"""By how much the simulated confidences lie above the share of right answers."""
SKEW = 0.7
PRODUCTS = {2: 1_000, 21: 1_100, 60: 4_000, 200: 6_000, 1_000: 17_000}
"""Test rows, before any of them is copied."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The truth, the challenger's answers, the champion's, and the group of every row."""

    truth: Codes
    mine: Codes
    theirs: Codes
    groups: Codes

    def copied(self, times: int) -> Pair:
        """Every row so many times, under new ids and in the same group."""
        return Pair(*(np.repeat(column, times) for column in (self.truth, self.mine, self.theirs, self.groups)))


def class_rows(classes: int) -> Codes:
    """How many test rows each class has."""
    weights = (1 + np.arange(classes)) ** -SKEW
    return np.maximum(np.round(PRODUCTS[classes] * weights / weights.sum()), SMALLEST).astype(np.int64)


def draw(random: np.random.Generator, classes: int, mine: float, theirs: float) -> Pair:
    """Two models that are right at these rates and else give any class at random; the rows are drawn as well."""
    rows = class_rows(classes)
    truth = random.choice(classes, int(rows.sum()), p=rows / rows.sum()).astype(np.int64)
    luck, wrong = random.random(len(truth)), random.integers(0, classes, len(truth))
    answers = []
    for accuracy in (mine, theirs):
        own = random.random(len(truth)) >= SHARED
        chance = np.where(own, random.random(len(truth)), luck)
        guess = np.where(own, random.integers(0, classes, len(truth)), wrong)
        answers.append(np.where(chance < accuracy, truth, guess))
    return Pair(truth, answers[0], answers[1], np.arange(len(truth)))


def lose_small(random: np.random.Generator, classes: int) -> Pair:
    """A challenger that is much better in the large tenth of the classes and lost all others, of four rows each."""
    large = max(classes // 10, 1)
    truth = np.concatenate([np.repeat(np.arange(large), LARGE), np.repeat(np.arange(large, classes), SMALLEST)])
    theirs = np.where(random.random(len(truth)) < 0.7, truth, random.integers(0, large, len(truth)))
    better = np.where(random.random(len(truth)) < 0.8, truth, theirs)
    lost = random.integers(0, large, len(truth))
    return Pair(truth, np.where(truth < large, better, lost), theirs, np.arange(len(truth)))


def true_f1(classes: int, accuracy: float) -> float:
    """The weighted F1 (0 to 1) of a model of `draw` over all rows that there could be."""
    rows = class_rows(classes)
    share = rows / rows.sum()
    hits, said = share * (accuracy + (1 - accuracy) / classes), accuracy * share + (1 - accuracy) / classes
    return float((share * 2 * hits / (share + said)).sum())


def draw_confidences(pair: Pair) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A confidence for every row, and whether its answer is right; rows of one group have the same of both."""
    number = int(pair.groups.max()) + 1
    first = pair.mine[:: len(pair.mine) // number]
    random = np.random.default_rng(int(first.sum()))
    sure = random.uniform(0.3, 1.0, number)
    right = random.random(number) < sure - OVERCONFIDENT
    return sure[pair.groups], right[pair.groups]
