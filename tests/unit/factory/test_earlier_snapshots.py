"""Snapshots of products that an earlier version cut (5e9a04f: under the tables' names) go on to be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.catalogue.corrections import relabel
from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef
from factory.quality.checking import check_week
from factory.settings import Settings
from factory.snapshots.cutting import cut_week, find_week
from factory.snapshots.known_rows import count_trained
from factory.snapshots.store import read_batches, read_frame, read_schema
from factory.snapshots.text_rows import TEST_SCHEMA, WEEK_SCHEMA
from factory.snapshots.weeks import start_of
from factory.test_sets.freezing import freeze
from tests.earlier_snapshots import restore
from tests.unit.factory.conftest import KINDS


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return restore(tmp_path)


@pytest.fixture
def first(settings: Settings) -> DatasetRef:
    found = find_week(settings, "products", 1)
    assert found is not None
    return found


def test_its_columns_bear_the_names_of_today(first: DatasetRef) -> None:
    assert read_schema(first) == WEEK_SCHEMA
    assert read_schema(first.test) == TEST_SCHEMA
    frame = read_frame(first)
    assert (len(frame), frame.columns.tolist()) == (first.rows, WEEK_SCHEMA.names)
    assert set(frame["target"].dropna()) == set(KINDS)
    assert read_frame(first, ["target", "side"]).columns.tolist() == ["target", "side"]
    [batch] = read_batches(first.test, ["entity_id", "group"])
    assert batch.schema.names == ["entity_id", "group"]


def test_the_next_week_is_cut_and_checked_beside_it_and_a_new_test_set_frozen(
    first: DatasetRef, settings: Settings
) -> None:
    as_of = start_of(30, settings.weeks.epoch)
    later = check_week(settings, cut_week(settings, "products", as_of=as_of, week=30))

    rows, known = read_frame(later), set(read_frame(first)["entity_id"])
    assert later.test == first.test
    assert set(rows.loc[~rows["arrived"], "entity_id"]) == known
    assert set(rows.loc[rows["side"] == "test", "entity_id"]) == set(read_frame(first.test)["entity_id"])
    assert count_trained(later, first.test) == 0

    tools = rows.loc[(rows["side"] == "test") & (rows["target"] == "tools"), "entity_id"].tolist()
    relabel(open_catalogue(settings.database_url), tools[:2], "toys", "Anna")
    made = freeze(settings, "products", "Anna")
    assert made.difference.relabelled == {("tools", "toys"): 2}
    assert (made.version, made.rows, made.gone, made.came) == ("v2", first.test.rows, 0, 0)


@pytest.mark.parametrize("lost", ["week", "test set"])
def test_a_file_of_it_that_is_lost_is_written_again_as_it_was(first: DatasetRef, settings: Settings, lost: str) -> None:
    ref = first if lost == "week" else first.test
    Path(ref.uri.removeprefix("file://")).unlink()

    assert cut_week(settings, "products", as_of=first.as_of, week=1) == first
    assert len(read_frame(ref)) == ref.rows
