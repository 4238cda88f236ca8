"""Stored documents: readable whichever version wrote them, while the wire stays strict."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, select, update

from factory.catalogue.schema import data_loads, drift_looks
from factory.catalogue.schema import decisions as decisions_table
from factory.catalogue.schema import measurements as measurements_table
from factory.contracts import ColumnDrift, DatasetRef, FileRef, LiveQuality, PromotionResult
from factory.errors import DocumentUnreadable
from factory.records import decisions, drift_checks, ledger, measurements, stored
from factory.records.measurements import Interval, Measurement

EARLIER = Path(__file__).parent / "earlier_documents"
"""A check for drift, and a version's answers on its test set, as 5e9a04f wrote them."""
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
FILE = FileRef(uri="file:///a.parquet", sha256="ab", rows=3)
DATASET = DatasetRef(
    **FILE.model_dump(),
    use_case="products",
    week=1,
    as_of=NOW,
    train_rows=2,
    arrivals=3,
    classes=1,
    test=FILE,
    test_version="v1",
)
DECISION = decisions.Decision(
    decision_id="one",
    decided_at=NOW,
    dataset=DATASET,
    result=PromotionResult(
        use_case="products",
        promoted=True,
        reason="first",
        rule="gain",
        challenger_version="1",
        challenger_metrics={"f1_weighted": 0.9},
        champion_version="1",
        previous_champion_version=None,
        previous_champion_metrics=None,
        threshold=0.7,
        test_version="v1",
        test_rows=3,
    ),
)
LOOK = drift_checks.DriftCheck(
    model="products",
    until=NOW,
    looked_at=NOW,
    model_version="1",
    samples=500,
    level="stable",
    drift_score=0.0,
    alarm=False,
    columns={"text_length": ColumnDrift(psi=0.01, chance_psi=0.01, p_value=0.4, level="stable", drifted=False)},
    live=LiveQuality(f1_weighted=0.8, low=0.7, high=0.9, labelled=100, promised=0.8),
)
MEASUREMENT = Measurement(
    model="products",
    version="1",
    rival=None,
    measured_at=NOW,
    test_version="v1",
    test_rows=3,
    metrics={"f1_weighted": Interval(value=0.9)},
)


def of_tomorrow(values: Any) -> Any:
    """The document as a later version might write it: every object in it has a field more."""
    if isinstance(values, list):
        return [of_tomorrow(value) for value in values]
    if not isinstance(values, dict):
        return values
    held = {name: of_tomorrow(value) for name, value in values.items()}
    return {**held, "schema": stored.SCHEMA + 1, "of_tomorrow": {"a": 1}} if "schema" in held or "uri" in held else held


def rewrite(engine: Engine, column: Any) -> None:
    with engine.begin() as connection:
        written = connection.scalar(select(column))
        assert "schema" in json.dumps(written), written
        connection.execute(update(column.table).values({column.name: of_tomorrow(written)}))


def test_the_ledger_reads_rows_of_a_later_version(engine: Engine) -> None:
    with engine.begin() as connection:
        ledger.record_cut(connection, DATASET, 0.4)
    rewrite(engine, data_loads.c.metadata)
    with engine.connect() as connection:
        [entry] = ledger.read_entries(connection, "products")
    assert entry.dataset == DATASET


def test_decisions_of_a_later_version_are_read(engine: Engine) -> None:
    with engine.begin() as connection:
        decisions.record(connection, DECISION)
    for column in (decisions_table.c.dataset, decisions_table.c.result):
        rewrite(engine, column)
    with engine.connect() as connection:
        assert decisions.read_decisions(connection, "products") == [DECISION]


def test_looks_at_drift_of_a_later_version_are_read(engine: Engine) -> None:
    drift_checks.record_drift_check(engine, LOOK)
    for column in (drift_looks.c.columns, drift_looks.c.live):
        rewrite(engine, column)
    assert drift_checks.read_drift_checks(engine, "products") == [LOOK]


def test_answers_in_a_check_of_before_they_were_renamed_bear_the_names_of_today(engine: Engine) -> None:
    row = json.loads((EARLIER / "drift-check-schema-1.json").read_text())
    moments = {name: datetime.fromisoformat(row[name]).replace(tzinfo=UTC) for name in ("until", "looked_at")}
    with engine.begin() as connection:
        connection.execute(drift_looks.insert().values(row | moments | {"alarm": bool(row["alarm"])}))

    [check] = drift_checks.read_drift_checks(engine, "products")

    assert list(check.columns) == ["prediction", "score", "text_length", "text"]
    assert check.columns["prediction"].psi == 0.5784
    assert check.shares["prediction"] == {"tools": 0.86, "toys": 0.14}
    assert check.trends["prediction"].value == "tools"
    drift_checks.record_drift_check(engine, check)
    assert drift_checks.read_drift_checks(engine, "products") == [check]


def test_a_column_that_is_called_as_answers_once_were_keeps_its_name(engine: Engine, tmp_path: Path) -> None:
    column = LOOK.columns["text_length"]
    check = LOOK.model_copy(update={"columns": {"score": column, "confidence": column}})
    drift_checks.record_drift_check(engine, check)
    assert drift_checks.read_drift_checks(engine, "products") == [check]

    table = pd.DataFrame({"prediction": ["a"], "score": [0.9], "confidence": ["high"]})
    stored.dump_table(table).to_parquet(tmp_path / "reference.parquet")
    pd.testing.assert_frame_equal(stored.load_table(pd.read_parquet(tmp_path / "reference.parquet")), table)


def test_a_reference_of_before_answers_were_renamed_bears_the_names_of_today() -> None:
    found = stored.load_table(pd.read_parquet(EARLIER / "reference-schema-1.parquet"))
    assert list(found.columns) == ["prediction", "score", "text", "group", "text_length"]


def test_measurements_of_a_later_version_are_read(engine: Engine) -> None:
    with engine.begin() as connection:
        measurements.record(connection, MEASUREMENT)
    rewrite(engine, measurements_table.c.measured)
    with engine.connect() as connection:
        assert measurements.read_measurements(connection, "products") == [MEASUREMENT]


@pytest.mark.parametrize("document", [DATASET, DECISION, MEASUREMENT], ids=lambda document: type(document).__name__)
def test_json_text_bears_its_schema_and_is_read_whichever_version_wrote_it(document: Any) -> None:
    text = stored.dump_json(document)
    assert json.loads(text)["schema"] == stored.SCHEMA
    kind = type(document)
    assert stored.load_json(kind, text) == document
    assert stored.load_json(kind, document.model_dump_json()) == document  # of before there were numbers
    assert stored.load_json(kind, json.dumps(of_tomorrow(json.loads(text)))) == document


def test_the_wire_refuses_what_the_store_passes_over() -> None:
    with pytest.raises(ValidationError):
        DatasetRef.model_validate(stored.dump(DATASET))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda values: {**values, "week": "often"}, r"stored DatasetRef .*week: .*restore it"),
        (lambda values: {**values, "week": None, "schema": 9}, r"schema 9, this version writes \d: install"),
    ],
)
def test_a_damaged_document_says_what_it_lacks_and_what_to_do(
    damage: Callable[[dict[str, Any]], dict[str, Any]], said: str
) -> None:
    with pytest.raises(DocumentUnreadable, match=said):
        stored.load(DatasetRef, damage(stored.dump(DATASET)))


@pytest.mark.parametrize("text", ["{", "[1]", b"\xff"])
def test_what_is_no_json_object_is_said(text: str | bytes) -> None:
    with pytest.raises(DocumentUnreadable, match="restore it"):
        stored.load_json(DatasetRef, text)
