"""What is known of models is found by the model: a use case may have several.

Until now each had one, which bore the use case's name.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for name in ("measurements", "drift_looks", "retrainings", "test_looks"):
        op.execute(f"ALTER TABLE {name} RENAME COLUMN use_case TO model")
    with op.batch_alter_table("decisions") as table:
        table.add_column(sa.Column("model", sa.Text))
        table.drop_index("decisions_by_moment")
    op.execute("UPDATE decisions SET model = use_case")
    with op.batch_alter_table("decisions") as table:
        table.alter_column("model", nullable=False)
        table.create_index("decisions_by_moment", ["model", "decided_at"])
    op.drop_index("predictions_window", "predictions")
    op.create_index("predictions_window", "predictions", ["model", "timestamp", "model_version", "prediction_id"])
