"""From which source each product came, as it was named when it was loaded.

Owns that question alone; a product's source is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Engine, select

from factory.catalogue.schema import products

_ASKED_ROWS = 5_000


def read_origins(engine: Engine, productids: Sequence[str]) -> pd.Series:
    """The name of each product's source, in the order of the ids; None where it is not known."""
    known: dict[str, str | None] = {}
    with engine.connect() as connection:
        for start in range(0, len(productids), _ASKED_ROWS):
            asked = products.c.productid.in_(list(productids[start : start + _ASKED_ROWS]))
            rows = connection.execute(select(products.c.productid, products.c.source).where(asked)).all()
            known |= {row.productid: row.source for row in rows}
    return pd.Series([known.get(name) for name in productids], dtype=object)
