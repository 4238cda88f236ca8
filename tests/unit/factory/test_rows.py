"""Rows leave both databases as they went in, in order and in batches; keys are made once and never go stale."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine, select, update

from factory.catalogue import reading
from factory.catalogue.reading import SCHEMA, read_products
from factory.catalogue.schema import products
from factory.contracts import DatasetRef
from factory.grouping import keys
from factory.grouping.keys import KeySet, contains, fresh_keys, key_of
from factory.settings import Settings
from factory.snapshots.known_rows import SortedIds, frozen_keys
from factory.snapshots.store import read_frame, write_batches
from factory.text import group_of

Batch = Callable[..., pd.DataFrame]
Stock = Callable[..., object]
Cut = Callable[[int], DatasetRef]

AWKWARD = [
    'a "quoted", text',
    "two\nlines\r\nand more",
    "\\.",
    "\\N",
    "NULL",
    "nan",
    "tab\tand 'quote'",
    "Été — 5 €, 日本語 🎈",
    "%s :name {x}",
]


def everything(engine: Engine, until: datetime | None = None) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    with engine.connect() as connection:
        read_products(connection, batches.append, until)
    return pa.Table.from_batches(batches, SCHEMA)


def test_any_text_comes_back_as_it_went_in(stock: Stock, batch: Batch, engine: Engine) -> None:
    made = [
        {"productid": f"p{n}", "designation": said, "description": said if n % 2 else None, "prdtypecode": "k"}
        for n, said in enumerate(AWKWARD)
    ]
    stock(batch(*made))
    with engine.begin() as connection:
        connection.execute(update(products).where(products.c.productid == "p0").values(description=""))
    found = everything(engine).to_pylist()
    assert [row["designation"] for row in found] == AWKWARD
    assert [row["description"] for row in found] == ["", *(s if n % 2 else None for n, s in enumerate(AWKWARD))][:1] + [
        said if n % 2 else None for n, said in enumerate(AWKWARD) if n
    ]
    assert {row["created_at"] for row in found} == {datetime(2026, 1, 5, tzinfo=UTC)}


def test_rows_come_by_id_in_bounded_batches_up_to_a_moment(
    stock: Stock, goods: Batch, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = settings.weeks.epoch
    stock(goods(50, first=50), created_at=epoch + timedelta(microseconds=1))
    stock(goods(50))
    monkeypatch.setattr(reading, "BATCH_ROWS", 16)
    monkeypatch.setattr(reading, "_FETCH_ROWS", 8)
    batches: list[pa.RecordBatch] = []
    with engine.connect() as connection:
        read_products(connection, batches.append)
    assert max(batch.num_rows for batch in batches) <= 16
    ids = [name for batch in batches for name in batch.column("productid").to_pylist()]
    assert ids == [f"{n:05d}" for n in range(100)]
    assert everything(engine, epoch).num_rows == 50
    assert everything(engine, epoch - timedelta(days=1)).num_rows == 0


def test_an_error_amid_the_rows_is_raised_and_the_connection_serves_on(
    stock: Stock, goods: Batch, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(goods(2000))
    monkeypatch.setattr(reading, "BATCH_ROWS", 100)
    monkeypatch.setattr(reading, "_FETCH_ROWS", 50)
    seen: list[int] = []

    def refuse(batch: pa.RecordBatch) -> None:
        seen.append(batch.num_rows)
        raise KeyboardInterrupt

    with engine.connect() as connection:
        with pytest.raises(KeyboardInterrupt):
            read_products(connection, refuse)
        assert len(seen) == 1
        connection.rollback()
        assert connection.scalar(select(products.c.productid).order_by(products.c.productid).limit(1)) == "00000"


def test_keys_are_made_by_the_load_and_not_again(
    stock: Stock, goods: Batch, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(goods(40))
    monkeypatch.setattr(keys, "text_keys", lambda *_: pytest.fail("a key was made again"))
    found = everything(engine).combine_chunks().to_batches()[0]
    made, _ = fresh_keys(found)
    assert made[1] == key_of(group_of(found.column("designation")[1].as_py()))


def test_a_text_that_was_mended_or_put_there_by_hand_gets_its_key_anew(
    stock: Stock, goods: Batch, engine: Engine, settings: Settings
) -> None:
    stock(goods(40))
    with engine.begin() as connection:
        connection.execute(update(products).where(products.c.productid == "00001").values(designation="Mended!"))
        connection.execute(update(products).where(products.c.productid == "00002").values(group_id="a group"))
        connection.execute(
            products.insert().values(productid="x", designation="MENDED", created_at=settings.weeks.epoch)
        )
    (found,) = everything(engine).combine_chunks().to_batches()
    texts, groups = fresh_keys(found)
    names = found.column("productid").to_pylist()
    assert texts[1] == texts[names.index("x")] == key_of("mended")
    assert groups[2] == key_of("a group") != texts[2]
    assert (np.delete(groups, 2) == np.delete(texts, 2)).all()


def test_a_change_of_the_cleaning_makes_all_keys_anew(
    stock: Stock, goods: Batch, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(goods(40))
    assert everything(engine)["text_key"].null_count == 0
    monkeypatch.setattr(reading, "CLEANING", reading.CLEANING + 1)
    assert everything(engine)["text_key"].null_count == 40


def test_a_catalogue_of_an_earlier_version_gets_its_keys_when_it_is_cut(
    stock: Stock, goods: Batch, engine: Engine, cut: Cut
) -> None:
    stock(goods(200))
    with engine.begin() as connection:  # what a migration makes of products that were loaded before there were keys
        connection.execute(update(products).values(text_key=None, text_cleaning=None))
    frame = read_frame(cut(30))
    first = frame.set_index("entity_id").loc["00001"]
    assert first["text_key"] == key_of(group_of(first["designation"]))


def test_a_test_set_of_an_earlier_version_still_holds_its_rows_out(
    stock: Stock, goods: Batch, cut: Cut, settings: Settings
) -> None:
    stock(goods(200))
    test = cut(1).test
    schema = pa.schema([*((name, pa.string()) for name in ("productid", "designation", "description", "group"))])
    old = read_frame(test).rename(columns={"entity_id": "productid"})[schema.names[:3]].fillna("")
    old["group"] = [group_of(f"{row.designation} {row.description}") for row in old.itertuples()]
    old["description"] = None
    file = write_batches(
        f"{settings.snapshot_uri}/old", "v0", schema, pa.Table.from_pandas(old, schema=schema).to_batches()
    )
    assert len(frozen_keys(file).texts) > 20
    assert frozen_keys(file).groups.among(np.array([key_of(old["group"].iloc[0])])).all()


def test_sorted_keys_are_found() -> None:
    known = np.array([-5, 0, 7])
    assert contains(known, np.array([7, -6, 0, 8, -5])).tolist() == [True, False, True, False, True]
    assert contains(known[:0], known).tolist() == [False] * 3


def test_a_set_of_keys_answers_as_sorted_keys_do() -> None:
    drawn = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 3000)
    there, near = drawn[:1000], drawn[:1000] + 1  # a neighbour's high bits are the same
    known = KeySet(np.concatenate([there, there[:10]]))
    assert len(known) == 1000
    assert known.among(there).all()
    assert not known.among(near).any()
    assert not known.among(drawn[1000:]).any()
    assert not KeySet(there[:0]).among(there).any()


def test_ids_are_looked_up_in_passing(settings: Settings) -> None:
    schema = pa.schema([("productid", pa.string())])
    names = sorted({f"{n * 37 % 1000:04d}" for n in range(0, 1000, 3)})
    batches = [pa.record_batch([pa.array(names[start : start + 50])], schema) for start in range(0, len(names), 50)]
    ref = write_batches(f"{settings.snapshot_uri}/ids", "r1", schema, batches)
    known = SortedIds(ref)
    every = [f"{n:04d}" for n in range(1000)]
    found = [known.among(pa.array(every[start : start + 70])) for start in range(0, 1000, 70)]
    known.close()
    assert [name for name, there in zip(every, np.concatenate(found), strict=True) if there] == names
    assert SortedIds(None).among(pa.array(["a"])).tolist() == [False]
