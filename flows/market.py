"""Retraining on a market's candles in one folder: collect, validate, features, train, evaluate, compare, activate.

Owns the order of these steps (`flows.market_steps`), for whoever has neither a registry nor Airflow. Candles,
snapshots and versions lie in `model_dir`, one market a folder. With Prefect the steps are tasks of a flow; without
(`use_prefect=False`) they are called one after the other, and no server is started.

    python -m flows.market retrain --provider sample --model-dir models
    python -m flows.market collect --symbol BTC/USDT --exchange binance --days 2000 --model-dir models
    python -m flows.market retrain --symbol BTC/USDT --exchange binance --cron "5 7 * * *"
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from factory.errors import FactoryError
from flows.adapters.model_folder import ModelFolder
from flows.core.selection import NoCandidateError
from flows.market_steps import (
    USE_CASE,
    Market,
    activate,
    collect,
    compare,
    evaluate,
    features,
    train,
    validate,
)

P = ParamSpec("P")
T = TypeVar("T")

DAYS = 2_000
"""The test set takes three years of them."""
EXPECTED = (FactoryError, NoCandidateError, ValueError, OSError)
"""What a result tells as its error; anything else is a fault of ours and is raised."""


def model_retraining_flow(
    symbol: str = "BTC/USDT",
    exchange: str = "binance",
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
    exchange: str = "binance",
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
    parser.add_argument("--exchange", default="binance", help="as ccxt names it")
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
