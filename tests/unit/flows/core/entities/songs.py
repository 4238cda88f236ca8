"""Made-up songs whose truth is known: three genres that lie apart, and an energy that follows from the loudness."""

from __future__ import annotations

import numpy as np
import pandas as pd

from factory.use_cases.columns import Column
from factory.use_cases.sources import Entities
from factory.use_cases.tasks import Clusters, Multiclass, Neighbours, Regression, Task
from factory.use_cases.use_case import Declared, Gate, Model, UseCase

GENRES = ("classical", "metal", "pop")
CENTRES = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 1.0], [0.0, 4.0, -1.0]])
SOURCE = Entities(
    table="songs",
    key="song_id",
    columns=(
        Column("loudness", "number"),
        Column("tempo", "number", nullable=True),
        Column("valence", "number"),
        Column("live", "flag", nullable=True, values=("yes", "no")),
        Column("country", "category", nullable=True, sensitive=True),
        Column("genre", "category"),
        Column("energy", "number"),
    ),
    drift_columns=("loudness", "tempo"),
)
ENERGY = Regression(target="energy")
ALIKE = Clusters(most=6)
SIMILAR = Neighbours(k=5, relevant_by="genre")
GENRE = Multiclass(target="genre")


def declare(task: Task, source: Entities = SOURCE, **gate: float) -> Declared:
    model = Model(name="songs", task=task, gate=Gate(floor=0.2, **gate))
    use_case = UseCase(name="songs", title="Songs", dag_id="weekly_songs", source=source, models=(model,))
    return Declared(use_case, model)


def songs(rows: int = 600, *, first: int = 0, noise: float = 0.1, target: str = "") -> pd.DataFrame:
    """Songs `first` and following; `noise` is what of the energy follows from nothing, `target` the column to learn."""
    random = np.random.default_rng(first + 1)
    genre = random.integers(0, len(GENRES), rows)
    place = CENTRES[genre] + random.normal(0, 0.7, (rows, 3))
    frame = pd.DataFrame(place, columns=["loudness", "tempo", "valence"]).assign(
        tempo=np.where(random.random(rows) < 0.03, np.nan, place[:, 1]),
        live=random.choice(["yes", "no"], rows),
        country=random.choice(["de", "fr"], rows),
        genre=np.array(GENRES)[genre],
        energy=10 + 3 * place[:, 0] + np.abs(place[:, 2]) + random.normal(0, 4 * noise, rows),
        entity_id=[f"s{first + number:05}" for number in range(rows)],
        group=np.arange(first, first + rows),
    )
    return frame.assign(target=frame[target] if target else None)
