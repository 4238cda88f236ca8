"""How well the parts of the rows are answered, and whether any of them is answered worse than before.

Pure. Owns what a part is worth, and when a fall is no chance. A part is whatever rows have in common: a tenth of the
truth, a value of a column. Must not know what is measured of a row, models or the gate.

Each row has one number, and a part that of its rows on average. Intervals are percentiles of a bootstrap over groups.
Of many parts one falls by chance; so the bounds of changes share the error among all parts that are compared
(Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.answers import read_numbers, same_rows
from flows.core.bootstrap import LEVEL, SEED
from flows.core.groups import Groups
from flows.core.resampling import draw_observations

Numbers: TypeAlias = NDArray[np.float64]

LEAST_OBSERVATIONS = 30
"""A part of fewer is told and decides nothing."""
NAMED = 3
RESAMPLES = 2_000
COLUMNS = ("kind", "part", "rows", "decides", "value", "low", "high")
"""Of a table of parts; beside a rival also rival, change, change_low and change_high."""


@dataclass(frozen=True, slots=True)
class Falls:
    """The parts that are answered worse, beyond a limit and beyond chance; `said` is the sentence for people."""

    refused: bool
    said: str


def measure(
    mine: Any,
    parts: pd.DataFrame,
    *,
    theirs: Any = None,
    groups: Groups | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> pd.DataFrame:
    """One row for each value of each column of `parts`, in their order, with COLUMNS.

    `mine` is a number of each row, `theirs` that of a rival on the same rows; `change` is what mine has more on
    average, its bounds those at `level` for all parts at once. A row without a value is of no part. Raises ValueError
    where a number is missing, or where all rows are of one group.
    """
    same_rows(mine=mine, parts=parts)
    values = [read_numbers("mine", mine)]
    if theirs is not None:
        same_rows(mine=mine, theirs=theirs)
        values.append(read_numbers("theirs", theirs))
    members = np.arange(len(parts)) if groups is None else groups
    tables = [_Part.of(str(name), parts[name], members) for name in parts.columns]
    tables = [each for each in tables if each.names]
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS)).astype({"decides": bool})
    decisive = sum(int(each.decides.sum()) for each in tables)
    drawn = list(draw_observations(len(parts), groups, resamples, seed))
    return pd.concat([_measured(each, values, drawn, level, max(decisive, 1)) for each in tables], ignore_index=True)


def worsened(table: pd.DataFrame, limit: float, *, higher_is_better: bool, what: str) -> Falls:
    """Whether a part that decides is worse by more than the share `limit` (0 to 1) of what the rival reaches there.

    `table` is one of `measure` beside a rival, `what` names the number. Only what is surely worse counts: the bound of
    the change on the good side.
    """
    sign = 1 if higher_is_better else -1
    known = table[table["decides"]]
    fall, allowed = -sign * known["change"], limit * known["rival"].abs()
    surely = -known["change_high"] if higher_is_better else known["change_low"]
    known = known.assign(fall=fall / known["rival"].abs().clip(lower=1e-12))
    worse = known[(fall > allowed) & (surely > 0)]
    if worse.empty:
        return Falls(refused=False, said=f"{what} is nowhere worse by more than {limit:.0%} beyond chance")
    named = worse.sort_values("fall", ascending=False, kind="stable").head(NAMED)
    listed = ", ".join(f"{row.kind} {row.part} from {row.rival:.4g} to {row.value:.4g}" for row in named.itertuples())
    more = f" and {len(worse) - NAMED} more" if len(worse) > NAMED else ""
    return Falls(refused=True, said=f"{what} is worse by more than {limit:.0%} and no chance: {listed}{more}")


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The values of one column by their places, -1 where a row has none; `decides` tells which are large enough."""

    kind: str
    names: list[str]
    codes: NDArray[np.int64]
    rows: NDArray[np.int64]
    decides: NDArray[np.bool_]

    @classmethod
    def of(cls, kind: str, column: pd.Series, members: Groups) -> _Part:
        ordered = column.astype("category").cat.remove_unused_categories()
        codes = ordered.cat.codes.to_numpy(dtype=np.int64)
        held, size = codes >= 0, len(ordered.cat.categories)
        pairs = np.unique(np.stack([codes[held], members[held]]), axis=1)[0]
        decides = np.bincount(pairs, minlength=size) >= LEAST_OBSERVATIONS
        return cls(
            kind,
            [str(name) for name in ordered.cat.categories],
            codes,
            np.bincount(codes[held], minlength=size),
            decides,
        )

    def means(self, values: Numbers, counts: NDArray[np.int64]) -> Numbers:
        """The mean of each part where each row counts so often; NaN for a part without any."""
        held = self.codes >= 0
        weights = counts[held].astype(float)
        sums, rows = (
            np.bincount(self.codes[held], weights=each, minlength=len(self.names))
            for each in (weights * values[held], weights)
        )
        means: Numbers = np.divide(sums, rows, out=np.full(len(sums), np.nan), where=rows > 0)
        return means


def _measured(
    part: _Part, values: list[Numbers], drawn: list[NDArray[np.int64]], level: float, decisive: int
) -> pd.DataFrame:
    whole = [part.means(each, np.ones(len(each), dtype=np.int64)) for each in values]
    spreads = [np.array([part.means(each, counts) for counts in drawn]) for each in values]
    low, high = _bounds(spreads[0], level)
    table = pd.DataFrame(
        {
            "kind": part.kind.replace("_", " "),
            "part": part.names,
            "rows": part.rows,
            "decides": part.decides,
            "value": whole[0],
            "low": low,
            "high": high,
        }
    )
    if len(values) == 1:
        return table
    below, above = _bounds(spreads[0] - spreads[1], 1 - (1 - level) / decisive)
    return table.assign(rival=whole[1], change=whole[0] - whole[1], change_low=below, change_high=above)


def _bounds(spread: Numbers, level: float) -> Iterator[Numbers]:
    """The lower and the upper bound by part; a part that few resamples hold has those of these few."""
    yield from np.nanquantile(spread, [(1 - level) / 2, (1 + level) / 2], axis=0)
