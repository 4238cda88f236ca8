"""What every kind of task over a table's entities shares: which columns it looks at, leaks, equal rows, the search.

Pure. Knows no kind of task. Rows hold entity_id, group, target where there is one, and the columns that the source
declares.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import Column
from factory.use_cases.sources import Entities
from factory.use_cases.split import Chronological
from factory.use_cases.tasks import Task
from factory.use_cases.use_case import Gate
from flows.core import fairness, table_leakage, tables
from flows.core.answers import Numbers
from flows.core.bootstrap import Estimate
from flows.core.groups import Groups, join_groups
from flows.core.leakage import NearDuplicates
from flows.core.logic import Logic
from flows.core.policy import Check
from flows.core.selection import SELECTION_ROWS, AnyCandidate, Choice, Score, Validation, sample_groups
from flows.core.splits import Splits, group_splits, time_splits
from flows.core.table_explanation import (
    FEW_ORDERS,
    MANY_ROWS,
    SEED,
    TableExplanation,
    explain,
    mean_parts,
    typical_row,
)

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


PERIOD = "period"
"""The column with the number of the period of each row, where the test set rolls on."""


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """What candidates are compared on: the rows, the truth of each, its group, and the features that hold values."""

    rows: pd.DataFrame
    truth: Any
    groups: Groups
    columns: tuple[Column, ...]
    splits: Splits
    """Which rows are fitted on and which are answered then: by time where they are judged so, else by groups."""

    @property
    def answered(self) -> NDArray[np.int64]:
        """Places of the rows that are answered, in their order: by time, the oldest are learnt from alone."""
        return np.sort(np.concatenate([held for _, held in self.splits]))

    def groups_of(self, places: NDArray[np.int64]) -> Groups:
        """The groups of the rows in these places."""
        groups: Groups = np.unique(self.groups[places], return_inverse=True)[1]
        return groups


@dataclass(frozen=True, slots=True)
class EntityLogic(Logic):
    """What `flows.core.logic.Logic` asks and every kind over a table answers alike."""

    needs: ClassVar[tuple[str, ...]] = ("scikit-learn", "skops", "numpy", "pandas")
    trusted: ClassVar[tuple[str, ...]] = tables.TRUSTED
    details: ClassVar[tuple[str, ...]] = ()

    source: Entities
    task: Task
    use_case: str
    rolling: Chronological | None = None

    def recipe(self, settings: Mapping[str, Any]) -> AnyCandidate:
        raise ValueError(f"{', '.join(settings)} fix another kind of model: name candidates instead")

    def refuse_leaks(self, train: pd.DataFrame, test: pd.DataFrame, accepted: Collection[str]) -> None:
        told = self._told(train)
        if told is None:
            table_leakage.refuse_shared_keys(train, test)
            return
        table_leakage.refuse_leaks(
            train,
            test,
            told,
            self._features(train),
            accepted=accepted,
            groups=self._groups(train),
            use_case=self.use_case,
        )

    def near_duplicates(self, train: pd.DataFrame, test: pd.DataFrame) -> NearDuplicates:
        """The test rows whose features all equal those of a training row."""
        rows = table_leakage.equal_rows(train, test, self._features(train))
        return NearDuplicates(share=len(rows) / max(len(test), 1), pairs=(), rows=tuple(rows.tolist()))

    def slope(self, best: Score, validation: Validation) -> float:  # noqa: ARG002 - the fit calibrates
        return 1.0

    def parameters(self, choice: Choice) -> dict[str, Any]:  # noqa: ARG002 - its settings tell all
        return {}

    def explain(self, model: BaseEstimator, row: pd.DataFrame, reference: pd.DataFrame) -> TableExplanation:
        """What made the answer to the one row, beside a typical one of the `reference`, the rows that it was judged
        on."""
        columns, answer = self._known(model), self.answer(model, row).iloc[0]
        name, measure = self._measure(model, row)
        base, value, table = explain(measure, row, typical_row(reference, columns), columns)
        return TableExplanation(
            entity_id=str(row["entity_id"].iloc[0]),
            prediction=str(answer["prediction"]),
            score=float(answer["score"]),
            measure=name,
            value=value,
            base=base,
            columns=table,
        )

    def reasons(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        """What each column moves on average, of rows that are drawn at random, as `mean_parts` tells it."""
        columns, drawn = self._known(model), rows.sample(min(len(rows), MANY_ROWS), random_state=SEED)
        typical, explained = typical_row(rows, columns), []
        for place in range(len(drawn)):
            row = drawn.iloc[[place]]
            _, measure = self._measure(model, row)
            explained.append(explain(measure, row, typical, columns, orders=FEW_ORDERS)[2])
        return mean_parts(explained)

    def outcomes(self, model: BaseEstimator) -> frozenset[str]:  # noqa: ARG002 - it answers anything
        return frozenset()

    def classes(self, rows: pd.DataFrame) -> pd.Series:  # noqa: ARG002 - it has none
        return pd.Series(dtype=str)

    def _told(self, train: pd.DataFrame) -> pd.Series | None:  # noqa: ARG002 - the kinds of task tell
        """What no column may give away, a class a row; None where nothing is told of a row beforehand."""
        return None

    @abstractmethod
    def _measure(self, model: BaseEstimator, row: pd.DataFrame) -> tuple[str, Callable[[pd.DataFrame], Numbers]]:
        """The number by which the answer to that row is explained: its name, and how it is found for many rows."""

    def _groups(self, rows: pd.DataFrame) -> Groups:
        """Which rows are one observation: those of a block of time where the split declares blocks, else of a group.

        Blocks are drawn whole (Carlstein, The Use of Subseries Values, 1986): what a row owes to those before it stays.
        """
        if self.rolling and self.rolling.block_periods and PERIOD in rows.columns:
            return join_groups(rows[PERIOD] // self.rolling.block_periods)
        return join_groups(rows["group"])

    def _fold(self, train: pd.DataFrame, truth: Any, *, classes: bool) -> Folded:
        """The rows in folds of groups that bear the same shares of the truth; by time where the test set rolls on.

        Of more rows than are worth comparing on, whole groups of them.
        """
        groups, columns = self._groups(train), self._features(train)
        if self.rolling is None:
            kept = sample_groups(groups, SELECTION_ROWS)
            rows, told = train.iloc[kept].reset_index(drop=True), np.asarray(truth)[kept]
            groups = np.unique(groups[kept], return_inverse=True)[1]
            return Folded(rows, told, groups, columns, group_splits(told, groups, classes=classes))
        splits = time_splits(train[PERIOD], embargo=self.rolling.embargo_periods)
        if not splits:
            raise ValueError(
                f"{train['period'].nunique()} periods to train on are too few to compare candidates by time with "
                f"an embargo of {self.rolling.embargo_periods}: train on a later one"
            )
        return Folded(train, truth, groups, columns, splits)

    def _features(self, rows: pd.DataFrame) -> tuple[Column, ...]:
        """Those that hold any value, since a source may lack columns that are declared; never the target."""
        return tuple(column for column in self._declared() if rows[column.name].notna().any())

    def _known(self, model: BaseEstimator) -> list[Column]:
        """The features that the model was fitted on."""
        known = set(model.feature_names_in_)
        return [column for column in self._declared() if column.name in known]

    def _declared(self) -> tuple[Column, ...]:
        return tuple(column for column in self.source.features if column.name != self.task.target)

    def _attributes(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The sensitive columns that hold values, numbers in bands."""
        held = [column for column in self.source.sensitive if rows[column.name].notna().any()]
        return pd.DataFrame(
            {
                column.name: fairness.age_bands(rows[column.name]) if column.kind == "number" else rows[column.name]
                for column in held
            },
            index=rows.index,
        )

    def reference(self, rows: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
        """The answers as drift is measured against them: with the group and the features of each row."""
        features = rows[[column.name for column in self.source.features]].reset_index(drop=True)
        kept = answers[["prediction", "score"]].reset_index(drop=True)
        return kept.assign(group=rows["group"].to_numpy()).join(features)


def near_ids(rows: pd.DataFrame, near: Sequence[int]) -> tuple[str, ...]:
    """The ids of the rows in these places."""
    return tuple(rows["entity_id"].iloc[list(near)].astype(str))


def calibration_guard(error: Estimate, gate: Gate) -> tuple[Check, ...]:
    """Probabilities are as far from the truth as the gate allows, or chance explains the rest."""
    limit = gate.largest_calibration_error
    if limit >= 1:
        return ()
    passed = error.low <= limit
    said = (
        f"probabilities are {error.value:.3f} ({error.low:.3f} to {error.high:.3f}) from the truth on average, "
        f"{'within' if passed else 'above'} the limit of {limit:.2f}"
    )
    return (Check("calibration", passed=passed, said=said),)
