"""Maven Analytics' "CRM Sales Opportunities": accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv.

Owns their layout, and what history they tell: an opportunity stands in the pipeline from the day on which somebody
engaged, and is closed on the day of its closing. One that is only prospected bears no day; it stands there from the
day of the last entry on, on which the files were written. What happened on a day is known in its evening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from factory.catalogue.histories import CHANGED_AT
from factory.errors import SourceUnreadable
from factory.sources.delimited import Dialect, read_delimited
from factory.sources.moments import MomentColumn, evening_of
from factory.sources.readers import BATCH_ROWS
from factory.sources.tables import Rows, missing_as_none, typed
from factory.use_cases.columns import Column

FILES = {
    "accounts.csv": (
        *("account", "sector", "year_established", "revenue", "employees", "office_location", "subsidiary_of"),
    ),
    "products.csv": ("product", "series", "sales_price"),
    "sales_teams.csv": ("sales_agent", "manager", "regional_office"),
    "sales_pipeline.csv": (
        *("opportunity_id", "sales_agent", "product", "account", "deal_stage", "engage_date", "close_date"),
        "close_value",
    ),
}
NUMBERS = frozenset({"year_established", "revenue", "employees", "sales_price", "close_value"})
SPELLED = {"GTXPro": "GTX Pro"}
"""How the pipeline writes a product, and how the list of products does."""
_EVENING = "datetime64[us, UTC]"
DAYS = ("engage_date", "close_date")
CLOSED = ("Won", "Lost")


def read_folder(folder: Path, told: Callable[[str], None]) -> Rows:
    """States of opportunities, and those of accounts, products and teams; raises SourceUnreadable."""
    read = {name: _read(folder / name, columns, told) for name, columns in FILES.items()}
    pipeline = read["sales_pipeline.csv"].replace({"product": SPELLED})
    evenings = {name: _evenings(pipeline[name], str(folder / "sales_pipeline.csv")) for name in DAYS}
    told_days = pd.concat(list(evenings.values()))
    if told_days.empty:
        raise SourceUnreadable(f"{folder / 'sales_pipeline.csv'} bears no day: neither {' nor '.join(DAYS)}")
    first, last = told_days.min(), told_days.max()
    told(f"{len(pipeline):,} opportunities from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    lookups = {
        "accounts": read["accounts.csv"],
        "sales_products": read["products.csv"],
        "sales_teams": read["sales_teams.csv"],
    }
    known = {name: frame.assign(**{CHANGED_AT: first}) for name, frame in lookups.items()}
    return Rows(_states(pipeline, evenings, last, folder), pd.DataFrame(), known)


def _states(pipeline: pd.DataFrame, evenings: Mapping[str, pd.Series], last: datetime, folder: Path) -> pd.DataFrame:
    """Each opportunity when it was engaged in, or was seen first, and as it was closed."""
    engaged, closed_at = (evenings[name] for name in DAYS)
    closed = pipeline["deal_stage"].isin(CLOSED)
    undated = closed & ~pipeline.index.isin(closed_at.index)
    if undated.any():
        name = pipeline.loc[undated, "opportunity_id"].iloc[0]
        raise SourceUnreadable(
            f"{folder / 'sales_pipeline.csv'}: {int(undated.sum())} opportunities are closed and bear no close_date, "
            f"the first is {name!r}: when they were lost or won cannot be told"
        )
    opened = pipeline.assign(close_date=None, close_value=None, **{CHANGED_AT: engaged.reindex(pipeline.index)})
    opened[CHANGED_AT] = opened[CHANGED_AT].fillna(last)
    opened.loc[closed, "deal_stage"] = "Engaging"
    ended = pipeline[closed].assign(**{CHANGED_AT: closed_at.reindex(pipeline.index[closed])})
    # one that was engaged in and closed on the same day was never seen open
    seen_open = opened[~closed | (opened[CHANGED_AT] < closed_at.reindex(pipeline.index))]
    return pd.concat([seen_open, ended], ignore_index=True)


def _evenings(days: pd.Series, origin: str) -> pd.Series:
    """The evening of each day that is given, by the row's place; raises SourceUnreadable for one that is no day."""
    given = days.dropna()
    read = MomentColumn(origin, str(days.name), "line").read(given, given.index)
    return pd.Series([evening_of(moment.date()) for moment in read], index=given.index, dtype=_EVENING)


def _read(path: Path, columns: tuple[str, ...], told: Callable[[str], None]) -> pd.DataFrame:
    """The file's columns by their names, numbers as such; raises SourceUnreadable."""
    if not path.is_file():
        raise SourceUnreadable(f"{path}: there is no such file; a folder of this layout has {', '.join(FILES)}")
    frame = pd.concat(list(read_delimited(path, Dialect(), BATCH_ROWS, list(columns), told=told)))
    if lacking := [name for name in columns if name not in frame.columns]:
        raise SourceUnreadable(f"{path} has no column {', '.join(lacking)}; there are: {', '.join(frame.columns)}")
    texts = frame[list(columns)].map(missing_as_none)
    kinds = {name: Column(name, "number" if name in NUMBERS else "category") for name in columns}
    return pd.DataFrame({name: typed(column, texts[name], str(path)) for name, column in kinds.items()})
