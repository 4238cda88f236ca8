"""Retraining on a market's candles in one folder: collect, validate, features, train, evaluate, compare, activate.

Owns the order of these, for whoever has neither a registry nor Airflow; the steps are those of every use case. Candles,
snapshots and versions lie in `model_dir`, one market a folder. With Prefect the steps are tasks of a flow; without
(`use_prefect=False`) they are called one after the other, and no server is started.

    python -m flows.market retrain --provider sample --model-dir models
    python -m flows.market collect --symbol BTC/USDT --exchange kraken --days 2000 --model-dir models
    python -m flows.market retrain --symbol BTC/USDT --exchange kraken --cron "5 7 * * *"
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef
from factory.errors import FactoryError
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
from flows.core.selection import Choice, NoCandidateError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from flows.adapters.datasets import Sides

P = ParamSpec("P")
T = TypeVar("T")

USE_CASE = "market"
DAYS = 2_000
"""The test set takes three years of them."""
EXPECTED = (FactoryError, NoCandidateError, ValueError, FileNotFoundError)
"""What a result tells as its error; anything else is a fault of ours and is raised."""


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


def model_retraining_flow(
    symbol: str = "BTC/USDT",
    exchange: str = "kraken",
    provider: str = "ccxt",
    days: int = DAYS,
    model_dir: str = "models",
    use_prefect: bool = True,
) -> dict[str, Any]:
    """Collect what is new, train on it, and activate the version where that is sure to gain after costs.

    Gives success, version, metrics (of the version, by name), activated, reason (why, or why not) and error, which is
    None unless a step failed: then nothing was activated, and what was collected stays.
    """
    retrain = retraining if use_prefect else _retrain
    try:
        with _server_where(use_prefect):
            return retrain(symbol, exchange, provider, days, model_dir)
    except EXPECTED as error:
        return {**_NOTHING, "success": False, "error": f"{type(error).__name__}: {error}"}


def data_collection_flow(
    symbol: str = "BTC/USDT",
    exchange: str = "kraken",
    provider: str = "ccxt",
    days: int = DAYS,
    model_dir: str = "models",
    use_prefect: bool = True,
) -> dict[str, Any]:
    """Collect what is new, and nothing else; gives success, collected (new bars), last_bar (ISO 8601) and error."""
    gather = collection if use_prefect else _collect
    try:
        with _server_where(use_prefect):
            return gather(symbol, exchange, provider, days, model_dir)
    except EXPECTED as error:
        return {"success": False, "collected": 0, "last_bar": None, "error": f"{type(error).__name__}: {error}"}


_NOTHING: dict[str, Any] = {"version": None, "metrics": {}, "activated": False, "reason": None}


@flow(name="model-retraining")
def retraining(symbol: str, exchange: str, provider: str, days: int, model_dir: str) -> dict[str, Any]:
    """`model_retraining_flow` as a flow of Prefect, whose steps are its tasks; it fails where a step does."""
    return _retrain(symbol, exchange, provider, days, model_dir, step=_as_task)


@flow(name="data-collection")
def collection(symbol: str, exchange: str, provider: str, days: int, model_dir: str) -> dict[str, Any]:
    """`data_collection_flow` as a flow of Prefect; it fails where the collection does."""
    return _collect(symbol, exchange, provider, days, model_dir, step=_as_task)


def _retrain(
    symbol: str, exchange: str, provider: str, days: int, model_dir: str, step: Callable[[Any], Any] = lambda each: each
) -> dict[str, Any]:
    market = Market(symbol, exchange, provider, days, ModelFolder(Path(model_dir)))
    found = step(collect)(market)
    if found.last is None:
        raise ValueError(f"{exchange} gave no bar of {symbol} that is over: ask for more days")
    dataset = step(validate)(market, found.last)
    sides = step(features)(market, dataset)
    trained = step(evaluate)(market, step(train)(sides), dataset, sides)
    verdict = step(compare)(market, trained, dataset, sides)
    activated = step(activate)(market, trained, verdict)
    result = {"version": str(trained.number), "metrics": trained.metrics, "activated": activated}
    return {"success": True, **result, "reason": verdict.reason, "error": None}


def _collect(
    symbol: str, exchange: str, provider: str, days: int, model_dir: str, step: Callable[[Any], Any] = lambda each: each
) -> dict[str, Any]:
    found = step(collect)(Market(symbol, exchange, provider, days, ModelFolder(Path(model_dir))))
    last = None if found.last is None else found.last.isoformat()
    return {"success": True, "collected": found.new, "last_bar": last, "error": None}


def _as_task(step: Callable[P, T]) -> Callable[P, T]:
    return task(cache_policy=NO_CACHE)(step)


@contextmanager
def _server_where(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    from flows.command_line import some_server

    with some_server():
        yield


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


def main(arguments: Sequence[str] | None = None) -> int:
    """One run, or with --cron or --every-seconds a process that runs by that schedule until it is ended."""
    options = vars(_parser().parse_args(arguments))
    what, cron, every = options.pop("what"), options.pop("cron"), options.pop("every_seconds")
    if cron or every:
        scheduled = retraining if what == "retrain" else collection
        options.pop("use_prefect")
        interval = timedelta(seconds=every) if every else None
        scheduled.serve(USE_CASE, cron=cron, interval=interval, parameters=options)
        return 0
    result = (model_retraining_flow if what == "retrain" else data_collection_flow)(**options)
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if result["success"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.market", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("retrain", "collect"))
    parser.add_argument("--symbol", default="BTC/USDT")
    parser.add_argument("--exchange", default="kraken", help="as ccxt names it")
    parser.add_argument("--provider", default="ccxt", help="ccxt, sample, or a file of candles")
    parser.add_argument("--days", type=int, default=DAYS, help="how far back, where there is no bar yet")
    parser.add_argument("--model-dir", default="models", help="where candles, snapshots and versions lie")
    parser.add_argument("--no-prefect", dest="use_prefect", action="store_false", help="start no server")
    schedule = parser.add_mutually_exclusive_group()
    schedule.add_argument("--cron", help="run by that schedule, in UTC, until ended; PREFECT_API_URL names the server")
    schedule.add_argument("--every-seconds", type=float, help="run so often until ended")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
