"""Which products were scored in an earlier week.

Owns that question to the inference log alone.
"""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime

from sqlalchemy import Engine, select

from factory.catalogue.schema import inference_log
from factory.snapshots.weeks import aware

_STREAM_ROWS = 50_000


def read_scored(engine: Engine, use_case: str, before: datetime, among: Set[str]) -> set[str]:
    """Those of the ids for which the log holds a prediction of before that data time, whichever model made it.

    The log is passed once, in memory that is bounded by the ids that are asked for.
    """
    if not among:
        return set()
    log, found = inference_log.c, set[str]()
    query = select(log.productid).where(log.use_case == use_case, log.timestamp < aware(before))
    with engine.connect() as connection:
        for part in connection.execution_options(yield_per=_STREAM_ROWS).execute(query).scalars().partitions():
            found |= among & set(part)
    return found
