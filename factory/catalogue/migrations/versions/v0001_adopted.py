"""A catalogue of before there were versions, whichever code made it, or an empty database: the tables of that time.

Such a catalogue may hold what several earlier versions made of it, since tables were made where they were missing and
nothing else was looked at. So every table, column and index is looked for.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

Id = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
Moment = sa.DateTime(timezone=True)

tables = sa.MetaData()
sa.Table(
    "products",
    tables,
    sa.Column("productid", Id, primary_key=True),
    sa.Column("designation", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("imageid", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("group_id", sa.Text),
    sa.Column("text_key", sa.BigInteger),
    sa.Column("text_cleaning", sa.BigInteger),
)
sa.Table(
    "labels",
    tables,
    sa.Column("productid", Id, sa.ForeignKey("products.productid"), primary_key=True),
    sa.Column("prdtypecode", sa.Text),
)
sa.Table(
    "sources",
    tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("loaded_at", Moment, nullable=False),
)
sa.Table(
    "corrections",
    tables,
    sa.Column("correction_id", sa.Text, primary_key=True),
    sa.Column("productid", Id, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("before", sa.JSON, nullable=False),
    sa.Column("after", sa.JSON, nullable=False),
    sa.Column("corrected_at", Moment, nullable=False),
    sa.Column("corrected_by", sa.Text, nullable=False),
)
sa.Table(
    "data_loads",
    tables,
    sa.Column("batch_name", sa.Text, primary_key=True),
    sa.Column("week", sa.Integer, nullable=False),
    sa.Column("percentage", sa.Float, nullable=False),
    sa.Column("total_rows", sa.Integer),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("completed_at", Moment),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("metadata", sa.JSON),
)
sa.Table(
    "inference_log",
    tables,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("timestamp", Moment, nullable=False),
    sa.Column("scored_at", Moment, nullable=False),
    sa.Column("productid", Id),
    sa.Column("predicted_class", sa.Text, nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("text_length", sa.Integer, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Index("inference_log_window", "use_case", "timestamp", "model_version", "prediction_id"),
)
sa.Table(
    "decisions",
    tables,
    sa.Column("decision_id", sa.Text, primary_key=True),
    sa.Column("use_case", sa.Text, nullable=False),
    sa.Column("decided_at", Moment, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("challenger_version", sa.Text, nullable=False),
    sa.Column("champion_version", sa.Text),
    sa.Column("previous_champion_version", sa.Text),
    sa.Column("approved_by", sa.Text),
    sa.Column("rejected_by", sa.Text),
    sa.Column("dataset", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("flow_run_url", sa.Text),
    sa.Index("decisions_by_moment", "use_case", "decided_at"),
)
sa.Table(
    "measurements",
    tables,
    sa.Column("use_case", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("rival", sa.Text, primary_key=True),
    sa.Column("measured_at", Moment, nullable=False),
    sa.Column("measured", sa.JSON, nullable=False),
)
sa.Table(
    "drift_looks",
    tables,
    sa.Column("use_case", sa.Text, primary_key=True),
    sa.Column("until", Moment, primary_key=True),
    sa.Column("looked_at", Moment, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("samples", sa.Integer, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("drift_score", sa.Float, nullable=False),
    sa.Column("alarm", sa.Boolean, nullable=False),
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Column("live", sa.JSON),
)
sa.Table(
    "retrainings",
    tables,
    sa.Column("use_case", sa.Text, primary_key=True),
    sa.Column("until", Moment, primary_key=True),
    sa.Column("claimed_by", sa.Text, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
)
sa.Table(
    "locks",
    tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("taken_at", Moment, nullable=False),
)

# A text that is changed, by whomever, loses the key that was made of it (factory.grouping.keys).
FORGET_SQLITE = """
CREATE TRIGGER IF NOT EXISTS text_key_forgotten AFTER UPDATE OF designation, description ON products
BEGIN UPDATE products SET text_key = NULL WHERE productid = NEW.productid; END
"""
FORGET_POSTGRESQL = """
CREATE OR REPLACE FUNCTION forget_text_key() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN NEW.text_key := NULL; RETURN NEW; END';
DROP TRIGGER IF EXISTS text_key_forgotten ON products;
CREATE TRIGGER text_key_forgotten BEFORE UPDATE OF designation, description ON products
FOR EACH ROW EXECUTE FUNCTION forget_text_key()
"""


def upgrade() -> None:
    connection = op.get_bind()
    tables.create_all(connection)
    for table in tables.sorted_tables:
        _complete(connection, table)
    on_sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql(FORGET_SQLITE if on_sqlite else FORGET_POSTGRESQL)


def _complete(connection: sa.Connection, table: sa.Table) -> None:
    """The table's columns and indexes as they are declared here; one that was given up goes."""
    found = sa.inspect(connection)
    present = {column["name"] for column in found.get_columns(table.name)}
    for column in table.columns:
        if column.name not in present:  # of those that must hold something, claimed_by alone came later: nobody's
            default = None if column.nullable else sa.text("''")
            op.add_column(
                table.name, sa.Column(column.name, column.type, nullable=column.nullable, server_default=default)
            )
    if table.name == "products" and "text_mark" in present:
        op.drop_column("products", "text_mark")
    standing = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
    for index in table.indexes:
        name = str(index.name)
        columns = [column.name for column in index.columns]
        if standing.get(name) not in (None, columns):
            op.drop_index(name, table.name)
        if standing.get(name) != columns:
            op.create_index(name, table.name, columns)
