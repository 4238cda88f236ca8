"""What an alarm sets off: one training a drift episode, and its promotion's decision, as parts of the run that alarmed.

Owns whether there is reason to train and what with. Training and promotion are their own flows and are given what
their contracts say; that an episode has one retraining is `factory.records.drift_checks`'s rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef, PromotionParams, PromotionResult, TrainingParams, TrainingResult
from factory.records import drift_checks
from factory.records.drift_checks import Retraining
from factory.settings import Settings
from factory.use_cases import clock_of
from factory.use_cases.use_case import Declared, UseCase
from flows.adapters.retries import NETWORK

KEPT_PARAMETERS = ("max_features", "C", "n_clusters")
"""What a person fixed for the champion is fixed for its successor."""


class PartFailed(RuntimeError):
    """A training, or the promotion that follows it, ended otherwise than well: which `part`, the state's name and
    message."""

    def __init__(self, part: str, state: str, message: str) -> None:
        super().__init__(part, state, message)
        self.part, self.message = part, message

    def __str__(self) -> str:
        part, state, message = self.args
        return f"{part} ended as {state}: {message}"


class RetrainingFailed(RuntimeError):
    """A retraining that drift called for did not succeed; the message names the drift, the part and its error."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a retraining would take: the newest snapshot, whether it is new to the models, and fixed parameters."""

    dataset: DatasetRef | None
    newer: bool
    fixed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a retraining, in a sentence; without results nothing was trained."""

    said: str
    trained: TrainingResult | None = None
    decision: PromotionResult | None = None


def retrain(settings: Settings, declared: Declared, *, until: datetime | None, cause: str, force: bool) -> Outcome:
    """Train on the newest snapshot and decide its promotion, where there is reason to.

    There is none without a newer snapshot than those trained on, nor a second time in one drift episode; `force`
    overrides both. Without `until`, the data time of the check that alarmed, no episode is looked at. Raises
    RetrainingFailed when training or promotion failed; the episode may then be tried again.
    """
    plan = plan_retraining(settings, declared)
    if not (plan.newer or force):
        return Outcome("no newer snapshot")
    mine = _claimer()
    if until is not None and (standing := claim(settings, declared, until, claimed_by=mine, force=force)):
        return Outcome(_explain(standing, _cooldown_days(settings, declared.use_case, until)))
    with nullcontext() if until is None else _given_back(settings, declared, until, mine):
        params = TrainingParams(
            use_case=declared.use_case.name,
            model=declared.parameter,
            dataset=plan.dataset,
            auto_promote_threshold=None,
            **plan.fixed,
        )
        try:
            trained, decision = train_and_decide(params)
        except PartFailed as error:
            raise RetrainingFailed(f"{cause}; retraining failed: {error}") from error
        period = clock_of(params.use_case).words(trained.week_number)
        outcome = Outcome(f"retrained on {period}: {verdict_on(trained, decision)}", trained, decision)
        if until is not None:
            settle(settings, declared, until, claimed_by=mine, done=True, outcome=outcome.said)
        return outcome


@task(**NETWORK)
def plan_retraining(settings: Settings, declared: Declared) -> Plan:
    """The newest snapshot, whether no version was trained on it or on a newer one, and the champion's parameters."""
    from factory.snapshots.cutting import newest_week
    from flows.adapters import registry, runs
    from flows.core.policy import Snapshot, is_newer

    client = registry.connect(settings.mlflow_tracking_uri)
    model = declared.name
    newest = newest_week(settings, declared.use_case.name)
    known, strangers = registry.trained_snapshots(client, model)
    for said in strangers:
        get_run_logger().warning("left out of what was trained on: %s", said)
    newer = newest is not None and is_newer(Snapshot(newest.week, newest.revision), known)
    champion = registry.find_version(client, model, registry.CHAMPION)
    params = runs.read_params(client, champion.run_id) if champion else {}
    return Plan(newest, newer, {name: params[name] for name in KEPT_PARAMETERS if name in params})


@task(**NETWORK)
def claim(
    settings: Settings, declared: Declared, until: datetime, *, claimed_by: str, force: bool
) -> Retraining | None:
    """None when the episode's retraining is the caller's now, else the one that stands in the way."""
    engine, days = open_catalogue(settings.database_url), _cooldown_days(settings, declared.use_case, until)
    return drift_checks.claim_retraining(engine, declared.name, until, days, claimed_by=claimed_by, force=force)


@task(**NETWORK)
def settle(
    settings: Settings, declared: Declared, until: datetime, *, claimed_by: str, done: bool, outcome: str
) -> None:
    """Write how the caller's retraining ended."""
    engine = open_catalogue(settings.database_url)
    drift_checks.settle_retraining(engine, declared.name, until, claimed_by=claimed_by, done=done, outcome=outcome)


def _claimer() -> str:
    """Who claims: the flow run, also when it is started again; a call outside of one is like no other."""
    context = FlowRunContext.get()
    return str(context.flow_run.id if context and context.flow_run else uuid4())


@contextmanager
def _given_back(settings: Settings, declared: Declared, until: datetime, claimed_by: str) -> Iterator[None]:
    """The claim is given back by whatever ends the block early: left standing it would be in the way for hours."""
    try:
        yield
    except BaseException as error:  # Ctrl-C and a cancelled run included, and raised again
        said = str(error) if isinstance(error, RetrainingFailed | PartFailed) else f"{type(error).__name__}: {error}"
        # not as a task: a flow run that is cancelled starts none any more
        settle.fn(settings, declared, until, claimed_by=claimed_by, done=False, outcome=said)
        raise


def train_and_decide(params: TrainingParams) -> tuple[TrainingResult, PromotionResult]:
    """Train as asked and decide the promotion of what came of it; raises PartFailed."""
    from flows.pipeline_flow import training_pipeline
    from flows.promotion import promotion

    given = {name: getattr(params, name) for name in params.model_fields_set}
    trained = TrainingResult.model_validate(_result_of("training", training_pipeline(**given, return_state=True)))
    asked = PromotionParams(
        **params.model_dump(include={"use_case", "model"}, exclude_unset=True), model_version=trained.model_version
    )
    state = promotion(**asked.model_dump(exclude_unset=True), return_state=True)
    decision = PromotionResult.model_validate(_result_of(f"promotion of version {trained.model_version}", state))
    return trained, decision


def verdict_on(trained: TrainingResult, decision: PromotionResult) -> str:
    """What was decided on the version, and why; and what a person has to know of its commits."""
    verdict = "promoted" if decision.promoted else "not promoted"
    missing = f"; commits are missing: {decision.commit_problem}" if decision.commit_problem else ""
    return f"version {trained.model_version} {verdict}, {decision.reason}{missing}"


def _result_of(part: str, state: State[dict[str, Any]]) -> dict[str, Any]:
    if not state.is_completed():
        raise PartFailed(part, str(state.name), str(state.message))
    result: dict[str, Any] = state.result()
    return result


def _cooldown_days(settings: Settings, use_case: UseCase, until: datetime) -> float:
    if (periods := use_case.drift.cooldown_periods) is None:
        return settings.retrain_cooldown_days
    return (until - use_case.clock.back(until, periods)) / timedelta(days=1)


def _explain(standing: Retraining, cooldown_days: float) -> str:
    said = standing.outcome or "it has not ended yet"
    return (
        f"this drift episode had its retraining on {standing.until:%Y-%m-%d} ({said}); "
        f"the next may follow {cooldown_days:g} days after it"
    )
