"""Products come in once, whole, and from one source unless a person says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from sqlalchemy import Engine, func, select

from factory.catalogue.loading import Loaded, load
from factory.catalogue.schema import labels, products
from factory.errors import ForeignProducts, ProductConflict, SourceUnreadable

EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
Batch = Callable[..., pd.DataFrame]


def rows_in(engine: Engine) -> int:
    with engine.connect() as connection:
        counts = [connection.scalar(select(func.count()).select_from(table)) for table in (products, labels)]
    assert counts[0] == counts[1]
    return int(counts[0] or 0)


def test_loading_twice_counts_what_is_known_and_leaves_it(engine: Engine, goods: Batch) -> None:
    first = load(engine, [goods(30)], source="goods", created_at=EPOCH)
    again = load(engine, [goods(20), goods(20, first=20)], source="goods", created_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert (first, again) == (Loaded(new=30, known=0), Loaded(new=10, known=30))
    with engine.connect() as connection:
        moments = connection.execute(select(products.c.created_at, func.count()).group_by(products.c.created_at)).all()
    assert {moment.year: count for moment, count in moments} == {2026: 30, 2027: 10}


@pytest.mark.parametrize("ignored", ["", "1"])
def test_products_bear_their_own_moments_and_keep_them(
    engine: Engine, goods: Batch, monkeypatch: pytest.MonkeyPatch, ignored: str
) -> None:
    monkeypatch.setenv("PYARROW_IGNORE_TIMEZONE", ignored)  # as pandera sets it, for whoever else is in the process
    paris = timezone(timedelta(hours=1))
    moments = [datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=paris), EPOCH]
    dated = goods(3).assign(created_at=moments)
    assert load(engine, [dated, goods(2, first=3)], source="goods", created_at=EPOCH).new == 5
    again = pd.concat([dated, goods(1, first=5)], ignore_index=True).assign(created_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert load(engine, [again], source="goods", created_at=EPOCH) == Loaded(new=1, known=3)
    with engine.connect() as connection:
        found = connection.scalars(select(products.c.created_at).order_by(products.c.productid)).all()
    assert found == [*moments, EPOCH, EPOCH, datetime(2030, 1, 1, tzinfo=UTC)]


def test_ids_keep_their_leading_zeros(engine: Engine, batch: Batch) -> None:
    load(
        engine,
        [batch(*({"productid": i, "designation": "x", "prdtypecode": "k"} for i in ("01", "1", "001")))],
        source="goods",
        created_at=EPOCH,
    )
    with engine.connect() as connection:
        assert connection.scalars(select(products.c.productid).order_by(products.c.productid)).all() == [
            "001",
            "01",
            "1",
        ]


@pytest.mark.parametrize("column", ["designation", "description", "prdtypecode", "group_id"])
def test_a_product_that_differs_is_a_conflict_and_nothing_comes_in(engine: Engine, goods: Batch, column: str) -> None:
    load(engine, [goods(10)], source="goods", created_at=EPOCH)
    other = goods(20)
    other.loc[4, column] = "something else"
    with pytest.raises(ProductConflict, match=f"'00004' has {column} .* there and 'something else' here"):
        load(engine, [goods(5, first=30), other], source="goods", created_at=EPOCH)
    assert rows_in(engine) == 10


def test_one_id_twice_in_a_load_counts_if_equal_and_conflicts_if_not(engine: Engine, goods: Batch) -> None:
    twice = pd.concat([goods(3), goods(3)], ignore_index=True)
    assert load(engine, [twice], source="goods", created_at=EPOCH) == Loaded(new=3, known=3)
    changed = pd.concat([goods(1, first=9), goods(1, first=9).assign(prdtypecode="other")], ignore_index=True)
    with pytest.raises(ProductConflict, match="'00009'"):
        load(engine, [changed], source="goods", created_at=EPOCH)


def test_a_source_that_fails_half_way_leaves_nothing(engine: Engine, goods: Batch) -> None:
    def broken() -> object:
        yield goods(10)
        raise SourceUnreadable("row 11 is rubbish")

    with pytest.raises(SourceUnreadable, match="row 11"):
        load(engine, broken(), source="goods", created_at=EPOCH)  # type: ignore[arg-type]
    assert rows_in(engine) == 0
    load(engine, [goods(1)], source="another", created_at=EPOCH)


def test_another_sources_products_are_refused_unless_appended(engine: Engine, goods: Batch) -> None:
    load(engine, [goods(10)], source="goods", created_at=EPOCH)
    with pytest.raises(ForeignProducts, match=r"products of goods, not of more(.|\n)*DATABASE_URL(.|\n)*--append"):
        load(engine, [goods(10, first=10)], source="more", created_at=EPOCH)
    assert rows_in(engine) == 10
    load(engine, [goods(10, first=10)], source="more", created_at=EPOCH, append=True)
    assert rows_in(engine) == 20


def test_products_that_somebody_inserted_by_hand_count_as_another_source(engine: Engine, goods: Batch) -> None:
    with engine.begin() as connection:
        connection.execute(products.insert().values(productid="x", designation="x", created_at=EPOCH))
    with pytest.raises(ForeignProducts, match="an unnamed source"):
        load(engine, [goods(1)], source="goods", created_at=EPOCH)


def test_a_source_without_products_is_an_error(engine: Engine) -> None:
    with pytest.raises(SourceUnreadable, match="goods holds no products"):
        load(engine, [], source="goods", created_at=EPOCH)


def test_what_is_older_than_a_complete_first_stock_joins_with_all_that_comes_now(engine: Engine, goods: Batch) -> None:
    now, later = EPOCH + timedelta(days=21), EPOCH + timedelta(days=400)
    dated = goods(3).assign(created_at=[EPOCH - timedelta(days=90), EPOCH + timedelta(hours=1), later])
    loaded = load(engine, [dated], source="goods", created_at=now, stock_until=EPOCH)
    assert (loaded.late, loaded.latest) == (1, later)
    with engine.connect() as connection:
        found = connection.scalars(select(products.c.created_at).order_by(products.c.productid)).all()
    assert found == [now, EPOCH + timedelta(hours=1), later]
