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

    def __post_init__(self) -> None:
        if taken := sorted({column.name for column in self.columns} & TAKEN):
            names = ", ".join(taken)
            raise ValueError(f"columns of table {self.table!r} need other names than {names}: these are taken")

    @property
    def noun(self) -> str:
        """What people call its rows."""
        return self.table

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns of the table: those that are declared."""
        return self.columns

    @property
    def has_outcomes(self) -> bool:
        """Whether something becomes of its rows that is known later."""
        return bool(self.outcomes)

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
    """So many days may lie between a bar and the next one, or the end of the period that is cut."""

    @property
    def stored(self) -> tuple[Column, ...]:
        """BARS."""
        return BARS

    @property
    def has_outcomes(self) -> bool:
        """Each bar but the last has one."""
        return True
