"""Measure a training beside the common recipe, on the same rows: `python -m benchmarks.training`.

    python -m benchmarks.training --rows 84916
    python -m benchmarks.training --pricerunner pricerunner_aggregate.csv

See docs/benchmarks/training.md for what is measured how.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.training import rows as sources
from benchmarks.training.rows import Rows
from factory.sizes import megabytes
from factory.sources.simulation import PUBLISHED_ROWS

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from flows.core.candidates import Candidate
    from flows.core.selection import Choice, Score

Answer = TypeVar("Answer")

RECIPE_FEATURES = 5_000


@dataclass(frozen=True)
class Fitted:
    """A model, and the seconds from texts to their matrix and from there to the model."""

    model: Pipeline
    terms_seconds: float
    fit_seconds: float

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.terms_seconds + self.fit_seconds


def main() -> None:
    """Print the tables of the source that the command line names."""
    parser = argparse.ArgumentParser(description="A training beside the common recipe, on the same rows.")
    parser.add_argument("--rows", type=int, default=PUBLISHED_ROWS, help="simulated products; default %(default)s")
    parser.add_argument("--pricerunner", type=Path, help="the PriceRunner file, in place of simulated products")
    options = parser.parse_args()
    found = sources.pricerunner(options.pricerunner) if options.pricerunner else sources.simulated(options.rows)
    classes = found.train["target"].nunique()
    print(f"{found.title}: {len(found.train):,} rows to train on, {len(found.test):,} to test, {classes} classes\n")
    warm_up()
    compare_terms(found)
    fitted = {"recipe": fit_recipe(found)}
    choice, selection_seconds = select(found)
    second = max(others(choice), key=lambda score: score.found.value).candidate
    fitted[f"ours ({choice.candidate.name})"] = fit_ours(found, choice.candidate, choice.slope)
    fitted[f"its runner-up ({second.name})"] = fit_ours(found, second, 1.0)
    compare(found, fitted)
    wall, cpu = selection_seconds
    print(f"\nselection: {wall:.1f} s in {os.cpu_count()} threads, {cpu:.1f} CPU s (load of the machine {load():.1f})")
    peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB
    print(f"peak memory: {megabytes(peak_bytes, 0)}")


def warm_up() -> None:
    """Import what is used, so that nobody's first step pays for it."""
    import sklearn.feature_extraction.text
    import sklearn.linear_model
    import sklearn.model_selection
    import sklearn.naive_bayes
    import sklearn.svm  # noqa: F401

    from flows.core import evaluation, models, selection  # noqa: F401


def load() -> float:
    """Processes that wanted a processor in the last minute, on average; ours are among them."""
    return os.getloadavg()[0]


def others(choice: Choice) -> list[Score]:
    """The scores of the candidates that were not chosen."""
    return [score for score in choice.scores if score.candidate.name != choice.candidate.name]


def timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    """What the work gives, and the processor seconds that it took: of all threads, the fewer of two runs.

    Processor time, as the machine may have other work; twice, as memory that a process is handed for the first time
    may have to be waited for.
    """
    seconds = []
    for _ in range(2):
        began = time.process_time()
        answer = work()
        seconds.append(time.process_time() - began)
    return answer, min(seconds)


def compare_terms(found: Rows) -> None:
    """The table of ways from texts to a matrix of words and word pairs: the floor under any training."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer

    from flows.core.candidates import WORDS
    from flows.core.terms import count_terms, fit_weights, weigh

    texts, kind = list(found.train["text"]), {"ngram_range": (1, 2)}
    word = re.compile(r"(?u)\b\w\w+\b")

    def ours() -> object:
        counts = count_terms(texts, WORDS)
        return weigh(counts, fit_weights(counts))

    ways: dict[str, Callable[[], object]] = {
        f"TfidfVectorizer, {RECIPE_FEATURES:,} terms": lambda: TfidfVectorizer(
            max_features=RECIPE_FEATURES, **kind
        ).fit_transform(texts),
        f"TfidfVectorizer, {WORDS.max_features:,} terms": lambda: TfidfVectorizer(
            max_features=WORDS.max_features, min_df=2, **kind
        ).fit_transform(texts),
        "HashingVectorizer": lambda: HashingVectorizer(**kind).transform(texts),
        f"ours, {WORDS.max_features:,} terms": ours,
        "splitting into words alone, the limit": lambda: [word.findall(text.lower()) for text in texts],
    }
    print("| terms alone | CPU s |\n|---|--:|")
    for name, way in ways.items():
        print(f"| {name} | {timed(way)[1]:.1f} |", flush=True)
    print()


def fit_recipe(found: Rows) -> Fitted:
    """TF-IDF of 5,000 words and word pairs, and a logistic regression; seconds of both."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    vectors = TfidfVectorizer(max_features=RECIPE_FEATURES, ngram_range=(1, 2))
    matrix, first = timed(lambda: vectors.fit_transform(found.train["text"]))
    classifier, second = timed(lambda: LogisticRegression(max_iter=1000).fit(matrix, found.train["target"]))
    return Fitted(Pipeline([("vectors", vectors), ("classifier", classifier)]), first, second)


def select(found: Rows) -> tuple[Choice, tuple[float, float]]:
    """What the training flow does before its final fit, in as many threads as there are processors.

    Gives the choice, and its seconds on the clock and of the processors.
    """
    from flows.core import candidates, models, selection
    from flows.core.calibration import fit_slope
    from flows.core.selection import Choice

    began, began_cpu = time.perf_counter(), time.process_time()
    _, codes = models.encode(found.train["target"])
    entrants = candidates.CANDIDATES
    validation = selection.prepare(found.train["text"], codes, found.train["group"], entrants)
    prepared = time.perf_counter() - began
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # as in the flow, the longest first
        scores = list(pool.map(lambda entrant: selection.score_candidate(entrant, validation), reversed(entrants)))[
            ::-1
        ]
    best = selection.choose(scores, {})
    slope = fit_slope(best.scores, validation.folds.codes)
    seconds = time.perf_counter() - began, time.process_time() - began_cpu
    print(f"selection on {len(validation.folds.rows):,} of them, {prepared:.1f} s to fold and count\n")
    print("| candidate | seconds | weighted F1 (95 %) |\n|---|--:|--:|")
    for score in scores:
        mean = score.found
        print(
            f"| {score.candidate.name} | {score.seconds:.1f} | {mean.value:.4f} ({mean.low:.4f} to {mean.high:.4f}) |"
        )
    print(flush=True)
    return Choice(best.candidate, slope, scores), seconds


def fit_ours(found: Rows, candidate: Candidate, slope: float) -> Fitted:
    """The candidate on all rows, as the training flow fits it."""
    from flows.core import models
    from flows.core.terms import count_terms, fit_weights, weigh

    texts, labels = found.train["text"], found.train["target"]

    def to_matrix() -> object:
        counts = count_terms(texts, candidate.terms)
        return weigh(counts, fit_weights(counts))

    model, whole = timed(lambda: models.fit(texts, labels, candidate, slope=slope))
    first = timed(to_matrix)[1]
    return Fitted(model, first, max(whole - first, 0.0))


def compare(found: Rows, fitted: dict[str, Fitted]) -> None:
    """The table of all, and what ours has over the recipe on the same test rows."""
    from flows.core.bootstrap import estimate, estimate_difference

    truth, answers = found.test["target"], {}
    print("| model | terms CPU s | fit CPU s | together | ask CPU s | weighted F1 (95 %) | macro F1 (95 %) |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, each in fitted.items():
        answers[name], asked = timed(lambda each=each: each.model.predict(found.test["text"]))
        known = estimate(truth, answers[name])
        columns = " | ".join(
            f"{known[metric].value:.4f} ({known[metric].low:.4f} to {known[metric].high:.4f})"
            for metric in ("f1_weighted", "f1_macro")
        )
        seconds = " | ".join(f"{took:.1f}" for took in (each.terms_seconds, each.fit_seconds, each.seconds, asked))
        print(f"| {name} | {seconds} | {columns} |")
    recipe, ours, *_ = fitted
    gain = estimate_difference(truth, answers[ours], answers[recipe])["f1_weighted"]
    times = fitted[recipe].seconds / fitted[ours].seconds
    print(f"\nweighted F1 of ours over the recipe's: {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})")
    print(f"final fit: {times:.1f} times faster than the recipe's, whose terms alone take", end=" ")
    print(f"{fitted[recipe].terms_seconds:.1f} s")


if __name__ == "__main__":
    main()
