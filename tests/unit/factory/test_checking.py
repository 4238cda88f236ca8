"""A bad week stops at its check, with everything that is wrong in one error."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine, delete, func, select, update

from factory.catalogue.schema import labels, products
from factory.contracts import DatasetRef
from factory.errors import WeekRejected, WeekUnknown
from factory.grouping import joined_groups
from factory.grouping.joined_groups import join_groups
from factory.quality import checks
from factory.quality.checking import check_week
from factory.quality.inspection import inspect_week
from factory.quality.report import read_report
from factory.records import ledger
from factory.settings import Settings
from factory.snapshots import store
from factory.snapshots.cutting import find_week
from factory.snapshots.store import read_frame, write_batches
from factory.snapshots.text_rows import WEEK_SCHEMA

Batch = Callable[..., pd.DataFrame]
Cut = Callable[[int], DatasetRef]
Stock = Callable[..., object]


@pytest.fixture
def good(stock: Stock, goods: Batch, cut: Cut) -> DatasetRef:
    stock(goods(400))
    return cut(1)


@pytest.fixture
def altered(settings: Settings) -> Callable[..., DatasetRef]:
    """The dataset with its rows passed through a function, as another file."""

    def alter(
        dataset: DatasetRef, change: Callable[[pd.DataFrame], pd.DataFrame], schema: pa.Schema = WEEK_SCHEMA
    ) -> DatasetRef:
        rows = pa.Table.from_pandas(change(read_frame(dataset)), schema=schema, preserve_index=False).to_batches()
        file = write_batches(f"{settings.snapshot_uri}/altered", "r1", schema, rows)
        return dataset.model_copy(update=file.model_dump())

    return alter


def test_a_good_week_is_accepted_and_given_back(good: DatasetRef, settings: Settings) -> None:
    assert check_week(settings, good) == good
    assert find_week(settings, "products", 1) == good
    assert check_week(settings, good) == good


def test_cutting_and_checking_two_weeks_hashes_each_file_once(
    stock: Stock, goods: Batch, cut: Cut, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    verify = store._verify

    def counted(ref: DatasetRef, file: object) -> None:
        hashed.append(ref.uri)
        verify(ref, file)

    monkeypatch.setattr(store, "_verify", counted)
    stock(goods(400))
    first, second = (check_week(settings, cut(week)) for week in (1, 2))
    assert sorted(hashed) == sorted({first.test.uri, first.uri, second.uri})


def test_every_finding_stands_in_one_error_and_in_data_loads(
    good: DatasetRef, cut: Cut, settings: Settings, engine: Engine
) -> None:
    check_week(settings, good)
    gone = read_frame(good)["entity_id"].iloc[0]
    with engine.begin() as connection:
        connection.execute(delete(labels).where(labels.c.productid == gone))
        connection.execute(delete(products).where(products.c.productid == gone))
        connection.execute(update(labels).where(labels.c.prdtypecode == "toys").values(prdtypecode="games"))
        connection.execute(update(labels).where(labels.c.productid == "00006").values(prdtypecode=None))
        connection.execute(update(products).where(products.c.productid == "00012").values(designation=None))
    late = cut(30)
    with pytest.raises(WeekRejected) as caught:
        check_week(settings, late)
    said = "\n".join(caught.value.findings)
    for finding in (
        "1 rows have no prdtypecode (such as '00006')",
        "1 rows have no designation (such as '00012')",
        "1 classes were never seen before: 'games'",
        "1 classes of the week before have vanished: 'toys'",
        f"1 products of the week before are gone (such as '{gone}')",
    ):
        assert finding in said
        assert finding in str(caught.value)
    with engine.connect() as connection:
        entry = ledger.read_entries(connection, "products", 30)[-1]
    assert (entry.status, entry.findings) == ("rejected", caught.value.findings)
    with pytest.raises(WeekRejected):
        check_week(settings, late)


def test_doubts_may_be_overruled_and_faults_may_not(
    good: DatasetRef, cut: Cut, settings: Settings, engine: Engine
) -> None:
    check_week(settings, good)
    with engine.begin() as connection:
        connection.execute(update(labels).where(labels.c.prdtypecode == "toys").values(prdtypecode="games"))
    second = cut(2)
    with pytest.raises(WeekRejected, match="never seen before") as doubted:
        check_week(settings, second)
    assert str(doubted.value).endswith("If all of this is meant: python -m factory accept --week 2 --use-case products")
    assert check_week(settings, second, overrule=True) == second
    assert find_week(settings, "products", 2) == second
    with engine.begin() as connection:
        connection.execute(update(labels).where(labels.c.productid == "00006").values(prdtypecode=None))
    with pytest.raises(WeekRejected, match="no prdtypecode") as broken:
        check_week(settings, cut(30), overrule=True)
    assert "accept --week" not in str(broken.value)


def test_a_class_with_too_few_rows_to_train_on_is_found(
    stock: Stock, goods: Batch, batch: Batch, cut: Cut, settings: Settings
) -> None:
    rare = batch({"productid": "rare", "designation": "a single thing", "prdtypecode": "rare"})
    stock(goods(400), rare)
    with pytest.raises(WeekRejected, match=r"1 classes have fewer than 2 rows to train on: 'rare' \([01]\)"):
        check_week(settings, cut(21))


def test_a_catalogue_too_small_to_split_is_rejected(stock: Stock, batch: Batch, cut: Cut, settings: Settings) -> None:
    stock(batch({"productid": "1", "designation": "one", "prdtypecode": "k"}))
    with pytest.raises(WeekRejected) as caught:
        check_week(settings, cut(21))
    assert "the frozen test set is empty: the catalogue is too small to be split" in caught.value.findings


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda frame: pd.concat([frame[:2], frame]).sort_values("entity_id"), "2 products stand there twice"),
        (lambda frame: pd.concat([frame, frame[:2]]), "1 products stand after one of a higher id"),
        (lambda frame: frame.assign(side="left"), "unknown sides of the split: 'left'"),
        (lambda frame: frame.assign(side="held_out"), "no row may be trained on"),
        (lambda frame: frame.assign(side="train"), "products stand on both sides"),
        (lambda frame: frame.assign(side="train", entity_id=frame["entity_id"] + "x"), "texts stand on both sides"),
    ],
)
def test_what_a_broken_cut_would_leave_is_found(
    good: DatasetRef, altered: Callable[..., DatasetRef], change: Callable[[pd.DataFrame], pd.DataFrame], finding: str
) -> None:
    broken = inspect_week(altered(good, change), None).sentences("broken")
    assert finding in "\n".join(broken)


def test_a_snapshot_with_other_columns_is_found(good: DatasetRef, altered: Callable[..., DatasetRef]) -> None:
    schema = WEEK_SCHEMA.remove(WEEK_SCHEMA.get_field_index("arrived"))
    broken = inspect_week(altered(good, lambda frame: frame.drop(columns="arrived"), schema), None).sentences("broken")
    assert broken[0].startswith("the week lacks the columns arrived bool; there are entity_id string, designation")


def test_a_rejected_week_shows_its_first_rows_and_where_the_others_are(
    good: DatasetRef, cut: Cut, settings: Settings, engine: Engine
) -> None:
    ids = read_frame(good)["entity_id"].tolist()
    with engine.begin() as connection:
        connection.execute(update(labels).where(labels.c.productid.in_(ids[:40])).values(prdtypecode=None))
    with pytest.raises(WeekRejected) as caught:
        check_week(settings, cut(2))
    assert len(caught.value.first_rows) == 10
    assert caught.value.first_rows[0].startswith(f"[no prdtypecode] productid={ids[0]!r}, designation='")
    assert caught.value.rows_uri is not None
    assert caught.value.rows_uri in str(caught.value)
    frame = pd.read_csv(caught.value.rows_uri.removeprefix("file://"), dtype=str, encoding="utf-8-sig")
    assert frame.columns.tolist() == ["finding", "productid", "designation", "description", "prdtypecode"]
    assert frame.loc[frame["finding"] == "no prdtypecode", "productid"].tolist() == ids[:40]
    with engine.begin() as connection:
        connection.execute(update(labels).where(labels.c.prdtypecode.is_(None)).values(prdtypecode="tools"))
    mended = check_week(settings, cut(2))
    assert (mended.revision, read_frame(mended)["target"].isna().any()) == (2, False)


@pytest.mark.parametrize("part_rows", [checks.PART_ROWS, 7])
def test_equal_texts_with_several_labels_stop_a_week_where_they_are_many(
    stock: Stock,
    goods: Batch,
    cut: Cut,
    settings: Settings,
    batch: Batch,
    part_rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "PART_ROWS", part_rows)
    twins = [
        {"productid": f"t{n}", "designation": f"Lampe n° {n // 2}", "prdtypecode": ("toys", "tools")[n % 2]}
        for n in range(40)
    ]
    stock(goods(400), batch(*twins))
    with pytest.raises(
        WeekRejected, match=r"20 texts bear more than one class \(40 rows, 9\.09%; alarm above 1\.00%\)"
    ):
        check_week(settings, cut(21))
    few = inspect_week(cut(1), None)
    assert check_week(settings, cut(21), overrule=True).rows == 440
    profile = json.loads(read_report(cut(21))["quality.json"])["profile"]
    assert profile["repeated_texts"] == (20 + 20) / 440  # 20 of the goods repeat others
    assert not few.sentences("broken")


def test_a_few_conflicting_labels_are_noted_and_no_more(
    stock: Stock, goods: Batch, cut: Cut, settings: Settings, batch: Batch
) -> None:
    twins = [
        {"productid": f"t{n}", "designation": ("LAMPE", "lampe")[n], "prdtypecode": ("toys", "tools")[n]}
        for n in range(2)
    ]
    stock(goods(400), batch(*twins))
    inspection = inspect_week(check_week(settings, cut(21)), None)
    assert inspection.sentences("noted") == [
        "1 texts bear more than one class (2 rows, 0.50%; alarm above 1.00%)",
    ]
    assert [row["productid"] for row in inspection.faults[0].offenders.records()] == ["t0", "t1"]


def test_texts_in_a_wrong_encoding_stop_a_week_where_they_are_many(
    stock: Stock, goods: Batch, cut: Cut, settings: Settings
) -> None:
    frame = goods(400)
    frame.loc[frame.index < 30, "description"] = "Câble à 2 m, hôtel «Étoile»".encode().decode("latin-1")
    frame.loc[frame.index >= 350, "description"] = "Câble à 2 m pour un château, là où l’âne être"
    stock(frame)
    with pytest.raises(WeekRejected, match=r"30 texts were read in a wrong encoding \(7\.50%"):
        check_week(settings, cut(21))


def test_the_report_of_a_week_stands_beside_its_snapshot(good: DatasetRef, settings: Settings) -> None:
    assert read_report(good) == {}
    check_week(settings, good)
    files = read_report(good)
    report = json.loads(files["quality.json"])
    assert (report["batch"], report["status"], report["findings"]) == ("products/week-01/r1", "accepted", [])
    assert report["profile"]["rows"] == good.rows
    assert sum(report["profile"]["classes"].values()) == good.rows
    assert 0 < report["profile"]["missing_descriptions"] < 1
    page = files["quality.html"].decode()
    assert "Data quality of products/week-01/r1: accepted" in page
    assert f"{good.rows:,}" in page


def test_a_report_cannot_be_made_to_run_what_a_product_says(
    good: DatasetRef, cut: Cut, settings: Settings, engine: Engine
) -> None:
    check_week(settings, good)
    with engine.begin() as connection:
        connection.execute(update(labels).where(labels.c.prdtypecode == "toys").values(prdtypecode="<script>x"))
    second = cut(2)
    with pytest.raises(WeekRejected):
        check_week(settings, second)
    assert b"<script>" not in read_report(second)["quality.html"]


def test_the_file_of_findings_holds_no_formula(good: DatasetRef, cut: Cut, settings: Settings, engine: Engine) -> None:
    first = read_frame(good)["entity_id"].iloc[0]
    with engine.begin() as connection:
        connection.execute(update(products).where(products.c.productid == first).values(designation='=CMD("x")'))
        connection.execute(update(labels).where(labels.c.productid == first).values(prdtypecode=None))
    with pytest.raises(WeekRejected) as caught:
        check_week(settings, cut(2))
    assert caught.value.rows_uri is not None
    frame = pd.read_csv(caught.value.rows_uri.removeprefix("file://"), dtype=str, encoding="utf-8-sig")
    assert frame.loc[frame["productid"] == first, "designation"].tolist() == ['\'=CMD("x")']


def test_a_week_that_this_catalogue_never_cut_is_refused(good: DatasetRef, settings: Settings) -> None:
    foreign = good.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(WeekUnknown, match=r"did not cut products/week-01/r1 with checksum 0{12}…"):
        check_week(settings, foreign)
    with pytest.raises(WeekUnknown):
        check_week(settings, good.model_copy(update={"week": 9, "as_of": datetime.fromisoformat("2026-03-02T00:00Z")}))


def test_a_catalogue_too_large_for_near_duplicates_to_be_joined_says_so(
    good: DatasetRef, settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.connect() as connection:
        there = connection.scalar(select(func.count()).select_from(products))
        monkeypatch.setattr(joined_groups, "MOST_PRODUCTS", there - 1)
        assert not len(join_groups(connection).pairs)
    check_week(settings, good)
    [finding] = json.loads(read_report(good)["quality.json"])["findings"]
    assert "near duplicates are not joined" in str(finding)
    assert f"this one holds {there:,}" in str(finding)
