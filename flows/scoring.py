"""`score`: the standing champion predicts the week's arrivals, and unlabelled products that nobody scored before.

Owns what a logged prediction holds. The log itself is `factory.records.predictions`, the model
`flows.adapters.registry`.

    python -m flows.scoring --week 3
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State

from factory import use_cases
from factory.contracts import DatasetRef, MonthName, Period, ScoreResult, WeekNumber
from factory.lineage.data import of_file, of_table, of_version
from factory.lineage.tables import predictions_of
from factory.settings import Settings, read_settings
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import Declared
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.lineage import reads, tell_lineage, writes
from flows.adapters.publication import publish, publish_skip
from flows.adapters.registry import Version
from flows.adapters.retries import NETWORK
from flows.periods import chosen_week

if TYPE_CHECKING:
    import pandas as pd


@flow(
    name="score",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(ScoreResult)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
)
def score(
    use_case: str = "products",
    dataset: DatasetRef | None = None,
    week_number: WeekNumber | None = None,
    period: Period | None = None,
    model: str | None = None,
    snapshot_month: MonthName | None = None,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Let the champion predict the week's arrivals, and append them to the inference log.

    With them come products without a label that no earlier week has scored, since there was no champion when they came.

    Skips when there is no champion, and when it was trained on this week's rows: it would only recite them. May be
    repeated: a prediction's id follows from week, version and product. Gives `ScoreResult` as a dict; raises
    WeekUnknown and AddressRefused as a training does.

    Args:
        use_case: Whose weeks and models.
        dataset: A snapshot as the weekly DAG hands it over; it comes before week_number.
        week_number: The week whose arrivals are scored, the newest when none is named; a week after it is refused.
        period: The same as week_number, as the use case's clock writes it: 3, 2017-06 or 2017-06-12.
        model: Which of the use case's models; may be left out where it has one.
        snapshot_month: The same as period, of a use case that counts months: 2017-06.
    """
    settings = read_settings()
    declared = use_cases.choose_model(use_case, model)
    if dataset is not None:
        refuse_foreign(settings, dataset)
    champion = find_champion(settings, declared)
    clock = use_cases.clock_of(use_case)
    named = chosen_week(use_case, week_number, None, period, snapshot_month)
    week = dataset.week if dataset else named or find_newest_week(settings, use_case)
    if champion is None:
        return _skip(declared, week, None, explain_absence(settings, declared))
    chosen = dataset or find_dataset(settings, use_case, week)
    if champion.dataset.week >= chosen.week:
        trained = f"champion v{champion.number} was trained on {champion.dataset.period}"
        return _skip(declared, week, champion.number, f"{trained}: arrivals of {clock.words(week)} are no news to it")
    reads(of_file(chosen), *of_version(settings.mlflow_tracking_uri, champion.model, champion.number, "champion"))
    predictions: pd.DataFrame = predict_arrivals(settings, declared, champion, chosen)
    append_predictions(settings, declared, predictions)
    writes(of_table(settings.database_url, predictions_of(use_case), len(predictions)))
    get_run_logger().info("champion v%s predicted %d arrivals of %s", champion.number, len(predictions), chosen.period)
    result = ScoreResult(
        status="scored",
        reason=f"champion v{champion.number} predicted the arrivals of {chosen.period}",
        use_case=use_case,
        model=declared.name,
        week_number=week,
        rows=len(predictions),
        model_version=champion.number,
        mean_confidence=float(predictions["score"].mean()) if len(predictions) else None,
    )
    return publish(result)


@task(**NETWORK)
def refuse_foreign(settings: Settings, dataset: DatasetRef) -> None:
    """Nothing, when the dataset that was handed over may be opened; raises AddressRefused."""
    from flows.adapters import datasets

    datasets.admit(settings, dataset)


@task(**NETWORK)
def find_champion(settings: Settings, declared: Declared) -> Version | None:
    """The version under the alias `champion`, None when there is none."""
    from flows.adapters import registry

    client = registry.connect(settings.mlflow_tracking_uri)
    return registry.find_version(client, declared.name, registry.CHAMPION)


@task(**NETWORK)
def find_newest_week(settings: Settings, use_case: str) -> int:
    """The newest accepted week; the first where there is none."""
    from flows.adapters import datasets

    return datasets.newest_week(settings, use_case)


@task(**NETWORK)
def explain_absence(settings: Settings, declared: Declared) -> str:
    """Why there is no champion, by the record of decisions."""
    from factory.catalogue.database import open_catalogue
    from flows.adapters import registry, title

    client = registry.connect(settings.mlflow_tracking_uri)
    with open_catalogue(settings.database_url).connect() as connection:
        return title.explain_absence(connection, client, declared.name)


@task(**NETWORK)
def find_dataset(settings: Settings, use_case: str, week: int) -> DatasetRef:
    """The week's snapshot, cut and checked where there is none."""
    from flows.adapters import datasets

    return datasets.find_week(settings, use_case, week)


@task(**NETWORK)
def predict_arrivals(settings: Settings, declared: Declared, champion: Version, dataset: DatasetRef) -> pd.DataFrame:
    """One row a row, as the log takes them; `timestamp` is the snapshot's moment, not today's."""
    from flows.adapters import datasets, registry
    from flows.core.logic import logic_of

    arrivals = datasets.read_unscored(settings, dataset, declared)
    logic, client = logic_of(declared), registry.connect(settings.mlflow_tracking_uri)
    fitted = registry.load_model(client, champion, settings.data_roots, trusted=logic.trusted)
    key = f"{dataset.use_case}/week-{dataset.week}/r{dataset.revision}/{champion.model}-v{champion.number}"
    answers = logic.answer(fitted, arrivals).assign(
        timestamp=dataset.as_of,
        scored_at=datetime.now(UTC),
        prediction_id=[str(uuid5(NAMESPACE_URL, f"{key}/{entity_id}")) for entity_id in arrivals["entity_id"]],
        model_version=champion.number,
        use_case=dataset.use_case,
    )
    if isinstance(source := declared.source, Entities):
        scored = arrivals[["entity_id", *(column.name for column in source.logged)]]
        return answers.assign(model=declared.name, snapshot=dataset.sha256).join(scored)
    from factory.catalogue.database import open_catalogue
    from factory.catalogue.origins import read_origins

    return answers.assign(
        entity_id=arrivals["entity_id"],
        text=arrivals["text"],
        text_length=arrivals["text"].str.len(),
        group_key=arrivals["group"],
        source=read_origins(open_catalogue(settings.database_url), arrivals["entity_id"].tolist()),
    )


@task(**NETWORK)
def append_predictions(settings: Settings, declared: Declared, predictions: pd.DataFrame) -> None:
    """Write the predictions into the catalogue's log; those that stand already stay as they are."""
    from factory.catalogue.database import open_catalogue
    from factory.records import entity_predictions
    from factory.records.predictions import append
    from flows.core.logic import logic_of

    source, engine = declared.source, open_catalogue(settings.database_url)
    if isinstance(source, Entities):
        details = [*(column.name for column in source.logged), *logic_of(declared).details]
        entity_predictions.append(engine, predictions, details)
    else:
        append(engine, predictions)


def _skip(declared: Declared, week: int, version: str | None, reason: str) -> State[dict[str, Any]]:
    result = ScoreResult(
        status="skipped",
        reason=reason,
        use_case=declared.use_case.name,
        model=declared.name,
        week_number=week,
        rows=0,
        model_version=version,
        mean_confidence=None,
    )
    return publish_skip(result, reason)


if __name__ == "__main__":
    from flows.command_line import run

    run(score)
