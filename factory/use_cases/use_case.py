"""What a use case declares; everything that differs between use cases is said here and nowhere else.

The bounds hold for what a person sets in a file (`factory.use_cases.own`); code that builds one is not checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from factory.use_cases.clock import WEEKS, Clock, Week
from factory.use_cases.metrics import Metric
from factory.use_cases.sources import Entities, Series, Texts
from factory.use_cases.split import FROZEN_SHARE, Chronological, Split
from factory.use_cases.tasks import Binary, Multiclass, Task


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"named twice: {', '.join(twice)}")
    return names


_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Word: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, to_lower=True)]


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must show before it becomes champion, by the metric that decides (0 to 1) and by guards.

    Classes are those of a task of several, groups the values of columns that are declared sensitive.
    """

    __pydantic_config__ = _STRICT

    floor: Share = 0.75
    """Below this value of the metric nobody is promoted, whether there is a champion or not."""
    margin: Share = 0.0
    """The gain over the champion that must be exceeded."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """How sure a gain or a fall of classes must be: the chance (0 to 1) that mere luck does not look like it."""
    largest_class_fall: Share = 0.10
    """No class's F1 may fall by more, unless the fall may be chance (`flows.core.falls` says how that is told)."""
    largest_macro_fall: Share = 0.01
    """Nor may macro F1, which sees what happens to many small classes together."""
    largest_group_difference: Share = 1.0
    """By how much the shares of two groups that are selected may differ, beyond what may be chance; 1 asks nothing."""
    largest_calibration_error: Share = 1.0
    """How far probabilities may be from the truth on average, beyond what may be chance; 1 asks nothing."""
    largest_part_fall: Share = 1.0
    """No part of the rows may be answered worse than by the champion by more than this share of what that reaches
    there, beyond what may be chance: mean errors of a regression, precision of neighbours; 1 asks nothing."""
    smallest_cluster: Share = 0.0
    """The share of the rows that every cluster must hold at least."""
    least_recall: Share = 0.0
    """The share of the nearest neighbours that must be found, beyond what may be chance."""
    largest_test_change: Share = 0.02
    """The share of the frozen test rows that may stand otherwise in the catalogue today; else nobody is judged."""
    largest_size_bytes: Annotated[int, Field(gt=0, le=10**15)] = 250 * 10**6
    slowest_prediction_ms: Annotated[float, Field(gt=0, le=10**7)] = 100.0
    """The 95th percentile of one row's prediction in a process that serves the model."""
    largest_memory_bytes: Annotated[int, Field(gt=0, le=10**15)] = 1_500 * 10**6
    """Resident memory of a process that serves the model, Python and libraries included."""
    approval: bool = False
    """Whether a person has to approve besides; the setting PROMOTION_APPROVAL asks for it too."""
    approval_hours: Annotated[float, Field(gt=0, le=24 * 366)] = 72.0
    """An approval that was not given after so many hours counts as refused: the next week must not wait for ever."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a check for drift looks back, in periods of the clock: at the last ones, and at those before them.

    A window of months holds whole ones. Where nothing is said, MIN_SAMPLES_FOR_DRIFT predictions are needed, and a
    drift episode has one retraining in RETRAIN_COOLDOWN_DAYS.
    """

    current_periods: float = 1
    before_periods: float = 4
    min_samples: int | None = None
    cooldown_periods: float | None = None


class CutTasks(NamedTuple):
    """What the DAG's tasks are called that cut a period's data and check it."""

    cut: str
    check: str


@dataclass(frozen=True, slots=True)
class Model:
    """One of the models that are trained from a use case's snapshots.

    `name` is that of the registered model and of its experiment; no other model of any use case bears it.
    """

    name: str
    task: Task
    gate: Gate = Gate()
    candidates: Annotated[tuple[Word, ...], AfterValidator(_each_once)] = ()
    """Names of the candidates that a training compares where it names none itself; empty for all."""
    features: tuple[str, ...] = ()
    """The columns of a table that it learns from; empty for all features but its target."""
    title: str = ""
    """What people call it beside the other models of its use case."""

    @property
    def metric(self) -> Metric:
        """The one that decides."""
        return self.task.metrics[0]


@dataclass(frozen=True, slots=True)
class UseCase:
    """`near_duplicate_alarm` is the share of test rows (0 to 1) that may nearly equal a training row without a word."""

    name: str
    title: Text
    dag_id: str
    source: Texts | Entities
    models: tuple[Model, ...]
    clock: Clock = WEEKS
    split: Split = FROZEN_SHARE
    near_duplicate_alarm: Share = 1.0
    min_class_rows: Annotated[int, Field(ge=2, le=10**6)] = 2
    """A training needs at least so many rows of every class of the week."""
    expected_words: tuple[Word, ...] = ()
    """Words that may give their class away, as they do so in reality too; any other such word fails a training."""
    label_conflict_alarm: Share = 0.01
    """The share of a week's rows (0 to 1) whose text may bear another class elsewhere; beyond it a person decides."""
    encoding_alarm: Share = 0.01
    """The share of a week's rows (0 to 1) that may have been read in a wrong encoding; beyond it a person decides."""
    schedule: Text = ""
    """When the DAG runs: cron, in UTC, or "none"; where nothing is said, when a period of the clock is due.

    AIRFLOW_SCHEDULE stands before it.
    """
    watch_schedule: str = ""
    """When Prefect looks for drift besides, by cron in UTC; where nothing is said the DAG's own look is all."""
    drift: Drift = Drift()
    demo_begins: str = ""
    """The first period that a demo runs, as the clock writes it; the first of all where nothing is said."""
    demo_periods: int = 3
    """How many periods a demo runs: fewer where each takes several models."""
    purpose: str = ""
    """What its models are for, and what they are not for: for the model card."""
    limits: tuple[Text, ...] = ()
    """What a reader of the model card must know; one sentence each."""

    def __post_init__(self) -> None:
        if not self.schedule:
            object.__setattr__(self, "schedule", self.clock.cron)
        if self.rolling and not isinstance(self.source, Entities):
            raise ValueError(f"{self.name}: texts bear no moment by which a test set could roll on; freeze a share")
        if isinstance(self.source, Entities) and self.source.asked and isinstance(self.clock, Week):
            raise ValueError(f"{self.name}: every month or day can be asked about; where weeks begin a setting says")
        columns = {column.name for column in self.source.columns} if isinstance(self.source, Entities) else set()
        for model in self.models:
            if strange := sorted(set(model.features) - columns):
                raise ValueError(f"{model.name} learns from {', '.join(strange)}, which {self.name} does not declare")

    @property
    def rolling(self) -> Chronological | None:
        """The split, where the test set rolls on with the clock."""
        return self.split if isinstance(self.split, Chronological) else None

    @property
    def tasks(self) -> CutTasks:
        """Those of weeks bear the names by which people know them."""
        return CutTasks("cut_week", "check_week") if isinstance(self.clock, Week) else CutTasks("cut", "check")

    @property
    def outcome(self) -> str:
        """What becomes of an entity, and is known later: the target that is no column of its table; empty for none."""
        columns = {column.name for column in self.entities.columns}
        targets = (model.task.target for model in self.models)
        return next((target for target in targets if target and target not in columns), "")

    @property
    def entities(self) -> Entities:
        """The table that rows come from; raises TypeError for a use case of texts."""
        if isinstance(self.source, Entities):
            return self.source
        raise TypeError(f"{self.name} is made of texts, not of a table's entities")

    @property
    def series(self) -> Series:
        """The series that rows come from; raises TypeError for a use case of anything else."""
        if isinstance(self.source, Series):
            return self.source
        raise TypeError(f"{self.name} is no series of bars")


@dataclass(frozen=True, slots=True)
class Declared:
    """One model, with the use case that it belongs to."""

    use_case: UseCase
    model: Model

    @property
    def name(self) -> str:
        """The registered model's name, by which everything that is recorded of the model is found."""
        return self.model.name

    @property
    def alone(self) -> bool:
        """Whether its use case has no other model."""
        return len(self.use_case.models) == 1

    @property
    def title(self) -> str:
        """What people call it."""
        return self.use_case.title if self.alone else f"{self.use_case.title}: {self.model.title or self.name}"

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of those that a training may compare; classes of a table have those of a table."""
        task = self.model.task
        if isinstance(task, Multiclass) and isinstance(self.use_case.source, Entities):
            return Binary.candidates
        return task.candidates

    @property
    def options(self) -> str:
        """How a command names it."""
        return f"--use-case {self.use_case.name}" + ("" if self.alone else f" --model {self.name}")

    @property
    def parameter(self) -> str | None:
        """What a run is given for `model` beside the use case; None where that says it all."""
        return None if self.alone else self.name

    @property
    def source(self) -> Texts | Entities:
        """Where its rows come from; of a table's columns those alone are features, and watched, that it learns from."""
        source, task = self.use_case.source, self.model.task
        if not isinstance(source, Entities):
            return source
        wanted = self.model.features or tuple(column.name for column in source.features if column.name != task.target)
        return replace(
            source,
            columns=tuple(replace(column, feature=column.name in wanted) for column in source.columns),
            drift_columns=tuple(name for name in source.drift_columns if name in wanted),
        )
