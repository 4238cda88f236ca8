"""What a use case declares of a table's columns: what they hold, what they may hold, and what is sensitive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "category", "number", "flag", "moment"]

YES, NO = "yes", "no"
"""How a flag is written, whichever way its source writes it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; a `number` lies between `least` and `most`, a `category` is one of `values` where given.

    A `nullable` column may lack a value, and may be missing from a source as a whole. Models are judged by a
    `sensitive` one, and learn from it only where `feature` says so.
    """

    name: str
    kind: Kind
    nullable: bool = False
    sensitive: bool = False
    feature: bool | None = None
    least: float | None = None
    most: float | None = None
    values: tuple[str, ...] = ()
    part_of: str = ""
    """The whole that a number is a part of: models see the sum of its parts beside them."""
    also: tuple[str, ...] = ()
    """Other names under which a file may have it."""
    since: str = ""
    """The days from the moment in the column of that name, or `changed_at`, to the moment at which a row is shown."""

    @property
    def is_feature(self) -> bool:
        """Whether models learn from it: where nothing is declared, unless it is sensitive."""
        return not self.sensitive if self.feature is None else self.feature


Measure = Literal["return", "volatility", "trend", "range", "place", "volume", "next return"]
"""What can be told of a bar by those before it and itself; only "next return" looks ahead, and is no feature.

`factory.series.measures` says how each is computed.
"""


@dataclass(frozen=True, slots=True)
class Derived(Column):
    """A number that is not stored but computed of a series: a `measure` over so many `bars`, the row's own the last."""

    measure: Measure = "return"
    bars: int = 1

    @property
    def is_feature(self) -> bool:
        """Whether models learn from it: what looks ahead never is."""
        return self.measure != "next return" and self.feature is not False


@dataclass(frozen=True, slots=True)
class Product:
    """A rule among columns: `whole` is the product of `factors`, give or take the share `within` (0 to 1) of it.

    Rows in which it holds otherwise may be the share `allowed` (0 to 1); those that lack one of the values say nothing.
    """

    whole: str
    factors: tuple[str, ...]
    within: float
    allowed: float = 0.0
