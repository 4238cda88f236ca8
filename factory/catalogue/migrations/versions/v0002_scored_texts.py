"""The inference log holds the text that was scored and its group: what the products table says later is no witness."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("inference_log", sa.Column("text", sa.Text))
    op.add_column("inference_log", sa.Column("group_key", sa.BigInteger))
