"""Which snapshot a run works on, and its rows as the models want them.

Owns the order in which a dataset is looked for, and which one is opened at all: parameters and MLflow's tags name
addresses at will, so every read passes `admit`. Cutting, checking and reading belong to `factory`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.origins import read_origins
from factory.contracts import DatasetRef, FileRef
from factory.errors import AddressRefused, EntityUnknown, WeekUnknown
from factory.quality import checking
from factory.records import ledger
from factory.records.scored_before import read_scored
from factory.settings import Settings
from factory.snapshots import cutting
from factory.snapshots.entity_rows import ARRIVED, ENTITY_ID, GROUP, MOMENT, SIDE, TARGET
from factory.snapshots.store import read_frame
from factory.storage.addresses import admitted
from factory.test_sets import frozen_tests
from factory.text import product_text
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import Declared
from flows.adapters.lineage import steps_of_this_run

FIRST_WEEK = 1
PERIOD = "period"
TEST_COLUMNS = (ENTITY_ID, "designation", "description", TARGET, GROUP)


@dataclass(frozen=True, slots=True)
class Sides:
    """The rows to train on and the frozen test set: entity_id, target, group and what models look at.

    Of texts that is text and described (whether there is a description), of a table the columns that it declares, and
    the number of the row's `period` where the test set rolls on with the clock.
    """

    train: pd.DataFrame
    test: pd.DataFrame


def find_dataset(settings: Settings, use_case: str, week: int | None) -> DatasetRef:
    """The dataset of the week, else of the newest; raises as find_week."""
    return find_week(settings, use_case, newest_week(settings, use_case) if week is None else week)


def newest_week(settings: Settings, use_case: str) -> int:
    """The newest period that was accepted; where none was the first week, with which every use case of weeks begins.

    Raises WeekUnknown for another clock: its first period may lie long before the first row.
    """
    if newest := cutting.newest_week(settings, use_case):
        return newest.week
    clock = use_cases.clock_of(use_case)
    if clock.cut_when_over:
        raise WeekUnknown(
            f"no {clock.noun} of {use_case} was cut yet: let {use_cases.get(use_case).dag_id} run in Airflow, or run "
            f"`python -m factory cut --{clock.noun} {clock.example} --use-case {use_case}`"
        )
    return FIRST_WEEK


def find_week(settings: Settings, use_case: str, week: int) -> DatasetRef:
    """The week's accepted snapshot, cut and checked now where there is none.

    The next week is the weekly DAG's to begin: a number that was mistyped must not freeze half a week. Raises
    WeekUnknown after the newest week that was cut; where none was, after the present one. Else raises as
    `factory.snapshots.cutting.cut_week` and `factory.quality.checking.check_week`.
    """
    if found := cutting.find_week(settings, use_case, week):
        return found
    clock = cutting.clock_for(settings, use_case)
    if (last := cutting.last_cut_week(settings, use_case)) is not None and week > last:
        raise WeekUnknown(
            f"{clock.words(week)} of {use_case} was not cut, the newest is {clock.words(last)}: name a {clock.noun} up "
            f"to that, let {use_cases.get(use_case).dag_id} run in Airflow, or run "
            f"`python -m factory cut --{clock.noun} {clock.written(week)} --use-case {use_case}`"
        )
    if last is None and week > (present := clock.due(datetime.now(UTC))):
        raise WeekUnknown(
            f"{clock.words(week)} of {use_case} {'is not over' if clock.cut_when_over else 'has not begun'}, we are in "
            f"{clock.words(clock.number(datetime.now(UTC)))}: name a {clock.noun} up to {clock.words(present)}, or "
            f"{clock.remedy}"
        )
    as_of = clock.as_of(week)
    with steps_of_this_run():
        return checking.check_week(settings, cutting.cut_week(settings, use_case, as_of=as_of, week=week))


def admit(settings: Settings, dataset: DatasetRef) -> DatasetRef:
    """The dataset with the addresses to open: below the store or a data root, else recorded in the catalogue.

    Raises AddressRefused.
    """

    def opened(address: str) -> str:
        try:
            return admitted(settings, address)
        except AddressRefused:
            if address in _recorded(settings, dataset.use_case):  # SNAPSHOT_URI was another one then
                return address
            raise

    test = dataset.test.model_copy(update={"uri": opened(dataset.test.uri)})
    return dataset.model_copy(update={"uri": opened(dataset.uri), "test": test})


def read_sides(settings: Settings, dataset: DatasetRef, declared: Declared) -> Sides:
    """Training rows and frozen test set; checksums are verified. Rows without a label are of no use to either.

    Test rows of texts say from which `source` they came, which the reference of a model keeps.
    """
    dataset = admit(settings, dataset)
    if isinstance(declared.source, Entities):
        rows, test = (_with_period(settings, dataset, read_frame(ref)) for ref in (dataset, dataset.test))
        return Sides(_known(rows[rows[SIDE] == "train"], declared), _known(test, declared))
    rows, test = read_frame(dataset, columns=[*TEST_COLUMNS, SIDE]), _labelled(_read_test(dataset.test))
    origins = read_origins(open_catalogue(settings.database_url), test["entity_id"].tolist())
    return Sides(train=_labelled(rows[rows[SIDE] == "train"]), test=test.assign(source=origins))


def read_test(settings: Settings, dataset: DatasetRef, declared: Declared) -> pd.DataFrame:
    """The frozen test set, with the columns of `Sides`."""
    test = admit(settings, dataset).test
    if isinstance(declared.source, Entities):
        return _known(_with_period(settings, dataset, read_frame(test)), declared)
    return _labelled(_read_test(test))


def _read_test(test: FileRef) -> pd.DataFrame:
    return read_frame(test, columns=TEST_COLUMNS)


def _known(rows: pd.DataFrame, declared: Declared) -> pd.DataFrame:
    """The entities of which it is known what the model is to tell, all where that is told of none; as declared."""
    told = _with_target(rows, declared)
    known = (told[told[TARGET].notna()] if declared.model.task.target else told).reset_index(drop=True)
    periods = [MOMENT, PERIOD] if PERIOD in known.columns else []
    return known[[ENTITY_ID, TARGET, GROUP, *periods, *_declared_columns(declared)]]


def _with_period(settings: Settings, dataset: DatasetRef, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the number of the period of each, where the test set rolls on with the clock."""
    if not use_cases.get(dataset.use_case).rolling:
        return rows
    number = cutting.clock_for(settings, dataset.use_case).number
    numbers = {moment: number(moment) for moment in rows[MOMENT].unique()}
    return rows.assign(**{PERIOD: rows[MOMENT].map(numbers).astype("int64")})


def _with_target(rows: pd.DataFrame, declared: Declared) -> pd.DataFrame:
    """The rows with the model's own target, where that is a column of the table and not the entities' outcome."""
    target = declared.model.task.target
    return rows.assign(**{TARGET: rows[target]}) if target in _declared_columns(declared) else rows


def _declared_columns(declared: Declared) -> list[str]:
    return [column.name for column in declared.use_case.entities.columns]


def read_unscored(settings: Settings, dataset: DatasetRef, declared: Declared) -> pd.DataFrame:
    """What a champion of before has to answer, with the columns of `Sides` but for the target.

    Of entities those without an outcome, or where the target is no outcome of theirs, those that are new. Of texts the
    products that are new in this week, and those without a label that no earlier week has scored: there was no champion
    yet when they came, and no training takes them.
    """
    if isinstance(declared.source, Entities):
        rows = read_frame(admit(settings, dataset))
        outcome = declared.use_case.outcome
        waits = bool(outcome) and declared.model.task.target == outcome
        waiting = rows[rows[TARGET].isna() if waits else rows[ARRIVED]].reset_index(drop=True)
        return waiting[[ENTITY_ID, GROUP, *_declared_columns(declared)]]
    rows = read_frame(admit(settings, dataset), columns=[*TEST_COLUMNS, ARRIVED])
    waiting = rows[TARGET].isna() & ~rows[ARRIVED]
    engine = open_catalogue(settings.database_url)
    scored = read_scored(engine, dataset.use_case, dataset.as_of, set(rows.loc[waiting, ENTITY_ID]))
    new = rows[rows[ARRIVED] | (waiting & ~rows[ENTITY_ID].isin(scored))].reset_index(drop=True)
    return new.assign(text=product_text(new["designation"], new["description"]))[[ENTITY_ID, "text", GROUP]]


def read_entity(settings: Settings, use_case: str, entity_id: str) -> pd.DataFrame:
    """The entity as the newest accepted snapshot has it: one row, with the columns of `read_unscored`.

    Raises WeekUnknown where nothing was accepted yet, and EntityUnknown.
    """
    newest, source = cutting.newest_week(settings, use_case), use_cases.get(use_case).entities
    if newest is None:
        raise WeekUnknown(f"no snapshot of {use_case} was accepted yet: cut one (python -m factory cut)")
    rows = read_frame(admit(settings, newest))
    found = rows[rows[ENTITY_ID] == entity_id].reset_index(drop=True)
    if found.empty:
        raise EntityUnknown(
            f"the newest snapshot of {use_case} (number {newest.week}) holds no {source.key} {entity_id!r}: it has "
            f"{', '.join(map(repr, rows[ENTITY_ID].head(3)))} and others; write it as it stands there"
        )
    return found[[ENTITY_ID, GROUP, *(column.name for column in source.columns)]]


def _recorded(settings: Settings, use_case: str) -> set[str]:
    """Where the use case's weeks and test sets lie, as the catalogue has it."""
    with open_catalogue(settings.database_url).connect() as connection:
        weeks_cut = [entry.dataset for entry in ledger.read_entries(connection, use_case) if entry.dataset]
        tests = [each.file for each in frozen_tests.all_known(connection, use_case)]
    return {ref.uri for ref in (*weeks_cut, *tests)}


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    known = rows[rows[TARGET].notna()].reset_index(drop=True)
    texts = known.assign(
        text=product_text(known["designation"], known["description"]),
        described=known["description"].fillna("").str.strip() != "",
    )
    return texts[[ENTITY_ID, "text", TARGET, GROUP, "described"]].astype({TARGET: str})
