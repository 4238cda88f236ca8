"""Opportunities with history: what a month's snapshot shows of them, and that nothing later stands in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from factory import shown_tables
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities, read_outcomes, read_states
from factory.contracts import DatasetRef
from factory.errors import SourceUnreadable
from factory.quality.checking import check_week
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.store import read_frame
from factory.sources.tables import Rows, read_folder, read_sample
from factory.test_sets.frozen_rows import compare
from factory.use_cases import get
from tests.maven_files import made_up_pipeline, write_maven

DEALS = get("deals")
SOURCE, CLOCK = DEALS.entities, DEALS.clock


def read(folder: Path, *lines: str) -> Rows:
    return read_folder(write_maven(folder, *lines), SOURCE, lambda _: None)


def load(settings: Settings, rows: Rows) -> Engine:
    engine = open_catalogue(settings.database_url)
    load_entities(engine, SOURCE, rows.states, rows.outcomes, origin="maven", lookups=rows.lookups)
    return engine


def known(engine: Engine, month: str) -> pd.DataFrame:
    with engine.connect() as connection:
        found = read_states(connection, SOURCE, CLOCK.end(CLOCK.parse(month)), CLOCK)
    return found.set_index(SOURCE.key)


def cut(settings: Settings, month: str) -> DatasetRef:
    number = CLOCK.parse(month)
    return check_week(settings, cut_week(settings, "deals", as_of=CLOCK.end(number), week=number))


def test_a_deal_that_closes_later_looks_open_and_is_asked_about_in_every_month_until_then(
    settings: Settings, tmp_path: Path
) -> None:
    rows = read(
        tmp_path,
        "1C1I7A6R,Moses Frase,GTXPro,Cancity,Won,2016-10-20,2017-01-01,5100",
        "Z063OYW0,Darcel Schlecht,MG Special,,Lost,2016-11-25,2016-12-31,0",
        "HAXMC4IX,Anna Snelling,GTX Basic,Dontechi,Engaging,2016-12-31,,",
        "UP409DSB,Anna Snelling,GTX Basic,,Prospecting,,,",
    )
    engine = load(settings, rows)

    november, december, january = (known(engine, month) for month in ("2016-11", "2016-12", "2017-01"))

    assert list(november.index) == ["1C1I7A6R@2016-10", "1C1I7A6R@2016-11", "Z063OYW0@2016-11"]
    assert november["outcome"].dropna().to_dict() == {"1C1I7A6R@2016-10": "no"}
    assert set(december.index) - set(november.index) == {"1C1I7A6R@2016-12", "HAXMC4IX@2016-12"}
    assert set(january.index) - set(december.index) == {"HAXMC4IX@2017-01", "UP409DSB@2017-01"}
    # won on the first of January: in the month after December, on which day nobody knew in December
    assert december["outcome"].dropna().to_dict() == dict.fromkeys(("1C1I7A6R@2016-10", "1C1I7A6R@2016-11"), "no") | {
        "Z063OYW0@2016-11": "no"
    }
    assert january.loc["1C1I7A6R@2016-12", "outcome"] == "yes"
    for snapshot in (november, december, january):
        assert snapshot[["close_date", "close_value"]].isna().all(axis=None)
        assert set(snapshot["deal_stage"]) <= {"Prospecting", "Engaging"}
    asked = december.loc["1C1I7A6R@2016-12"]
    assert (asked["product"], asked["series"], asked["sales_price"]) == ("GTX Pro", "GTX", 4821.0)
    assert (asked["sector"], asked["manager"]) == ("retail", "Summer Sewald")
    assert asked["days_open"] == 73
    with engine.connect() as connection:
        assert read_outcomes(connection, SOURCE, CLOCK.end(4), CLOCK).to_dict() == january["outcome"].dropna().to_dict()


def test_a_looked_up_column_is_as_it_was_in_the_row_s_own_month(settings: Settings, tmp_path: Path) -> None:
    rows = read(tmp_path, "1C1I7A6R,Moses Frase,GTXPro,Cancity,Engaging,2016-10-20,,")
    grown = rows.lookups["accounts"].assign(employees=9_999.0, changed_at=datetime(2016, 11, 15, tzinfo=UTC))
    engine = load(
        settings,
        Rows(rows.states, rows.outcomes, {**rows.lookups, "accounts": pd.concat([rows.lookups["accounts"], grown])}),
    )

    assert known(engine, "2016-12")["employees"].to_dict() == {
        "1C1I7A6R@2016-10": 2448.0,
        "1C1I7A6R@2016-11": 9_999.0,
        "1C1I7A6R@2016-12": 9_999.0,
    }


def test_a_deal_that_is_older_than_the_first_month_is_asked_about_from_that_on(
    settings: Settings, tmp_path: Path
) -> None:
    engine = load(settings, read(tmp_path, "1C1I7A6R,Moses Frase,GTXPro,Cancity,Won,2015-03-01,2016-12-24,5100"))

    assert known(engine, "2016-12")["outcome"].to_dict() == {"1C1I7A6R@2016-10": "no", "1C1I7A6R@2016-11": "yes"}
    assert known(engine, "2016-10")["days_open"].to_dict() == {"1C1I7A6R@2016-10": 611.0}


def test_whatever_comes_later_the_months_before_are_the_same_files(tmp_path: Path) -> None:
    """The future is changed: every deal that is open at the end of August ends otherwise, and more come in."""
    pipeline, last = made_up_pipeline(), date(2017, 8, 31)

    def changed(line: str) -> str:
        name, agent, product, account, stage, engaged, closed, value = line.split(",")
        if not engaged or date.fromisoformat(engaged) > last:
            return f"X{name},{agent},{product},{account},Lost,{last + timedelta(days=3)},{last + timedelta(days=9)},0"
        if closed and date.fromisoformat(closed) <= last:
            return line
        other = "Lost" if stage == "Won" else "Won"
        return f"{name},{agent},{product},{account},{other},{engaged},{last + timedelta(days=1)},{value or 7}"

    def snapshots(name: str, lines: list[str]) -> list[DatasetRef]:
        at = Settings(
            database_url=f"sqlite:///{tmp_path / name}.sqlite",
            snapshot_uri=(tmp_path / name).as_uri(),
            mlflow_tracking_uri="",
        )
        load(at, read(tmp_path / f"{name}-files", *lines))
        return [cut(at, month) for month in ("2017-07", "2017-08", "2017-09")]

    (*before, september), (*still, otherwise) = (
        snapshots(name, lines)
        for name, lines in (("as-it-was", pipeline), ("otherwise", [changed(line) for line in pipeline]))
    )

    assert [each.sha256 for each in before] == [each.sha256 for each in still]
    assert [each.test.sha256 for each in before] == [each.test.sha256 for each in still]
    assert september.sha256 != otherwise.sha256
    rows = read_frame(september)
    assert rows.groupby("side").size().min() > 20
    assert rows.loc[rows["side"] == "train", "moment"].max() < rows.loc[rows["side"] == "test", "moment"].min()
    assert rows["group"].nunique() < rows["entity_id"].str.split("@").str[0].nunique(), (
        "deals of an account are one group"
    )


def test_a_test_set_stands_as_the_catalogue_has_it(settings: Settings, tmp_path: Path) -> None:
    engine = load(settings, read(tmp_path, *made_up_pipeline()))
    dataset = cut(settings, "2017-08")

    with engine.connect() as connection:
        assert compare(connection, "deals", dataset.test_version, dataset.test).count == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("A,Moses Frase,MG Special,,Won,2016-10-20,,5", "1 opportunities are closed and bear no close_date.*'A'"),
        ("A,Moses Frase,MG Special,,Won,20/10/2016,2016-11-01,5", "line 2: '20/10/2016' in engage_date is no moment"),
        ("A,Moses Frase,MG Special,,Won,2016-10-20,2016-11-01,many", "close_value are no numbers, the first is 'many'"),
    ],
)
def test_what_the_files_cannot_mean_is_refused_in_words(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(SourceUnreadable, match=said):
        read(tmp_path, line)


def test_a_folder_without_a_file_of_the_layout_is_refused(tmp_path: Path) -> None:
    (write_maven(tmp_path) / "products.csv").unlink()

    with pytest.raises(SourceUnreadable, match=r"products.csv: there is no such file; a folder of this layout has"):
        read_folder(tmp_path, SOURCE, lambda _: None)
    with pytest.raises(SourceUnreadable, match=r"'customers' has no layout of several files"):
        read_folder(tmp_path, get("churn").entities, lambda _: None)


def test_the_sample_is_simulated_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from factory.sources import simulated_deals

    monkeypatch.setattr(simulated_deals, "LEADS", 120)
    rows = read_sample(SOURCE, "won", lambda _: None)

    assert SOURCE.sample is not None
    assert SOURCE.sample.origin == "simulated opportunities by leadforge, not real"
    assert not rows.states.duplicated([SOURCE.key, "changed_at"]).any()
    ends = rows.states.sort_values("changed_at").drop_duplicates(SOURCE.key, keep="last")["deal_stage"].value_counts()
    assert ends["Won"] > 20
    assert ends["Lost"] > 10
    assert set(ends.index) == {"Won", "Lost"}, "nothing stays open for ever"
    assert set(rows.states["account"]) <= set(rows.lookups["accounts"]["account"])
    opened = rows.states.drop_duplicates(SOURCE.key)["changed_at"]
    assert opened.min() >= CLOCK.start(1)
    assert len({CLOCK.number(moment) for moment in opened}) > 12
    assert rows.lookups["accounts"]["changed_at"].max() < CLOCK.start(1)


def test_the_table_is_described_by_its_entities(settings: Settings, tmp_path: Path) -> None:
    engine = load(settings, read(tmp_path, "1C1I7A6R,Moses Frase,GTXPro,Cancity,Engaging,2016-10-20,,"))

    with engine.connect() as connection:
        assert shown_tables.describe(connection, SOURCE) == "1 entities in table 'opportunities', from maven"
