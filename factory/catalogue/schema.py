"""The catalogue's tables as this code knows them, and the types that both databases understand.

Owns the schema alone; how a catalogue is opened, locked and written is `factory.catalogue.database`. How an earlier one
becomes this one stands in `factory.catalogue.migrations`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import postgresql

# The order of ids must not depend on the database's locale: snapshots are written in it.
Id = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which knows no time zones, holds it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


tables = MetaData()

products = Table(
    "products",
    tables,
    Column("productid", Id, primary_key=True),
    Column("designation", Text),
    Column("description", Text),
    Column("imageid", Text),
    Column("created_at", Moment, nullable=False),
    Column("group_id", Text),
    Column("text_key", BigInteger),
    Column("text_cleaning", BigInteger),
    Column("source", Text),
)
labels = Table(
    "labels",
    tables,
    Column("productid", Id, ForeignKey("products.productid"), primary_key=True),
    Column("prdtypecode", Text),
)
sources = Table(
    "sources",
    tables,
    Column("name", Text, primary_key=True),
    Column("loaded_at", Moment, nullable=False),
)
corrections = Table(
    "corrections",
    tables,
    Column("correction_id", Text, primary_key=True),
    Column("productid", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("before", JSON, nullable=False),
    Column("after", JSON, nullable=False),
    Column("corrected_at", Moment, nullable=False),
    Column("corrected_by", Text, nullable=False),
)
accepted_leaks = Table(
    "accepted_leaks",
    tables,
    Column("use_case", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("accepted_at", Moment, nullable=False),
    Column("accepted_by", Text, nullable=False),
)
data_loads = Table(
    "data_loads",
    tables,
    Column("batch_name", Text, primary_key=True),
    Column("week", Integer, nullable=False),
    Column("percentage", Float, nullable=False),
    Column("total_rows", Integer),
    Column("started_at", Moment, nullable=False),
    Column("completed_at", Moment),
    Column("status", Text, nullable=False),
    Column("metadata", JSON(none_as_null=True)),
)
inference_log = Table(
    "inference_log",
    tables,
    Column("prediction_id", Text, primary_key=True),
    Column("timestamp", Moment, nullable=False),
    Column("scored_at", Moment, nullable=False),
    Column("productid", Id),
    Column("predicted_class", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("text_length", Integer, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("text", Text),
    Column("group_key", BigInteger),
    Column("source", Text),
)
Index(  # holds all that counting and drawing a window of a million predictions needs: the table is not touched
    "inference_log_window",
    inference_log.c.use_case,
    inference_log.c.timestamp,
    inference_log.c.model_version,
    inference_log.c.prediction_id,
)
predictions = Table(
    "predictions",
    tables,
    Column("prediction_id", Text, primary_key=True),
    Column("use_case", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("entity_id", Id, nullable=False),
    Column("prediction", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("details", JSON, nullable=False),
    Column("timestamp", Moment, nullable=False),
    Column("scored_at", Moment, nullable=False),
    Column("snapshot", Text),
)
Index(
    "predictions_window",
    predictions.c.model,
    predictions.c.timestamp,
    predictions.c.model_version,
    predictions.c.prediction_id,
)
decisions = Table(
    "decisions",
    tables,
    Column("decision_id", Text, primary_key=True),
    Column("use_case", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("challenger_version", Text, nullable=False),
    Column("champion_version", Text),
    Column("previous_champion_version", Text),
    Column("approved_by", Text),
    Column("rejected_by", Text),
    Column("dataset", JSON, nullable=False),
    Column("result", JSON, nullable=False),
    Column("flow_run_url", Text),
)
Index("decisions_by_moment", decisions.c.model, decisions.c.decided_at)
measurements = Table(
    "measurements",
    tables,
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("rival", Text, primary_key=True),
    Column("measured_at", Moment, nullable=False),
    Column("measured", JSON, nullable=False),
)
drift_looks = Table(
    "drift_looks",
    tables,
    Column("model", Text, primary_key=True),
    Column("until", Moment, primary_key=True),
    Column("looked_at", Moment, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("level", Text, nullable=False),
    Column("drift_score", Float, nullable=False),
    Column("alarm", Boolean, nullable=False),
    Column("columns", JSON, nullable=False),
    Column("live", JSON(none_as_null=True)),
    Column("slices", JSON(none_as_null=True)),
    Column("shares", JSON(none_as_null=True)),
    Column("trends", JSON(none_as_null=True)),
)
retrainings = Table(
    "retrainings",
    tables,
    Column("model", Text, primary_key=True),
    Column("until", Moment, primary_key=True),
    Column("claimed_by", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("status", Text, nullable=False),
    Column("outcome", Text),
)
frozen_tests = Table(
    "frozen_tests",
    tables,
    Column("use_case", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("frozen_at", Moment, nullable=False),
    Column("frozen_by", Text, nullable=False),
    Column("file", JSON, nullable=False),
)
test_looks = Table(
    "test_looks",
    tables,
    Column("model", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("look_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("looked_at", Moment, nullable=False),
)
locks = Table(
    "locks",
    tables,
    Column("name", Text, primary_key=True),
    Column("taken_at", Moment, nullable=False),
)
