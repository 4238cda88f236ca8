"""The test set lives: what differs is told, a new one takes in what was held out, looks are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from factory.catalogue import corrections
from factory.contracts import DatasetRef
from factory.errors import NothingToFreeze, SnapshotCorrupt, TestSetOutdated, WeekUnknown
from factory.quality.checking import check_week
from factory.settings import Settings, WeekPlan
from factory.snapshots.known_rows import count_trained
from factory.snapshots.store import read_beside, read_frame
from factory.test_sets import frozen_tests
from factory.test_sets.freezing import Freeze, freeze
from factory.test_sets.frozen_rows import Difference, compare, cover
from factory.test_sets.frozen_tests import FrozenTest

Batch = Callable[..., pd.DataFrame]
Cut = Callable[[int], DatasetRef]
Stock = Callable[..., object]


@pytest.fixture
def first(stock: Stock, goods: Batch, cut: Cut, settings: Settings) -> DatasetRef:
    """Week 1 of 600 products, accepted."""
    stock(goods(600))
    return check_week(settings, cut(1))


def difference(engine: Engine, dataset: DatasetRef) -> Difference:
    with engine.connect() as connection:
        return compare(connection, dataset.use_case, dataset.test_version, dataset.test)


def newest(engine: Engine) -> FrozenTest:
    with engine.connect() as connection:
        found = frozen_tests.newest(connection, "products")
    assert found is not None
    return found


def ids(dataset: DatasetRef, side: str | None = None) -> list[str]:
    frame = read_frame(dataset.test) if side is None else read_frame(dataset).query("side == @side")
    return frame["entity_id"].tolist()


def files(settings: Settings) -> Iterator[str]:
    folder = Path(settings.snapshot_uri.removeprefix("file://")) / "products" / "test"
    return (path.name for path in sorted(folder.iterdir()))


def test_a_catalogue_that_did_not_change_differs_in_nothing_and_gives_nothing_to_freeze(
    first: DatasetRef, engine: Engine, settings: Settings, cut: Cut
) -> None:
    assert difference(engine, first).count == 0
    with pytest.raises(NothingToFreeze, match="test set v1 is what the catalogue would give today"):
        freeze(settings, "products", "ann")
    assert [name[:3] for name in files(settings)] == ["v1-"]
    assert newest(engine).file == first.test == cut(2).test


def test_each_row_that_was_relabelled_deleted_lost_or_rewritten_is_told_apart(
    first: DatasetRef, engine: Engine
) -> None:
    frame = read_frame(first.test).set_index("entity_id")
    here = set(ids(first, "test"))
    later = [name for name in frame.index if name not in here]
    assert later, "products that no week holds yet stand in the test set, and are not missed"
    toys = frame.index[frame["target"] == "toys"].tolist()
    others = frame.index[frame["target"] != "toys"].tolist()
    corrections.relabel(engine, toys[:7], "games", "ann")
    corrections.remove(engine, others[:3], "ann")
    corrections.change(engine, others[3], {"designation": "another thing"}, "ann")
    corrections.change(engine, others[4], {"group_id": "of a group"}, "ann")

    found = difference(engine, first)

    assert (found.rows, found.relabelled, found.deleted, found.changed) == (len(frame), {("toys", "games"): 7}, 3, 1)
    assert found.share == pytest.approx(11 / len(frame))
    assert found.sentence().startswith(f"11 of the {len(frame)} rows of test set v1 (")
    assert found.sentence().endswith(
        "7 bear another label (7 of 'toys' are 'games'), 3 are deleted, 1 have another text"
    )


def test_beyond_the_limit_it_stops_with_the_command_that_mends_it(first: DatasetRef, engine: Engine) -> None:
    assert corrections.merge_class(engine, "toys", "tools", "ann")
    found = difference(engine, first)
    with pytest.raises(TestSetOutdated, match=r"of 'toys' are 'tools'.*2\.00%.*factory freeze --use-case products"):
        found.refuse_beyond(0.02, "products")
    found.refuse_beyond(found.share, "products")


def test_a_week_is_accepted_with_the_difference_in_its_report(
    first: DatasetRef, engine: Engine, settings: Settings, cut: Cut
) -> None:
    corrections.relabel(engine, ids(first)[:5], "games", "ann")
    second = check_week(settings, cut(2), overrule=True)
    report = (read_beside(second, ".quality.json") or b"").decode()
    assert "5 of the " in report
    assert "'games'" in report


def test_a_class_without_test_row_and_a_test_row_of_an_unknown_class_are_told() -> None:
    found = cover("v1", trained={"a": 10, "late": 30}, tested={"a": 3, "rare": 1})
    assert (found.untested, found.untrained) == ({"late": 30}, {"rare": 1})
    late, rare = found.sentences()
    assert "1 of 2 classes have no row in test set v1 ('late'; 30 rows)" in late
    assert "1 of the 4 rows of test set v1 (25.00%) bear 1 classes that nobody was trained on ('rare')" in rare
    assert cover("v1", trained=["a"], tested={"a": 1}).sentences() == []


def test_held_out_rows_and_a_later_class_come_in_and_no_row_that_was_trained_on(
    first: DatasetRef, engine: Engine, settings: Settings, cut: Cut, stock: Stock, goods: Batch
) -> None:
    late = goods(300, first=600)
    late.loc[late["prdtypecode"] == "toys", "prdtypecode"] = "late"
    stock(late)
    corrections.remove(engine, ids(first)[:4], "ann")
    second = check_week(settings, cut(20), overrule=True)
    waiting = set(ids(second, "held_out"))
    assert waiting
    assert "late" not in set(read_frame(second.test)["target"])
    report = (read_beside(second, ".quality.json") or b"").decode()
    assert "1 of 4 classes have no row in test set v1 ('late'; " in report
    assert "held-out rows of them would come in with a new one" in report

    made = freeze(settings, "products", "ann")

    assert made.test is not None
    assert (made.test.version, made.test.frozen_by, made.test) == ("v2", "ann", newest(engine))
    frozen = read_frame(made.test.file)
    assert waiting <= set(frozen["entity_id"])
    assert "late" in set(frozen["target"])
    assert (made.gone, made.came) == (4, len(set(frozen["entity_id"]) - set(ids(first))))
    for week in (first, second):
        assert count_trained(week, made.test.file) == 0
        assert not set(frozen["entity_id"]) & set(ids(week, "train"))
    third = check_week(settings, cut(21))
    assert (third.test, third.test_version) == (made.test.file, "v2")
    assert set(ids(third, "test")) == set(read_frame(third)["entity_id"]) & set(frozen["entity_id"])
    assert cut(20) == second, "a week that stands stays as it was cut"


def test_a_row_whose_text_was_trained_on_stays_out(first: DatasetRef, engine: Engine, settings: Settings) -> None:
    trained = read_frame(first).query("side == 'train'").iloc[0]
    tested = ids(first)[0]
    corrections.change(engine, tested, {"designation": trained["designation"].upper()}, "ann")
    corrections.change(
        engine, tested, {"description": None if pd.isna(trained["description"]) else trained["description"]}, "ann"
    )
    made = freeze(settings, "products", "ann")
    assert made.test is not None
    assert (made.refused, made.gone, tested in set(read_frame(made.test.file)["entity_id"])) == (1, 1, False)


def test_another_plan_lets_no_row_of_training_in(first: DatasetRef, settings: Settings) -> None:
    changed = settings.model_copy(update={"weeks": WeekPlan(test_share=0.5, seed=42)})
    made = freeze(changed, "products", "ann")
    assert made.test is not None
    assert made.refused > 0
    assert made.came > 0
    assert count_trained(first, made.test.file) == 0


def test_a_dry_run_says_the_same_and_leaves_nothing(first: DatasetRef, engine: Engine, settings: Settings) -> None:
    corrections.relabel(engine, ids(first)[:5], "games", "ann")
    tried = freeze(settings, "products", "ann", dry_run=True)
    assert newest(engine).version == "v1"
    assert [name[:3] for name in files(settings)] == ["v1-"]
    made = freeze(settings, "products", "ann")
    assert counts(tried) == counts(made)
    assert [name[:3] for name in files(settings)] == ["v1-", "v2-"]


def counts(made: Freeze) -> tuple[object, ...]:
    return made.version, made.rows, made.classes, made.came, made.gone, made.refused


def test_weeks_of_before_decide_by_the_newest_set_and_those_of_another_catalogue_by_their_own(
    first: DatasetRef, engine: Engine, settings: Settings
) -> None:
    corrections.relabel(engine, ids(first)[:5], "games", "ann")
    made = freeze(settings, "products", "ann")
    assert made.test is not None
    with engine.connect() as connection:
        after = frozen_tests.beside_the_newest(connection, first)
        foreign = first.model_copy(update={"test": first.test.model_copy(update={"sha256": "0" * 64})})
        assert frozen_tests.beside_the_newest(connection, foreign) == foreign
        assert [each.version for each in frozen_tests.all_known(connection, "products")] == ["v1", "v2"]
    assert (after.test, after.test_version) == (made.test.file, "v2")
    assert (after.sha256, after.train_rows) == (first.sha256, first.train_rows)


def test_a_look_is_counted_once_a_run_and_for_its_own_set(first: DatasetRef, engine: Engine) -> None:
    with engine.begin() as connection:
        for look_id in ("one", "two", "one"):
            frozen_tests.look(connection, "products", first.test, look_id=look_id, kind="training")
        other = first.test.model_copy(update={"sha256": "1"})
        assert frozen_tests.look(connection, "products", other, look_id="one", kind="judgement") == 1
        assert frozen_tests.count_looks(connection, "products", first.test) == 2


def test_a_lost_week_of_before_a_freeze_is_made_again_beside_its_own_set(
    first: DatasetRef, engine: Engine, settings: Settings, cut: Cut
) -> None:
    # the week holds none of the products that change, so that it can be made again as it was
    later = [name for name in ids(first) if name not in set(ids(first, "test"))]
    corrections.relabel(engine, later[:3], "games", "ann")
    assert freeze(settings, "products", "ann").test
    Path(first.uri.removeprefix("file://")).unlink()
    assert cut(1) == first
    for lost in (first.uri, first.test.uri):
        Path(lost.removeprefix("file://")).unlink()
    again = cut(1)
    assert (again.revision, again.test_version) == (2, "v2")


def test_a_later_set_that_is_lost_is_named(first: DatasetRef, engine: Engine, settings: Settings, cut: Cut) -> None:
    corrections.relabel(engine, ids(first)[:3], "games", "ann")
    made = freeze(settings, "products", "ann")
    assert made.test is not None
    Path(made.test.file.uri.removeprefix("file://")).unlink()
    with pytest.raises(SnapshotCorrupt, match=r"the frozen test set .*/v2-.* is lost"):
        cut(2)


def test_before_the_first_cut_there_is_nothing_to_freeze(stock: Stock, goods: Batch, settings: Settings) -> None:
    stock(goods(100))
    with pytest.raises(WeekUnknown, match=r"no week of products was cut yet.*factory cut --week 1"):
        freeze(settings, "products", "ann")
