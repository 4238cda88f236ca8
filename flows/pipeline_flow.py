"""`training-pipeline`: a week's snapshot becomes a registered challenger.

Owns the order of a training and its retries: candidates are compared on training rows, side by side; the best one is
fitted on all of them; the frozen test set is looked at once, after that. Must not know how a model is built or measured
(`flows.core`), how MLflow keeps it (`flows.adapters`), or when a challenger wins (`flows.promotion`).

    python -m flows.pipeline_flow --week 3
    python -m flows.pipeline_flow --week 3 --max-features 10000
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.contracts import (
    AtLeastOne,
    AtLeastTwo,
    CandidateScore,
    Count,
    DatasetRef,
    MonthName,
    Names,
    Period,
    Positive,
    Share,
    TrainingResult,
    WeekNumber,
)
from factory.lineage.data import of_file, of_version
from factory.records.accepted_leaks import read_accepted
from factory.settings import Settings, SettingsError, read_settings
from factory.use_cases.own import settings_file
from factory.use_cases.use_case import Declared
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.lineage import reads, tell_lineage, writes
from flows.adapters.publication import flow_run_url, publish
from flows.adapters.retries import NETWORK
from flows.core import selection
from flows.core.logic import logic_of
from flows.core.selection import AnyCandidate, Choice, Score, Validation
from flows.periods import chosen_week

if TYPE_CHECKING:
    import pandas as pd

    from flows.adapters.datasets import Sides
    from flows.adapters.exam import Exam, Report
    from flows.adapters.runs import Logged
    from flows.adapters.training_record import Training
    from flows.core.leakage import NearDuplicates

THRESHOLD = 0.75
"""From which value of the metric a training has its promotion decided where nobody says another."""


@flow(
    name="training-pipeline",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(TrainingResult)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
    # candidates are fitted in threads: scikit-learn's solvers let go of the interpreter, and they share their matrix
    task_runner=ThreadPoolTaskRunner(max_workers=os.cpu_count()),  # type: ignore[arg-type]
)
def training_pipeline(
    dataset_run_id: str | None = None,
    week_number: WeekNumber | None = None,
    max_features: AtLeastOne | None = None,
    C: Positive | None = None,  # noqa: N803 - scikit-learn's name, known to users
    auto_promote_threshold: Share | None = THRESHOLD,
    use_case: str = "products",
    dataset: DatasetRef | None = None,
    week: WeekNumber | None = None,
    candidates: Names | None = None,
    search_trials: Count = 0,
    search_seconds: Positive | None = None,
    period: Period | None = None,
    model: str | None = None,
    n_clusters: AtLeastTwo | None = None,
    current_month: MonthName | None = None,
    snapshot_month: MonthName | None = None,
) -> dict[str, Any]:
    """Train the best candidate on a week's snapshot and register it as challenger.

    Gives `TrainingResult` as a dict. Raises WeekUnknown for a week that may not be cut yet
    (`flows.adapters.datasets.find_week`), LeakageError, NoCandidateError and AddressRefused.

    Args:
        dataset_run_id: MLflow run whose snapshot is used again.
        week_number: The week whose snapshot is used, the newest when none is named; a week after it is refused.
        max_features: So many terms, in a logistic regression that is trained without comparing candidates.
        C: Inverse strength of regularisation, in a logistic regression that is trained without comparing candidates.
        auto_promote_threshold: Value of the metric that decides (0 to 1) from which the promotion is decided at once;
            null leaves it open. Where it is left at its default, a higher floor of the use case's gate takes its place.
        use_case: Whose weeks and models.
        dataset: A snapshot as the weekly DAG hands it over, in the store; it comes before all others.
        week: A short name of week_number.
        candidates: The candidates to compare; those of the use case when none are named.
        search_trials: So many other settings of the best candidate are tried.
        search_seconds: The search ends after so many seconds.
        period: The same as week_number, as the use case's clock writes it: 3, 2017-06 or 2017-06-12.
        model: Which of the use case's models; may be left out where it has one.
        n_clusters: So many clusters, in a clustering whose number is not chosen.
        current_month: The same as period, of a use case that counts months: 2017-06.
        snapshot_month: The same as current_month.
    """
    settings = read_settings()
    log = get_run_logger()
    declared = use_cases.choose_model(use_case, model)
    logic = logic_of(declared)
    entrants = find_entrants(declared, candidates)
    named = chosen_week(use_case, week_number, week, period, current_month, snapshot_month)
    chosen = dataset or find_dataset(settings, use_case, named, dataset_run_id)
    log.info("training on %s %s: %d rows, %d to train on", use_case, chosen.period, chosen.rows, chosen.train_rows)
    frozen = find_exam(settings, chosen)
    chosen = frozen.dataset
    reads(of_file(chosen), of_file(chosen.test))
    sides = read_sides(settings, chosen, declared)
    refuse_leaks(settings, declared, sides)
    near_duplicates = find_near_duplicates.submit(declared, sides)
    given = {"max_features": max_features, "C": C, "n_clusters": n_clusters}
    fixed = {name: value for name, value in given.items() if value is not None}
    if fixed and candidates:
        raise ValueError(f"{', '.join(fixed)} fix one model and candidates name others: give one of them")
    if fixed:
        choice = Choice(logic.recipe(fixed))
    else:
        tried = entrants if candidates else selection.worth_trying(entrants, len(sides.train))
        choice = choose_candidate(declared, sides.train, tried, search_trials, search_seconds)
    near = near_duplicates.result()
    report = look_at_test_set(settings, declared, frozen, sides, str(flow_run.get_id()))
    flow_run_page = flow_run_url(settings.prefect_ui_url)
    training = fit_challenger(declared, chosen, sides, choice, fixed, near, flow_run_page, report)
    for remark in training.evaluation.remarks():
        log.info("%s", remark)
    logged = log_training(settings, training)
    version = register_challenger(settings, training, logged)
    writes(*of_version(settings.mlflow_tracking_uri, declared.name, version, "challenger"))
    log.info("version %s is the challenger: %s", version, training.metrics)
    promoted, reason, card_url = False, "promotion is left to its own run", None
    if auto_promote_threshold is not None:
        from flows.promotion import promotion

        threshold = find_threshold(declared, auto_promote_threshold)
        decision = promotion(use_case=use_case, model=declared.name, model_version=version, threshold=threshold)
        promoted, reason, card_url = decision["promoted"], decision["reason"], decision["card_url"]
    metric = declared.model.metric.name
    result = TrainingResult(
        run_id=logged.run_id,
        metrics=training.metrics,
        intervals={name: (found.low, found.high) for name, found in training.evaluation.estimates.items()},
        candidate=choice.candidate.name,
        cv_scores={score.candidate.name: _published(score, metric) for score in choice.scores},
        failed_candidates=dict(choice.failures),
        promoted=promoted,
        promotion_decided=auto_promote_threshold is not None,
        dataset_run_id=logged.run_id if dataset or not dataset_run_id else dataset_run_id,
        week_number=chosen.week,
        use_case=use_case,
        model=declared.name,
        model_version=version,
        reason=reason,
        mlflow_url=logged.url,
        card_url=card_url,
        test_version=chosen.test_version,
        test_looks=report.looks,
        test_remarks=report.remarks(),
    )
    return publish(result)


def find_threshold(declared: Declared, asked: float) -> float:
    """What the metric that decides (0 to 1) must reach: what was asked for, else no less than the gate's floor.

    A default cannot be told from the same number that somebody asked for, so neither is ever undercut; but for tasks
    of whose metric the default says nothing: there the floor alone holds.
    """
    if asked != THRESHOLD:
        return asked
    floor = declared.model.gate.floor
    return max(asked, floor) if declared.model.task.default_threshold else floor


def find_entrants(declared: Declared, named: list[str] | None) -> tuple[AnyCandidate, ...]:
    """The candidates that are compared: those named, else those of the model, else all.

    Raises ValueError naming those that exist, and SettingsError where the model names another.
    """
    find = logic_of(declared).find_candidates
    if named is not None:
        return find(named)
    try:
        return find(list(declared.model.candidates) or None)
    except ValueError as error:
        raise SettingsError(f"{declared.name}.candidates in {settings_file() or 'the use case'}: {error}") from error


def choose_candidate(
    declared: Declared,
    train: pd.DataFrame,
    entrants: tuple[AnyCandidate, ...],
    search_trials: int,
    search_seconds: float | None,
) -> Choice:
    """The best of the entrants by cross-validation on the training rows; one that fails is named and left out.

    Raises NoCandidateError when all of them fail.
    """
    log = get_run_logger()
    metric = declared.model.metric
    validation = prepare_cross_validation(declared, train, entrants)
    # quick ones are declared first: begun the other way round, no processor is left alone with the longest
    submitted = {entrant.name: score_candidate.submit(declared, entrant, validation) for entrant in reversed(entrants)}
    outcomes = {entrant.name: submitted[entrant.name].result(raise_on_failure=False) for entrant in entrants}
    scores = [outcome for outcome in outcomes.values() if isinstance(outcome, Score)]
    failures = {name: str(outcome) for name, outcome in outcomes.items() if not isinstance(outcome, Score)}
    for score in scores:
        found = score.found
        interval = f"{metric.show(found.value)} ({metric.show(found.low)} to {metric.show(found.high)})"
        log.info("%s: %s %s", score.candidate.name, metric.words, interval)
    for name, reason in failures.items():
        log.warning("candidate %s failed: %s", name, reason)
    best = selection.choose(scores, failures)
    if search_trials:
        best = search_settings(declared, best, validation, search_trials, search_seconds)
        scores = [best if score.candidate.name == best.candidate.name else score for score in scores]
    log.info("%s is trained, with %s", best.candidate.name, dict(best.candidate.settings))
    return Choice(best.candidate, logic_of(declared).slope(best, validation), scores, failures)


@task(**NETWORK)
def find_dataset(settings: Settings, use_case: str, week: int | None, dataset_run_id: str | None) -> DatasetRef:
    """The dataset to train on where none was handed over."""
    from flows.adapters import datasets, registry, runs

    if dataset_run_id is not None:
        return runs.read_dataset(registry.connect(settings.mlflow_tracking_uri), dataset_run_id, settings.data_roots)
    return datasets.find_dataset(settings, use_case, week)


@task(**NETWORK)
def find_exam(settings: Settings, dataset: DatasetRef) -> Exam:
    """The week with the test set that decides today; how that differs from the catalogue is a warning here."""
    from flows.adapters import exam

    found = exam.find_exam(settings, dataset)
    log = get_run_logger()
    (log.warning if found.difference.count else log.info)("%s", found.difference.sentence())
    return found


@task(**NETWORK)
def look_at_test_set(settings: Settings, declared: Declared, frozen: Exam, sides: Sides, look_id: str) -> Report:
    """The look that follows, counted, and what it cannot tell; a training that is cut short after this looked, too."""
    from factory.catalogue.database import open_catalogue, transaction
    from flows.adapters import exam

    classes = logic_of(declared).classes
    trained, tested = classes(sides.train).value_counts().to_dict(), classes(sides.test)
    with transaction(open_catalogue(settings.database_url)) as connection:
        report = exam.look(connection, frozen, tested, trained, model=declared.name, look_id=look_id, kind="training")
    for said in report.coverage.sentences():
        get_run_logger().warning("%s", said)
    return report


@task(**NETWORK)
def read_sides(settings: Settings, dataset: DatasetRef, declared: Declared) -> Sides:
    """Training rows and frozen test set of the snapshot."""
    from flows.adapters import datasets

    return datasets.read_sides(settings, dataset, declared)


@task(cache_policy=NO_CACHE)
def refuse_leaks(settings: Settings, declared: Declared, sides: Sides) -> None:
    """Nothing, when neither test rows nor labels stand in what is trained on; raises LeakageError.

    What a person has accepted, or the use case expects, is no finding.
    """
    with open_catalogue(settings.database_url).connect() as connection:
        accepted = [each.name for each in read_accepted(connection, declared.use_case.name)]
    accepted += [f"word:{word}" for word in declared.use_case.expected_words]
    logic_of(declared).refuse_leaks(sides.train, sides.test, accepted)


@task(cache_policy=NO_CACHE)
def find_near_duplicates(declared: Declared, sides: Sides) -> NearDuplicates:
    """The test rows that nearly equal a training row; a warning where they are more than the use case allows."""
    found = logic_of(declared).near_duplicates(sides.train, sides.test)
    alarm, log = declared.use_case.near_duplicate_alarm, get_run_logger()
    (log.warning if found.share > alarm else log.info)(found.sentence(alarm))
    return found


@task(cache_policy=NO_CACHE)
def prepare_cross_validation(declared: Declared, train: pd.DataFrame, entrants: tuple[AnyCandidate, ...]) -> Validation:
    """The training rows in folds, as all candidates look at them."""
    return logic_of(declared).prepare(train, entrants)


@task(cache_policy=NO_CACHE, task_run_name="score-{candidate.name}")
def score_candidate(declared: Declared, candidate: AnyCandidate, validation: Validation) -> Score:
    """A candidate's answers on training rows that it has not seen."""
    return logic_of(declared).score(candidate, validation)


@task(cache_policy=NO_CACHE)
def search_settings(
    declared: Declared, best: Score, validation: Validation, trials: int, seconds: float | None
) -> Score:
    """The best candidate with the best settings that were found within the budget."""
    logic = logic_of(declared)
    return logic.search(best, validation, trials=trials, seconds=seconds, tell=get_run_logger().info)


@task(cache_policy=NO_CACHE)
def fit_challenger(
    declared: Declared,
    dataset: DatasetRef,
    sides: Sides,
    choice: Choice,
    fixed: dict[str, Any],
    near: NearDuplicates,
    flow_run_page: str | None,
    report: Report,
) -> Training:
    """The chosen candidate fitted on all training rows, and what it is worth on the frozen test set."""
    from flows.adapters.training_record import Training

    train, test, logic = sides.train, sides.test, logic_of(declared)
    fitted = logic.fit(train, choice)
    return Training(
        declared=declared,
        dataset=dataset,
        params=fixed,
        choice=choice,
        described=logic.parameters(choice),
        model=fitted,
        near_duplicates=near,
        evaluation=logic.evaluate(fitted, test, near.rows),
        train_classes=logic.classes(train),
        test_classes=logic.classes(test),
        flow_run_url=flow_run_page,
        reasons=logic.reasons(fitted, test),
        report=report,
    )


@task(**NETWORK)
def log_training(settings: Settings, training: Training) -> Logged:
    """The training as an MLflow run."""
    from flows.adapters import runs
    from flows.adapters.registry import connect

    client = connect(settings.mlflow_tracking_uri)
    return runs.log_training(client, training, ui_url=settings.mlflow_ui_url)


@task(**NETWORK)
def register_challenger(settings: Settings, training: Training, logged: Logged) -> str:
    """The run's model as a registered version under the alias `challenger`; gives its number."""
    from flows.adapters import registry

    tags = {"use_case": training.dataset.use_case, "week": str(training.dataset.week)}
    tags |= {"candidate": training.choice.candidate.name, "test_version": training.dataset.test_version}
    tags |= {name: f"{value:.6f}" for name, value in training.metrics.items()}
    client = registry.connect(settings.mlflow_tracking_uri)
    return registry.register(
        client,
        training.declared.name,
        run_id=logged.run_id,
        model_id=logged.model_id,
        dataset=training.dataset,
        tags=tags,
    )


def _published(score: Score, metric: str) -> CandidateScore:
    found = score.found
    return CandidateScore(
        metric=metric, value=found.value, low=found.low, high=found.high, seconds=round(score.seconds, 3)
    )


if __name__ == "__main__":
    from flows.command_line import run

    run(training_pipeline)
