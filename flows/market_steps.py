"""The steps of a retraining in one folder: what each takes and gives, for whoever runs them in their order.

Owns where a market's candles, snapshots and versions lie. What is done in a step is what is done for every use case.
Must not know Prefect, or in which order steps are run (`flows.market`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef
from factory.quality.checking import check_week
from factory.series import collecting
from factory.series.loading import load_file, load_sample
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.use_cases.use_case import Model
from flows.adapters.model_folder import ModelFolder
from flows.core import eligibility, selection
from flows.core.eligibility import Contender
from flows.core.logic import Logic, logic_of
from flows.core.policy import Approval, Costs, Verdict
from flows.core.selection import Choice

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from flows.adapters.datasets import Sides

USE_CASE = "market"


@dataclass(frozen=True, slots=True)
class Market:
    """What is traded where, and where all that is known of it lies.

    `provider` is `ccxt` (candles of the `exchange`, the last `days`), `sample` or the path of a file of candles.
    """

    symbol: str
    exchange: str
    provider: str
    days: int
    folder: ModelFolder

    @property
    def settings(self) -> Settings:
        """A catalogue and snapshots of its own."""
        path = self.folder.path.absolute()
        path.mkdir(parents=True, exist_ok=True)
        return Settings(
            database_url=f"sqlite:///{path / 'candles.sqlite'}",
            snapshot_uri=f"file://{path / 'snapshots'}",
            mlflow_tracking_uri="",
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """A version that was fitted and kept."""

    number: int
    metrics: dict[str, float]


def collect(market: Market) -> collecting.Collected:
    """The market's newest bars, written into the folder's catalogue."""
    source, engine = use_cases.get(USE_CASE).series, open_catalogue(market.settings.database_url)
    now, tell = datetime.now(UTC), _tell
    if market.provider == "sample":
        new = load_sample(engine, source, now=now, tell=tell)
    elif market.provider == "ccxt":
        from factory.series.exchange import connect

        exchange = connect(market.exchange, tell)
        return collecting.collect(engine, source, exchange, market.symbol, days=market.days, now=now, tell=tell)
    else:
        new = load_file(engine, source, Path(market.provider), market.symbol, now=now, tell=tell)
    return collecting.Collected(new, collecting.last_bar(engine, source))


def validate(market: Market, last: datetime) -> DatasetRef:
    """The snapshot of the last bar's day, with every bar's features, accepted; raises WeekRejected."""
    clock = use_cases.clock_of(USE_CASE)
    as_of = clock.end(clock.number(last))
    return check_week(market.settings, cut_week(market.settings, USE_CASE, as_of=as_of))


def features(market: Market, dataset: DatasetRef) -> Sides:
    """The rows to train on and those to test on; raises LeakageError where one tells of the other."""
    from flows.adapters.datasets import read_sides

    sides = read_sides(market.settings, dataset, use_cases.get_model(USE_CASE))
    _logic().refuse_leaks(sides.train, sides.test, [])
    return sides


def train(sides: Sides) -> BaseEstimator:
    """The best candidate, fitted on all rows to train on."""
    logic, candidates = _logic(), _logic().find_candidates(list(_model().candidates))
    validation = logic.prepare(sides.train, candidates)
    scores = [logic.score(candidate, validation) for candidate in candidates]
    best = selection.choose(scores, {})
    return logic.fit(sides.train, Choice(best.candidate, logic.slope(best, validation), scores, {}))


def evaluate(market: Market, model: BaseEstimator, dataset: DatasetRef, sides: Sides) -> Trained:
    """The version, kept with what it reaches on the days that it has not seen."""
    metrics = _logic().evaluate(model, sides.test, []).metrics
    return Trained(market.folder.write(model, dataset, metrics), metrics)


def compare(market: Market, trained: Trained, dataset: DatasetRef, sides: Sides) -> Verdict:
    """Whether it deserves to take the active version's place, by the gate of the use case."""
    from flows.adapters.serving_costs import measure_costs

    declared, logic, folder = use_cases.get_model(USE_CASE), _logic(), market.folder
    costs: Costs = measure_costs(folder.place(trained.number), declared.name, sides.test)
    challenger, champion = _contender(folder, trained.number), folder.active()
    rival = None if champion is None else _contender(folder, champion)
    overlap = eligibility.find_overlap(
        challenger, rival, rolling=declared.use_case.rolling, clock=declared.use_case.clock
    )
    met = champion if overlap is None or overlap.passed else None
    answers = logic.answer(folder.read(trained.number, logic.trusted), sides.test)
    theirs = None if met is None else logic.answer(folder.read(met, logic.trusted), sides.test)
    gate = declared.model.gate
    evidence = logic.gather(sides.test, answers, theirs, gate=gate, near=None)
    looks = sum(_shares_days(folder.dataset(number), dataset) for number in folder.numbers())
    return eligibility.decide(
        challenger,
        rival,
        logic.discount(evidence, looks, len(_model().candidates), gate),
        costs,
        metric=declared.model.metric,
        gate=gate,
        approval=Approval(),
        named=False,
        overlap=overlap,
    )


def activate(market: Market, trained: Trained, verdict: Verdict) -> bool:
    """Let the version be the active one where the verdict says so; tells whether it is."""
    if verdict.promoted:
        market.folder.activate(trained.number)
    return verdict.promoted


def _model() -> Model:
    return use_cases.get_model(USE_CASE).model


def _logic() -> Logic:
    return logic_of(use_cases.get_model(USE_CASE))


def _contender(folder: ModelFolder, number: int) -> Contender:
    span = folder.dataset(number).span
    known = (None, None) if span is None else (span.trained_until, span.first)
    return Contender(str(number), trained_until=known[0], tested_from=known[1])


def _shares_days(one: DatasetRef, other: DatasetRef) -> bool:
    return bool(one.span and other.span and one.span.first <= other.span.last and other.span.first <= one.span.last)


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
