"""`acquisition`: a period's rows as a checked snapshot, for whoever starts it from Prefect.

Owns nothing of it: cutting and checking belong to `factory`, and the DAG does the same, with the same result.

    python -m flows.acquisition --use-case deals --snapshot-month 2017-06
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger, task

from factory.contracts import DatasetRef, MonthName, Period, WeekNumber
from factory.lineage.data import of_file
from factory.settings import Settings, read_settings
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.lineage import steps_of_this_run, tell_lineage, writes
from flows.adapters.publication import publish
from flows.adapters.retries import NETWORK
from flows.periods import chosen_week


@flow(
    name="acquisition",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(DatasetRef)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
)
def acquisition(
    snapshot_month: MonthName | None = None,
    use_case: str = "products",
    week_number: WeekNumber | None = None,
    period: Period | None = None,
) -> dict[str, Any]:
    """Cut the period's snapshot and check it; one that stands is given as it is.

    Gives `DatasetRef` as a dict; raises what `factory.snapshots.cutting.cut_week` raises, and WeekRejected.

    Args:
        snapshot_month: The month, of a use case that counts months: 2017-06.
        use_case: Whose data.
        week_number: The number of the period; the one that is due now where none is named.
        period: The same as week_number, as the use case's clock writes it: 3, 2017-06 or 2017-06-12.
    """
    settings = read_settings()
    number = chosen_week(use_case, week_number, None, period, snapshot_month)
    dataset = acquire(settings, use_case, number)
    writes(of_file(dataset), of_file(dataset.test))
    get_run_logger().info("%s of %s: %d rows, %d new", dataset.period, use_case, dataset.rows, dataset.arrivals)
    return publish(dataset)


@task(**NETWORK)
def acquire(settings: Settings, use_case: str, number: int | None) -> DatasetRef:
    """The checked snapshot."""
    from factory.quality.checking import check_week
    from factory.snapshots.cutting import clock_for, cut_week

    clock = clock_for(settings, use_case)
    as_of = datetime.now(UTC) if number is None else clock.as_of(number)
    with steps_of_this_run():
        return check_week(settings, cut_week(settings, use_case, as_of=as_of, week=number))


if __name__ == "__main__":
    from flows.command_line import run

    run(acquisition)
