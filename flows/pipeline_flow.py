"""`training-pipeline`: a week's snapshot becomes a registered challenger.

Owns the order of a training and its retries. Must not know how a model is built (`flows.core.models`), how MLflow keeps
it (`flows.adapters`), or when a challenger wins (`flows.promotion`).

    python -m flows.pipeline_flow --week 3 --max-features 10000
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from factory import use_cases
from factory.contracts import DatasetRef, TrainingResult
from factory.settings import Settings, read_settings
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.publication import flow_run_url, publish
from flows.adapters.retries import NETWORK

if TYPE_CHECKING:
    from flows.adapters.datasets import Sides
    from flows.adapters.runs import Logged, Training


@flow(
    name="training-pipeline",
    on_completion=[announce_result(TrainingResult)],
    on_failure=[announce_failure],
    on_crashed=[announce_failure],
)
def training_pipeline(
    dataset_run_id: str | None = None,
    week_number: int = 1,
    max_features: int = 5000,
    C: float = 1.0,  # noqa: N803 - scikit-learn's name, known to users
    auto_promote_threshold: float | None = 0.75,
    use_case: str = "products",
    dataset: DatasetRef | None = None,
    week: int | None = None,
) -> dict[str, Any]:
    """Train a classifier on a week's snapshot and register it as challenger.

    The snapshot is `dataset`, else that of the MLflow run `dataset_run_id`, else that of the week, cut where it is
    missing. `week` is a short name of `week_number`. With `auto_promote_threshold` (weighted F1, 0 to 1) the
    promotion is decided at once; None leaves it to the promotion's own deployment. Gives `TrainingResult` as a dict.
    """
    settings = read_settings()
    log = get_run_logger()
    chosen = dataset or find_dataset(settings, use_case, chosen_week(week_number, week), dataset_run_id)
    log.info("training on %s week %d: %d rows, %d to train on", use_case, chosen.week, chosen.rows, chosen.train_rows)
    params = {"max_features": max_features, "C": C}
    training = fit_challenger(use_case, chosen, read_sides(chosen), params, flow_run_url(settings.prefect_ui_url))
    logged = log_training(settings, training)
    version = register_challenger(settings, training, logged)
    log.info("version %s is the challenger: %s", version, training.metrics)
    promoted, reason = False, "promotion is left to its own run"
    if auto_promote_threshold is not None:
        from flows.promotion import promotion

        decision = promotion(use_case=use_case, model_version=version, threshold=auto_promote_threshold)
        promoted, reason = decision["promoted"], decision["reason"]
    result = TrainingResult(
        run_id=logged.run_id,
        metrics=dict(training.metrics),
        promoted=promoted,
        promotion_decided=auto_promote_threshold is not None,
        dataset_run_id=logged.run_id if dataset or not dataset_run_id else dataset_run_id,
        week_number=chosen.week,
        use_case=use_case,
        model_version=version,
        reason=reason,
        mlflow_url=logged.url,
    )
    return publish(result)


def chosen_week(week_number: int, week: int | None) -> int:
    """The week that the two parameters name; raises ValueError when they name different ones."""
    if week is None or week == week_number:
        return week_number
    if week_number != 1:
        raise ValueError(f"week={week} and week_number={week_number} name different weeks: give one of them")
    return week


@task(**NETWORK)
def find_dataset(settings: Settings, use_case: str, week: int, dataset_run_id: str | None) -> DatasetRef:
    """The dataset to train on where none was handed over."""
    from flows.adapters import datasets
    from flows.adapters.registry import connect

    client = connect(settings.mlflow_tracking_uri)
    return datasets.find_dataset(settings, client, use_case, week, dataset_run_id=dataset_run_id)


@task(**NETWORK)
def read_sides(dataset: DatasetRef) -> Sides:
    """Training rows and frozen test set of the snapshot."""
    from flows.adapters import datasets

    return datasets.read_sides(dataset)


@task(cache_policy=NO_CACHE)
def fit_challenger(
    use_case: str, dataset: DatasetRef, sides: Sides, params: dict[str, Any], flow_run_page: str | None
) -> Training:
    """The fitted model with its metrics and predictions on the frozen test set; refuses leaks across the split."""
    from flows.adapters.runs import Training
    from flows.core import leakage, models

    train, test = sides.train, sides.test
    leakage.refuse_leaks(train, test)
    model = models.fit(train["text"], train["prdtypecode"], **params)
    predicted = models.predict(model, test["text"])
    near = leakage.near_duplicate_share(model, train["text"], test["text"])
    if near > use_cases.get(use_case).near_duplicate_alarm:
        get_run_logger().warning("%.0f %% of the test rows nearly equal a training row", 100 * near)
    return Training(
        use_case=use_case,
        dataset=dataset,
        params=params,
        model=model,
        near_duplicates=near,
        metrics=models.measure(test["prdtypecode"], predicted["predicted_class"]),
        confusion=models.confusion(test["prdtypecode"], predicted["predicted_class"]),
        train_labels=train["prdtypecode"],
        test_labels=test["prdtypecode"],
        reference=predicted.assign(text=test["text"], text_length=test["text"].str.len()),
        flow_run_url=flow_run_page,
    )


@task(**NETWORK)
def log_training(settings: Settings, training: Training) -> Logged:
    """The training as an MLflow run."""
    from flows.adapters import runs
    from flows.adapters.registry import connect

    experiment = use_cases.get(training.use_case).experiment
    client = connect(settings.mlflow_tracking_uri)
    return runs.log_training(client, experiment, training, ui_url=settings.mlflow_ui_url)


@task(**NETWORK)
def register_challenger(settings: Settings, training: Training, logged: Logged) -> str:
    """The run's model as a registered version under the alias `challenger`; gives its number."""
    from flows.adapters import registry

    tags = {"use_case": training.use_case, "week": str(training.dataset.week)}
    tags |= {name: f"{value:.6f}" for name, value in training.metrics.items()}
    model = use_cases.get(training.use_case).model_name
    client = registry.connect(settings.mlflow_tracking_uri)
    return registry.register(
        client, model, run_id=logged.run_id, model_id=logged.model_id, dataset=training.dataset, tags=tags
    )


if __name__ == "__main__":
    from flows.command_line import run

    run(training_pipeline)
