"""The naive set-up of a CRM, in which closed deals say how they ended, is refused; months as they were are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from factory.catalogue.histories import asked_rows, counted_off, looked_up
from factory.sources.tables import read_folder
from factory.use_cases import get
from factory.use_cases.columns import Column
from factory.use_cases.use_case import Declared
from flows.core.entities.binary import BinaryLogic
from flows.core.leakage import LeakageError
from flows.core.logic import logic_of
from flows.core.selection import Choice
from tests.maven_files import made_up_pipeline, write_maven

DEALS = get("deals")
SOURCE, CLOCK = DEALS.entities, DEALS.clock


def logic(columns: tuple[Column, ...]) -> BinaryLogic:
    source = replace(SOURCE, columns=columns, lookups=(), asked=None)
    found = logic_of(Declared(replace(DEALS, source=source), DEALS.models[0]))
    assert isinstance(found, BinaryLogic)
    return found


def test_closing_s_own_columns_are_refused_and_what_was_known_by_the_month_s_end_is_not(tmp_path: Path) -> None:
    rows = read_folder(write_maven(tmp_path, *made_up_pipeline(4_000)), SOURCE, lambda _: None)

    # one row a deal, as its last state has it: what a notebook makes of sales_pipeline.csv
    ended = rows.states.sort_values("changed_at").drop_duplicates(SOURCE.key, keep="last")
    ended = ended[ended["deal_stage"].isin(["Won", "Lost"])].reset_index(drop=True)
    days = pd.to_datetime(ended["close_date"]) - pd.to_datetime(ended["engage_date"])
    naive = ended.assign(
        entity_id=ended[SOURCE.key],
        group=range(len(ended)),
        target=ended["deal_stage"].map({"Won": "yes", "Lost": "no"}),
        days_open=days.dt.days.astype(float),
    )
    told = logic(tuple(replace(each, feature=each.kind != "moment") for each in SOURCE.columns if each.name in naive))
    train, test = naive.iloc[::2], naive.iloc[1::2]

    fitted = told.fit(train, Choice(told.find_candidates(["logistic-table"])[0]))
    assert told.evaluate(fitted, test, ()).estimates["auc"].value > 0.99
    with pytest.raises(LeakageError) as refused:
        told.refuse_leaks(train, test, ())
    assert "column 'close_value'" in str(refused.value)
    assert "column 'deal_stage'" in str(refused.value)

    # the same deals, month by month
    history = rows.states.assign(changed_at=pd.to_datetime(rows.states["changed_at"], utc=True).dt.as_unit("us"))
    shown = asked_rows(history, SOURCE, CLOCK, CLOCK.end(CLOCK.parse("2017-12")))
    tables = {
        name: table.assign(changed_at=pd.to_datetime(table["changed_at"], utc=True).dt.as_unit("us"))
        for name, table in rows.lookups.items()
    }
    months = counted_off(looked_up(shown, SOURCE, tables), SOURCE).reindex(
        columns=[SOURCE.key, "outcome", "shown_at", *(column.name for column in SOURCE.columns)]
    )
    months = months[months["outcome"].notna()].rename(columns={SOURCE.key: "entity_id", "outcome": "target"})
    months = months.assign(group=pd.factorize(months["entity_id"].str.split("@").str[0])[0])
    later = months["shown_at"] >= CLOCK.start(CLOCK.parse("2017-08"))
    honest = logic(SOURCE.columns)

    honest.refuse_leaks(months[~later], months[later], ())
