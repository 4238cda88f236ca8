"""Opening the catalogue, making its tables, and the lock that lives in it."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, create_engine, inspect, select
from sqlalchemy.pool import NullPool

from factory.catalogue import database
from factory.catalogue.corrections import relabel
from factory.catalogue.database import create_tables, exclusive, open_catalogue, open_engine
from factory.catalogue.schema import locks, products, sources, tables
from factory.errors import CatalogueBusy, CatalogueUnreachable, CatalogueUnwritable
from factory.records.accepted_leaks import accept
from factory.records.drift_checks import claim_retraining, settle_retraining
from factory.records.predictions import append
from factory.settings import Settings
from tests.forked import FORKING
from tests.unit.factory import processes

NOW = datetime(2026, 1, 5, tzinfo=UTC)
PREDICTION = pd.DataFrame(
    {
        "prediction_id": ["one"],
        "timestamp": [NOW],
        "productid": ["1"],
        "prediction": ["k"],
        "score": [0.5],
        "text_length": [9],
        "model_version": ["1"],
        "use_case": ["products"],
    }
)


@pytest.mark.parametrize("migrated", [False])
def test_several_processes_may_make_the_tables_at_once(settings: Settings, begin: Callable[..., Any]) -> None:
    together = FORKING.Barrier(4)
    begun = [begin(processes.make_tables, together) for _ in range(4)]
    assert [each.said() for each in begun] == [""] * 4
    assert set(tables.tables) <= set(inspect(open_engine(settings.database_url)).get_table_names())


def test_making_the_tables_again_keeps_what_they_hold(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sources.insert().values(name="kept", loaded_at=datetime.now(UTC)))
    create_tables(engine)
    with engine.connect() as connection:
        assert connection.scalars(select(sources.c.name)).all() == ["kept"]


def test_moments_come_back_in_utc_whatever_zone_they_were_given_in(engine: Engine) -> None:
    moment = datetime(2026, 1, 5, 9, tzinfo=timezone(timedelta(hours=2)))
    with engine.begin() as connection:
        connection.execute(products.insert().values(productid="1", created_at=moment))
        found = connection.scalar(select(products.c.created_at))
    assert found == moment
    assert found.tzinfo == UTC


def test_ids_are_ordered_by_their_bytes_on_any_database(engine: Engine) -> None:
    ids = ["b", "B", "a-1", "a1", "É", "0010", "01", "A"]
    with engine.begin() as connection:
        connection.execute(products.insert(), [{"productid": i, "created_at": datetime.now(UTC)} for i in ids])
        found = connection.scalars(select(products.c.productid).order_by(products.c.productid)).all()
    assert found == sorted(ids, key=str.encode)


def test_a_lock_has_one_holder_at_a_time(engine: Engine, begin: Callable[..., Any], tmp_path: Path) -> None:
    counter, together = tmp_path / "counter", FORKING.Barrier(3)
    counter.write_text("0")
    begun = [begin(processes.take_turns, together, counter) for _ in range(3)]
    assert [each.said() for each in begun] == [""] * 3
    assert counter.read_text() == "60"


def test_a_killed_holder_loses_the_lock_and_what_it_wrote(engine: Engine, begin: Callable[..., Any]) -> None:
    held = FORKING.Event()
    holder = begin(processes.hold_the_lock, held)
    assert held.wait(processes.WAIT_SECONDS), holder.log.read_text()
    holder.process.kill()
    holder.process.join()
    with exclusive(engine, "turns") as connection:
        assert connection.scalars(select(sources.c.name)).all() == []


def test_a_lock_that_stays_taken_is_an_error_that_names_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 1)
    impatient = open_engine(engine.url.render_as_string(hide_password=False))
    with (
        exclusive(engine, "turns"),
        pytest.raises(CatalogueBusy, match="'turns' was not free"),
        exclusive(impatient, "turns"),
    ):
        pytest.fail("two holders")


def refuses_to_write(engine: Engine) -> Engine:
    """The same database for somebody who may only read it."""
    if engine.dialect.name == "sqlite":
        return create_engine(f"sqlite:///file:{engine.url.database}?mode=ro&uri=true", poolclass=NullPool)
    return create_engine(
        engine.url, poolclass=NullPool, connect_args={"options": "-c default_transaction_read_only=on"}
    )


def test_a_catalogue_that_may_not_be_written_is_said_at_once(engine: Engine) -> None:
    with (
        pytest.raises(CatalogueUnwritable, match=r"cannot be written .*give this user the right"),
        exclusive(refuses_to_write(engine), "turns"),
    ):
        pytest.fail("it was written")


@pytest.mark.parametrize(
    "write",
    [
        lambda engine: accept(engine, "products", ["word:crate"], "it is one", "ann"),
        lambda engine: claim_retraining(engine, "products", NOW, 30, claimed_by="a run"),
        lambda engine: settle_retraining(engine, "products", NOW, claimed_by="a run", done=True, outcome="done"),
        lambda engine: append(engine, PREDICTION),
        lambda engine: relabel(engine, [], "k", "ann"),
    ],
    ids=["accept", "claim", "settle", "append", "relabel"],
)
def test_whoever_would_write_it_hears_the_same(engine: Engine, write: Callable[[Engine], object]) -> None:
    with pytest.raises(CatalogueUnwritable, match=r"cannot be written .*give this user the right"):
        write(refuses_to_write(engine))


def test_a_full_disk_is_said_and_nothing_is_stored(tmp_path: Path) -> None:
    engine = open_catalogue(f"sqlite:///{tmp_path / 'database.sqlite'}")

    def fill() -> None:
        with exclusive(engine, "turns") as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            for number in range(10_000):
                connection.execute(sources.insert().values(name=f"{number} " * 50, loaded_at=datetime.now(UTC)))

    with pytest.raises(CatalogueUnwritable, match="no room left"):
        fill()
    with engine.connect() as connection:
        assert connection.scalars(select(sources.c.name)).all() == []


def test_an_error_in_the_block_rolls_back_and_frees_the_lock(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(engine, "turns"):
        raise ZeroDivisionError
    with engine.connect() as connection:
        assert connection.scalars(select(locks.c.name)).all() == []
    with exclusive(engine, "turns") as connection:
        assert connection.scalars(select(locks.c.name)).all() == ["turns"]


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(CatalogueUnreachable, match=r"127\.0\.0\.1:1/x.*DATABASE_URL") as caught:
        open_engine("postgresql://me:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "not a url", "oracle9://x/y", "mssql+pyodbc://u:s3cret@h/d", "sqlite://", "sqlite:///:memory:"]
)
def test_an_address_that_cannot_hold_a_catalogue_is_refused(url: str) -> None:
    with pytest.raises(CatalogueUnreachable, match="DATABASE_URL") as caught:
        open_engine(url)
    assert not re.search("s3cret", str(caught.value))


def test_a_sqlite_catalogue_is_its_makers_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "catalogue.sqlite"
    open_engine(f"sqlite:///{file}").dispose()
    assert (stat.S_IMODE(file.parent.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


def test_a_sqlite_file_where_no_folder_can_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogueUnreachable, match="no catalogue at sqlite"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'database.sqlite'}")
