"""Frozen test sets are recorded in their own right, and so is every look at one.

What was judged before this counts: each decision by numbers was a look. Earlier trainings are not known here.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Moment = sa.DateTime(timezone=True)
WITHOUT_NUMBERS = ("rolled back", "by hand")


def upgrade() -> None:
    op.create_table(
        "frozen_tests",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("frozen_at", Moment, nullable=False),
        sa.Column("frozen_by", sa.Text, nullable=False),
        sa.Column("file", sa.JSON, nullable=False),
    )
    looks = op.create_table(
        "test_looks",
        sa.Column("use_case", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("look_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("looked_at", Moment, nullable=False),
    )
    columns = ("decision_id", "use_case", "rule")
    judged = sa.table(
        "decisions",
        *(sa.column(name, sa.Text) for name in columns),
        sa.column("decided_at", Moment),
        sa.column("dataset", sa.JSON),
    )
    known = op.get_bind().execute(sa.select(judged).where(judged.c.rule.not_in(WITHOUT_NUMBERS))).mappings().all()
    for row in known:
        look = {"use_case": row["use_case"], "sha256": row["dataset"]["test"]["sha256"], "look_id": row["decision_id"]}
        op.execute(sa.insert(looks).values(**look, kind="judgement", looked_at=row["decided_at"]))
