"""The catalogue's migrations, from every schema that there was before there were versions.

`earlier_catalogues/` holds the statements by which each of these made its tables.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Text, column, create_engine, event, insert, inspect, select, table, text
from sqlalchemy.pool import NullPool

from factory.catalogue import database
from factory.catalogue.database import create_tables, open_catalogue, open_engine
from factory.catalogue.loading import load
from factory.catalogue.migrations import HEAD, VERSION_TABLE, configuration, version_of
from factory.catalogue.schema import tables
from factory.contracts import DatasetRef, FileRef
from factory.errors import CatalogueNewer, CatalogueUnwritable, FactoryError
from factory.records import decisions, drift_checks, ledger
from factory.settings import Settings
from factory.test_sets.frozen_tests import count_looks

EARLIER = sorted((Path(__file__).parent / "earlier_catalogues").glob("*.sql"))
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
FILE = {"uri": "file:///a.parquet", "sha256": "ab", "rows": 3}
DATASET = {
    **FILE,
    "use_case": "products",
    "week": 1,
    "as_of": "2026-01-05T09:00:00Z",
    "revision": 1,
    "train_rows": 2,
    "arrivals": 3,
    "classes": 1,
    "test": FILE,
    "test_version": "v1",
}
DECIDED = {
    "use_case": "products",
    "promoted": True,
    "reason": "first",
    "rule": "first champion",
    "challenger_version": "1",
    "challenger_metrics": {"f1_weighted": 0.9},
    "champion_version": "1",
    "previous_champion_version": None,
    "previous_champion_metrics": None,
    "threshold": 0.7,
    "test_version": "v1",
    "test_rows": 3,
}
DRIFTED = {"psi": 0.01, "chance_psi": 0.01, "p_value": 0.4, "level": "stable", "drifted": False}
ROWS: dict[str, dict[str, Any]] = {
    "products": {"productid": "01", "designation": "Drill", "created_at": NOW, "text_key": 1},
    "labels": {"productid": "01", "prdtypecode": "tools"},
    "sources": {"name": "sample", "loaded_at": NOW},
    "corrections": {
        "correction_id": "one",
        "productid": "01",
        "kind": "relabel",
        "before": {"prdtypecode": "toys"},
        "after": {"prdtypecode": "tools"},
        "corrected_at": NOW,
        "corrected_by": "me",
    },
    "data_loads": {
        "batch_name": "products/week-01/r1",
        "week": 1,
        "percentage": 40.0,
        "total_rows": 3,
        "started_at": NOW,
        "status": "accepted",
        "metadata": {"dataset": DATASET, "findings": ["one"]},
    },
    "inference_log": {
        "prediction_id": "one",
        "timestamp": NOW,
        "scored_at": NOW,
        "productid": "01",
        "predicted_class": "tools",
        "confidence": 0.9,
        "text_length": 5,
        "model_version": "1",
        "use_case": "products",
    },
    "decisions": {
        "decision_id": "one",
        "use_case": "products",
        "model": "products",
        "decided_at": NOW,
        "decided_by": "gate",
        "outcome": "promoted",
        "rule": "first champion",
        "reason": "first",
        "challenger_version": "1",
        "champion_version": "1",
        "dataset": DATASET,
        "result": DECIDED,
    },
    "drift_looks": {
        "use_case": "products",
        "model": "products",
        "until": NOW,
        "looked_at": NOW,
        "model_version": "1",
        "samples": 500,
        "level": "stable",
        "drift_score": 0.0,
        "alarm": False,
        "columns": {"text_length": DRIFTED},
    },
    "retrainings": {
        "use_case": "products",
        "model": "products",
        "until": NOW,
        "claimed_by": "a run",
        "started_at": NOW,
        "status": "done",
        "outcome": "v2 was promoted",
    },
    "frozen_tests": {"use_case": "products", "version": "v2", "frozen_at": NOW, "frozen_by": "me", "file": FILE},
    "test_looks": {
        "use_case": "products",
        "model": "products",
        "sha256": "cd",
        "look_id": "one",
        "kind": "training",
        "looked_at": NOW,
    },
    "locks": {"name": "catalogue", "taken_at": NOW},
}


@pytest.fixture
def migrated() -> bool:
    """Each test begins with a database that holds nothing."""
    return False


RENAMED = {"use_case": "model"}
"""What a use case's only model was found by is the model's name."""


def statements(file: Path, engine: Engine) -> list[str]:
    """What that version's code said to this database."""
    on_sqlite = engine.dialect.name == "sqlite"
    script = ScriptDirectory.from_config(configuration(engine.connect())).get_revision("0001").module
    said = file.read_text()
    for name, here in {
        "{id}": "TEXT" if on_sqlite else 'TEXT COLLATE "C"',
        "{moment}": "DATETIME" if on_sqlite else "TIMESTAMP WITH TIME ZONE",
        "{trigger};": script.FORGET_SQLITE if on_sqlite else script.FORGET_POSTGRESQL,
    }.items():
        said = said.replace(name, here)
    made, *trigger = re.split(r"(?=CREATE TRIGGER|CREATE OR REPLACE)", said, maxsplit=1)
    return [each for each in made.split(";\n") if each.strip()] + trigger


def build(engine: Engine, *files: Path) -> dict[str, dict[str, Any]]:
    """A catalogue as these versions made it, one after the other, with a row in every table; gives these rows."""
    with engine.begin() as connection:
        for file in files:
            for statement in statements(file, engine):
                connection.exec_driver_sql(statement)
        return fill(connection)


def fill(connection: Connection) -> dict[str, dict[str, Any]]:
    """A row in every table that is there, with the columns that it has; gives these rows as they are found today."""
    rows, found = {}, inspect(connection)
    for name in filter(found.has_table, ROWS):
        there = {column["name"] for column in found.get_columns(name)}
        row = {key: value for key, value in ROWS[name].items() if key in there}
        known = tables.tables[name].columns
        columns = [column(key, known[key].type if key in known else Text()) for key in row]
        connection.execute(insert(table(name, *columns)).values(row))
        rows[name] = {key if key in known else RENAMED[key]: value for key, value in row.items()}
    return rows


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        opts = {"version_table": VERSION_TABLE, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=opts), tables)


@pytest.mark.parametrize("mixed", [False, True], ids=["as it was", "opened once by the last"])
@pytest.mark.parametrize("earlier", EARLIER, ids=lambda file: file.stem)
def test_every_earlier_catalogue_is_brought_up_with_its_rows(
    settings: Settings, earlier: Path, mixed: bool, goods: Callable[..., Any]
) -> None:
    rows = build(open_engine(settings.database_url), earlier, *([EARLIER[-1]] if mixed else []))
    engine = open_catalogue(settings.database_url)
    assert differences(engine) == []
    with engine.connect() as connection:
        assert version_of(connection) == HEAD
        for name, row in rows.items():
            (found,) = connection.execute(select(tables.tables[name])).mappings()
            assert {key: found[key] for key in row} == row
        (entry,) = ledger.read_entries(connection, "products")
        assert entry.dataset == DatasetRef.model_validate(DATASET)
        assert len(decisions.read_decisions(connection, "products")) == ("decisions" in rows)
        assert count_looks(connection, "products", FileRef(**FILE)) == ("decisions" in rows)
    assert len(drift_checks.read_drift_checks(engine, "products")) == ("drift_looks" in rows)
    assert len(drift_checks.read_retrainings(engine, "products")) == ("retrainings" in rows)
    assert load(engine, [goods(3, first=1)], source="sample", created_at=NOW).new == 3


def test_every_version_is_brought_up_with_its_rows(settings: Settings) -> None:
    engine = open_engine(settings.database_url)
    with engine.connect() as connection:
        versions = [each.revision for each in ScriptDirectory.from_config(configuration(connection)).walk_revisions()]
    for version in versions:
        with engine.begin() as connection:
            tables.drop_all(connection)
            connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
            command.upgrade(configuration(connection), version)
            rows = fill(connection)
        create_tables(engine)
        assert differences(engine) == []
        with engine.connect() as connection:
            for name, row in rows.items():
                (found,) = connection.execute(select(tables.tables[name])).mappings()
                assert {key: found[key] for key in row} == row


def test_an_empty_database_gets_the_tables_that_the_code_declares(engine: Engine) -> None:
    assert differences(engine) == []


def test_the_last_migration_is_the_one_that_the_code_looks_for(engine: Engine) -> None:
    with engine.connect() as connection:
        assert ScriptDirectory.from_config(configuration(connection)).get_heads() == [HEAD]


def test_a_text_that_is_changed_forgets_its_key_after_a_migration(settings: Settings) -> None:
    build(open_engine(settings.database_url), EARLIER[-1])
    engine = open_catalogue(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE products SET designation = 'Saw'"))
        assert connection.scalar(text("SELECT text_key FROM products")) is None


def test_a_catalogue_of_a_later_version_is_not_touched_and_says_so(settings: Settings, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
    with pytest.raises(CatalogueNewer, match=rf"version 9999; this code knows it up to {HEAD}.*Install that version"):
        create_tables(engine)
    with engine.connect() as connection:
        assert version_of(connection) == "9999"


def test_a_migration_that_is_killed_leaves_the_catalogue_as_it_was(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(settings.database_url)
    build(engine, EARLIER[0])
    before = set(inspect(engine).get_table_names())

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", die)
        with pytest.raises(KeyboardInterrupt):
            create_tables(engine)
    assert set(inspect(engine).get_table_names()) == before
    create_tables(engine)
    assert differences(engine) == []


def read_only(engine: Engine) -> Engine:
    """The same database for somebody who may only read it."""
    if engine.dialect.name == "sqlite":
        return create_engine(f"sqlite:///file:{engine.url.database}?mode=ro&uri=true", poolclass=NullPool)
    return create_engine(
        engine.url, poolclass=NullPool, connect_args={"options": "-c default_transaction_read_only=on"}
    )


def test_a_reader_needs_no_right_to_write_where_nothing_is_to_be_migrated(engine: Engine) -> None:
    create_tables(read_only(engine))


def test_a_reader_of_an_earlier_catalogue_hears_who_has_to_migrate_it(settings: Settings) -> None:
    engine = open_engine(settings.database_url)
    build(engine, EARLIER[2])
    with pytest.raises(CatalogueUnwritable, match=r"cannot be written.*of an earlier version.*factory show"):
        create_tables(read_only(engine))


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may look into: pytest's own are their maker's."""
    folder = Path(tempfile.mkdtemp(prefix="tests-public-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _open_as_nobody(url: str, answers: Any) -> None:
    os.setgid(65534)
    os.setuid(65534)
    try:
        with open_catalogue(url).connect() as connection:
            answers.put(version_of(connection))
    except FactoryError as error:
        answers.put(repr(error))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_may_read_a_sqlite_catalogue_that_is_not_theirs(public_folder: Path) -> None:
    file = public_folder / "catalogue.sqlite"
    open_catalogue(f"sqlite:///{file}")
    file.chmod(0o644)
    database._settled.clear()
    context = get_context("fork")
    answers = context.Queue()
    process = context.Process(target=_open_as_nobody, args=(f"sqlite:///{file}", answers))
    process.start()
    process.join(60)
    assert answers.get(timeout=1) == HEAD


def test_a_process_looks_at_a_databases_schema_once(settings: Settings, engine: Engine) -> None:
    asked: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        for _ in range(3):
            open_catalogue(settings.database_url)
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
    assert asked == []


def test_a_sqlite_file_that_was_replaced_is_looked_at_again(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.sqlite"
    for _ in range(3):  # a file system gives a new file the number of the one that went
        with open_catalogue(f"sqlite:///{file}").connect() as connection:
            assert version_of(connection) == HEAD
        file.unlink()
