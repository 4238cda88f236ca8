"""Months and days of a table whose test set rolls on: what each snapshot holds, and that nothing later stands in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.contracts import DatasetRef, TestSpan
from factory.errors import CatalogueEmpty, NothingToFreeze
from factory.lineage.data import of_file
from factory.quality.checking import check_week
from factory.records import ledger
from factory.settings import Settings
from factory.snapshots.cutting import _account_of_cut, cut_week, joining_moment, newest_week
from factory.snapshots.store import read_frame
from factory.test_sets import frozen_tests
from factory.test_sets.freezing import freeze
from factory.use_cases.clock import Clock, Day, Month
from factory.use_cases.columns import Column
from factory.use_cases.sources import Entities
from factory.use_cases.split import Chronological
from factory.use_cases.use_case import UseCase

NAMES = 12
MONTHS = Month(first=date(2016, 10, 1))
DAYS = Day(first=date(2016, 10, 1))
SOURCE = Entities(
    table="contracts",
    key="contract_month",
    outcomes="contract_outcomes",
    label_delay_days=0,
    columns=(Column("value", "number", nullable=True),),
)
SPLIT = Chronological(test_periods=2, embargo_periods=1, outcome_periods=1)


def declare(clock: Clock, split: Chronological = SPLIT) -> UseCase:
    churn = use_cases.get("churn")
    return replace(
        churn,
        name="renewals",
        models=(replace(churn.models[0], name="renewals"),),
        source=SOURCE,
        clock=clock,
        split=split,
        schedule="",
    )


@pytest.fixture(params=[MONTHS, DAYS], ids=["months", "days"])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Clock:
    chosen: Clock = request.param
    monkeypatch.setattr(use_cases, "ALL", (*use_cases.ALL, declare(chosen)))
    return chosen


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        database_url=f"sqlite:///{tmp_path / 'catalogue.sqlite'}",
        snapshot_uri=(tmp_path / "snapshots").as_uri(),
        mlflow_tracking_uri="",
    )


def engine_of(settings: Settings) -> Engine:
    return open_catalogue(settings.database_url)


def load_periods(settings: Settings, clock: Clock, first: int, last: int, *, origin: str = "here") -> None:
    """In the middle of each period a state of each name; its outcome is known when the next period is over."""
    states, outcomes = [], []
    for period in range(first, last + 1):
        middle = clock.start(period) + (clock.end(period) - clock.start(period)) / 2
        for name in range(NAMES):
            key = f"o{name:02}@{clock.written(period)}"
            states.append({SOURCE.key: key, "changed_at": middle, "value": float(period)})
            known = clock.end(period + 1) - timedelta(seconds=1)
            outcomes.append({SOURCE.key: key, "known_at": known, "outcome": "yes" if name % 3 else "no"})
    load_entities(engine_of(settings), SOURCE, pd.DataFrame(states), pd.DataFrame(outcomes), origin=origin, append=True)


def cut(settings: Settings, clock: Clock, period: int, *, late: timedelta = timedelta()) -> DatasetRef:
    return check_week(settings, cut_week(settings, "renewals", as_of=clock.end(period) + late))


def periods(rows: pd.DataFrame, clock: Clock) -> set[int]:
    return {clock.number(moment) for moment in rows["moment"]}


def test_the_newest_periods_whose_outcomes_are_known_are_tested_and_roll_on(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 9)

    eighth, ninth = cut(settings, clock, 8), cut(settings, clock, 9)

    rows = read_frame(eighth)
    by_side = {side: periods(part, clock) for side, part in rows.groupby("side")}
    assert by_side == {"train": {1, 2, 3, 4}, "held_out": {5, 8}, "test": {6, 7}}
    assert periods(read_frame(eighth.test), clock) == {6, 7}
    assert periods(read_frame(ninth.test), clock) == {7, 8}
    assert eighth.span == TestSpan(first=6, last=7, trained_until=4)
    assert ninth.span == TestSpan(first=7, last=8, trained_until=5)
    assert (eighth.test_version, ninth.test_version) == (clock.written(8), clock.written(9))
    assert eighth.train_rows == 4 * NAMES
    assert eighth.facts()[clock.noun.capitalize()] == clock.written(8)


def test_no_later_fact_stands_in_a_snapshot(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 12)

    dataset = cut(settings, clock, 8)

    rows = read_frame(dataset).set_index("entity_id")
    assert rows["moment"].max() < clock.end(8)
    assert rows.loc[[clock.number(moment) == 8 for moment in rows["moment"]], "target"].isna().all()
    train = rows[rows["side"] == "train"]
    begin = read_frame(dataset.test)["moment"].min()
    # what became of a row to train on was known before the first row of the test set came to be
    known = {clock.end(clock.number(moment) + 1) for moment in train["moment"]}
    assert max(known) <= begin


def test_an_outcome_that_is_known_early_is_on_no_side(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 7)
    early = clock.start(8) + timedelta(hours=1)
    states = pd.DataFrame([{SOURCE.key: "early", "changed_at": early, "value": 1.0}])
    outcomes = pd.DataFrame([{SOURCE.key: "early", "known_at": early + timedelta(hours=1), "outcome": "yes"}])
    load_entities(engine_of(settings), SOURCE, states, outcomes, origin="here")

    rows = read_frame(cut(settings, clock, 8)).set_index("entity_id")

    assert (rows.loc["early", "target"], rows.loc["early", "side"]) == ("yes", "held_out")


def test_a_period_that_is_cut_late_is_the_file_that_would_have_been_cut_in_time(
    settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    load_periods(settings, clock, 1, 8)
    in_time = cut(settings, clock, 8)
    load_periods(settings, clock, 9, 12)

    late = settings.model_copy(update={"snapshot_uri": (tmp_path / "late").as_uri()})
    with engine_of(settings).begin() as connection:
        connection.exec_driver_sql("DELETE FROM data_loads")
    again = cut(late, clock, 12, late=timedelta(hours=7))
    eighth = check_week(late, cut_week(late, "renewals", as_of=clock.end(12) + timedelta(days=3), week=8))

    assert again.week == 12
    assert (eighth.sha256, eighth.test.sha256) == (in_time.sha256, in_time.test.sha256)
    assert (eighth.as_of, eighth.span) == (in_time.as_of, in_time.span)


def test_lost_files_of_a_period_are_written_again_as_they_were(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 9)
    eighth = cut(settings, clock, 8)
    cut(settings, clock, 9)
    for ref in (eighth, eighth.test):
        Path(ref.uri.removeprefix("file://")).unlink()

    assert cut(settings, clock, 8) == eighth
    assert len(read_frame(eighth.test)) == eighth.test.rows


def test_each_period_keeps_its_own_test_set_and_looks_at_shared_rows_count(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 10)
    eighth, ninth, tenth = (cut(settings, clock, period) for period in (8, 9, 10))

    with engine_of(settings).begin() as connection:
        assert frozen_tests.beside_the_newest(connection, eighth) == eighth
        known = [each.version for each in frozen_tests.all_known(connection, "renewals")]
        tests = (eighth.test, ninth.test, tenth.test)
        looks = [frozen_tests.look(connection, "renewals", test, look_id="a", kind="training") for test in tests]
    assert known == [clock.written(period) for period in (8, 9, 10)]
    # the tenth shares a period with the ninth alone
    assert looks == [1, 2, 2]
    with pytest.raises(NothingToFreeze, match=f"rolls on: every {clock.noun} that is cut has its own"):
        freeze(settings, "renewals", "somebody")


def test_a_period_writes_its_test_set_by_lineage(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 9)
    cut(settings, clock, 8)

    ninth = cut(settings, clock, 9)

    assert _account_of_cut(ninth, settings, "renewals").outputs == (of_file(ninth), of_file(ninth.test))


def test_too_few_periods_are_told_with_how_many_are_needed(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 5)

    with pytest.raises(CatalogueEmpty, match=f"4 periods are over, and 5 are needed .*{clock.noun}s"):
        cut(settings, clock, 4)

    assert cut(settings, clock, 5).span == TestSpan(first=3, last=4, trained_until=1)


def test_a_test_set_without_an_outcome_is_told(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 3)

    said = f"no outcome of {clock.written(6)} to {clock.written(7)} is known.*'contract_outcomes'"
    with pytest.raises(CatalogueEmpty, match=said):
        cut(settings, clock, 8)


def test_a_period_that_is_not_over_is_not_cut(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 8)

    with pytest.raises(ValueError, match=f"{clock.written(8)} is not over"):
        cut_week(settings, "renewals", as_of=clock.end(8) - timedelta(seconds=1), week=8)


def test_periods_are_named_as_people_write_them_and_concern_no_other_use_case(settings: Settings, clock: Clock) -> None:
    load_periods(settings, clock, 1, 9)
    eighth, ninth = cut(settings, clock, 8), cut(settings, clock, 9)

    with engine_of(settings).connect() as connection:
        names = [entry.batch_name for entry in ledger.read_entries(connection, "renewals")]
    assert names == [f"renewals/{clock.noun}-{clock.written(period)}/r1" for period in (8, 9)]
    assert f"/renewals/{clock.noun}={clock.written(8)}/" in eighth.uri
    assert newest_week(settings, "renewals") == ninth
    assert joining_moment(settings) == settings.weeks.epoch


def test_a_split_that_would_tell_what_is_to_be_foretold_is_refused() -> None:
    with pytest.raises(ValueError, match="the embargo must be as long as an outcome takes"):
        Chronological(test_periods=2, embargo_periods=0, outcome_periods=1)
    with pytest.raises(ValueError, match="one period at least"):
        Chronological(test_periods=0)
    with pytest.raises(ValueError, match="products: texts bear no moment"):
        replace(use_cases.get("products"), split=SPLIT)
