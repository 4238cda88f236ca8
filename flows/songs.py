"""`ml-training-pipeline`: a file of songs becomes five models, by the parameters that its users know.

Owns the order: load, cut, check, then all models side by side (`flows.all_models`). The weekly DAG does the same in
Airflow; this is for whoever has a file and a command line.

    python -m flows.songs --csv-path tracks.csv --n-clusters 6
    python -m flows.songs --csv-path tracks.csv --table-name tracks --truncate-table
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Failed

from factory.account import account
from factory.contracts import AtLeastTwo, DatasetRef, ModelsResult, TableName
from factory.errors import NothingToFreeze
from factory.quality.checking import check_week
from factory.settings import read_settings
from factory.snapshots.cutting import clock_for, cut_week, last_cut_week
from factory.sources import arrivals
from factory.test_sets.freezing import freeze
from factory.use_cases.songs import SONGS
from flows.adapters.announcement import announce_failure, announce_result
from flows.adapters.lineage import tell_lineage
from flows.adapters.retries import DATABASE
from flows.all_models import end_of, train_side_by_side

USE_CASE = SONGS.name


@flow(
    name="ml-training-pipeline",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(ModelsResult)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
)
def ml_training_pipeline(
    csv_path: str | None = None,
    table_name: TableName | None = None,
    truncate_table: bool = False,
    n_clusters: AtLeastTwo | None = None,
) -> State[dict[str, Any]]:
    """Load songs, cut what is known by now, and train, judge and promote five models side by side.

    Gives `ModelsResult` as a dict, and ends as `flows.all_models` says: completed, completed under the name
    PartialSuccess where some models failed, or failed.

    Args:
        csv_path: The file of songs; the simulated ones, which are not real, when none is named.
        table_name: A table of the catalogue that keeps the file's songs besides; songs alone when not given.
        truncate_table: Whether they take the place of all songs that are there; snapshots stay.
        n_clusters: So many clusters; as many as the songs show when not given.
    """
    new = load(csv_path, table_name, truncate_table=truncate_table)
    dataset = cut(new=bool(new), anew=truncate_table)
    state = train_side_by_side(use_case=USE_CASE, dataset=dataset, n_clusters=n_clusters)
    if not state.is_completed():
        return Failed(message=state.message)
    return end_of(ModelsResult.model_validate(state.result()))


@task(**DATABASE)
def load(csv_path: str | None, table_name: str | None, *, truncate_table: bool) -> int:
    """How many songs are new in the catalogue; raises SourceUnreadable, EntityConflict and ForeignProducts."""
    told = get_run_logger().info
    if csv_path is None:
        rows, origin = arrivals.read_declared_sample(USE_CASE, told)
    else:
        path = Path(csv_path)
        rows, origin = arrivals.read_file(USE_CASE, path, (None,) * 4, told), str(path.resolve())
    return arrivals.load_rows(
        read_settings(), USE_CASE, rows, origin, told, append=True, table=table_name, empty_first=truncate_table
    )


@task(**DATABASE)
def cut(*, new: bool, anew: bool) -> DatasetRef:
    """The accepted snapshot of all songs that are there: of this week, or of the one in which the `new` ones join.

    Where they took the place of others (`anew`), a test set of theirs is frozen, if it differs. Raises as `cut_week`
    and `check_week`.
    """
    settings, now = read_settings(), datetime.now(UTC)
    clock, last = clock_for(settings, USE_CASE), last_cut_week(settings, USE_CASE)
    week = max(clock.due(now), 0 if last is None else last + new)
    dataset = check_week(settings, cut_week(settings, USE_CASE, as_of=max(now, clock.start(week)), week=week))
    if anew and last is not None:
        with suppress(NothingToFreeze):
            freeze(settings, USE_CASE, account())
    return dataset


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line, with the options of `workflows/run_pipeline.py`."""
    from flows.command_line import run

    run(ml_training_pipeline, arguments)


if __name__ == "__main__":
    main()
