"""Print how often the gate errs, beside the textbook's rule: `python -m benchmarks.gate`.

See docs/benchmarks/gate.md for what is measured how.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from benchmarks.gate import peer, simulation
from benchmarks.gate.simulation import Pair
from factory.use_cases.use_case import Gate
from flows.core import calibration
from flows.core.bootstrap import estimate, estimate_difference
from flows.core.falls import measure_falls
from flows.core.losses import measure_losses
from flows.core.policy import ClassChange, MacroChange, has_fallen, has_fallen_broadly, is_surely_lost

CLASSES, TIMES = (2, 21, 60, 200, 1_000), (1, 3, 5)
ACCURACY, BETTER = 0.85, 0.015
DRAWS = 199
"""Resamples and permutations of one pair: fewer than the gate's own, as thousands of pairs are judged."""
BROAD_PAIRS = 10
FEWER = {200: 2, 1_000: 4}
"""Pairs of so many classes are dear: so many times fewer are simulated."""
HEADS = (
    "equal: vetoed",
    "equal: promoted",
    "better: promoted",
    "broad loss: passes",
    "F1 held",
    "gain held",
    "ECE held",
)
GATE = Gate()

Rule = Callable[[Pair], tuple[bool, bool]]
"""Whether the gain is sure, and whether the classes veto."""


def main() -> None:
    """Run every number of classes and of copies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60, help="simulated pairs for every figure")
    parser.add_argument("--classes", type=int, choices=CLASSES, action="append")
    options = parser.parse_args()
    print(f"In % of the pairs (of {BROAD_PAIRS} for a broad loss): the gate / the textbook's rule\n")
    print("| classes | rows | copies | pairs | " + " | ".join(HEADS) + " |")
    print("|---:" * (4 + len(HEADS)) + "|")
    for classes in options.classes or CLASSES:
        for times in TIMES:
            pairs, rows = options.pairs // FEWER.get(classes, 1), int(simulation.class_rows(classes).sum())
            figures = measure(classes, times, pairs)
            print(f"| {classes:,} | {rows:,} | ×{times} | {pairs} | " + " | ".join(figures) + " |", flush=True)


def measure(classes: int, times: int, pairs: int) -> list[str]:
    """The figures of one line."""
    random = np.random.default_rng(classes)  # the same pairs for every number of copies
    equal = [simulation.draw(random, classes, ACCURACY, ACCURACY).copied(times) for _ in range(pairs)]
    better = [simulation.draw(random, classes, ACCURACY + BETTER, ACCURACY).copied(times) for _ in range(pairs)]
    broad = [simulation.lose_small(random, classes).copied(times) for _ in range(BROAD_PAIRS)] if classes > 2 else []
    rates = []
    for rule in (ours, textbook):
        of_equal, of_better, of_broad = ([rule(pair) for pair in asked] for asked in (equal, better, broad))
        won = [sum(gains and not stops for gains, stops in found) for found in (of_equal, of_better, of_broad)]
        vetoed = sum(stops for _, stops in of_equal)
        rates.append([vetoed / pairs, won[0] / pairs, won[1] / pairs, won[2] / len(broad) if broad else None])
    held = np.array([[coverage(pair, classes, grouped) for pair in better] for grouped in (True, False)]).mean(axis=1)
    return [_said(*pair) for pair in zip(*rates, strict=True)] + [_said(*pair) for pair in held.T.tolist()]


def ours(pair: Pair) -> tuple[bool, bool]:
    """The gate's rules on gain and classes."""
    falls = measure_falls(
        pair.truth, pair.mine, pair.theirs, groups=pair.groups, limit=GATE.largest_class_fall, permutations=DRAWS
    )
    losses = measure_losses(pair.truth, pair.mine, pair.theirs, groups=pair.groups)
    columns = falls.names, falls.rows, falls.f1, falls.champion_f1, falls.p_values, losses.p_values
    changes = [ClassChange(*row) for row in zip(*columns, strict=True)]
    fallen = any(has_fallen(change, GATE) or is_surely_lost(change, GATE) for change in changes)
    broad = has_fallen_broadly(MacroChange(falls.macro_fall, falls.macro_p_value), GATE)
    return _gain(pair, grouped=True, level=2 * GATE.confidence - 1)[1] > GATE.margin, fallen or broad


def textbook(pair: Pair) -> tuple[bool, bool]:
    """The same two questions, row by row and class by class."""
    vetoed = peer.vetoes(pair.truth, pair.mine, pair.theirs, limit=GATE.largest_class_fall, error=1 - GATE.confidence)
    return _gain(pair, grouped=False, level=2 * GATE.confidence - 1)[1] > GATE.margin, vetoed


def coverage(pair: Pair, classes: int, grouped: bool) -> tuple[bool, bool, bool]:
    """Whether the 95 % intervals of weighted F1, of the gain and of the calibration error hold the truth."""
    groups = pair.groups if grouped else None
    mine, theirs = (simulation.true_f1(classes, accuracy) for accuracy in (ACCURACY + BETTER, ACCURACY))
    f1 = estimate(pair.truth, pair.mine, groups=groups, resamples=DRAWS)["f1_weighted"]
    _, low, high = _gain(pair, grouped=grouped, level=0.95)
    sure, right = simulation.draw_confidences(pair)
    error = calibration.estimate_error(sure, right, groups=groups)
    return (
        f1.low <= mine <= f1.high,
        low <= mine - theirs <= high,
        error.low <= simulation.OVERCONFIDENT <= error.high,
    )


def _gain(pair: Pair, *, grouped: bool, level: float) -> tuple[float, float, float]:
    groups = pair.groups if grouped else None
    found = estimate_difference(pair.truth, pair.mine, pair.theirs, groups=groups, resamples=DRAWS, level=level)[
        "f1_weighted"
    ]
    return found.value, found.low, found.high


def _said(ours: float | None, textbook: float | None) -> str:
    return "–" if ours is None or textbook is None else f"{ours:.0%} / {textbook:.0%}".replace("%", "")


if __name__ == "__main__":
    main()
