"""From histories to rows as they were at a moment: looked-up columns, days since, and an entity asked every period.

Pure: frames in, frames out. Every function looks at what had happened by a row's own moment and at nothing later, save
for the one that tells what became of a row. Knows nothing of databases or of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from factory.grouping.keys import key_of
from factory.use_cases.clock import Clock
from factory.use_cases.columns import NO, YES
from factory.use_cases.sources import Entities, EveryPeriod, Lookup

CHANGED_AT, OUTCOME, SHOWN_AT = "changed_at", "outcome", "shown_at"
LAST_INSTANT = timedelta(microseconds=1)
"""So long before its end is a period's last moment, in which a row of the period stands."""
_ONE_DAY = pd.Timedelta(days=1)
_NEVER = pd.Timestamp(9999, 1, 1, tz=UTC).as_unit("us")


def group_members(rows: pd.DataFrame, source: Entities) -> list[list[str]]:
    """What each row is grouped by, the group first; its entity_id where nothing is declared, or it is missing."""
    group = source.group
    if group is None:
        return [[name] for name in rows["entity_id"]]
    held = zip(rows["entity_id"], rows[group.column], strict=True)
    return [[name] if pd.isna(value) else group.members(value) for name, value in held]


def group_keys(rows: pd.DataFrame, source: Entities) -> list[int]:
    """The key of each row's group."""
    return [key_of(members[0]) for members in group_members(rows, source)]


def asked_rows(history: pd.DataFrame, source: Entities, clock: Clock, as_of: datetime) -> pd.DataFrame:
    """A row for each entity and period at whose end it still waited, as it was then, with what became of it.

    `history` holds the states that were known at `as_of`. The `outcome` of a row is missing where the periods that it
    is about are not over by then; the row is `shown_at` its period's last moment.
    """
    asked = _question(source)
    states = history.sort_values([source.key, CHANGED_AT], kind="stable", ignore_index=True)
    numbers = _periods(states, clock, as_of)
    ends = _last_moments(clock, numbers)
    begun = ends.searchsorted(states[CHANGED_AT])
    replaced = ends.searchsorted(states.groupby(source.key)[CHANGED_AT].shift(-1).fillna(_NEVER))
    shown = np.where(states[asked.column].isin(asked.waiting), replaced - begun, 0)  # at the ends of so many periods
    rows = states.loc[states.index.repeat(shown)]
    places = begun[rows.index] + rows.groupby(level=0).cumcount().to_numpy()
    rows = rows.reset_index(drop=True).assign(**{SHOWN_AT: ends[places]})
    due = _last_moments(clock, range(numbers.start + asked.within, numbers.stop + asked.within))[places]
    outcome = np.where(_moments_of(rows, states, source, asked) <= due, YES, NO)
    written = [clock.written(number) for number in numbers]
    return rows.assign(
        **{
            OUTCOME: pd.Series(outcome, dtype=object).where(due <= as_of, None),
            source.key: [f"{key}@{written[place]}" for key, place in zip(rows[source.key], places, strict=True)],
        }
    )


def outcomes_of_periods(
    history: pd.DataFrame, source: Entities, clock: Clock, as_of: datetime | None = None
) -> pd.Series:
    """What became of each row of `asked_rows`, where that is known, by the row's id; of all where no moment is named.

    Of the history the key, the moments and the column that is asked about are enough.
    """
    if as_of is None:
        last = clock.number(history[CHANGED_AT].max())
        as_of = clock.end(last + _question(source).within)
    return asked_rows(history, source, clock, as_of).set_index(source.key)[OUTCOME].dropna()


def looked_up(rows: pd.DataFrame, source: Entities, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows with the columns of the source's lookups, as each stood at the moment at which the row is `shown_at`.

    `tables` are the histories of the lookups by the name of their table.
    """
    for lookup in source.lookups:
        rows = _beside(rows, tables[lookup.table], lookup)
    return rows


def counted_off(rows: pd.DataFrame, source: Entities) -> pd.DataFrame:
    """The rows with the days that each has had since a moment of its own; none where it has no such moment."""
    days = {
        column.name: (rows[SHOWN_AT] - _moments(rows[column.since])).dt.round("s") / _ONE_DAY
        for column in source.columns
        if column.since
    }
    return rows.assign(**days)


def _moments(written: pd.Series) -> pd.Series:
    return pd.to_datetime(written, utc=True, format="ISO8601")


def _question(source: Entities) -> EveryPeriod:
    if source.asked is None:
        raise ValueError(f"{source.table} is not asked about every period")
    return source.asked


def _periods(states: pd.DataFrame, clock: Clock, as_of: datetime) -> range:
    """The periods that are over by then, from that of the first state on, or the clock's first where that is older."""
    if states.empty:
        return range(1, 1)
    begun = max(states[CHANGED_AT].min().to_pydatetime(), clock.start(1))
    return range(clock.number(begun), clock.over(as_of) + 1)


def _last_moments(clock: Clock, numbers: range) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([clock.end(number) - LAST_INSTANT for number in numbers], tz=UTC).as_unit("us")


def _moments_of(rows: pd.DataFrame, states: pd.DataFrame, source: Entities, asked: EveryPeriod) -> pd.Series:
    """When the entity of each row first became what is asked about, after the row is shown; never where it did not."""
    became = states.loc[states[asked.column] == asked.becomes, [source.key, CHANGED_AT]].assign(
        became=lambda it: it[CHANGED_AT]
    )
    placed = rows[[source.key, SHOWN_AT]].assign(place=range(len(rows))).sort_values(SHOWN_AT, kind="stable")
    found = pd.merge_asof(
        placed,
        became.sort_values(CHANGED_AT, kind="stable"),
        left_on=SHOWN_AT,
        right_on=CHANGED_AT,
        by=source.key,
        direction="forward",
        allow_exact_matches=False,
    )
    return found.set_index("place")["became"].sort_index().fillna(_NEVER)


def _beside(rows: pd.DataFrame, history: pd.DataFrame, lookup: Lookup) -> pd.DataFrame:
    """`merge_asof` takes the newest state of the same key that is no younger than the row; both sides by moment."""
    known = history.reindex(columns=[lookup.key, CHANGED_AT, *lookup.columns]).rename(columns={CHANGED_AT: SHOWN_AT})
    placed = rows.assign(place=range(len(rows)))
    by_moment = (side.sort_values(SHOWN_AT, kind="stable") for side in (placed, known))
    found = pd.merge_asof(*by_moment, on=SHOWN_AT, by=lookup.key)
    return found.sort_values("place").drop(columns="place").set_axis(rows.index)
