"""The factory's contracts: what the weekly DAG hands to each Prefect deployment, and what comes back.

Both environments import this module, so that a parameter or a result has one definition. Field names are those of the
flows' own arguments. Every result tells its facts, reservations and news (`bridge.contracts.Reportable`). All of them
stand here, though that makes the module long: a task that waits has stored its result's model as
`factory.contracts:<name>`. What may change a champion is declared with what it takes, for all who start it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from bridge.contracts import Deployment

DriftLevel = Literal["stable", "warning", "alert", "critical"]
"""How far a column moved, in ascending order: PSI from 0.1, 0.2 and 0.3 on, where a permutation test agrees."""

# The bounds that contracts and flows share: Prefect's schema holds them, so that every form refuses at the field.
WeekNumber: TypeAlias = Annotated[int, Field(ge=1)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
AtLeastOne: TypeAlias = Annotated[int, Field(ge=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
_KNOWN = ["naive-bayes-words", "sgd-words", "svm-words", "svm-words-balanced"]
_KNOWN += ["logistic-words", "sgd-characters", "svm-characters"]
Candidate: TypeAlias = Annotated[str, Field(examples=_KNOWN)]
"""The name of one that `flows.core.candidates` declares; a form offers the examples."""
Names: TypeAlias = Annotated[list[Candidate], Field(min_length=1)]


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class _Result(_Contract):
    """A result with nothing to tell but what it overrides."""

    def facts(self) -> dict[str, str]:
        return {}

    def reservations(self) -> list[str]:
        return []

    def news(self) -> list[str]:
        return []

    def links(self) -> dict[str, str]:
        return {}


class Params(_Contract):
    """What a flow takes, and what whoever starts it for somebody has to know of that."""

    without_promotion: ClassVar[Mapping[str, Any] | None] = MappingProxyType({})
    """What a run has to be given to change no champion; None where it always may."""
    people: ClassVar[frozenset[str]] = frozenset()
    """Fields that name who asked or decided: whoever knows who is logged in fills them in, and asks nobody."""
    often: ClassVar[tuple[str, ...]] = ()
    """The fields that a form shows at once; the others are rarely used."""

    @classmethod
    def may_promote(cls, given: Mapping[str, Any]) -> bool:
        """Whether a run with these parameters may change the champion."""
        if cls.without_promotion is None:
            return True
        taken = {name: given.get(name, cls.model_fields[name].default) for name in cls.without_promotion}
        return taken != cls.without_promotion


class FileRef(_Contract):
    """A Parquet file behind an fsspec URI; `sha256` is verified on every read."""

    uri: str
    sha256: str
    rows: int = Field(ge=0)


class DatasetRef(FileRef, _Result):
    """One week's snapshot: every product of the week, both sides of the split, and the frozen test set beside it.

    `rows` counts the whole week; `train_rows` those that may be trained on; `arrivals` those that are new this week.
    """

    use_case: str
    week: int = Field(ge=1)
    as_of: datetime
    revision: int = Field(default=1, ge=1)
    train_rows: int = Field(ge=0)
    arrivals: int = Field(ge=0)
    classes: int = Field(ge=0)
    test: FileRef
    test_version: str

    def facts(self) -> dict[str, str]:
        return {"Week": str(self.week), "Rows": f"{self.rows:,}", "Classes": str(self.classes)}


def looked_at(version: str, looks: int | None) -> str:
    """The test set and how often it was looked at, where that is known: `v2, looked at 7 times`."""
    return version if looks is None else f"{version}, looked at {'once' if looks == 1 else f'{looks:,} times'}"


def _test_fact(version: str, looks: int | None) -> dict[str, str]:
    return {} if looks is None else {"Test set": looked_at(version, looks)}


def _test_news(remarks: Iterable[str]) -> list[str]:
    """What stops nothing asks for nobody: beyond its limit the gate fails instead."""
    return [f"Test set: {said}" for said in remarks]


class TrainingParams(Params):
    """Without `dataset` the flow takes that of `dataset_run_id`, else the snapshot of `week_number`, else the newest.

    `max_features` or `C` fix a logistic regression with these settings; without them the `candidates` (all, when none
    are named) are compared on the training rows. `search_trials` other settings of the best one are tried, for at most
    `search_seconds`.
    """

    without_promotion: ClassVar[Mapping[str, Any] | None] = MappingProxyType({"auto_promote_threshold": None})
    often: ClassVar[tuple[str, ...]] = ("week_number", "candidates", "auto_promote_threshold")

    use_case: str = "products"
    dataset: DatasetRef | None = None
    dataset_run_id: str | None = None
    week_number: WeekNumber | None = None
    max_features: AtLeastOne | None = None
    C: Positive | None = None
    auto_promote_threshold: Share | None = 0.75
    candidates: Names | None = None
    search_trials: Count = 0
    search_seconds: Positive | None = None


class CandidateScore(_Contract):
    """Weighted F1 of a candidate by cross-validation on training rows, with its 95 % interval, and the time it took."""

    f1_weighted: float
    low: float
    high: float
    seconds: float


class TrainingResult(_Result):
    """`metrics` holds f1_weighted, f1_macro and accuracy on the frozen test set, `intervals` the 95 % interval of each;
    `dataset_run_id` is the MLflow run that logged the dataset; `promotion_decided` tells whether this run decided on
    the promotion at all. `candidate` is the one that was chosen by `cv_scores`."""

    run_id: str
    metrics: dict[str, float]
    promoted: bool
    promotion_decided: bool
    dataset_run_id: str
    week_number: int
    use_case: str
    model_version: str
    reason: str
    mlflow_url: str | None = None
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    candidate: str = ""
    cv_scores: dict[str, CandidateScore] = Field(default_factory=dict)
    failed_candidates: dict[str, str] = Field(default_factory=dict)
    card_url: str | None = None
    """The version's model card, where this run decided on the promotion."""
    test_version: str = ""
    test_looks: int | None = None
    """How often the test set was looked at, this time included; None where nobody counted."""
    test_remarks: tuple[str, ...] = ()
    """What has to be known of the test set beside the metrics: rows that are not as the catalogue has them, classes."""

    def facts(self) -> dict[str, str]:
        chosen = f" ({self.candidate})" if self.candidate else ""
        return {
            "Challenger": f"v{self.model_version}{chosen}",
            "Weighted F1": self._with_interval("f1_weighted"),
            "Macro F1": self._with_interval("f1_macro"),
            **_test_fact(self.test_version, self.test_looks),
        }

    def reservations(self) -> list[str]:
        return [f"Candidate {name} failed: {reason}" for name, reason in self.failed_candidates.items()]

    def news(self) -> list[str]:
        unpromoted = [f"Not promoted: {self.reason}"] if self.promotion_decided and not self.promoted else []
        return [*unpromoted, *_test_news(self.test_remarks)]

    def _with_interval(self, name: str) -> str:
        bounds = self.intervals.get(name)
        return f"{self.metrics[name]:.4f}" + (f" ({bounds[0]:.4f} to {bounds[1]:.4f})" if bounds else "")

    def links(self) -> dict[str, str]:
        known = {"MLflow": self.mlflow_url, "Model card": self.card_url}
        return {name: url for name, url in known.items() if url}


class PromotionParams(Params):
    """Without `model_version` the version under alias `challenger` is judged. `rollback` gives the alias back.

    `threshold` takes the place of the floor in the use case's gate. `approved_by` and `rejected_by` name the person
    who was asked, `requested_by` whoever starts the run by hand. A `rehearsal` judges and changes nothing.
    `champion` gives the title to a version without the gate, or with `none` to nobody: for a registry that was touched
    by hand.
    """

    without_promotion: ClassVar[Mapping[str, Any] | None] = None
    people: ClassVar[frozenset[str]] = frozenset({"approved_by", "rejected_by", "requested_by"})
    often: ClassVar[tuple[str, ...]] = ("model_version", "rehearsal")

    use_case: str = "products"
    model_version: str | None = None
    threshold: Share | None = None
    rollback: bool = False
    approved_by: str | None = None
    rejected_by: str | None = None
    requested_by: str | None = None
    rehearsal: bool = False
    champion: str | None = None


class GateCheck(_Contract):
    """One rule of the gate, whether the challenger met it, and the sentence that says so with its numbers."""

    rule: str
    passed: bool
    said: str


class PromotionResult(_Result):
    """One decision. Metrics are f1_weighted and f1_macro, both models on the same frozen test set.

    `rule` is the one that decided, `checks` are all that were made; `gain` is the challenger's over the champion in
    weighted F1, `gain_at_least` what it exceeds with the gate's confidence; both are None without a champion.
    """

    use_case: str
    promoted: bool
    reason: str
    rule: str
    challenger_version: str
    challenger_metrics: dict[str, float]
    champion_version: str | None
    """The champion after the decision."""
    previous_champion_version: str | None
    previous_champion_metrics: dict[str, float] | None
    threshold: float
    test_version: str
    test_rows: int
    rolled_back: bool = False
    rehearsal: bool = False
    checks: tuple[GateCheck, ...] = ()
    warnings: tuple[str, ...] = ()
    """What a person should know although it stopped nothing: classes that are lost wholly, by chance or not."""
    gain: float | None = None
    gain_at_least: float | None = None
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """By metric, the 95 % interval of the challenger's."""
    costs: dict[str, float] = Field(default_factory=dict)
    """size_bytes, memory_bytes and p95_ms of serving the challenger; empty where they were not measured."""
    approved_by: str | None = None
    rejected_by: str | None = None
    decided_by: str = ""
    mlflow_url: str | None = None
    card_url: str | None = None
    experiment_url: str | None = None
    """All trainings of the use case, in MLflow."""
    test_looks: int | None = None
    """How often the test set was looked at, this time included; None where nobody looked."""
    test_remarks: tuple[str, ...] = ()
    """What has to be known of the test set beside the metrics: rows that are not as the catalogue has them, classes."""

    def facts(self) -> dict[str, str]:
        champion = f"v{self.champion_version}" if self.champion_version else "none"
        return {"Champion": champion, **_test_fact(self.test_version, self.test_looks)}

    def reservations(self) -> list[str]:
        if self.rolled_back:
            return [f"Champion {self.reason}"]
        warned = [f"Promoted, but classes are {said}" for said in self.warnings] if self.promoted else []
        return [*warned, *(self._unpromoted() if self._asks_for_somebody() else [])]

    def news(self) -> list[str]:
        remarks = _test_news(self.test_remarks)
        return remarks if self._asks_for_somebody() else [*self._unpromoted(), *remarks]

    def _asks_for_somebody(self) -> bool:
        """A champion that is kept asks for nobody; none at all does, and so does an approval that nobody gave."""
        return self.champion_version is None or (self.rule == "approval" and self.rejected_by is None)

    def _unpromoted(self) -> list[str]:
        return [] if self.promoted or self.rolled_back else [f"Not promoted: {self.reason}"]

    def links(self) -> dict[str, str]:
        return {"Model card": self.card_url} if self.card_url else {}


class ScoreParams(Params):
    """Without `dataset` the snapshot of `week_number` is scored, else the newest."""

    often: ClassVar[tuple[str, ...]] = ("week_number",)

    use_case: str = "products"
    dataset: DatasetRef | None = None
    week_number: WeekNumber | None = None


class ScoreResult(_Result):
    """`rows` counts the predictions that stand in the inference log for this week and this model version."""

    status: Literal["scored", "skipped"]
    reason: str
    use_case: str
    week_number: int
    rows: int
    model_version: str | None
    mean_confidence: float | None

    def facts(self) -> dict[str, str]:
        return {"Scored": f"{self.rows:,}"}

    def reservations(self) -> list[str]:
        return []

    def news(self) -> list[str]:
        return [f"Scoring skipped: {self.reason}"] if self.status == "skipped" else []


class MonitorParams(Params):
    """`as_of` ends the windows of 7 and 30 days; without it the newest logged prediction does."""

    without_promotion: ClassVar[Mapping[str, Any] | None] = None  # an alarm retrains, and that decides on a promotion
    often: ClassVar[tuple[str, ...]] = ("force_retrain", "as_of")

    use_case: str = "products"
    inference_log_path: str | None = None
    force_retrain: bool = False
    as_of: datetime | None = None


class ColumnDrift(_Contract):
    """How far one column moved in the last 7 days.

    `psi`, `chance_psi` (what it is on average without drift), `p_value` and `level` are against the version's
    predictions on the frozen test set; those named `recent_` against the 23 days before, None where there were too
    few. `drifted` tells of alert or critical in either. `missing` is the share (0 to 1) of rows without a value, a
    level of its own; `false_alarm_rate` how often the reference, its groups drawn anew, would stand at alert against
    itself by its PSI alone. Evidently's own test stands beside it and decides nothing.
    """

    psi: float
    chance_psi: float
    p_value: float
    level: DriftLevel
    drifted: bool
    missing: float = 0.0
    reference_missing: float = 0.0
    false_alarm_rate: float | None = None
    recent_psi: float | None = None
    recent_p_value: float | None = None
    recent_level: DriftLevel | None = None
    evidently_test: str | None = None
    evidently_score: float | None = None
    evidently_drifted: bool | None = None


class Trend(_Contract):
    """What moved most surely over the last weeks among the languages, the sources or the predicted classes.

    The share of `value` (0 to 1) went from `first` to `last` by a line through `weeks` weeks; `psi` is that of all
    values between both ends, `p_value` the chance of a move as sure where the order of the weeks means nothing.
    """

    value: str
    first: float
    last: float
    weeks: int
    psi: float
    p_value: float
    level: DriftLevel


def told_trend(name: str, trend: Trend) -> str:
    """The trend in words; empty where it is none."""
    if trend.level == "stable":
        return ""
    moved = f"from {trend.first:.0%} to {trend.last:.0%} in {trend.weeks} weeks"
    return f"{name} {trend.value or 'missing'!r} {moved} ({trend.level})"


class LiveQuality(_Contract):
    """Weighted F1 (0 to 1) of the last 30 days' predictions whose true class is known by now, with its 95 % interval,
    beside what the frozen test set promised; `labelled` counts the predictions."""

    f1_weighted: float
    low: float
    high: float
    labelled: int
    promised: float
    promised_low: float | None = None
    promised_high: float | None = None

    @property
    def below_promise(self) -> bool:
        """Whether the whole interval lies below what was promised."""
        return self.high < (self.promised if self.promised_low is None else self.promised_low)


class MonitorResult(_Result):
    """`drift_score` is the share of drifted columns, `level` that of the column which moved furthest.

    `drift_detected` is the alarm: a score above `threshold`, or a critical level. `samples` counts the predictions of
    7 days, of which `sampled` were looked at; a share among these is within `sampling_error` (0 to 1) of that among
    all, 19 times in 20. `retraining` says what became of it, in a sentence; `episode_since` when the alarms began.
    """

    status: Literal["ok", "drift", "skipped"]
    reason: str
    drift_detected: bool
    drift_score: float | None
    threshold: float
    retrained: bool
    drift_metrics: dict[str, ColumnDrift]
    retrain_result: dict[str, Any] | None
    notification: str
    use_case: str
    samples: int
    level: DriftLevel = "stable"
    model_version: str | None = None
    sampled: int = 0
    sampling_error: float = 0.0
    recent_samples: int = 0
    live: LiveQuality | None = None
    retraining: str | None = None
    episode_since: datetime | None = None
    slices: dict[str, ColumnDrift] = Field(default_factory=dict)
    """Parts of the whole: `language` and `source`, and by `class <name>` and `source <name>` how sure the model is.
    They count for `level` alone, as `trends` do."""
    trends: dict[str, Trend] = Field(default_factory=dict)
    """What slowly moved: by `language`, `source` and `predicted_class`, where there were looks in enough weeks."""
    report_url: str | None = None
    chart_url: str | None = None

    def facts(self) -> dict[str, str]:
        if self.drift_score is None:
            return {"Drift": "not measured"}
        columns = sorted(self.drift_metrics, key=lambda name: -self.drift_metrics[name].psi)[:4]
        said = {
            "Drift": f"{self.level}, score {self.drift_score:.2f} (alarm above {self.threshold:.2f} or when critical)",
            "PSI": ", ".join(f"{name} {self.drift_metrics[name].psi:.2f}" for name in columns),
        }
        rates = [
            column.false_alarm_rate for column in self.drift_metrics.values() if column.false_alarm_rate is not None
        ]
        if rates:
            said["Reference against itself"] = f"at alert by PSI alone in up to {max(rates):.0%} of draws"
        if slices := [f"{name} {found.level}" for name, found in self.slices.items() if found.level != "stable"]:
            said["Slices"] = ", ".join(slices)
        if trends := [told for name, found in self.trends.items() if (told := told_trend(name, found))]:
            said["Slowly"] = "; ".join(trends)
        if missing := [f"{name} {column.missing:.1%}" for name, column in self.drift_metrics.items() if column.missing]:
            said["Missing"] = ", ".join(missing)
        if live := self.live:
            said["Live F1"] = (
                f"{live.f1_weighted:.3f} ({live.low:.3f} to {live.high:.3f}), promised {live.promised:.3f}"
            )
        return said

    def reservations(self) -> list[str]:
        said = []
        if self.drift_detected or self.level != "stable":
            said.append(f"Drift: {self.reason}")
        if self.live and self.live.below_promise:
            live = self.live
            said.append(
                f"Live F1 {live.f1_weighted:.3f} over {live.labelled:,} labelled predictions is below the promised "
                f"{live.promised:.3f}"
            )
        return [*said, *self._retraining()] if said else []

    def news(self) -> list[str]:
        skipped = [f"Monitoring skipped: {self.reason}"] if self.status == "skipped" else []
        return [*skipped, *([] if self.reservations() else self._retraining())]

    def _retraining(self) -> list[str]:
        return [f"Retraining: {self.retraining}"] if self.retraining else []

    def links(self) -> dict[str, str]:
        card = ((self.retrain_result or {}).get("promotion") or {}).get("card_url")
        known = {"Drift report": self.report_url, "Drift by week": self.chart_url, "Model card": card}
        return {name: url for name, url in known.items() if url}


def score(use_case: str) -> Deployment[ScoreParams, ScoreResult]:
    """The deployment in which the standing champion predicts this week's arrivals."""
    return Deployment(f"score/{use_case}", ScoreParams, ScoreResult)


def training(use_case: str) -> Deployment[TrainingParams, TrainingResult]:
    """The deployment that trains a challenger."""
    return Deployment(f"training-pipeline/{use_case}", TrainingParams, TrainingResult)


def promotion(use_case: str) -> Deployment[PromotionParams, PromotionResult]:
    """The deployment that decides between challenger and champion."""
    return Deployment(f"promotion/{use_case}", PromotionParams, PromotionResult)


def monitor(use_case: str) -> Deployment[MonitorParams, MonitorResult]:
    """The deployment that watches for drift and retrains where there is reason and newer data."""
    return Deployment(f"monitor-and-retrain/{use_case}", MonitorParams, MonitorResult)


def params_of(deployment_name: str, takes: Iterable[str] = ()) -> type[Params] | None:
    """The contract of what that deployment runs, None where that is none of the factory's flows.

    It is known by its flow's name, whatever the deployment is called; under another name by what it `takes`, which is
    at least what the contract holds.
    """
    flow, fields = deployment_name.partition("/")[0], frozenset(takes)
    ours = {made.name.partition("/")[0]: made.params for made in (build("any") for build in _BUILDERS)}
    alike = (params for params in ours.values() if fields.issuperset(params.model_fields))
    return ours.get(flow) or next(alike, None)


def may_promote(deployment_name: str, given: Mapping[str, Any], takes: Iterable[str] = ()) -> bool:
    """Whether a run of that deployment with these parameters may change a champion.

    A run of which it is not known what it runs (the name is empty) may.
    """
    params = params_of(deployment_name, takes)
    return params.may_promote(given) if params else not deployment_name


_BUILDERS: tuple[Callable[[str], Deployment[Any, Any]], ...] = (promotion, training, monitor, score)
