"""What a look at drift takes and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from factory.contracts.base import Contract, Measured, MonthName, OfModel, Params, Period
from factory.use_cases import clock_of
from factory.use_cases.metrics import declared

DriftLevel = Literal["stable", "warning", "alert", "critical"]
"""How far a column moved, in ascending order: PSI from 0.1, 0.2 and 0.3 on, where a permutation test agrees."""


AlertLevel = Literal["LOW", "MEDIUM", "HIGH"]
"""How urgent what moved is, by the share of drifted columns and by what happened to the answers."""


class MonitorParams(Params):
    """`as_of` ends the windows, whose lengths are the use case's, or the `current_month` does; without either the
    newest logged prediction. They are compared with rows of `reference_period`, else with the version's own test set.

    Of a use case with several models `model` names the one that is watched.
    """

    without_promotion: ClassVar[Mapping[str, Any] | None] = None  # an alarm retrains, and that decides on a promotion
    often: ClassVar[tuple[str, ...]] = ("force_retrain", "current_month", "reference_period", "as_of")
    periods: ClassVar[frozenset[str]] = frozenset({"reference_period"})

    use_case: str = "products"
    model: str | None = None
    inference_log_path: str | None = None
    force_retrain: bool = False
    as_of: datetime | None = None
    current_month: MonthName | None = None
    reference_period: Period | None = None


class ColumnDrift(Contract):
    """How far one column moved in the last window (of weeks: 7 days).

    `psi`, `chance_psi` (what it is on average without drift), `p_value` and `level` are against the version's
    predictions on the frozen test set; those named `recent_` against the window before, None where there were too
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


class Trend(Contract):
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


def told_trend(name: str, trend: Trend, nouns: str = "weeks") -> str:
    """The trend in words, over so many periods of that name; empty where it is none."""
    if trend.level == "stable":
        return ""
    moved = f"from {trend.first:.0%} to {trend.last:.0%} in {trend.weeks} {nouns}"
    return f"{name} {trend.value or 'missing'!r} {moved} ({trend.level})"


class LiveQuality(Measured):
    """The `metric` that decides, of both windows' predictions whose truth is known by now, with its 95 % interval,
    beside what the frozen test set promised; `labelled` counts the predictions."""

    low: float
    high: float
    labelled: int
    promised: float
    promised_low: float | None = None
    promised_high: float | None = None

    @property
    def title(self) -> str:
        """What people call the metric."""
        return next((metric.short or metric.title for metric in declared((self.metric,))), self.metric)

    @property
    def below_promise(self) -> bool:
        """Whether the whole interval lies below what was promised."""
        return self.high < (self.promised if self.promised_low is None else self.promised_low)


class MonitorResult(OfModel):
    """`drift_score` is the share of drifted columns, `level` that of the column which moved furthest.

    `drift_detected` is the alarm: a score above `threshold`, or a critical level. `samples` counts the predictions of
    the last window, of which `sampled` were looked at; a share among these is within `sampling_error` (0 to 1) of that
    among all, 19 times in 20. `retraining` says in a sentence what became of it, `episode_since` when the alarms began.
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
    samples: int
    level: DriftLevel = "stable"
    alert: AlertLevel | None = None
    """HIGH where half of the columns drifted or the answers critically, MEDIUM from a fifth on or where the answers
    did; LOW else, and None where nothing was measured."""
    reference_period: str | None = None
    """The period that was compared with, in the place of the test set."""
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
    """What slowly moved: by `language`, `source` and `prediction`, where there were looks in enough weeks."""
    report_url: str | None = None
    chart_url: str | None = None

    def facts(self) -> dict[str, str]:
        if self.drift_score is None:
            return {"Drift": "not measured"}
        nouns = clock_of(self.use_case).nouns
        columns = sorted(self.drift_metrics, key=lambda name: -self.drift_metrics[name].psi)[:4]
        compared = {"Compared with": self.reference_period} if self.reference_period else {}
        said = {
            **({"Alert": self.alert} if self.alert else {}),
            **compared,
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
        if trends := [told for name, found in self.trends.items() if (told := told_trend(name, found, nouns))]:
            said["Slowly"] = "; ".join(trends)
        if missing := [f"{name} {column.missing:.1%}" for name, column in self.drift_metrics.items() if column.missing]:
            said["Missing"] = ", ".join(missing)
        if live := self.live:
            said[f"Live {live.title}"] = (
                f"{live.value:.3f} ({live.low:.3f} to {live.high:.3f}), promised {live.promised:.3f}"
            )
        return said

    def reservations(self) -> list[str]:
        said = []
        if self.drift_detected or self.level != "stable":
            said.append(f"Drift: {self.reason}")
        if self.live and self.live.below_promise:
            live = self.live
            said.append(
                f"Live {live.title} {live.value:.3f} over {live.labelled:,} labelled predictions is below the promised "
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
        known = {
            "Drift report": self.report_url,
            f"Drift by {clock_of(self.use_case).noun}": self.chart_url,
            "Model card": card,
        }
        return {name: url for name, url in known.items() if url}
