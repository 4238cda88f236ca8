"""`train-models`: every model of a use case from one snapshot, side by side, each judged by its own gate.

Owns how the models are shared out and how such a run ends: what one fails at leaves the others alone, and is told. Must
not know how a model is trained (`flows.pipeline_flow`) or judged (`flows.promotion`).

MODELS_RUN_IN says where they are trained: `threads` of this process, which is the default, `processes`, or the address
of a Dask scheduler, such as tcp://127.0.0.1:8786, with prefect-dask installed.

    python -m flows.all_models --use-case songs --week 3
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from factory import use_cases
from factory.contracts import AtLeastTwo, DatasetRef, ModelsResult, Period, TrainingParams, WeekNumber
from factory.settings import SettingsError, read_settings
from factory.use_cases.tasks import Clusters
from factory.use_cases.use_case import Declared
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.lineage import tell_lineage
from flows.adapters.publication import publish
from flows.periods import chosen_week
from flows.pipeline_flow import find_dataset
from flows.retraining import PartFailed, train_and_decide, verdict_on

VARIABLE = "MODELS_RUN_IN"
PARTIAL_SUCCESS = "PartialSuccess"
"""Name of the COMPLETED state of a run some of whose models failed; its message names them."""
WRAPPED = "Flow run encountered an exception: "
"""How Prefect begins the message of a run that an error has ended."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""How many each process has. Where there are as many processes as processors, a second one waits for the others'."""
DASK_SCHEMES = ("tcp://", "tls://", "ws://", "wss://", "inproc://")


def runner_of(environ: Mapping[str, str] = os.environ) -> TaskRunner[PrefectFuture[Any]]:
    """Where models are trained, as MODELS_RUN_IN says; raises SettingsError for what it does not know.

    Processes take over this one's environment, in which each is given one thread from here on.
    """
    named = environ.get(VARIABLE, "").strip() or "threads"
    if named == "threads":
        return ThreadPoolTaskRunner(max_workers=os.cpu_count())  # type: ignore[return-value]
    if named == "processes":
        for name in THREADS:
            os.environ.setdefault(name, "1")  # where the user says nothing
        return ProcessPoolTaskRunner(max_workers=os.cpu_count())  # type: ignore[return-value]
    if named.startswith(DASK_SCHEMES):
        return _dask(named)
    raise SettingsError(
        f"{VARIABLE}={named!r}: write threads, processes, or the address of a Dask scheduler (tcp://127.0.0.1:8786)"
    )


@flow(
    name="train-models",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(ModelsResult)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
)
def train_models(
    use_case: str,
    dataset: DatasetRef | None = None,
    week_number: WeekNumber | None = None,
    n_clusters: AtLeastTwo | None = None,
    week: WeekNumber | None = None,
    period: Period | None = None,
) -> State[dict[str, Any]]:
    """Train every model of the use case on one snapshot, side by side, and judge each by its own gate.

    Gives `ModelsResult` as a dict. A run some of whose models failed is completed under the name PartialSuccess; one
    all of whose models failed is a failure.

    Args:
        use_case: Whose models.
        dataset: A snapshot as the DAG hands it over; it comes before week_number.
        week_number: The week whose snapshot is used, the newest when none is named.
        n_clusters: So many clusters, where the use case has clusters; as many as the rows show when not given.
        week: A short name of week_number.
        period: The same as week_number, as the use case's clock writes it.
    """
    declared = use_cases.models_of(use_case)
    chosen = dataset or find_dataset(read_settings(), use_case, chosen_week(use_case, week_number, week, period), None)
    futures = {each.name: train_and_judge.submit(_asked(each, chosen, n_clusters)) for each in declared}
    outcomes = {name: future.result(raise_on_failure=False) for name, future in futures.items()}
    failed = {name: _said(outcome) for name, outcome in outcomes.items() if not isinstance(outcome, str)}
    for name, outcome in outcomes.items():
        get_run_logger().info("%s: %s", name, outcome if name not in failed else f"failed in {failed[name]}")
    return end_of(ModelsResult(use_case=use_case, models=tuple(futures), failed=failed))


def train_side_by_side(**given: Any) -> State[dict[str, Any]]:
    """`train_models` where MODELS_RUN_IN says; gives its final state, whatever it is."""
    shared_out = train_models.with_options(task_runner=runner_of())
    with get_client(sync_client=True) as client:
        api = str(client.api_url)
    # said to other processes, too: of a server that this one has started for itself they would know nothing
    with temporary_settings({PREFECT_API_URL: api}):
        return cast("State[dict[str, Any]]", shared_out(**given, return_state=True))


@task(cache_policy=NO_CACHE, task_run_name="train-{asked.model}")
def train_and_judge(asked: TrainingParams) -> str:
    """What became of one model, in a sentence; raises PartFailed. Its own tasks repeat what may pass."""
    return verdict_on(*train_and_decide(asked))


def end_of(result: ModelsResult) -> State[dict[str, Any]]:
    """The final state of a run whose models fared so."""
    document, said = publish(result), "; ".join(result.reservations())
    if not result.failed:
        return Completed(message=f"all {len(result.models)} models got through", data=document)
    if len(result.failed) == len(result.models):
        return Failed(message=f"no model got through: {said}")
    return Completed(name=PARTIAL_SUCCESS, message=said, data=document)


def _asked(declared: Declared, dataset: DatasetRef, n_clusters: int | None) -> TrainingParams:
    return TrainingParams(
        use_case=declared.use_case.name,
        model=declared.parameter,
        dataset=dataset,
        auto_promote_threshold=None,  # its own gate decides
        n_clusters=n_clusters if isinstance(declared.model.task, Clusters) else None,
    )


def _said(outcome: object) -> str:
    """Which part failed, and why, of what a task ended with."""
    if isinstance(outcome, PartFailed):
        return f"{outcome.part}: {outcome.message.removeprefix(WRAPPED)}"
    return f"the run: {str(outcome) or type(outcome).__name__}"


def _dask(address: str) -> TaskRunner[PrefectFuture[Any]]:
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise SettingsError(f"{VARIABLE}={address}: install prefect-dask beside the flows") from error
    return cast("TaskRunner[PrefectFuture[Any]]", DaskTaskRunner(address=address))


if __name__ == "__main__":
    from flows.command_line import run

    run(train_models)
