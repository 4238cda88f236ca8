"""A product and its predictions say from which source they came; a look keeps its slices, shares and trends.

Products of before are of the catalogue's source where it has one alone. Of several nobody knows any longer.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("products", sa.Column("source", sa.Text))
    op.add_column("inference_log", sa.Column("source", sa.Text))
    for name in ("slices", "shares", "trends"):
        op.add_column("drift_looks", sa.Column(name, sa.JSON))
    only = "(SELECT CASE WHEN count(*) = 1 THEN min(name) END FROM sources)"
    op.execute(f"UPDATE products SET source = {only}")  # noqa: S608
