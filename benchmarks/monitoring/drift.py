"""The monitoring's verdict on streams of weeks: the week of a change, and weeks without one."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from benchmarks.monitoring.streams import Stream
from flows.core.bootstrap import estimate
from flows.core.drift import COLUMNS, Level
from flows.core.drift_check import Finding, check_drift
from flows.core.trend import Week, find_trends

MIN_SAMPLES = 100
THRESHOLD = 0.3
"""The defaults of MIN_SAMPLES_FOR_DRIFT and DRIFT_THRESHOLD."""


@dataclass(frozen=True)
class Judged:
    """One week's check, and the seconds that it took."""

    week: int
    rows: int
    finding: Finding
    live_f1: float
    seconds: float

    @property
    def alarm(self) -> bool:
        return self.finding.alarms(THRESHOLD)


def judge(stream: Stream) -> list[Judged]:
    """A check at the end of every week."""
    judged, weeks = [], list[Week]()
    for week, current in stream.weeks.items():
        before, started = stream.before(week), time.perf_counter()
        finding = check_drift(stream.reference, current, before, before, min_samples=MIN_SAMPLES)
        weeks.append(Week(7.0 * week, len(current), finding.slices.shares))
        finding = replace(finding, trends=find_trends(weeks))
        seconds = time.perf_counter() - started
        live = estimate(current["label"], current["prediction"], resamples=2)["f1_weighted"].value
        judged.append(Judged(week, len(current), finding, live, seconds))
    return judged


def print_weeks(stream: Stream, drift_week: int) -> None:
    """The table of a stream whose vocabulary changes in that week."""
    promised = estimate(stream.reference["label"], stream.reference["prediction"])["f1_weighted"]
    print(f"\n### {stream.name}\n")
    print(f"Promised weighted F1 {promised.value:.3f} ({promised.low:.3f} to {promised.high:.3f}).\n")
    headings = ["week", "predictions", *(f"PSI {name}" for name in COLUMNS)]
    print("| " + " | ".join([*headings, "7 against 23 days: text", "level", "alarm", "live F1"]) + " |")
    print("|--:|--:|" + "--:|" * len(COLUMNS) + "--:|---|---|--:|")
    for each in judge(stream):
        known, recent = each.finding.against_reference.columns, each.finding.recent.columns.get("text")
        cells = [f"{known[name].psi:.2f}" + ("*" if known[name].level != "stable" else "") for name in COLUMNS]
        cells.append("–" if recent is None else f"{recent.psi:.2f}" + ("*" if recent.level != "stable" else ""))
        mark = " (changed)" if each.week == drift_week else ""
        alarm = "**alarm**" if each.alarm else "no"
        row = [f"{each.week}{mark}", f"{each.rows:,}", *cells, each.finding.level, alarm, f"{each.live_f1:.3f}"]
        print("| " + " | ".join(row) + " |", flush=True)


def sensitivity_row(stream: Stream, drift: float, drift_week: int) -> str:
    """How soon a change of that size raises an alarm."""
    judged = judge(stream)
    early = sum(each.alarm for each in judged if each.week < drift_week)
    first = next((each.week for each in judged if each.alarm and each.week >= drift_week), None)
    at_once = next(each for each in judged if each.week == drift_week)
    level = at_once.finding.level
    text = at_once.finding.against_reference.columns["text"].psi
    when = "never" if first is None else f"week {first}"
    return f"| {drift:.0%} | {at_once.rows:,} | {text:.2f} | {level} | {when} | {early} |"


def change_row(stream: Stream, change: str, shares: dict[int, float], first_week: int) -> str:
    """When a change of that name is an alarm, how large it is by then, and which parts of the check say so.

    `shares` says by week how large the change is; before `first_week` there is none.
    """
    judged = judge(stream)
    early = sum(each.alarm for each in judged if each.week < first_week)
    first = next((each for each in judged if each.alarm and each.week >= first_week), None)
    when, by = ("never", "–") if first is None else (f"week {first.week} ({shares[first.week]:.1%})", _critical(first))
    trend = next((each.week for each in judged if _slowly(each.finding) is Level.CRITICAL), None)
    slowly = "–" if trend is None else f"week {trend} ({shares[trend]:.1%})"
    last = judged[-1].finding.against_reference.columns["text"]
    told = f"{last.missing:.2%}"
    return f"| {stream.name} | {change} | {when} | {by} | {slowly} | {last.psi:.2f} | {told} | {early} |"


def _critical(judged: Judged) -> str:
    finding = judged.finding
    found = {name for part in (finding.against_reference, finding.recent) for name in part.drifted()}
    found |= {f"slice {name}" for name in finding.slices.drifted()}
    found |= {f"trend {name}" for name, trend in finding.trends.items() if trend.level is Level.CRITICAL}
    return ", ".join(sorted(found))


def _slowly(finding: Finding) -> Level:
    return max((trend.level for trend in finding.trends.values()), key=lambda level: level.rank, default=Level.STABLE)


def silence_row(stream: Stream) -> str:
    """How often weeks without a change raise an alarm or a level."""
    judged = judge(stream)
    levels = sum(each.finding.level != "stable" for each in judged)
    alarms = sum(each.alarm for each in judged)
    rows = sorted(each.rows for each in judged)[len(judged) // 2]
    raw = sum(any(column.psi >= 0.2 for column in each.finding.against_reference.columns.values()) for each in judged)
    seconds = sum(each.seconds for each in judged) / len(judged)
    own = max(column.false_alarm_rate for column in judged[-1].finding.against_reference.columns.values())
    return f"| {stream.name} | {len(judged)} | {rows:,} | {own:.0%} | {raw} | {levels} | **{alarms}** | {seconds:.2f} |"
