"""Two versions of a model side by side, from what was measured when each was judged. Pure.

Where one was judged against the other, both answered the same rows: then the difference has an interval, and the fall
of a class the chance of one like it. Else the numbers stand beside each other, each with its own interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from factory.records.decisions import Decision
from factory.records.measurements import Interval, Measurement
from factory.use_cases.metrics import declared
from plugins.control_page.promotion_views import links_of

UNLIKELY = 0.05
"""A fall of a class whose like chance brings in fewer than so many cases is more than chance."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of both; `change` is what the second has over the first, with an interval where it is paired."""

    words: str
    first: Interval | None
    second: Interval | None
    change: Interval | None
    digits: int


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class; `is_beyond_chance` tells of a fall, and is None where nobody has tested it."""

    name: str
    rows: int
    first: Interval | None
    second: Interval | None
    change: float | None
    is_beyond_chance: bool | None


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve in a square of 100 by 100 with its origin at the top left, and what it says."""

    x: float
    y: float
    low: float
    high: float
    said: str


@dataclass(frozen=True, slots=True)
class Curve:
    """How often a version is right by how sure it is; `line` are its points for a polyline."""

    version: str
    points: tuple[Point, ...]
    line: str
    error: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The versions `first` and `second`; `remarks` are reservations about the numbers."""

    first: str
    second: str
    metrics: tuple[MetricRow, ...]
    classes: tuple[ClassRow, ...]
    curves: tuple[Curve, ...]
    remarks: tuple[str, ...]
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def versions_of(decisions: Sequence[Decision], measured: Sequence[Measurement]) -> list[str]:
    """The versions of which numbers are known, the newest first."""
    known = {each.version for each in measured} | {each.result.challenger_version for each in decisions}
    return sorted(known, key=lambda version: (len(version), version), reverse=True)


def compare(first: str, second: str, decisions: Sequence[Decision], measured: Sequence[Measurement]) -> Comparison:
    """The two side by side; what nobody has measured is None. `decisions` and `measured` are the newest first."""
    mine, theirs = (next((each for each in measured if each.version == version), None) for version in (second, first))
    paired = next((each for each in measured if (each.version, each.rival) == (second, first)), None)
    turned = next((each for each in measured if (each.version, each.rival) == (first, second)), None)
    known = {version: _recorded(version, decisions) for version in (first, second)}
    return Comparison(
        first,
        second,
        metrics=tuple(_metrics(theirs, mine, known[first], known[second], paired, turned)),
        classes=tuple(_classes(theirs, mine, paired)),
        curves=tuple(_curve(each) for each in (theirs, mine) if each is not None and each.curve),
        remarks=tuple(_remarks(first, second, theirs, mine, paired=(paired or turned) is not None)),
        links={version: _links(version, decisions) for version in (first, second)},
    )


def _recorded(version: str, decisions: Sequence[Decision]) -> Mapping[str, Interval]:
    """The numbers of the version's own decision, for one that was judged before measurements were kept."""
    for each in decisions:
        result = each.result
        if result.challenger_version == version and result.challenger_metrics:
            return {
                name: Interval(value=value, **dict(zip(("low", "high"), result.intervals.get(name, ()), strict=False)))
                for name, value in result.challenger_metrics.items()
            }
    return {}


def _metrics(
    theirs: Measurement | None,
    mine: Measurement | None,
    their_record: Mapping[str, Interval],
    my_record: Mapping[str, Interval],
    paired: Measurement | None,
    turned: Measurement | None,
) -> list[MetricRow]:
    rows = []
    firsts = theirs.metrics if theirs else their_record
    seconds = mine.metrics if mine else my_record
    for metric in declared({*firsts, *seconds}):
        name = metric.name
        first, second = firsts.get(name), seconds.get(name)
        change = paired.gains.get(name) if paired else None
        if change is None and turned and name in turned.gains:
            change = _negative(turned.gains[name])
        if change is None and first and second:
            change = Interval(value=second.value - first.value)
        rows.append(MetricRow(metric.title, first, second, change, metric.digits))
    return rows


def _negative(gain: Interval) -> Interval:
    low, high = (None if bound is None else -bound for bound in (gain.high, gain.low))
    return Interval(value=-gain.value, low=low, high=high)


def _classes(theirs: Measurement | None, mine: Measurement | None, paired: Measurement | None) -> list[ClassRow]:
    """Every class of either, the greatest fall first."""
    first = {each.name: each for each in theirs.classes} if theirs else {}
    second = {each.name: each for each in mine.classes} if mine else {}
    tested = {each.name: each for each in paired.classes} if paired else {}
    rows = []
    for name in sorted(first.keys() | second.keys()):
        before, after, test = first.get(name), second.get(name), tested.get(name)
        earlier = before.f1 if before else None
        if test is not None and test.rival_f1 is not None and earlier is None:
            earlier = Interval(value=test.rival_f1)
        change = after.f1.value - earlier.value if after and earlier else None
        chance = test.fall_chance if test else None
        beyond = None if chance is None else (change or 0) < 0 and chance < UNLIKELY
        counted = after or before
        rows.append(
            ClassRow(name, counted.rows if counted else 0, earlier, after.f1 if after else None, change, beyond)
        )
    return sorted(rows, key=lambda row: (row.change is None, row.change))


def _curve(measured: Measurement) -> Curve:
    points = tuple(
        Point(
            x=round(100 * each.confidence, 1),
            y=round(100 - 100 * each.right.value, 1),
            low=round(100 - 100 * (each.right.value if each.right.low is None else each.right.low), 1),
            high=round(100 - 100 * (each.right.value if each.right.high is None else each.right.high), 1),
            said=f"{each.rows:,} rows: {each.confidence:.0%} sure, {each.right.value:.0%} in truth",
        )
        for each in measured.curve
    )
    line = " ".join(f"{point.x},{point.y}" for point in points)
    return Curve(measured.version, points, line, measured.calibration_error)


def _remarks(
    first: str, second: str, theirs: Measurement | None, mine: Measurement | None, *, paired: bool
) -> list[str]:
    remarks = [
        f"What version {version} was measured at by class was not kept when it was judged; its model card has it."
        for version, measured in ((first, theirs), (second, mine))
        if measured is None
    ]
    if theirs and mine and theirs.test_version != mine.test_version:
        remarks.append(
            f"They were measured on different test sets, {theirs.test_version} and {mine.test_version}: a difference "
            "may be the rows'."
        )
    elif not paired:
        remarks.append(
            "They were never judged against each other: a change has no interval, and may be chance where the "
            "intervals overlap."
        )
    return remarks


def _links(version: str, decisions: Sequence[Decision]) -> Mapping[str, str]:
    judged = next((each for each in decisions if each.result.challenger_version == version), None)
    return links_of(judged.result) if judged else {}
