"""Print how long the five models of songs take alone, one after another and side by side: `python -m benchmarks.songs`.

Every way trains, registers, judges and promotes the same five models on one snapshot, each in a catalogue and registry
of its own. Side by side they are to take at most the slowest one's time and a fifth, or the sum over the cores and a
tenth, whichever is more. See docs/benchmarks/songs.md.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from factory import use_cases
from factory.contracts import DatasetRef, ModelsResult, TrainingParams
from factory.quality.checking import check_week
from factory.settings import read_settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.weeks import start_of
from factory.sources import arrivals
from flows.all_models import VARIABLE, train_and_judge, train_side_by_side
from flows.command_line import some_server

USE_CASE = "songs"
WEEK = 5
"""By then all simulated songs have joined."""
SLOWEST, SHARED = 1.2, 1.1


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the models alone, then side by side in each place that is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--in", dest="places", nargs="+", default=["threads", "processes"], help=f"as {VARIABLE} says")
    places = parser.parse_args(arguments).places
    cores = os.cpu_count() or 1
    with some_server():
        with _home() as dataset:
            _train(dataset, _names()[0])  # what is imported and made once is nobody's
            alone = {name: _train(dataset, name) for name in _names()}
        bound = max(SLOWEST * max(alone.values()), SHARED * sum(alone.values()) / cores)
        print("\n| model, alone | seconds |\n|---|---:|")
        for name, seconds in alone.items():
            print(f"| {name} | {seconds:.1f} |")
        print(f"| one after another | {sum(alone.values()):.1f} |")
        print(f"\n| side by side on {cores} cores | seconds | at most |\n|---|---:|---:|")
        for place in places:
            with _home() as dataset:
                print(f"| {place} | {_train_all(dataset, place):.1f} | {bound:.1f} |", flush=True)


def _names() -> list[str]:
    return [model.name for model in use_cases.get(USE_CASE).models]


def _train(dataset: DatasetRef, model: str) -> float:
    """The seconds that one model takes."""
    began = time.perf_counter()
    train_and_judge.fn(TrainingParams(use_case=USE_CASE, model=model, dataset=dataset, auto_promote_threshold=None))
    return time.perf_counter() - began


def _train_all(dataset: DatasetRef, place: str) -> float:
    """The seconds that all take there; raises RuntimeError where one fails."""
    os.environ[VARIABLE] = place
    began = time.perf_counter()
    result = ModelsResult.model_validate(train_side_by_side(use_case=USE_CASE, dataset=dataset).result())
    seconds = time.perf_counter() - began
    if result.failed:
        raise RuntimeError("; ".join(result.reservations()))
    return seconds


@contextmanager
def _home() -> Iterator[DatasetRef]:
    """A snapshot in a catalogue of its own, beside a registry that holds nothing yet."""
    with TemporaryDirectory(prefix="songs-") as folder:
        os.environ |= {
            "DATABASE_URL": f"sqlite:///{folder}/catalogue.sqlite",
            "SNAPSHOT_URI": Path(folder, "snapshots").as_uri(),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.sqlite",
        }
        settings = read_settings()
        rows, origin = arrivals.read_declared_sample(USE_CASE, lambda _: None)
        arrivals.load_rows(settings, USE_CASE, rows, origin, lambda _: None)
        as_of = start_of(WEEK, settings.weeks.epoch)
        yield check_week(settings, cut_week(settings, USE_CASE, as_of=as_of, week=WEEK))


if __name__ == "__main__":
    main()
