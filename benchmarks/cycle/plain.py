"""A period without orchestrators: the factory's and the flows' own functions, one after another in one process.

Prefect's decorators are replaced before the flows are imported. A flow is then the function that it decorates, a task
too, and what a flow submits runs in two threads, as it would on two cores. Nothing is published and nobody is told;
data, models and registry are the real ones. Prints one JSON object: seconds by stage.

    python -m benchmarks.cycle.plain products 2
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

THREADS = ThreadPoolExecutor(max_workers=2)


def main(use_case: str, period: int) -> None:
    """Run the period's stages, those of several models one after another, and print what each took."""
    began = time.perf_counter()
    _without_prefect()
    from factory.quality.checking import check_week
    from factory.settings import read_settings
    from factory.snapshots.cutting import clock_for, cut_week
    from factory.use_cases import models_of
    from flows.monitor_and_retrain import monitor_and_retrain
    from flows.pipeline_flow import training_pipeline
    from flows.promotion import promotion
    from flows.scoring import score

    settings = read_settings()
    as_of = clock_for(settings, use_case).as_of(period)
    seconds = {"imports": time.perf_counter() - began}

    def stage(name: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = work()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun
        return result

    cut = stage("cut_week", lambda: cut_week(settings, use_case, as_of=as_of, week=period))
    dataset = stage("check_week", lambda: check_week(settings, cut))
    for declared in models_of(use_case):
        of: dict[str, Any] = {"use_case": use_case, "model": declared.parameter}
        stage("score", partial(score, dataset=dataset, **of))
        trained = stage("train", partial(training_pipeline, dataset=dataset, auto_promote_threshold=None, **of))
        stage("promote", partial(promotion, model_version=trained["model_version"], **of))
        stage("monitor", partial(monitor_and_retrain, as_of=dataset.as_of, **of))
    print(json.dumps(seconds))


class PlainTask:
    """A task's function; `submit` runs it in a thread."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.fn = function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.fn(*arguments, **named)

    def submit(self, *arguments: Any, **named: Any) -> PlainFuture:
        """A future of its result; futures among the arguments are waited for."""
        given = [each.result() if isinstance(each, PlainFuture) else each for each in arguments]
        return PlainFuture(THREADS.submit(self.fn, *given, **named))

    def with_options(self, **_: Any) -> PlainTask:
        """Options are the orchestrator's."""
        return self


class PlainFuture:
    """As much of Prefect's future as the flows use."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def result(self, *, raise_on_failure: bool = True) -> Any:
        """The result; without `raise_on_failure` the error, where there is one."""
        error = self._future.exception()
        if error is not None and not raise_on_failure:
            return error
        return self._future.result()


def _without_prefect() -> None:
    import prefect

    def decorator(make: Callable[[Callable[..., Any]], Any]) -> Any:
        def decorate(function: Callable[..., Any] | None = None, **_: Any) -> Any:
            return make if function is None else make(function)

        return decorate

    prefect.flow = decorator(lambda function: function)  # type: ignore[assignment]
    prefect.task = decorator(PlainTask)  # type: ignore[assignment]
    prefect.get_run_logger = lambda *_: logging.getLogger("week")  # type: ignore[assignment, return-value]
    from flows.adapters import initiator, publication

    by_script = initiator.Initiator("a plain script", str(uuid4()))
    initiator.find_initiator = lambda *_: by_script

    publication.publish = lambda result: result.model_dump(mode="json")
    publication.publish_skip = lambda result, _: result.model_dump(mode="json")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
