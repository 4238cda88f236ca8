"""Whether a column of a table gives the outcome away, and whether test rows stand among those to train on.

Pure. Owns what counts as giving away. Must not know where rows come from, or who accepted a finding. Texts have
`flows.core.telling` and `flows.core.leakage`.

A column that is only known afterwards settles the outcome of the rows in which it says something: where a reason for
leaving is given, everybody has left. So every column is cut into regions (missing or given, each value, each interval
of 64 quantiles, how a value is written), and in each the rows of every class are counted. A region leaks when it holds
nearly one class alone, surely, for enough of that class. How sure is a matter of odds, at the lower bound of Wilson's
interval: those in the region over those of all rows. What merely predicts raises them less: in public tables 9-fold for
customers who leave, 10 for defaults, 14 for refused loans, 13 and 15 for cancers, 18 for spam.

What predicts well does so by degrees, and what leaks ends abruptly. So an interval must stand out from as many
quantiles beside it by the same odds; one that does not leaks where its column alone ranks the class nearly without
an error.

A column that is wrong in every tenth row is not told from one that predicts well: nothing tells these apart. And one
that settles most of a class by itself, wrong in one row of a hundred, looks like a leak. So a finding is for a person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import Column
from flows.core.calibration import wilson
from flows.core.features.table import as_table
from flows.core.groups import Groups
from flows.core.leakage import LeakageError
from flows.core.selection import sample_groups

Codes: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.float64]

KEY = "entity_id"
ORDER = "the order of the rows"
SEARCH_ROWS = 100_000
LEAST_CLASS_ROWS = 30
PURITY = 0.95
"""So large a share of a region's rows (0 to 1) is of the class that it tells."""
LEAST_SHARE = 0.05
"""So much of the class (0 to 1) it holds: less flatters no metric by much."""
ODDS = 20.0
"""By so much the odds of the class are higher in the region, at least."""
NEARLY_ALL = 0.98
"""The AUC of a number (0.5 to 1, either way round) from which on it needs no other column."""
LEVEL = 1 - 1e-4
"""How sure that is: there are some thousand regions a column."""
BINS = 64
VALUES = 200
"""Of a column's values so many are looked at one by one, the most frequent ones."""
MANY_VALUES = 50
"""Texts of more values are looked at by how they are written, too."""
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that gives `label` away; `said` is the sentence for people, `places` are rows that show it."""

    column: str
    label: str
    said: str
    places: tuple[int, ...]

    @property
    def name(self) -> str:
        """By which it is accepted."""
        return f"column:{self.column}"


def find_leaks(
    train: pd.DataFrame,
    truth: Any,
    columns: Sequence[Column],
    *,
    accepted: Collection[str] = (),
    groups: Groups | None = None,
    key: str = KEY,
) -> list[Leak]:
    """The columns that give a class of the truth away, each once, with the region that tells most.

    Looked at are the declared columns of any kind, the `key` where the rows have it, and their order. `accepted` are
    names of findings that a person has looked at. Of each of the `groups` one row counts. Classes of fewer than
    LEAST_CLASS_ROWS rows tell nothing, nor does a truth of one class. Raises ValueError where a truth is missing.
    """
    known = pd.Series(truth).reset_index(drop=True)
    if known.isna().any():
        raise ValueError(f"truth: {int(known.isna().sum())} of {len(known)} rows have none")
    members = np.arange(len(known)) if groups is None else groups
    once = np.sort(np.unique(members, return_index=True)[1])
    places = once[sample_groups(np.arange(len(once)), SEARCH_ROWS)]
    codes, labels = pd.factorize(known.iloc[places].astype(str), sort=True)
    rows = train.iloc[places].reset_index(drop=True)
    looked_at = (each for each in _looked_at(rows, columns, key) if f"column:{each.name}" not in accepted)
    leaks = (_leak(column, rows, codes, list(labels), places) for column in looked_at)
    return [leak for leak in leaks if leak is not None]


def equal_rows(train: pd.DataFrame, test: pd.DataFrame, columns: Sequence[Column]) -> Codes:
    """Places of the test rows whose features all equal those of a training row, what is missing included."""
    hashed = [pd.util.hash_pandas_object(as_table(rows, columns), index=False) for rows in (train, test)]
    return np.flatnonzero(hashed[1].isin(hashed[0]))


def refuse_leaks(
    train: pd.DataFrame,
    test: pd.DataFrame,
    truth: Any,
    columns: Sequence[Column],
    *,
    accepted: Collection[str] = (),
    groups: Groups | None = None,
    key: str = KEY,
    use_case: str,
) -> None:
    """Nothing, when no key stands on both sides and no column gives the outcome away (`truth`, of the training rows).

    Raises LeakageError saying what leaks, with numbers, and how a finding is accepted.
    """
    refuse_shared_keys(train, test, key)
    if found := find_leaks(train, truth, columns, accepted=accepted, groups=groups, key=key):
        raise LeakageError(_explain(found, train, key, use_case))


def refuse_shared_keys(train: pd.DataFrame, test: pd.DataFrame, key: str = KEY) -> None:
    """Nothing, when no value of the key stands on both sides; raises LeakageError naming some that do."""
    shared = set(train[key].dropna()) & set(test[key].dropna()) if key in train and key in test else set()
    if shared:
        examples = ", ".join(repr(str(value)) for value in sorted(shared, key=str)[:3])
        raise LeakageError(
            f"{len(shared)} values of {key!r} stand both in the training rows and in the test set "
            f"(such as {examples}): the snapshot's split is broken, cut it again"
        )


def _explain(found: Sequence[Leak], train: pd.DataFrame, key: str, use_case: str) -> str:
    lines = [f"{len(found)} columns know too much of the outcome:"]
    for each in found:
        shown = [str(train[key].iloc[place]) if key in train else f"row {place}" for place in each.places]
        lines.append(f"- {each.said}; such as {', '.join(shown)}")
    names = " ".join(f"--leak {quote(each.name)}" for each in found)
    lines.append(
        "If a column is only known once the outcome is, declare it as no feature, or load it as it was at the moment "
        "that is judged, and cut again. If these are no leaks, since they are known beforehand, say so and train again:"
    )
    lines.append(f"python -m factory accept --use-case {use_case} {names} --reason 'known before the outcome'")
    return "\n".join(lines)


def _looked_at(rows: pd.DataFrame, columns: Sequence[Column], key: str) -> Iterator[Column]:
    names = {column.name for column in columns}
    yield from (column for column in columns if column.name in rows.columns)
    if key in rows.columns and key not in names:
        yield Column(key, "number" if pd.api.types.is_numeric_dtype(rows[key]) else "category")
    yield Column(ORDER, "number")


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A column as numbers of cells (-1 where it has none); `ordered` ones have intervals of neighbouring cells."""

    words: str
    """What is said of a region, with {} where its value or values stand."""
    cells: Codes
    values: Sequence[Any]
    ordered: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """The cells from `first` to before `last` of a reading, and how far they raise the odds of a class."""

    reading: _Reading
    first: int
    last: int
    code: int
    odds: float

    @property
    def mask(self) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = (self.reading.cells >= self.first) & (self.reading.cells < self.last)
        return held


def _leak(
    column: Column, rows: pd.DataFrame, codes: Codes, labels: Sequence[str], places: NDArray[np.int64]
) -> Leak | None:
    """The region of the column that tells most, if one tells too much."""
    sizes = np.bincount(codes, minlength=len(labels))
    regions = [region for reading in _readings(column, rows) for region in _telling(reading, codes, sizes)]
    if not regions:
        return None
    best = max(regions, key=lambda region: region.odds)
    mask, of_class = best.mask, codes == best.code
    hits, held, label = int((mask & of_class).sum()), int(mask.sum()), labels[best.code]
    said = (
        f"column {column.name!r}: where it {_describe(best)}, {hits:,} of {held:,} rows are {label!r}, "
        f"of all rows {of_class.mean():.1%} are; that is {hits / sizes[best.code]:.0%} of {label!r}"
    )
    shown = places[np.flatnonzero(mask & of_class)[:3]]
    return Leak(column.name, label, said, tuple(int(place) for place in shown))


def _telling(reading: _Reading, codes: Codes, sizes: Codes) -> Iterator[_Region]:
    """Of each class the region that raises its odds most, where it does so by ODDS."""
    held, number = reading.cells >= 0, int(reading.cells.max(initial=-1)) + 1
    by_cell = np.zeros((number, len(sizes)))
    np.add.at(by_cell, (reading.cells[held], codes[held]), 1)
    first, last = np.triu_indices(number + 1, 1) if reading.ordered else (np.arange(number), np.arange(number) + 1)
    sums = np.vstack([np.zeros(len(sizes)), by_cell.cumsum(axis=0)])
    counts = sums[last] - sums[first]
    near = sums[np.minimum(2 * last - first, number)] - sums[np.maximum(2 * first - last, 0)] - counts
    for code in np.flatnonzero((sizes >= LEAST_CLASS_ROWS) & (sizes < sizes.sum())):
        hits, rows = counts[:, code], counts.sum(axis=1)
        share = hits / np.maximum(rows, 1)
        surely = np.minimum(wilson(share, rows.astype(np.int64), LEVEL)[0], 1 - 1e-12)
        before = np.full(len(rows), sizes[code] / (sizes.sum() - sizes[code]))
        if reading.ordered and not _ranks_alone(by_cell, int(code)):
            before = np.maximum(before, (near[:, code] + 0.5) / (near.sum(axis=1) - near[:, code] + 0.5))
        odds = np.where((share >= PURITY) & (hits >= LEAST_SHARE * sizes[code]), surely / (1 - surely) / before, 0.0)
        if odds.max(initial=0.0) >= ODDS:
            best = int(odds.argmax())
            yield _Region(reading, int(first[best]), int(last[best]), int(code), float(odds[best]))


def _ranks_alone(by_cell: Numbers, code: int) -> bool:
    """Whether the order of the cells ranks the class nearly without an error, one way or the other."""
    mine, others = by_cell[:, code], by_cell.sum(axis=1) - by_cell[:, code]
    pairs = mine.sum() * others.sum()
    below = others.cumsum() - others / 2
    return bool(pairs) and abs(float(mine @ below) / pairs - 0.5) >= NEARLY_ALL - 0.5


def _readings(column: Column, rows: pd.DataFrame) -> Iterator[_Reading]:
    values = _values(column, rows)
    missing = values.isna().to_numpy()
    yield _Reading("is {}", missing.astype(np.int64), ("given", "missing"))
    if values.dtype == object:
        yield _by_value("is {}", values)
        if values.nunique() > MANY_VALUES:
            yield from _by_writing(values.astype("str"))
        return
    numbers = values.to_numpy(dtype=float)
    yield from _intervals("lies from {} to {}", numbers, rows[column.name] if column.kind == "moment" else values)
    if column.kind != "moment":
        yield _by_value("is {}", values)
        yield _by_value("has {} decimals", _decimals(numbers))


def _by_writing(texts: pd.Series) -> Iterator[_Reading]:
    yield _by_value("has {} characters", texts.str.len())
    yield _by_value("begins with {}", texts.str[:1])
    yield _by_value("begins with {}", texts.str[:3])
    yield _by_value("ends with {}", texts.str[-1:])
    numbers = pd.to_numeric(texts.str.extract(r"(\d{1,15})", expand=False), errors="coerce").astype(float)
    yield from _intervals("holds a number from {} to {}", numbers.to_numpy(), numbers)


def _intervals(words: str, numbers: Numbers, shown: pd.Series) -> Iterator[_Reading]:
    for side in ("left", "right"):  # a bound belongs to the interval below it, or to that above
        yield _Reading(words, _binned(numbers, side), list(shown), ordered=True)


def _values(column: Column, rows: pd.DataFrame) -> pd.Series:
    """Numbers as float64, moments as seconds, anything else as text."""
    if column.name == ORDER:
        return pd.Series(np.arange(len(rows)), dtype=float)
    if column.kind == "moment":
        moments = pd.to_datetime(rows[column.name], utc=True, errors="coerce", format="mixed")
        seconds = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        return seconds.astype(float)
    if column.kind == "text":
        return as_table(rows, [Column(column.name, "category")])[column.name]
    return as_table(rows, [column])[column.name]


def _by_value(words: str, values: pd.Series) -> _Reading:
    codes, found = pd.factorize(values)
    frequent = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(found)), kind="stable")[:VALUES]
    kept = np.full(len(found) + 1, -1)
    kept[frequent] = np.arange(len(frequent))
    return _Reading(words, kept[codes].astype(np.int64), [found[place] for place in frequent])


def _binned(numbers: Numbers, side: Any) -> Codes:
    known = np.isfinite(numbers)
    if not known.any():
        return np.full(len(numbers), -1, dtype=np.int64)
    edges = np.quantile(numbers[known], np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf")
    cells = np.searchsorted(np.unique(edges), np.where(known, numbers, 0.0), side=side)
    return np.where(known, cells, -1).astype(np.int64)


def _decimals(numbers: Numbers) -> pd.Series:
    """With how many decimals each is written, up to DECIMALS."""
    written = np.full(len(numbers), float(DECIMALS))
    for digits in reversed(range(DECIMALS)):
        written[np.isclose(numbers, np.round(numbers, digits), rtol=0, atol=1e-9)] = digits
    return pd.Series(np.where(np.isfinite(numbers), written, np.nan))


def _describe(region: _Region) -> str:
    values = region.reading.values
    if not region.reading.ordered:
        return region.reading.words.format(_plain(values[region.first]))
    inside = [values[int(place)] for place in np.flatnonzero(region.mask)]
    return region.reading.words.format(_plain(min(inside)), _plain(max(inside)))


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
