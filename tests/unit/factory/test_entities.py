"""A table of entities with history: loading it, a week of it as of a moment, and the checks that columns declare."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, inspect, select

from factory.catalogue import schema
from factory.catalogue.entities import all_tables_of, load_entities, read_states, tables_of
from factory.errors import CatalogueEmpty, EntityConflict, ForeignProducts, SourceUnreadable, WeekRejected
from factory.quality.checking import check_week
from factory.records.accepted_leaks import accept, read_accepted
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.store import read_frame
from factory.snapshots.weeks import start_of
from factory.sources.tables import Rows, TableMapping, dated, read_table
from factory.test_sets.freezing import freeze
from factory.test_sets.frozen_rows import compare
from factory.use_cases import ALL, get
from factory.use_cases.sources import Entities
from flows.core.table_leakage import Leak

CHURN = get("churn")
SOURCE = CHURN.entities
SONGS = get("songs").entities
EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
HEADER = "customerID,SeniorCitizen,gender,tenure,MonthlyCharges,TotalCharges,Contract,Churn"


def day(number: int) -> datetime:
    """So many days after the first week's beginning."""
    return EPOCH + timedelta(days=number)


def load(
    engine: Engine,
    states: list[tuple[str, int, dict[str, object]]],
    outcomes: list[tuple[str, int, str]] = (),  # type: ignore[assignment]
    origin: str = "here",
    *,
    append: bool = False,
) -> int:
    rows = [{"customer_id": name, "changed_at": day(at), **values} for name, at, values in states]
    known = [{"customer_id": name, "known_at": day(at), "outcome": outcome} for name, at, outcome in outcomes]
    told = pd.DataFrame(known, columns=["customer_id", "known_at", "outcome"])
    return load_entities(engine, SOURCE, pd.DataFrame(rows), told, origin=origin, append=append).new


def stock(engine: Engine, count: int = 60, **changes: object) -> None:
    """Customers whose outcome is known by the first week, every third of whom left."""
    names = [f"c{number:03}" for number in range(count)]
    plain = {"tenure": 2.0, "monthly_charges": 10.0, "total_charges": 20.0}
    load(
        engine,
        [(name, -7, {**plain, **(changes if name == "c007" else {})}) for name in names],
        [(name, 0, "yes" if number % 3 == 0 else "no") for number, name in enumerate(names)],
    )


def as_of(engine: Engine, moment: int) -> pd.DataFrame:
    with engine.connect() as connection:
        return read_states(connection, SOURCE, day(moment)).set_index("customer_id")


def test_a_state_is_the_newest_of_its_moment_and_an_outcome_counts_once_it_is_known(engine: Engine) -> None:
    load(engine, [("a", 0, {"tenure": 1.0}), ("a", 5, {"tenure": 2.0}), ("b", 9, {"tenure": 7.0})], [("a", 20, "yes")])

    early, middle, late = as_of(engine, 4), as_of(engine, 10), as_of(engine, 20)

    assert early["tenure"].to_dict() == {"a": 1.0}
    assert middle["tenure"].to_dict() == {"a": 2.0, "b": 7.0}
    assert middle["outcome"].isna().all()
    assert late["outcome"].dropna().to_dict() == {"a": "yes"}


def test_a_state_that_may_follow_from_the_outcome_is_not_shown_with_it(engine: Engine) -> None:
    load(engine, [("a", 0, {"tenure": 1.0}), ("a", 18, {"tenure": 99.0})], [("a", 20, "yes")])

    assert as_of(engine, 19)["tenure"].to_dict() == {"a": 99.0}
    assert as_of(engine, 20)["tenure"].to_dict() == {"a": 1.0}


def test_an_entity_that_came_after_its_own_outcome_s_delay_has_no_outcome(engine: Engine) -> None:
    load(engine, [("a", 18, {"tenure": 99.0})], [("a", 20, "yes")])

    assert as_of(engine, 20)["outcome"].isna().all()


def test_a_load_is_repeated_without_a_trace(engine: Engine) -> None:
    assert load(engine, [("a", 0, {"tenure": 1.0})], [("a", 9, "no")]) == 1
    assert load(engine, [("a", 0, {"tenure": 1.0})], [("a", 9, "no")]) == 0


def test_two_states_of_one_moment_are_refused_by_name_and_nothing_is_loaded(engine: Engine) -> None:
    load(engine, [("a", 0, {"tenure": 1.0})])

    with pytest.raises(EntityConflict, match=r"customer_id 'a' at 2026-01-05 00:00 has tenure 1.0 and 2.0"):
        load(engine, [("b", 0, {}), ("a", 0, {"tenure": 2.0})])

    assert as_of(engine, 0).index.tolist() == ["a"]


def test_another_source_needs_a_word(engine: Engine) -> None:
    load(engine, [("a", 0, {})])

    with pytest.raises(ForeignProducts, match=r"already holds the rows of here, not of there.*--append"):
        load(engine, [("b", 0, {})], origin="there")

    assert load(engine, [("b", 0, {})], origin="there", append=True) == 1


def test_a_column_that_the_declaration_gained_is_added_to_the_table(engine: Engine) -> None:
    states, _ = tables_of(SOURCE)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE {states.name} (customer_id TEXT, changed_at TIMESTAMP, source TEXT, "
            "PRIMARY KEY (customer_id, changed_at))"
        )

    load(engine, [("a", 0, {"tenure": 3.0})])

    assert as_of(engine, 0)["tenure"].to_dict() == {"a": 3.0}


def test_a_week_holds_what_was_known_and_test_entities_are_never_trained_on(settings: Settings, engine: Engine) -> None:
    stock(engine)
    load(engine, [("new", 3, {"tenure": 1.0})], [("new", 10, "yes")], append=True)

    first = check_week(settings, cut_week(settings, "churn", as_of=day(4)))
    second = check_week(settings, cut_week(settings, "churn", as_of=day(12)))

    rows, test = read_frame(first), read_frame(first.test)
    new = rows[rows["entity_id"] == "new"].iloc[0]
    assert new["side"] == "held_out"
    assert pd.isna(new["target"])
    assert not set(rows.loc[rows["side"] == "train", "entity_id"]) & set(test["entity_id"])
    assert set(rows.loc[rows["side"] == "test", "entity_id"]) == set(test["entity_id"])
    assert (first.rows, first.arrivals, first.classes) == (61, 61, 2)
    assert (second.week, second.arrivals, second.test) == (2, 0, first.test)
    later = read_frame(second).set_index("entity_id").loc["new"]
    assert (later["target"], later["side"]) == ("yes", "train") or later["side"] == "held_out"


def test_a_week_that_is_cut_late_is_the_week_that_would_have_been_cut_in_time(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    stock(engine)
    in_time = [cut_week(settings, "churn", as_of=day(moment)) for moment in (0, 7)]
    load(engine, [("c000", 9, {"tenure": 5.0}), ("new", 9, {})], [("c001", 11, "yes")], append=True)

    late = settings.model_copy(update={"snapshot_uri": (tmp_path / "late").as_uri()})
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM data_loads")
    again = [cut_week(late, "churn", as_of=day(moment)) for moment in (0, 7)]

    assert [each.sha256 for each in again] == [each.sha256 for each in in_time]
    assert again[0].test.sha256 == in_time[0].test.sha256


def test_a_lost_test_set_is_written_again_as_it_was(settings: Settings, engine: Engine) -> None:
    stock(engine)
    first = cut_week(settings, "churn", as_of=day(0))
    load(engine, [("new", 3, {})], [("new", 10, "yes")], append=True)
    Path(first.test.uri.removeprefix("file://")).unlink()

    second = cut_week(settings, "churn", as_of=day(12))

    assert second.test == first.test
    assert len(read_frame(second.test)) == first.test.rows


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"age": 12.0}, r"1 rows have age below 18: '12.0' \(such as 'c007'\)"),
        ({"age": 130.0}, "1 rows have age above 120"),
        ({"total_day_calls": -1.0}, "1 rows have total_day_calls below 0"),
        ({"partner": "perhaps"}, "1 rows have partner other than yes, no: 'perhaps'"),
        ({"total_charges": 2_000.0}, r"in 1 rows \(1.7%, 2% may be\)"),
    ],
)
def test_what_a_column_declares_is_checked(
    settings: Settings, engine: Engine, change: dict[str, object], finding: str
) -> None:
    stock(engine, **change)
    if "total_charges" in change:  # one row of sixty may be
        check_week(settings, cut_week(settings, "churn", as_of=day(0)))
        return

    with pytest.raises(WeekRejected, match=finding) as refused:
        check_week(settings, cut_week(settings, "churn", as_of=day(0)))

    assert "entity_id='c007'" in str(refused.value)


def test_months_and_charges_that_do_not_agree_are_doubtful(settings: Settings, engine: Engine) -> None:
    names = [f"c{number:03}" for number in range(60)]
    load(
        engine,
        [(name, -7, {"tenure": 10.0, "monthly_charges": 50.0, "total_charges": 5.0}) for name in names],
        [(name, 0, "yes" if number % 2 else "no") for number, name in enumerate(names)],
    )

    with pytest.raises(WeekRejected, match=r"total_charges is more than 50% away from tenure times monthly_charges"):
        check_week(settings, cut_week(settings, "churn", as_of=day(0)))
    check_week(settings, cut_week(settings, "churn", as_of=day(0)), overrule=True)


def test_an_outcome_of_another_kind_stops_the_week(settings: Settings, engine: Engine) -> None:
    stock(engine)
    load(engine, [("odd", -7, {})], [("odd", 0, "maybe")], append=True)

    with pytest.raises(WeekRejected, match="1 outcomes are neither yes nor no: 'maybe'"):
        check_week(settings, cut_week(settings, "churn", as_of=day(0)))


def test_an_empty_table_says_what_to_load(settings: Settings) -> None:
    with pytest.raises(CatalogueEmpty, match=r"table 'customers' holds nothing: load a file .*factory load table"):
        cut_week(settings, "churn", as_of=day(0))


def test_a_new_test_set_takes_outcomes_that_became_known(settings: Settings, engine: Engine) -> None:
    stock(engine)
    load(
        engine,
        [(f"n{number}", 1, {}) for number in range(40)],
        [(f"n{number}", 8, "no") for number in range(40)],
        append=True,
    )
    first = check_week(settings, cut_week(settings, "churn", as_of=day(4)))
    check_week(settings, cut_week(settings, "churn", as_of=day(12)))

    frozen = freeze(settings, "churn", "somebody")

    assert frozen.test is not None
    assert (frozen.version, frozen.gone, frozen.refused) == ("v2", 0, 0)
    assert frozen.rows == first.test.rows + frozen.came
    assert frozen.came > 0


def test_a_test_row_differs_where_its_outcome_does(settings: Settings, engine: Engine) -> None:
    stock(engine)
    dataset = cut_week(settings, "churn", as_of=day(0))
    name, outcome = read_frame(dataset.test, ["entity_id", "target"]).iloc[0]
    load(engine, [(name, 2, {"tenure": 50.0})], [(name, 3, "no" if outcome == "yes" else "yes")], append=True)

    with engine.connect() as connection:
        found = compare(connection, "churn", dataset.test_version, dataset.test)

    assert (found.count, found.relabelled.total(), found.changed) == (1, 1, 0)


def test_a_file_s_columns_are_found_by_their_names_and_blank_values_are_missing(tmp_path: Path, engine: Engine) -> None:
    path, told = tmp_path / "telco.csv", list[str]()
    path.write_text(f"{HEADER}\na,0,,1,29.85, ,Month-to-month,No\nb,1,Male,34,56.95,1889.5,One year,Yes\n")

    rows = read_table(path, SOURCE, TableMapping("customerID", "Churn"), told.append)
    moments = dated(rows, SOURCE, Settings(database_url="", snapshot_uri="", mlflow_tracking_uri="").weeks, None)
    load_entities(engine, SOURCE, moments.states, moments.outcomes, origin="telco")

    found = as_of(engine, 700)
    assert found["senior_citizen"].to_dict() == {"a": "no", "b": "yes"}
    assert found["monthly_charges"].to_dict() == {"a": 29.85, "b": 56.95}
    assert found["outcome"].to_dict() == {"a": "no", "b": "yes"}
    assert found["total_charges"].isna().to_dict() == {"a": True, "b": False}
    assert found["gender"].isna().to_dict() == {"a": True, "b": False}
    assert {"missing in TotalCharges: 1", "missing in gender: 1"} <= set(told)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,0,F,many,1,1,x,No", "1 values of tenure are no numbers, the first is 'many' in row"),
        (",0,F,1,1,1,x,No", "1 rows without customerID"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / "telco.csv"
    path.write_text(f"{HEADER}\n{rows}\n")

    with pytest.raises(SourceUnreadable, match=said):
        read_table(path, SOURCE, TableMapping("customerID", "Churn"), lambda _: None)


def test_rows_without_moments_join_week_by_week_and_outcomes_follow_after_the_delay(settings: Settings) -> None:
    states = pd.DataFrame({"customer_id": [f"c{number}" for number in range(2_000)]})
    rows = dated(
        Rows(states, states.assign(outcome="no")),
        SOURCE,
        settings.weeks,
        None,
    )

    weeks = rows.states["changed_at"].value_counts(normalize=True)
    assert weeks[EPOCH - timedelta(days=7)] == pytest.approx(0.8, abs=0.03)
    assert weeks[start_of(2, EPOCH)] == pytest.approx(0.05, abs=0.02)
    assert ((rows.outcomes["known_at"] - rows.states["changed_at"]).dt.days == SOURCE.label_delay_days).all()


def test_the_tables_bear_the_names_that_people_know(engine: Engine) -> None:
    load(engine, [("a", 0, {"tenure": 1.0})], [("a", 9, "no")])
    states, outcomes = tables_of(SOURCE)

    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT customer_id, tenure FROM customers").all() == [("a", 1.0)]
        assert connection.execute(select(outcomes.c.outcome)).scalars().all() == ["no"]
    assert states.name == "customers"


def test_a_column_that_a_training_took_for_a_leak_can_be_accepted_by_the_name_that_it_was_told(engine: Engine) -> None:
    told = Leak("contract", "yes", "where it is given, all left", ()).name

    accept(engine, "churn", [told], "known before the outcome", "Anna")

    with engine.connect() as connection:
        assert [each.name for each in read_accepted(connection, "churn")] == ["column:contract"]


def test_no_two_use_cases_share_a_table_and_none_takes_the_factorys_own() -> None:
    sources = [each.source for each in ALL if isinstance(each.source, Entities)]
    named = [table.name for source in sources for table in all_tables_of(source)]
    assert sorted({*named, *schema.tables.tables}) == sorted([*named, *schema.tables.tables])


@pytest.mark.parametrize("name", [*schema.tables.tables, SONGS.table])
@pytest.mark.parametrize("empty_first", [False, True])
def test_a_table_that_holds_something_else_is_left_alone(engine: Engine, name: str, *, empty_first: bool) -> None:
    if name == SONGS.table:
        tables_of(SONGS)[0].create(engine)
    before = inspect(engine).get_columns(name)
    states = pd.DataFrame({"customer_id": ["a"], "changed_at": [EPOCH], "tenure": [1.0]})

    with pytest.raises(SourceUnreadable, match=f"table '{name}' of the catalogue holds something else .*name another"):
        load_entities(
            engine, replace(SOURCE, table=name), states, pd.DataFrame(), origin="here", empty_first=empty_first
        )

    assert [column["name"] for column in inspect(engine).get_columns(name)] == [column["name"] for column in before]
