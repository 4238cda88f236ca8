"""What a look at drift compares: the logged predictions of its windows, and the version's own on the frozen test set.

Owns which version is watched, how far back a window reaches and what is too few. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from factory.records.predictions import MOST_ROWS, Window, merge_samples
from factory.settings import Settings
from factory.use_cases.use_case import Declared, UseCase
from flows.adapters.logs import log_of
from flows.adapters.registry import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient
    from sqlalchemy import Engine

ENOUGH_LABELLED = 2_000
"""F1 of so many is known to two points, 19 times in 20: a sample that holds them spares a pass over a large log."""
ONE_DAY = timedelta(days=1)
SEED = 42


@dataclass(frozen=True, slots=True)
class Windows:
    """Everything that one look at `version` needs; the windows end at `until`.

    `current` holds the version's predictions of the last periods and `labelled` those of both windows whose true class
    is known, or a sample of ENOUGH_LABELLED and more. `before` holds every version's predictions of the window before
    the current one: the two share no row, or they could not be told apart by chance. `reference` are the version's
    predictions on the frozen test set, `promised` the metrics of its run.
    """

    version: Version
    until: datetime
    current: Window
    before: Window
    labelled: Window
    reference: pd.DataFrame
    promised: Mapping[str, float]

    def before_of_version(self) -> pd.DataFrame:
        """Those of `before` that the watched version made."""
        rows = self.before.rows
        return rows[rows["model_version"] == self.version.number] if "model_version" in rows.columns else rows


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why there is nothing to compare, and how many predictions there were."""

    reason: str
    samples: int = 0


def read_windows(
    settings: Settings,
    declared: Declared,
    client: MlflowClient,
    engine: Engine,
    path: str | None,
    as_of: datetime | None,
) -> Windows | Nothing:
    """The windows of the version that made most of the last periods' predictions, else of the champion.

    The windows end at `as_of`, else at the newest prediction. `path` names a file that is read in the log's place;
    raises AddressRefused where it is neither the setting's nor below a data root or the store.
    """
    from flows.adapters import registry, runs, title

    log = log_of(settings, declared, engine, path)
    model = declared.name
    champion = registry.find_version(client, model, registry.CHAMPION)
    if champion is None:
        with engine.connect() as connection:
            return Nothing(title.explain_absence(connection, client, model))
    until = as_of or log.newest_timestamp()
    if until is None:
        return Nothing("no prediction is logged yet")
    clock, drift = declared.use_case.clock, declared.use_case.drift
    current_days, before_days = window_days(declared.use_case, until)
    number, samples = _busiest(log.count_versions(until, current_days), champion.number)
    if samples < (least := drift.min_samples or settings.min_samples_for_drift):
        lasting = clock.lasting(drift.current_periods)
        return Nothing(f"{samples} predictions in {lasting}, at least {least} are needed", samples)
    version = champion if number == champion.number else registry.get_version(client, model, number)
    current = log.read(until, current_days, version=number)
    before = log.read(until - timedelta(days=current_days), before_days)
    labelled = None if log.complete else _labelled_among(current, before, number)
    if labelled is None:
        labelled = log.read(until, current_days + before_days, version=number, labelled=True)
    current, before, labelled = (log.with_groups(window) for window in (current, before, labelled))
    return Windows(
        version=version,
        until=until,
        current=current,
        before=before,
        labelled=labelled,
        reference=_bounded(runs.read_reference(client, version, settings.data_roots)),
        promised=runs.read_metrics(client, version.run_id),
    )


def window_days(use_case: UseCase, until: datetime) -> tuple[float, float]:
    """How many days the current window has that ends then, and the one before it: months differ."""
    clock, drift = use_case.clock, use_case.drift
    earlier = clock.back(until, drift.current_periods)
    return (until - earlier) / ONE_DAY, (earlier - clock.back(earlier, drift.before_periods)) / ONE_DAY


def _busiest(counts: Mapping[str, int], champion: str) -> tuple[str, int]:
    """The version to watch and its predictions; those that name no version count as anybody's."""
    named = {version: count for version, count in counts.items() if version}
    number = max(sorted(named), key=lambda version: named[version]) if named else champion
    return number, named.get(number, 0) + counts.get("", 0)


def _labelled_among(current: Window, before: Window, number: str) -> Window | None:
    """Those of the version whose true class is known, where the windows are samples that hold enough of them."""
    if len(current.rows) == current.total:
        return None
    rows = merge_samples(current, before).rows
    known = rows[rows["label"].notna() & (rows["model_version"] == number)]
    return Window(known, len(known)) if len(known) >= ENOUGH_LABELLED else None


def _bounded(reference: pd.DataFrame) -> pd.DataFrame:
    return reference.sample(MOST_ROWS, random_state=SEED) if len(reference) > MOST_ROWS else reference
