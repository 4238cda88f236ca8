"""Simulated products in the manner of Rakuten France's: for tests of size and of drift, never for a claim on quality.

Owns how a simulated catalogue is drawn: class counts, texts, duplicates, drift. Pure; knows nothing of the catalogue.
The same arguments give the same products on any machine, in any batch size.

A text mixes words of its class, of the class's family and of the whole catalogue, each by Zipf's law: classes of one
family are told apart with difficulty, as in the original. Some labels are wrong on purpose, within the family.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from factory.settings import WeekPlan
from factory.snapshots.weeks import arrival_week
from factory.sources.readers import COLUMNS
from factory.sources.simulated_words import Vocabulary, build_vocabulary

BLOCK_ROWS = 5_000
"""Rows that are drawn together; a duplicate repeats a product of its own block."""

CLASS_COUNTS = {
    "2583": 10209, "1560": 5073, "1300": 5045, "2060": 4993, "2522": 4989, "1280": 4870, "2403": 4774,
    "2280": 4760, "1920": 4303, "1160": 3953, "1320": 3241, "10": 3116, "2705": 2761, "1140": 2671,
    "2582": 2589, "40": 2508, "2585": 2496, "1302": 2491, "1281": 2070, "50": 1681, "2462": 1421,
    "2905": 872, "60": 832, "2220": 824, "1301": 807, "1940": 803, "1180": 764,
}  # fmt: skip
"""Products by type code in the training part of the Rakuten France Multimodal challenge, as published."""

PUBLISHED_ROWS = sum(CLASS_COUNTS.values())
MISSING_DESCRIPTIONS = 1 / 3
DUPLICATES = 0.03
"""Share of products whose text is that of another of the same class, in capitals or not."""
VARIANTS = 0.03
"""Share of products that differ from another of the same class by one word: a colour, a size."""
WRONG_LABELS = 0.06
MARKED_UP = 0.30
"""Share of the descriptions that bear markup and entities."""
_FIRST_ID = 3_800_000_000
_OWN_WORDS, _FAMILY_WORDS = 0.28, 0.24  # shares of a text's words that are the class's and the family's


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to draw. `rows` is the size of the whole catalogue, whichever weeks of it are asked for.

    From `drift_week` on, the share `drift` of the vocabulary is exchanged for words never seen before; with `turnover`
    that share grows by so much every week. Weeks are those in which `plan` lets a product arrive.
    """

    rows: int = PUBLISHED_ROWS
    seed: int = 42
    drift_week: int | None = None
    drift: float = 0.5
    turnover: float = 0.0
    plan: WeekPlan = field(default_factory=WeekPlan)

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"{self.rows} products cannot be simulated: ask for at least one")
        if not (0 <= self.drift <= 1 and 0 <= self.turnover <= 1):
            raise ValueError(f"drift={self.drift} and turnover={self.turnover} are shares, from 0 to 1")

    @property
    def source(self) -> str:
        """What the catalogue calls these products: nobody takes them for real ones."""
        drifting = f", drift in week {self.drift_week}" if self.drift_week else ""
        return f"simulated products (not real: {self.rows:,} rows, seed {self.seed}{drifting})"

    def exchanged(self, week: np.ndarray) -> np.ndarray:
        """The share (0 to 1) of the vocabulary that is exchanged in each of the weeks."""
        step = self.drift * (week >= self.drift_week) if self.drift_week else 0.0
        return np.minimum(1.0, step + self.turnover * (week - 1.0))


def simulate(
    simulation: Simulation, *, first_week: int = 1, last_week: int | None = None, blocks: range | None = None
) -> Iterator[pd.DataFrame]:
    """The products that arrive from `first_week` to `last_week`, in batches with the columns COLUMNS and `week`.

    Batches come in the order of productid and hold at most BLOCK_ROWS rows; every value but `week` is text or None.
    `blocks` takes some of the catalogue's blocks of BLOCK_ROWS products alone, counted from 0.
    """
    vocabulary = build_vocabulary()
    classes = _labels(simulation, vocabulary)
    for block in range(-(-simulation.rows // BLOCK_ROWS)) if blocks is None else blocks:
        first = block * BLOCK_ROWS
        frame = _block(simulation, vocabulary, block, classes[first : first + BLOCK_ROWS])
        inside = frame["week"] >= first_week
        if last_week is not None:
            inside &= frame["week"] <= last_week
        if inside.any():
            yield frame if inside.all() else frame[inside].reset_index(drop=True)


def simulate_frame(rows: int = PUBLISHED_ROWS, **settings: object) -> pd.DataFrame:
    """All products in one frame, without a catalogue; `settings` are those of Simulation."""
    simulation = replace(Simulation(rows=rows), **settings)  # type: ignore[arg-type]
    return pd.concat(simulate(simulation), ignore_index=True)


def class_counts(rows: int) -> dict[str, int]:
    """Products by class in a catalogue of so many rows: the published shares, rounded so that they add up."""
    exact = np.array(list(CLASS_COUNTS.values())) * (rows / PUBLISHED_ROWS)
    counts = np.floor(exact).astype(int)
    largest = np.argsort(counts - exact, kind="stable")[: rows - counts.sum()]
    counts[largest] += 1
    return dict(zip(CLASS_COUNTS, counts.tolist(), strict=True))


def _labels(simulation: Simulation, vocabulary: Vocabulary) -> np.ndarray:
    """The number of every product's class, one byte each."""
    by_code = class_counts(simulation.rows)
    counts = [by_code[code] for code in vocabulary.codes]
    labels = np.repeat(np.arange(len(counts), dtype=np.int8), counts)
    np.random.default_rng([simulation.seed, 0]).shuffle(labels)
    return labels


def _block(simulation: Simulation, vocabulary: Vocabulary, block: int, classes: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng([simulation.seed, 1, block])
    count = len(classes)
    ids = [str(_FIRST_ID + block * BLOCK_ROWS + row) for row in range(count)]
    week = np.array([arrival_week(productid, simulation.plan) for productid in ids])
    topics = _topics(rng, vocabulary, classes)
    fresh = simulation.exchanged(week)
    titles = _texts(rng, vocabulary, topics, rng.integers(4, 15, count), fresh)
    lengths = np.clip(rng.lognormal(3.0, 0.6, count), 5, 150).astype(int)
    described = rng.random(count) >= MISSING_DESCRIPTIONS
    bodies = _texts(rng, vocabulary, topics, np.where(described, lengths, 0), fresh)
    designation = [" ".join(words).capitalize() for words in titles]
    marked = rng.random(count) < MARKED_UP
    description = [
        _written(words, html=bool(html)) if words else None for words, html in zip(bodies, marked, strict=True)
    ]
    _repeat(rng, vocabulary, classes, week, designation, description)
    frame = pd.DataFrame(
        {
            "productid": ids,
            "designation": designation,
            "description": description,
            "imageid": [str(1_000_000_000 + int(productid) % 900_000_000) for productid in ids],
            "group_id": None,
            "prdtypecode": vocabulary.codes[classes],
        },
        dtype=object,
    )
    return frame[list(COLUMNS)].assign(week=week)


def _topics(rng: np.random.Generator, vocabulary: Vocabulary, classes: np.ndarray) -> np.ndarray:
    """The class that each text speaks of: another one of the family where the label is wrong."""
    topics = classes.astype(int)
    for row in np.flatnonzero(rng.random(len(classes)) < WRONG_LABELS):
        topics[row] = rng.choice(vocabulary.siblings[topics[row]])
    return topics


def _texts(
    rng: np.random.Generator, vocabulary: Vocabulary, topics: np.ndarray, lengths: np.ndarray, fresh: np.ndarray
) -> list[list[str]]:
    """The words of each text."""
    of_row = np.repeat(np.arange(len(topics)), lengths)
    kind = np.searchsorted([_OWN_WORDS, _OWN_WORDS + _FAMILY_WORDS], rng.random(len(of_row)), side="right")
    places = vocabulary.draw(rng, kind, topics[of_row])
    places = vocabulary.exchange(places, fresh[of_row])
    words = vocabulary.words[places].tolist()
    ends = np.cumsum(lengths).tolist()
    return [words[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _written(words: list[str], *, html: bool) -> str:
    """Sentences of a description, as plain text or as a shop's export of its pages."""
    sentences = [" ".join(words[start : start + 12]).capitalize() + "." for start in range(0, len(words), 12)]
    if not html:
        return " ".join(sentences)
    return "<p>" + "<br />".join(sentences).translate(_ENTITIES) + "</p>"


_ENTITIES = str.maketrans(
    {"é": "&eacute;", "è": "&egrave;", "ê": "&ecirc;", "à": "&agrave;", "ç": "&ccedil;", "ô": "&ocirc;", "'": "&#39;"}
)


def _repeat(
    rng: np.random.Generator,
    vocabulary: Vocabulary,
    classes: np.ndarray,
    week: np.ndarray,
    designation: list[str],
    description: list[str | None],
) -> None:
    """Turn some products into duplicates or variants of one of their class that was there in the first week."""
    lots = rng.random(len(classes))
    words = rng.integers(0, len(vocabulary.variants), len(classes))
    models: dict[int, int] = {}
    for row, (number, lot) in enumerate(zip(classes.tolist(), lots.tolist(), strict=True)):
        model = models.get(number)
        if model is None or lot >= DUPLICATES + VARIANTS:
            if week[row] == 1:
                models[number] = row
            continue
        description[row] = description[model]
        if lot < DUPLICATES:
            designation[row] = designation[model].upper() if lot < DUPLICATES / 3 else designation[model]
        else:
            designation[row] = f"{designation[model]} {vocabulary.variants[words[row]]}"


__all__ = ["CLASS_COUNTS", "PUBLISHED_ROWS", "Simulation", "class_counts", "simulate", "simulate_frame"]
