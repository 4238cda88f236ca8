"""Where a use case's rows come from, and how they are read as of a moment."""

from __future__ import annotations

from dataclasses import dataclass

from factory.use_cases.columns import Column, Derived, Product

TAKEN = frozenset(
    {
        *("entity_id", "moment", "group", "side", "arrived", "target", "period"),
        *("prediction", "score", "nearest", "label"),
        *("prediction_id", "model_version", "timestamp", "scored_at", "use_case", "model", "snapshot"),
    }
)
"""What snapshots, answers and the log of predictions say of a row besides the columns of its table."""


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
class Sample:
    """Rows to begin with: what the function `read` of a module gives, asked for `name`, as a file would hold them.

    One that has several tables, or their history, gives them as the catalogue takes them (`factory.sources.tables`).

    `key` is their column of the id, the source's own where nothing is said. `simulated` says that they are not real.
    """

    module: str
    name: str
    key: str = ""
    simulated: bool = False

    @property
    def origin(self) -> str:
        """Where rows come from, as it stands beside them and is told."""
        return f"simulated {self.name}, not real" if self.simulated else f"the sample {self.name}"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one value of `column` are one observation, and stand on one side of the split.

    Where a `separator` parts several values, the first is the group; a row whose values lie on both sides is on none.
    """

    column: str
    separator: str = ""

    def members(self, value: str) -> list[str]:
        """The values that it holds."""
        parts = value.split(self.separator) if self.separator else [value]
        return [part.strip() for part in parts if part.strip()] or [value]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Another table with history, some of whose columns stand beside an entity's, as they were at the same moment.

    A row of it is found by its `key`, which the entity's own column of that name bears; `columns` are names of columns
    that the source declares. Without a row of that key they have no value.
    """

    table: str
    key: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EveryPeriod:
    """An entity is asked about anew at the end of every period in which it still waits.

    It waits as long as its `column` has one of the values `waiting`, and the answer is yes where that `becomes` the
    value named here within the next `within` periods, else no. Each of its periods is a row with an id of its own.
    """

    column: str
    waiting: tuple[str, ...]
    becomes: str
    within: int = 1


@dataclass(frozen=True, slots=True)
class Entities:
    """A table with the history of its entities: a snapshot shows each as it was at its moment.

    `table` holds a row for each state (`key`, `changed_at` and the columns), `outcomes` what became of an entity and
    since when that is known; without such a table everything that is learned stands in the columns. `label_delay_days`
    lie between the state that is judged and its outcome's becoming known: a state that is newer is no training data for
    it. `sample` is loaded where nothing else is.
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
    sample: Sample | None = None
    group: Group | None = None
    """What makes rows one observation; where nothing is said each is for itself."""
    first_counts: bool = False
    """Whether a file may name an entity again, of which the first row counts; else that is an error."""
    folder: str = ""
    """The module that reads a folder of files in a layout of its own, with a function `read_folder`."""
    lookups: tuple[Lookup, ...] = ()
    asked: EveryPeriod | None = None
    """Where what becomes of an entity is read off its own history, period by period, in the place of `outcomes`."""

    def __post_init__(self) -> None:
        if taken := sorted({column.name for column in self.columns} & TAKEN):
            names = ", ".join(taken)
            raise ValueError(f"columns of table {self.table!r} need other names than {names}: these are taken")
        declared = {column.name for column in self.columns}
        looked_up = [name for lookup in self.lookups for name in lookup.columns]
        named = [*looked_up, *(each.key for each in self.lookups), *([self.asked.column] if self.asked else [])]
        if unknown := sorted({*named, *([self.group.column] if self.group else [])} - declared):
            raise ValueError(f"{self.table} names {', '.join(unknown)}, which is no column that it declares")
        if self.asked and self.outcomes:
            raise ValueError(f"{self.table}: outcomes are read off its own history, or stand in a table, not both")

    @property
    def noun(self) -> str:
        """What people call its rows."""
        return self.table

    @property
    def has_outcomes(self) -> bool:
        """Whether it becomes known later what an entity came to."""
        return bool(self.outcomes or self.asked)

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns of its own table: those that are neither looked up in another one nor counted off."""
        elsewhere = {name for lookup in self.lookups for name in lookup.columns}
        return tuple(column for column in self.columns if not column.since and column.name not in elsewhere)

    @property
    def logged(self) -> tuple[Column, ...]:
        """What is kept of a row that is scored: its features, and the group where that is another column."""
        group = self.group.column if self.group else ""
        return tuple(column for column in self.columns if column.is_feature or column.name == group)

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that models learn from."""
        return tuple(column for column in self.columns if column.is_feature)

    @property
    def sensitive(self) -> tuple[Column, ...]:
        """The columns by whose values models are compared for fairness."""
        return tuple(column for column in self.columns if column.sensitive)


BARS = (
    Column("symbol", "category"),
    *(Column(name, "number", least=0) for name in ("open", "high", "low", "close", "volume")),
)
"""What is stored of a bar: its symbol, four prices in one currency, and what was traded in it, in any one unit."""


@dataclass(frozen=True, slots=True)
class Series(Entities):
    """Bars of a day, one after another: a snapshot shows each by what it and those before it tell.

    `table` holds BARS; `key` names a bar by its symbol and day. The declared columns are computed of the bars when a
    snapshot is cut. What becomes of a bar is whether the next one closes higher, yes or no: next is the one that
    follows, over however many days on which nothing was traded. The first bars of a symbol, whose past is too short for
    a column, are shown by none. A `sample` gives candles, as `factory.series.bars` takes them, with their `symbol`.
    """

    columns: tuple[Derived, ...] = ()
    longest_gap_days: int = 7
    """So many days without a bar are no reason to ask somebody, before the next one or the end of the period."""

    @property
    def stored(self) -> tuple[Column, ...]:
        """BARS."""
        return BARS

    @property
    def has_outcomes(self) -> bool:
        """Each bar but the last has one."""
        return True
