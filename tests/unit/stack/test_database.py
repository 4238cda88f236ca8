"""How one choice becomes four URLs, each for its service's driver; the embedded server is the real one."""

import shutil
import stat
import subprocess
from pathlib import Path

import psutil
import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from stack.database import NAMES, postgresql_urls, start_databases
from stack.postgresql import postgresql_process, stop_postgresql
from stack.settings import StackError, read_stack_settings


def test_every_service_gets_its_driver_and_its_own_database():
    urls = postgresql_urls(make_url("postgresql://me:s%40fe@db.example:5433/postgres?sslmode=require"))

    assert urls.prefect == "postgresql+asyncpg://me:s%40fe@db.example:5433/factory_prefect?ssl=require"
    assert urls.airflow == "postgresql+psycopg2://me:s%40fe@db.example:5433/factory_airflow?sslmode=require"
    assert len({make_url(url).database for url in (urls.prefect, urls.mlflow, urls.airflow, urls.catalogue)}) == 4


def test_sqlite_needs_no_server(tmp_path):
    urls = start_databases(read_stack_settings({"STACK_HOME": str(tmp_path), "DATABASE": "sqlite"}))

    assert urls.prefect.startswith("sqlite+aiosqlite:///")
    with create_engine(urls.catalogue).connect() as connection:
        assert connection.scalar(text("select 1")) == 1


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path):
    settings = read_stack_settings({"STACK_HOME": str(tmp_path), "DATABASE": "postgresql://me:secret@127.0.0.1:9/x"})

    with pytest.raises(StackError, match=r"127\.0\.0\.1:9.*cannot be reached") as caught:
        start_databases(settings)
    assert "secret" not in str(caught.value)


@pytest.fixture
def embedded(tmp_path_factory):
    # a path beyond the 107 bytes that a Unix socket's address may have
    deep = tmp_path_factory.mktemp("deep") / ("a-rather-long-name-for-a-folder/" * 5)
    settings = read_stack_settings({"STACK_HOME": str(deep)})
    settings.home.make()
    yield settings
    stop_postgresql(settings.home)


def test_the_embedded_server_serves_from_a_deep_folder_and_ends_without_a_trace(embedded):
    urls = start_databases(embedded)
    server = postgresql_process(embedded.home)
    socket_folder = Path(make_url(urls.catalogue).query["host"])
    mode = stat.S_IMODE(socket_folder.stat().st_mode)

    with create_engine(urls.catalogue).connect() as connection:
        present = set(connection.scalars(text("select datname from pg_database")))
        rules = connection.execute(text("select distinct type, auth_method from pg_hba_file_rules")).all()
    stop_postgresql(embedded.home)

    assert set(NAMES.values()) <= present
    assert rules == [("local", "scram-sha-256")]
    assert mode == 0o700
    assert server is not None
    assert not psutil.pid_exists(server.pid)
    assert postgresql_process(embedded.home) is None
    assert not socket_folder.exists()


def test_an_embedded_server_that_was_killed_is_found_at_its_old_address_with_all_that_it_had_promised(embedded):
    urls = start_databases(embedded)
    with create_engine(urls.catalogue, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("CREATE TABLE kept AS SELECT 1 AS one"))
    server = postgresql_process(embedded.home)
    server.kill()
    server.wait()

    assert start_databases(embedded) == urls

    with create_engine(urls.catalogue).connect() as connection:
        assert connection.scalar(text("SELECT one FROM kept")) == 1


def test_the_embedded_server_lets_in_nobody_without_its_password(embedded):
    """Nor does one that an earlier stack made, which trusted everybody."""
    start_databases(embedded)
    stop_postgresql(embedded.home)
    (embedded.home.path / "postgresql" / "pg_hba.conf").write_text("local all all trust\n")
    embedded.home.identity_file.unlink()

    url = make_url(start_databases(embedded).catalogue)

    unknown = URL.create(url.drivername, url.username, database=url.database, query=url.query)
    for stranger in (unknown, unknown.set(password="guessed")):
        with pytest.raises(OperationalError, match="password"):
            create_engine(stranger).connect()
    create_engine(url).connect().close()


def test_the_embedded_server_leaves_the_folders_above_as_they_are(tmp_path):
    tmp_path.chmod(0o700)
    settings = read_stack_settings({"STACK_HOME": str(tmp_path / "home")})
    settings.home.make()
    users = Path("/etc/passwd").read_text()
    try:
        start_databases(settings)

        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        assert Path("/etc/passwd").read_text() == users
    finally:
        stop_postgresql(settings.home)


def test_a_user_who_may_not_create_databases_is_told_which_are_missing(embedded, tmp_path):
    urls = start_databases(embedded)
    with create_engine(urls.catalogue, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN PASSWORD 'guest'"))
        connection.execute(text('DROP DATABASE "factory_mlflow"'))
    guest = make_url(urls.catalogue).set(username="guest", password="guest").render_as_string(hide_password=False)
    settings = read_stack_settings({"STACK_HOME": str(tmp_path), "DATABASE": guest})

    with pytest.raises(StackError, match="factory_mlflow"):
        start_databases(settings)


def test_a_stranger_with_the_id_of_a_server_that_was_killed_is_left_alone_and_stops_no_start(embedded, tmp_path):
    """After a crash the id in `postmaster.pid` may be that of any process, even of another PostgreSQL."""
    start_databases(embedded)
    stop_postgresql(embedded.home)
    other = tmp_path / "postgres"
    other.symlink_to(shutil.which("sleep"))
    noted = embedded.home.path / "postgresql" / "postmaster.pid"
    with subprocess.Popen([str(other), "600"], cwd=tmp_path) as stranger:
        try:
            noted.write_text(f"{stranger.pid}\n{noted.parent}\n1\n5432\n{noted.parent}\n\n\nready\n")

            stop_postgresql(embedded.home)
            urls = start_databases(embedded)

            assert stranger.poll() is None
            create_engine(urls.catalogue).connect().close()
        finally:
            stranger.kill()


def test_a_program_of_postgresql_that_is_missing_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("stack.postgresql._not_as_root", lambda: ())
    monkeypatch.setattr("stack.postgresql._binaries", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = read_stack_settings({"STACK_HOME": str(tmp_path / "home")})
    settings.home.make()

    with pytest.raises(StackError, match=r"program initdb cannot be started[\s\S]*make clean"):
        start_databases(settings)


def test_after_an_initdb_that_was_killed_half_way_the_next_start_begins_anew(tmp_path, monkeypatch):
    killed = tmp_path / "initdb"
    killed.write_text("#!/bin/sh\necho 18 > PG_VERSION\nmkdir base\nkill -9 $$\n")
    killed.chmod(0o755)
    settings = read_stack_settings({"STACK_HOME": str(tmp_path / "home")})
    settings.home.make()
    with monkeypatch.context() as broken:
        broken.setattr("stack.postgresql._binaries", lambda: tmp_path)
        with pytest.raises(StackError, match="does not start"):
            start_databases(settings)
    try:
        create_engine(start_databases(settings).catalogue).connect().close()

        assert [path.name for path in settings.home.path.glob("postgresql*")] == ["postgresql"]
        assert stat.S_IMODE((settings.home.path / "postgresql").stat().st_mode) == 0o700
    finally:
        stop_postgresql(settings.home)
