"""The factory's contracts: what the weekly DAG hands to each Prefect deployment, and what comes back.

Both environments import them, so that a parameter or a result has one definition. Field names are those of the flows'
own arguments. Every result tells its facts, reservations and news (`bridge.contracts.Reportable`). What may change a
champion is declared with what it takes, for all who start it. Everything is importable from here; a task that an
earlier version left waiting has stored its result's model as `factory.contracts:<name>`.
"""

from factory.contracts.acquisition import AcquisitionParams, ReferenceParams, ReferenceResult
from factory.contracts.base import (
    AtLeastOne,
    AtLeastTwo,
    Candidate,
    Count,
    MonthName,
    Names,
    Params,
    Period,
    Positive,
    Share,
    TableName,
    WeekNumber,
)
from factory.contracts.datasets import DatasetRef, FileRef, TestSpan
from factory.contracts.deployments import (
    acquisition,
    may_promote,
    monitor,
    params_of,
    promotion,
    reference_data,
    score,
    training,
)
from factory.contracts.models import ModelsResult
from factory.contracts.monitoring import (
    AlertLevel,
    ColumnDrift,
    DriftLevel,
    LiveQuality,
    MonitorParams,
    MonitorResult,
    Trend,
    told_trend,
)
from factory.contracts.promotions import GateCheck, PromotionParams, PromotionResult
from factory.contracts.scoring import ScoreParams, ScoreResult
from factory.contracts.told_tests import looked_at
from factory.contracts.trainings import CandidateScore, TrainingParams, TrainingResult

__all__ = [
    "AcquisitionParams",
    "AlertLevel",
    "AtLeastOne",
    "AtLeastTwo",
    "Candidate",
    "CandidateScore",
    "ColumnDrift",
    "Count",
    "DatasetRef",
    "DriftLevel",
    "FileRef",
    "GateCheck",
    "LiveQuality",
    "ModelsResult",
    "MonitorParams",
    "MonitorResult",
    "MonthName",
    "Names",
    "Params",
    "Period",
    "Positive",
    "PromotionParams",
    "PromotionResult",
    "ReferenceParams",
    "ReferenceResult",
    "ScoreParams",
    "ScoreResult",
    "Share",
    "TableName",
    "TestSpan",
    "TrainingParams",
    "TrainingResult",
    "Trend",
    "WeekNumber",
    "acquisition",
    "looked_at",
    "may_promote",
    "monitor",
    "params_of",
    "promotion",
    "reference_data",
    "score",
    "told_trend",
    "training",
]
