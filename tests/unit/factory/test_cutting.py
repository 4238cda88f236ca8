"""A week's snapshot: what it holds, that it never changes, and that it heals after a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from factory.catalogue import loading
from factory.catalogue.corrections import merge_class
from factory.catalogue.database import open_catalogue
from factory.catalogue.schema import data_loads, labels
from factory.contracts import DatasetRef, FileRef
from factory.errors import CatalogueEmpty, SnapshotCorrupt, WeekRejected
from factory.quality.checking import check_week
from factory.records import ledger, stored
from factory.settings import Settings, WeekPlan
from factory.snapshots import cutting, text_rows
from factory.snapshots.cutting import cut_week, find_week, joining_moment, newest_week
from factory.snapshots.names import OF_TABLES
from factory.snapshots.store import read_frame
from factory.snapshots.text_rows import TEST_SCHEMA, WEEK_SCHEMA
from factory.snapshots.weeks import share_of
from factory.sources import readers
from factory.text import group_of, product_text
from tests.forked import FORKING
from tests.unit.factory import processes

Batch = Callable[..., pd.DataFrame]
Cut = Callable[[int], DatasetRef]


SAMPLE_WEEKS = [
    "0c244478141be6113fc09424575d91eb6f9a547301682a82fc19456b2312522b",
    "931ed478545045c1b10111984de6d5c48f0a7227bd64136ce6f234f42c7b1ad4",
    "3b4e041cfb807850973996af59f568f884ad310c4de6458302503de4cbc4c3d6",
]
"""Checksums of the rows of its first three weeks, under the tables' names: they never change, whatever is built around
them."""


class Crash(BaseException):
    """Stands for the death of the process at this very step."""


def die(*args: object, **kwargs: object) -> None:
    raise Crash


def states(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return {row.batch_name: row.status for row in connection.execute(select(data_loads))}


def files(settings: Settings) -> list[str]:
    folder = Path(settings.snapshot_uri.removeprefix("file://"))
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_week_holds_its_share_with_every_column(stock: Callable[..., object], goods: Batch, cut: Cut) -> None:
    stock(goods(1000))
    dataset = cut(1)
    frame = read_frame(dataset)
    assert frame.columns.tolist() == WEEK_SCHEMA.names
    assert frame["entity_id"].tolist() == [f"{n:05d}" for n in range(1000) if share_of(f"{n:05d}", 42) < 0.4]
    assert (dataset.rows, dataset.week, dataset.revision, dataset.classes) == (len(frame), 1, 1, 3)
    assert dataset.train_rows == (frame["side"] == "train").sum()
    assert dataset.arrivals == len(frame) == frame["arrived"].sum()
    assert set(frame["side"]) == {"train", "test"}
    assert dataset.uri.rsplit("/", 3)[1:3] == ["products", "week=01"]


def test_the_test_set_is_the_whole_catalogues_test_side_and_stays(
    stock: Callable[..., object], goods: Batch, cut: Cut
) -> None:
    stock(goods(1000))
    first = cut(1)
    test = read_frame(first.test)
    assert test.columns.tolist() == TEST_SCHEMA.names
    assert 0.1 < len(test) / 1000 < 0.3
    stock(goods(1000, first=1000))
    second = cut(2)
    assert (second.test, second.test_version) == (first.test, "v1")
    frame = read_frame(second).set_index("entity_id")
    late = frame[frame.index >= "01000"]
    assert set(late["side"]) == {"train", "held_out"}
    assert set(frame.index[frame["side"] == "test"]) == set(frame.index) & set(test["entity_id"])


def test_weeks_are_nested_and_arrivals_are_what_is_new(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings
) -> None:
    stock(goods(1000))
    before = read_frame(check_week(settings, cut(1)))
    for week in (2, 3):
        dataset = check_week(settings, cut(week))
        frame = read_frame(dataset)
        assert set(before["entity_id"]) < set(frame["entity_id"])
        assert set(frame.loc[frame["arrived"], "entity_id"]) == set(frame["entity_id"]) - set(before["entity_id"])
        assert dataset.arrivals == frame["arrived"].sum() > 0
        before = frame


def test_products_that_came_late_arrive_in_the_next_week_cut(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings
) -> None:
    stock(goods(300))
    check_week(settings, cut(1))
    stock(goods(300, first=300))
    frame = read_frame(cut(2))
    late_but_early_share = [n for n in frame["entity_id"] if n >= "00300" and share_of(n, 42) < 0.4]
    assert late_but_early_share
    assert frame.set_index("entity_id").loc[late_but_early_share, "arrived"].all()


def test_products_of_the_future_wait(stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings) -> None:
    stock(goods(300))
    stock(goods(300, first=300), created_at=settings.weeks.epoch + timedelta(days=7))
    assert read_frame(cut(1))["entity_id"].max() < "00300"
    assert read_frame(cut(2))["entity_id"].max() >= "00300"


def test_what_was_created_after_the_epoch_belongs_whole_to_its_week(
    stock: Callable[..., object], goods: Batch, settings: Settings
) -> None:
    epoch = settings.weeks.epoch
    days = [0, 1 / 86_400_000_000, 8, 14]  # the first stock, then weeks 1, 2 and 3
    dated = goods(400).assign(created_at=[epoch + timedelta(days=days[n % 4]) for n in range(400)])
    stock(dated[:250], dated[250:])
    ids = [f"{n:05d}" for n in range(400)]
    for week, share in ((1, 0.4), (2, 0.43), (3, 0.46), (40, 1)):
        frame = read_frame(cut_week(settings, "products", as_of=epoch + timedelta(days=30), week=week))
        expected = [
            name for name in ids if (share_of(name, 42) < share if int(name) % 4 == 0 else int(name) % 4 <= week)
        ]
        assert frame["entity_id"].tolist() == expected
        assert frame["moment"].tolist() == [epoch + timedelta(days=days[int(name) % 4]) for name in expected]


def test_a_late_week_cut_anew_leaves_out_what_was_created_after_it(
    stock: Callable[..., object], goods: Batch, settings: Settings
) -> None:
    epoch = settings.weeks.epoch
    stock(goods(100))
    stock(goods(100, first=100), created_at=epoch + timedelta(days=7 * 49))
    as_of = datetime(2030, 1, 1, tzinfo=UTC)
    assert [cut_week(settings, "products", as_of=as_of, week=week).rows for week in (49, 50)] == [100, 200]


def test_what_is_loaded_after_a_cut_joins_whole_with_the_next_week(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings
) -> None:
    assert joining_moment(settings) == settings.weeks.epoch
    stock(goods(300))
    before = read_frame(check_week(settings, cut(3)))
    assert joining_moment(settings) == settings.weeks.epoch + timedelta(days=21)
    stock(goods(300, first=300), created_at=joining_moment(settings))
    assert read_frame(cut(2))["entity_id"].max() < "00300"
    frame = read_frame(cut(4))
    late = frame[frame["entity_id"] >= "00300"]
    assert len(late) == 300
    assert late["arrived"].all()
    assert len(frame) - 300 < 1.2 * len(before)


@pytest.mark.parametrize("as_of_days", [0, 6.9])
def test_the_week_follows_from_as_of(
    stock: Callable[..., object], goods: Batch, settings: Settings, as_of_days: float
) -> None:
    stock(goods(100))
    assert cut_week(settings, "products", as_of=settings.weeks.epoch + timedelta(days=14 + as_of_days)).week == 3


def test_a_week_cut_twice_is_the_same_even_after_more_was_loaded(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings, engine: Engine
) -> None:
    stock(goods(300))
    first = cut(1)
    stock(goods(300, first=300))
    assert cut(1) == first
    check_week(settings, first)
    assert cut(1) == first
    assert states(engine) == {"products/week-01/r1": "accepted"}


def test_the_order_in_which_products_were_loaded_does_not_show(
    goods: Batch, settings: Settings, engine: Engine, tmp_path: Path, stock: Callable[..., object], cut: Cut
) -> None:
    other = settings.model_copy(
        update={"database_url": f"sqlite:///{tmp_path / 'other.sqlite'}", "snapshot_uri": str(tmp_path / "other")}
    )
    stock(goods(300))
    shuffled = goods(300).sample(frac=1, random_state=1)
    loading.load(
        open_catalogue(other.database_url),
        [shuffled[:100], shuffled[100:]],
        source="invented goods",
        created_at=settings.weeks.epoch,
    )
    here, there = cut(1), cut_week(other, "products", as_of=settings.weeks.epoch)
    assert (here.sha256, here.test.sha256) == (there.sha256, there.test.sha256)


def test_no_text_and_no_group_stands_on_both_sides(stock: Callable[..., object], batch: Batch, cut: Cut) -> None:
    # Every text belongs to two product groups, which fall on different sides as they please.
    rows = [
        {"productid": f"{n}", "designation": f"Thing {n // 2}", "group_id": f"g{n % 100}", "prdtypecode": f"{n % 2}"}
        for n in range(800)
    ]
    stock(batch(*rows))
    dataset = cut(30)
    frame, test = read_frame(dataset), read_frame(dataset.test)
    train = frame[frame["side"] == "train"]
    texts = [set(product_text(part["designation"], part["description"]).map(group_of)) for part in (train, test)]
    assert len(train) > 100
    assert not texts[0] & texts[1]
    assert not set(train["group"]) & set(test["group"])
    assert (frame["side"] == "held_out").any()


def variants(number: int) -> list[dict[str, str | None]]:
    """Products of seven made-up words, one in two of them entered twice: with a typo, another order or a word more."""
    drawn = np.random.default_rng(7)
    words = ["".join(drawn.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(400)]
    rows: list[dict[str, str | None]] = []
    for place in range(number):
        text = [str(word) for word in drawn.choice(words, 7, replace=False)]
        again = [[f"q{text[0]}", *text[1:]], text[::-1], [*text, "sale"]][place % 3]
        kind = f"k{place % 2}"
        rows.append({"productid": f"{place:04d}", "designation": " ".join(text), "prdtypecode": kind})
        if place % 2:
            rows.append({"productid": f"{place:04d}-again", "designation": " ".join(again), "prdtypecode": kind})
    return rows


@pytest.mark.parametrize("grouped", [False, True])
def test_near_duplicates_are_one_group_and_stand_on_one_side(
    stock: Callable[..., object], batch: Batch, cut: Cut, grouped: bool
) -> None:
    rows = variants(600)
    stock(batch(*[{**row, "group_id": row["productid"] if grouped else None} for row in rows]))
    frame = read_frame(cut(30)).set_index("entity_id")
    again = frame[frame.index.str.endswith("-again")]
    first = frame.loc[again.index.str.removesuffix("-again")]
    assert len(again) == 300
    assert again["group"].to_list() == first["group"].to_list()
    assert again["side"].to_list() == first["side"].to_list()
    assert set(again["side"]) == {"train", "test"}


def test_near_duplicates_that_come_later_go_to_the_side_of_the_first(
    stock: Callable[..., object], batch: Batch, cut: Cut, settings: Settings
) -> None:
    rows = variants(600)
    stock(batch(*[row for row in rows if "again" not in str(row["productid"])]))
    first = read_frame(check_week(settings, cut(1)).test)
    late = batch(*[row for row in rows if "again" in str(row["productid"])])
    stock(late, created_at=joining_moment(settings))
    dataset = check_week(settings, cut(30))
    frame = read_frame(dataset).set_index("entity_id")
    again = frame[frame.index.str.endswith("-again")]
    beside_a_test_row = again.index.str.removesuffix("-again").isin(first["entity_id"])
    assert set(again["side"][beside_a_test_row]) == {"held_out"}
    assert set(again["side"][~beside_a_test_row]) == {"train"}


def test_where_near_texts_would_chain_all_groups_together_a_near_row_is_held_out_instead(
    stock: Callable[..., object], batch: Batch, cut: Cut
) -> None:
    """Shops that sell the same under nearly the same words, grouped by shop."""
    rows = [row for row in variants(600) if "again" not in str(row["productid"])]
    rows += [
        {**row, "productid": f"{row['productid']}-again", "designation": f"{row['designation']} new"} for row in rows
    ]
    drawn = np.random.default_rng(3)
    stock(batch(*[{**row, "group_id": f"shop {drawn.integers(60)}"} for row in rows]))
    frame = read_frame(cut(30)).set_index("entity_id")
    again = frame[frame.index.str.endswith("-again")]
    first = frame.loc[again.index.str.removesuffix("-again")]
    sides = set(zip(first["side"], again["side"], strict=True))
    assert frame["group"].nunique() == 60
    assert {("train", "train"), ("test", "test"), ("test", "held_out"), ("held_out", "test")} == sides


def test_a_plan_that_changes_later_lets_no_test_row_into_training(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings
) -> None:
    stock(goods(500))
    first = check_week(settings, cut(1))
    changed = settings.model_copy(update={"weeks": WeekPlan(test_share=0.5, first_share=1.0)})
    dataset = cut_week(changed, "products", as_of=settings.weeks.epoch, week=2)
    frame, test = read_frame(dataset), read_frame(first.test)
    train = frame[frame["side"] == "train"]
    assert not set(train["group"]) & set(test["group"])


def test_a_rejected_week_is_cut_again_from_the_mended_catalogue(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings, engine: Engine
) -> None:
    stock(goods(300))
    with engine.begin() as connection:
        connection.execute(update(labels).where(labels.c.productid < "00100").values(prdtypecode=None))
    bad = cut(1)
    with pytest.raises(WeekRejected):
        check_week(settings, bad)
    assert find_week(settings, "products", 1) is None
    with engine.begin() as connection:
        connection.execute(update(labels).where(labels.c.prdtypecode.is_(None)).values(prdtypecode="tools"))
    good = check_week(settings, cut(1))
    assert (good.revision, good.sha256 != bad.sha256) == (2, True)
    assert read_frame(good.test)["target"].notna().all()
    assert states(engine) == {"products/week-01/r1": "rejected", "products/week-01/r2": "accepted"}
    assert len(read_frame(bad)) == bad.rows


def test_accepted_weeks_are_found_and_others_are_not(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings
) -> None:
    assert find_week(settings, "products", 1) is None
    assert newest_week(settings, "products") is None
    stock(goods(300))
    first = check_week(settings, cut(1))
    third = check_week(settings, cut(3))
    second = cut(2)
    assert find_week(settings, "products", 1) == first
    assert find_week(settings, "products", 2) is None
    assert newest_week(settings, "products") == third != second


def test_data_loads_tells_share_rows_and_reference(
    stock: Callable[..., object], goods: Batch, cut: Cut, engine: Engine
) -> None:
    stock(goods(300))
    dataset = cut(3)
    with engine.connect() as connection:
        row = connection.execute(select(data_loads)).mappings().one()
    assert (row["batch_name"], row["week"], row["percentage"]) == ("products/week-03/r1", 3, 46.0)
    assert (row["total_rows"], row["status"]) == (dataset.rows, "cut")
    assert row["started_at"] <= row["completed_at"]
    assert stored.load(DatasetRef, row["metadata"]["dataset"]) == dataset


def test_an_empty_catalogue_says_how_to_fill_it(cut: Cut, engine: Engine) -> None:
    with pytest.raises(CatalogueEmpty, match="python -m factory load sample"):
        cut(1)
    assert states(engine) == {}


def test_a_moment_before_every_product_is_an_error_that_leaves_no_week(
    stock: Callable[..., object], goods: Batch, settings: Settings
) -> None:
    stock(goods(50))
    with pytest.raises(CatalogueEmpty, match="week 1 as of 2025-01-01"):
        cut_week(settings, "products", as_of=settings.weeks.epoch.replace(year=2025, day=1), week=1)
    assert not [name for name in files(settings) if "week=" in name]


def test_an_unknown_use_case_is_refused(settings: Settings) -> None:
    with pytest.raises(KeyError, match="there are: products"):
        cut_week(settings, "nothing", as_of=settings.weeks.epoch)


def test_an_earlier_week_that_was_tampered_with_stops_the_cut(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings
) -> None:
    stock(goods(300))
    first = check_week(settings, cut(1))
    Path(first.test.uri.removeprefix("file://")).write_bytes(b"other")
    with pytest.raises(SnapshotCorrupt):
        cut(2)


@given(
    sizes=st.tuples(st.integers(50, 200), st.integers(1, 200)),
    weeks=st.tuples(st.integers(1, 10), st.integers(1, 15)),
)
@examples(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_cut_stays_in_every_later_week_whatever_was_appended(
    goods: Batch, tmp_path_factory: pytest.TempPathFactory, sizes: tuple[int, int], weeks: tuple[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("catalogue")
    settings = Settings(
        database_url=f"sqlite:///{folder / 'c.sqlite'}", snapshot_uri=str(folder / "s"), mlflow_tracking_uri="sqlite://"
    )
    engine = open_catalogue(settings.database_url)
    epoch = settings.weeks.epoch
    loading.load(engine, [goods(sizes[0])], source="goods", created_at=epoch)
    early = read_frame(cut_week(settings, "products", as_of=epoch, week=weeks[0])).set_index("entity_id")
    loading.load(engine, [goods(sizes[1], first=sizes[0])], source="goods", created_at=epoch)
    later = read_frame(cut_week(settings, "products", as_of=epoch, week=sum(weeks))).set_index("entity_id")
    kept = later.loc[early.index]
    assert kept.drop(columns="arrived").equals(early.drop(columns="arrived"))


STEPS = {
    "announced": (cutting, "_cut"),
    "while the test set is written": (text_rows, "on_test_side"),
    "test set published": (text_rows, "WeekOfTexts"),
    "while the week is written": (text_rows, "share_of"),
    "week published": (ledger, "record_cut"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_healed_by_the_next_call(
    stock: Callable[..., object],
    goods: Batch,
    cut: Cut,
    settings: Settings,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    stock(goods(200))
    module, name = STEPS[step]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, die)
        with pytest.raises(Crash):
            cut(1)
    assert states(engine) == {"products/week-01/r1": "running"}
    dataset = cut(1)
    assert states(engine) == {"products/week-01/r1": "cut"}
    assert len(read_frame(dataset)) == dataset.rows
    assert len(files(settings)) == 2
    check_week(settings, dataset)


@pytest.mark.parametrize("dying", [processes.die_while_the_week_is_published, processes.die_before_the_cut_is_recorded])
def test_a_killed_process_leaves_nothing_or_a_complete_snapshot(
    stock: Callable[..., object],
    goods: Batch,
    cut: Cut,
    settings: Settings,
    engine: Engine,
    begin: Callable[..., Any],
    dying: Callable[[Settings], None],
) -> None:
    stock(goods(200))
    killed = begin(dying)
    assert killed.exit_code() == -9, killed.log.read_text()
    assert states(engine) == {"products/week-01/r1": "running"}
    assert find_week(settings, "products", 1) is None
    dataset = cut(1)
    assert len(read_frame(dataset)) == dataset.rows
    assert not [name for name in files(settings) if not name.endswith(".parquet")]
    assert len(files(settings)) == 2


def test_processes_that_cut_at_once_get_the_same_week(
    stock: Callable[..., object],
    goods: Batch,
    cut: Cut,
    settings: Settings,
    engine: Engine,
    begin: Callable[..., Any],
) -> None:
    stock(goods(500))
    together = FORKING.Barrier(3)
    begun = [begin(processes.cut, together) for _ in range(3)]
    assert [DatasetRef.model_validate_json(each.said()) for each in begun] == [cut(1)] * 3
    assert states(engine) == {"products/week-01/r1": "cut"}
    assert len(files(settings)) == 2


def test_a_product_without_label_is_scored_and_never_trained_on_or_tested_with(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings
) -> None:
    rows = goods(400)
    rows.loc[rows.index[::4], "prdtypecode"] = None
    stock(rows)
    without = set(rows["productid"][::4])
    dataset = check_week(settings, cut(40))
    frame = read_frame(dataset).set_index("entity_id")
    assert set(frame.loc[sorted(without), "side"]) == {"held_out"}
    assert frame.loc[sorted(without), "arrived"].all()
    assert without.isdisjoint(read_frame(dataset.test)["entity_id"])
    assert frame.drop(index=sorted(without))["target"].notna().all()


def lose(ref: FileRef) -> None:
    Path(ref.uri.removeprefix("file://")).unlink()


@pytest.mark.parametrize("lost", ["week", "test"])
def test_a_lost_file_is_cut_again_as_the_same(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings, engine: Engine, lost: str
) -> None:
    stock(goods(300))
    dataset = check_week(settings, cut(1))
    lose(dataset if lost == "week" else dataset.test)
    assert cut(1) == dataset
    assert len(read_frame(dataset)) == dataset.rows
    assert len(read_frame(dataset.test)) == dataset.test.rows
    assert states(engine) == {"products/week-01/r1": "accepted"}


def test_a_lost_week_of_a_catalogue_that_has_changed_is_the_next_revision(
    stock: Callable[..., object], goods: Batch, cut: Cut, settings: Settings, engine: Engine
) -> None:
    stock(goods(300))
    dataset = check_week(settings, cut(1))
    lose(dataset)
    merge_class(engine, "toys", "tools", "ann")
    again = check_week(settings, cut(1), overrule=True)
    assert again.revision == 2
    assert find_week(settings, "products", 1) == again
    assert states(engine) == {"products/week-01/r1": "accepted", "products/week-01/r2": "accepted"}


def test_a_test_set_that_is_lost_for_good_is_told(
    stock: Callable[..., object], goods: Batch, cut: Cut, engine: Engine
) -> None:
    stock(goods(300))
    lose(cut(1).test)
    merge_class(engine, "toys", "tools", "ann")
    for week in (1, 2):
        with pytest.raises(SnapshotCorrupt, match="is lost, and the catalogue has changed since it was cut"):
            cut(week)


def test_the_sample_cuts_as_the_plan_says(stock: Callable[..., object], cut: Cut, settings: Settings) -> None:
    stock(*readers.read_sample())
    weeks = [check_week(settings, cut(week)) for week in (1, 2, 3)]
    assert [week.rows for week in weeks] == pytest.approx([0.40 * 5612, 0.43 * 5612, 0.46 * 5612], rel=0.02)
    found = [read_frame(week).rename(columns=OF_TABLES).to_csv(index=False) for week in weeks]
    assert [sha256(rows.encode()).hexdigest() for rows in found] == SAMPLE_WEEKS
    assert cut(3).classes == 21


def test_weeks_of_products_that_were_missed_are_cut_late_as_they_would_have_been_in_time(
    stock: Callable[..., object], batch: Batch, cut: Cut, settings: Settings, tmp_path: Path
) -> None:
    """Two catalogues: one is cut week by week, the other for the first week, and then when all has come."""
    rows = variants(600)
    near = [row for row in rows if "again" in str(row["productid"])]
    parts = [batch(*part) for part in ([row for row in rows if row not in near], near[:150], near[150:])]
    moments = [settings.weeks.epoch + timedelta(days=7 * part) for part in range(3)]
    in_time = []
    for part, moment in zip(parts, moments, strict=True):
        stock(part, created_at=moment)
        in_time.append(check_week(settings, cut(len(in_time) + 1)))
    own = {"database_url": f"sqlite:///{tmp_path / 'later.sqlite'}", "snapshot_uri": (tmp_path / "later").as_uri()}
    later = settings.model_copy(update=own)

    def bring(part: int) -> None:
        engine = open_catalogue(later.database_url)
        loading.load(engine, iter([parts[part]]), source="goods", created_at=moments[part], append=True)

    bring(0)
    late = [check_week(later, cut_week(later, "products", as_of=moments[0]))]
    bring(1)
    bring(2)
    late += [check_week(later, cut_week(later, "products", as_of=moment)) for moment in moments[1:]]

    assert [dataset.sha256 for dataset in late] == [dataset.sha256 for dataset in in_time]
    assert late[0].test.sha256 == in_time[0].test.sha256
