"""Data bear the names that other tools of OpenLineage give them, and what is told of a run is a whole event."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from openlineage.client.naming import dataset as naming
from openlineage.client.serde import Serde
from sqlalchemy import Column, Integer, MetaData, Table, Text

from bridge.tracing import Lineage, LineageRun
from factory.contracts import FileRef
from factory.lineage import data
from factory.lineage.data import Data, Finding
from factory.lineage.events import Happening, Job, Run, compose

TABLE = Table("products", MetaData(), Column("productid", Text), Column("week", Integer))
RUN = Run(Job("cut/products"), "0190f8a4-0000-4000-8000-000000000003", Lineage())
TASK = LineageRun("airflow", "weekly.train", "0190f8a4-0000-7000-8000-000000000001")
DAG_RUN = LineageRun("airflow", "weekly", "0190f8a4-0000-7000-8000-000000000002")


def told(happening: Happening) -> dict[str, Any]:
    """The event as a receiver gets it."""
    document: dict[str, Any] = Serde.to_dict(compose(happening, "factory"))
    return document


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("file:///srv/weeks/a b/r1.parquet", naming.LocalFileSystem("/srv/weeks/a b/r1.parquet")),
        ("/srv/weeks/r1.parquet", naming.LocalFileSystem("/srv/weeks/r1.parquet")),
        ("s3://bucket/weeks/week=01/r1.parquet", naming.S3("bucket", "weeks/week=01/r1.parquet")),
        ("s3a://bucket/weeks/r1.parquet", naming.S3("bucket", "weeks/r1.parquet")),
        ("gcs://bucket/weeks/r1.parquet", naming.GCS("bucket", "weeks/r1.parquet")),
    ],
)
def test_files_are_named_as_the_client_names_them(uri: str, named: naming.DatasetNaming) -> None:
    assert data.of_address(uri) == Data(named.get_namespace(), named.get_name())


@pytest.mark.parametrize(
    ("url", "host", "port", "database"),
    [
        ("postgresql+psycopg2://me:secret@db.test:6543/catalogue", "db.test", "6543", "catalogue"),
        ("postgresql://me@db.test/catalogue", "db.test", "5432", "catalogue"),
        ("postgresql://postgres:@/postgres?host=/srv/socket", "/srv/socket", "5432", "postgres"),
    ],
)
def test_tables_of_postgresql_are_named_as_the_client_names_them(url: str, host: str, port: str, database: str) -> None:
    named, found = naming.Postgres(host, port, database, "public", "products"), data.of_table(url, TABLE)
    assert (found.namespace, found.name) == (named.get_namespace(), named.get_name())
    assert found.columns == (("productid", "TEXT"), ("week", "INTEGER"))
    assert "secret" not in found.namespace


def test_a_table_of_sqlite_is_named_by_its_file() -> None:
    found = data.of_table("sqlite:////srv/catalogue.sqlite", TABLE)
    assert (found.namespace, found.name) == ("sqlite:///srv/catalogue.sqlite", "main.products")


def test_an_address_that_is_none_is_left_to_whoever_opens_it() -> None:
    assert data.of_table("no address", TABLE).name == "unknown.products"


@pytest.mark.parametrize(
    ("tracking", "namespace"),
    [
        ("http://mlflow.test:5000", "mlflow://mlflow.test:5000"),
        ("https://me:secret@mlflow.test/base/", "mlflow://mlflow.test/base"),
        ("sqlite:////srv/mlflow.sqlite", "sqlite:///srv/mlflow.sqlite"),
        ("postgresql://me:secret@db.test/mlflow", "postgres://db.test:5432"),
    ],
)
def test_a_registered_version_and_its_alias_are_data_of_their_own(tracking: str, namespace: str) -> None:
    assert data.of_version(tracking, "products", "3", "champion") == (
        Data(namespace, "models/products/versions/3", version="3"),
        Data(namespace, "models/products@champion", version="3"),
    )


def test_what_was_loaded_is_a_file_or_a_name() -> None:
    assert data.of_origin("/srv/offers.csv", 7) == Data("file", "/srv/offers.csv", rows=7)
    assert data.of_origin("the sample") == Data("origin", "the sample")


def test_an_event_says_which_run_of_which_job_and_when() -> None:
    at = datetime(2026, 1, 5, 7, tzinfo=UTC)
    event = told(Happening("START", RUN, at=at))
    assert (event["eventType"], event["eventTime"]) == ("START", "2026-01-05T07:00:00+00:00")
    assert event["run"] == {"runId": RUN.run_id, "facets": {}}
    assert (event["job"]["namespace"], event["job"]["name"]) == ("factory", "cut/products")
    kind = event["job"]["facets"]["jobType"]
    assert (kind["processingType"], kind["integration"], kind["jobType"]) == ("BATCH", "MODEL_FACTORY", "STEP")
    assert event["producer"] == kind["_producer"] == "urn:model-factory"


def test_a_run_is_part_of_its_task_and_what_it_starts_of_the_run() -> None:
    run = replace(RUN, part_of=Lineage(parent=TASK, root=DAG_RUN))
    parent = told(Happening("START", run))["run"]["facets"]["parent"]
    assert (parent["job"]["name"], parent["run"]["runId"]) == (TASK.job, TASK.run_id)
    assert (parent["root"]["job"]["name"], parent["root"]["run"]["runId"]) == (DAG_RUN.job, DAG_RUN.run_id)
    assert run.parent_of("factory") == Lineage(parent=LineageRun("factory", "cut/products", RUN.run_id), root=DAG_RUN)


def test_a_run_that_is_part_of_nothing_is_the_root_of_what_it_starts() -> None:
    this = LineageRun("factory", "cut/products", RUN.run_id)
    assert RUN.parent_of("factory") == Lineage(parent=this, root=this)


def test_an_output_bears_its_columns_version_and_counts() -> None:
    output = Data("file", "/srv/r1.parquet", (("entity_id", "string"),), "abc", rows=7, size_bytes=100)
    [found] = told(Happening("COMPLETE", RUN, outputs=(output,)))["outputs"]
    [column] = found["facets"]["schema"]["fields"]
    assert (column["name"], column["type"], column["ordinal_position"]) == ("entity_id", "string", 1)
    assert found["facets"]["version"]["datasetVersion"] == "abc"
    statistics = found["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (7, 100)


def test_an_input_that_was_checked_bears_the_verdict_and_the_findings() -> None:
    finding = Finding("labels", stops=True, said="3 rows bear two labels", rows=3)
    checked = Data("file", "/srv/r1.parquet", rows=7, accepted=False, findings=(finding,))
    [found] = told(Happening("FAIL", RUN, (checked,), error="the week was rejected"))["inputs"]
    verdict, labels = found["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (verdict["assertion"], verdict["success"]) == ("accepted", False)
    assert (labels["assertion"], labels["success"], labels["severity"]) == ("labels", False, "error")
    assert (labels["description"], labels["actual"]) == ("3 rows bear two labels", "3 rows")
    assert found["inputFacets"]["dataQualityMetrics"]["rowCount"] == 7


def test_a_failure_says_why() -> None:
    facet = told(Happening("FAIL", RUN, error="no space left"))["run"]["facets"]["errorMessage"]
    assert (facet["message"], facet["programmingLanguage"]) == ("no space left", "PYTHON")


def test_a_file_is_looked_at_when_it_is_told_of() -> None:
    ref = FileRef(uri="file:///srv/r1.parquet", sha256="abc", rows=7)
    found = data.of_file(ref)
    assert (found.name, found.version, found.rows, found.columns) == ("/srv/r1.parquet", "abc", 7, ())
    assert found.look is not None
