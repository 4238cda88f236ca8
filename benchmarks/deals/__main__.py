"""Print what a forecast of opportunities is worth, by time and in five folds: `python -m benchmarks.deals`.

By time, the months of the test set lie after those that are trained on, as the use case judges its models. In folds,
accounts are dealt out whatever the month; what that shows beyond the other is what a shuffled split would promise.
See docs/benchmarks/deals.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.quality.checking import check_week
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.sources.tables import Rows, read_folder, read_sample
from factory.use_cases import choose_model
from factory.use_cases.metrics import BINARY
from flows.adapters.datasets import Sides, read_sides
from flows.core import calibration, tables
from flows.core.bootstrap import Estimate
from flows.core.groups import join_groups
from flows.core.logic import logic_of
from flows.core.selection import Choice
from flows.core.tasks import binary

DEALS = choose_model("deals", None)
SOURCE, CLOCK = DEALS.use_case.entities, DEALS.use_case.clock


def main() -> None:
    """Measure the simulated CRM, or the Maven files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maven", type=Path, help="a folder with the four files")
    parser.add_argument("--month", default="2017-12", help="the month whose snapshot is measured (default 2017-12)")
    options = parser.parse_args()
    rows = read_folder(options.maven, SOURCE, print) if options.maven else read_sample(SOURCE, None, print)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        _measure(_sides(rows, Path(folder), CLOCK.parse(options.month)))


def _sides(rows: Rows, folder: Path, month: int) -> Sides:
    settings = Settings(
        database_url=f"sqlite:///{folder / 'catalogue.sqlite'}",
        snapshot_uri=(folder / "snapshots").as_uri(),
        mlflow_tracking_uri="",
    )
    engine = open_catalogue(settings.database_url)
    load_entities(engine, SOURCE, rows.states, rows.outcomes, origin="benchmark", lookups=rows.lookups)
    dataset = check_week(settings, cut_week(settings, DEALS.use_case.name, as_of=CLOCK.end(month), week=month))
    return read_sides(settings, dataset, DEALS)


def _measure(sides: Sides) -> None:
    logic, both = logic_of(DEALS), pd.concat([sides.train, sides.test], ignore_index=True)
    won = (both["target"] == "yes").mean()
    print(f"\n{len(sides.train):,} rows to train on, {len(sides.test):,} to test; {won:.1%} are won within a month\n")
    print(f"| candidate | judged | {' | '.join(metric.title for metric in BINARY)} | Calibration error |")
    print(f"|---|---|{'---:|' * (len(BINARY) + 1)}")
    for candidate in tables.find("binary", list(DEALS.model.candidates)):
        answers = logic.answer(logic.fit(sides.train, Choice(candidate)), sides.test)
        _tell(candidate.name, "on the newest months", sides.test, answers["score"].to_numpy())
        truth, groups = (both["target"] == "yes").to_numpy(dtype=np.int64), join_groups(both["group"])
        columns = tuple(column for column in SOURCE.features if both[column.name].notna().any())
        _tell(candidate.name, "in five folds", both, tables.cross_validate(candidate, both, truth, groups, columns))


def _tell(name: str, judged: str, rows: pd.DataFrame, probability: np.ndarray) -> None:
    truth, groups = (rows["target"] == "yes").to_numpy(dtype=np.int64), join_groups(rows["group"])
    found = binary.estimate(truth, probability, groups=groups)
    error = calibration.estimate_error(probability, truth, groups=groups)
    cells = [*(_shown(found[metric.name], metric.digits) for metric in BINARY), _shown(error, 4)]
    print(f"| {name} | {judged} | {' | '.join(cells)} |", flush=True)


def _shown(found: Estimate, digits: int) -> str:
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


if __name__ == "__main__":
    main()
