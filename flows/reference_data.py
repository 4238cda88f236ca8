"""`reference-data`: rows of a period as the champion answers them, to compare later ones with.

Owns what the file of reference data holds. Which rows these are is `flows.adapters.reference`, what they are compared
with `flows.monitor_and_retrain`, which draws them itself where it is given a reference_period.

    python -m flows.reference_data --use-case deals --reference-period 2017-06 --sample-size 500
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task

from factory import use_cases
from factory.contracts import AtLeastOne, FileRef, Period, ReferenceResult
from factory.errors import WeekUnknown
from factory.lineage.data import of_file, of_version
from factory.settings import Settings, read_settings
from factory.use_cases.use_case import Declared
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.lineage import reads, tell_lineage, writes
from flows.adapters.publication import publish
from flows.adapters.retries import NETWORK

if TYPE_CHECKING:
    from flows.adapters.reference import Reference


@flow(
    name="reference-data",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(ReferenceResult)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
)
def reference_data(
    reference_period: Period, sample_size: AtLeastOne = 1_000, use_case: str = "products", model: str | None = None
) -> dict[str, Any]:
    """Draw rows of a period, let the champion answer them, and keep them as a Parquet file beside the snapshots.

    The same period, size and champion give the same file. Gives `ReferenceResult` as a dict; raises WeekUnknown where
    there is no champion, no accepted snapshot of the period, or no row of it.

    Args:
        reference_period: The period, as the use case's clock writes it: 2017-06.
        sample_size: At most so many of its rows.
        use_case: Whose snapshots and models.
        model: Which of the use case's models; may be left out where it has one.
    """
    settings = read_settings()
    declared = use_cases.choose_model(use_case, model)
    number = use_cases.clock_of(use_case).parse(reference_period)
    drawn, version = draw(settings, declared, number, sample_size)
    reads(of_file(drawn.dataset), *of_version(settings.mlflow_tracking_uri, declared.name, version, "champion"))
    kept = keep(settings, declared, drawn, f"{reference_period}-v{version}")
    writes(of_file(kept))
    get_run_logger().info("%d of %d rows of %s, answered by v%s", kept.rows, drawn.available, reference_period, version)
    result = ReferenceResult(
        use_case=use_case,
        model=declared.name,
        reference_period=reference_period,
        file=kept,
        available=drawn.available,
        model_version=version,
    )
    return publish(result)


@task(**NETWORK)
def draw(settings: Settings, declared: Declared, period: int, sample_size: int) -> tuple[Reference, str]:
    """The rows with the champion's answers, and its number."""
    from flows.adapters import reference, registry

    client = registry.connect(settings.mlflow_tracking_uri)
    champion = registry.find_version(client, declared.name, registry.CHAMPION)
    if champion is None:
        raise WeekUnknown(f"{declared.name} has no champion yet who could answer: train and promote one")
    return reference.draw_reference(settings, declared, client, champion, period, sample_size), champion.number


@task(**NETWORK)
def keep(settings: Settings, declared: Declared, drawn: Reference, name: str) -> FileRef:
    """The rows as a file in the store of snapshots."""
    import pyarrow as pa

    from factory.snapshots.store import writing
    from factory.test_sets.held_out import snapshot_folder

    table = pa.Table.from_pandas(drawn.rows, preserve_index=False)
    folder = f"{snapshot_folder(settings, declared.use_case.name)}/reference"
    with writing(folder, f"{declared.name}-{name}", table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    return writer.ref


if __name__ == "__main__":
    from flows.command_line import run

    run(reference_data)
