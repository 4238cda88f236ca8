"""When a challenger becomes champion, and when a week's data is new enough to train on again.

Pure: numbers and names in, a verdict with its checks and its reason out. Must not know the registry or the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from factory.sizes import megabytes
from factory.use_cases.clock import Clock
from factory.use_cases.metrics import Metric
from factory.use_cases.use_case import Gate

Rule = Literal[
    "overlap",
    "floor",
    "gain",
    "classes",
    "fairness",
    "calibration",
    "parts",
    "clusters",
    "recall",
    "costs",
    "luck",
    "size",
    "latency",
    "memory",
    "approval",
    "rolled back",
    "standing",
]

NAMED_CLASSES = 3
TESTS_ON_CLASSES = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the gate, whether it was met, and the sentence that says so with its numbers."""

    rule: Rule
    passed: bool
    said: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, every check behind it, the rule that decided and the sentence that explains it."""

    promoted: bool
    rule: Rule
    reason: str
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassChange:
    """One class in both models' answers to the same rows; F1 is 0 to 1.

    `rows` counts the test rows of the class. `p_value` is the chance (0 to 1) that between two equally good models any
    class at all falls as surely as this one, `lost_p_value` that any is lost wholly as surely.
    """

    name: str
    rows: int
    f1: float
    champion_f1: float
    p_value: float
    lost_p_value: float = 1.0

    @property
    def lost(self) -> bool:
        """Whether the champion knew rows of the class and the challenger knows none."""
        return self.champion_f1 > 0 == self.f1

    @property
    def fall(self) -> float:
        """By how much the challenger's F1 is lower."""
        return self.champion_f1 - self.f1


@dataclass(frozen=True, slots=True)
class MacroChange:
    """By how much the challenger's macro F1 is lower (-1 to 1), and the chance of that between equally good models."""

    fall: float = 0.0
    p_value: float = 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The challenger beside the champion by the metric that decides; with the gate's confidence it gains `low` or more.

    Both were measured on the same test rows, and `low` comes from resampling those rows for both together. The whole
    loss of a class is told from chance from `detectable` right answers on; None where it never is.
    """

    champion: float
    gain: float
    low: float
    classes: Sequence[ClassChange]
    macro: MacroChange = MacroChange()
    detectable: int | None = None
    by_class: bool = True
    """Whether the task has classes that may be lost."""

    @property
    def lost(self) -> list[ClassChange]:
        """The classes that are lost wholly, by chance or not; the largest first."""
        return sorted((change for change in self.classes if change.lost), key=lambda change: -change.rows)


@dataclass(frozen=True, slots=True)
class Costs:
    """What it takes to serve the model: its files, a process that serves it, the 95th percentile of one prediction."""

    size_bytes: int
    memory_bytes: int
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Approval:
    """What people said to a promotion, and whether one of them has to."""

    required: bool = False
    approved_by: str | None = None
    rejected_by: str | None = None


def judge(
    metric: Metric,
    value: float,
    comparison: Comparison | None,
    costs: Costs,
    gate: Gate,
    approval: Approval | None = None,
    guards: Sequence[Check] = (),
) -> Verdict:
    """The challenger wins when it meets every rule of the gate; the first that it fails decides.

    `guards` are rules that a kind of task has for itself, answered already.

    `value` is what it reaches on the frozen test set; `comparison` is None when nobody holds the title: then the floor
    decides. A tie leaves the champion where it is, as a change in production needs a reason. A person's refusal
    stands before every number, an approval behind them.
    """
    mine = f"{metric.words} {metric.show(value)}"
    floor = _floor(metric, mine, value, gate)
    checks = [floor]
    if comparison is not None:
        checks.append(_gain(metric, mine, comparison, gate))
        if comparison.by_class:
            checks.append(_classes(comparison, gate))
    checks += [*guards, *_limits(costs, gate)]
    if approval and approval.rejected_by:
        checks.insert(0, _approval(approval))
    elif approval and (approval.required or approval.approved_by):
        checks.append(_approval(approval))
    failed = next((check for check in checks if not check.passed), None)
    if failed is not None:
        return Verdict(promoted=False, rule=failed.rule, reason=failed.said, checks=tuple(checks))
    if comparison is None:
        said = f"{floor.said} and there was no champion"
        return Verdict(promoted=True, rule="floor", reason=said, checks=tuple(checks))
    return Verdict(promoted=True, rule="gain", reason=checks[1].said, checks=tuple(checks))


def stay(rule: Rule, reason: str) -> Verdict:
    """The verdict on a challenger that is not to be judged at all."""
    return Verdict(promoted=False, rule=rule, reason=reason)


def overlap(champion: str, trained_until: int, *, first: int, embargo: int, clock: Clock) -> Check:
    """Whether the champion was trained on nothing that the challenger's test set, or the embargo before it, is made of.

    Periods are numbers of the clock: `trained_until` is the last one that the champion's training rows are of, `first`
    begins the challenger's test set, `embargo` counts those before it. A champion that knows more would recite what the
    challenger has to foretell.
    """
    latest = first - 1 - embargo
    known = f"champion v{champion} was trained on rows up to {clock.words(trained_until)}"
    if trained_until <= latest:
        return Check("overlap", passed=True, said=f"{known}, the test set begins with {clock.words(first)}")
    within = f" with an embargo of {clock.several(embargo)}" if embargo else ""
    said = (
        f"{known}, but the challenger's test set begins with {clock.words(first)}{within}: it would recite rows that "
        f"the challenger has to foretell. Train a challenger on a later {clock.noun}, and let that one be judged"
    )
    return Check("overlap", passed=False, said=said)


def affordable(costs: Costs, gate: Gate) -> bool:
    """Whether the costs are within the gate's limits."""
    return all(check.passed for check in _limits(costs, gate))


def has_fallen(change: ClassChange, gate: Gate) -> bool:
    """Whether a class fell by more than the gate allows, and by more than chance explains.

    A class of a few rows moves by tenths when one row is answered otherwise; by itself the amount would veto nearly
    every promotion. So the fall must also be no chance, however many classes there are. The error that the gate's
    confidence leaves is shared by three tests: this one, that of macro F1, and that of classes lost wholly.
    """
    return change.fall > gate.largest_class_fall and change.p_value < error_of_a_test(gate)


def is_surely_lost(change: ClassChange, gate: Gate) -> bool:
    """Whether every right answer to a class's rows was lost, and more of them than chance explains."""
    return change.lost and change.lost_p_value < error_of_a_test(gate)


def error_of_a_test(gate: Gate) -> float:
    """The share (0 to 1) of the error that each of the three tests on classes may have."""
    return (1 - gate.confidence) / TESTS_ON_CLASSES


def has_fallen_broadly(change: MacroChange, gate: Gate) -> bool:
    """Whether macro F1 fell by more than the gate allows and by more than chance explains.

    Small classes, each too small to be sure of, may fall together: macro F1 counts every class alike.
    """
    return change.fall > gate.largest_macro_fall and change.p_value < error_of_a_test(gate)


def _floor(metric: Metric, mine: str, value: float, gate: Gate) -> Check:
    passed = value >= gate.floor
    relation = "reaches" if passed else "is below"
    return Check("floor", passed, f"{mine} {relation} the floor {metric.show(gate.floor)}")


def _gain(metric: Metric, mine: str, comparison: Comparison, gate: Gate) -> Check:
    passed = comparison.low > gate.margin
    theirs = f"the champion's {metric.show(comparison.champion)}"
    sure = f"with {gate.confidence:.0%} confidence"
    if passed:
        said = f"beats {theirs} by {comparison.gain:+.4f} ({sure} by more than {comparison.low:+.4f})"
    elif comparison.gain > gate.margin:
        said = (
            f"may beat {theirs} by chance: {comparison.gain:+.4f}, but {sure} only more than {comparison.low:+.4f} "
            f"(needed: more than {gate.margin:+.4f})"
        )
    else:
        said = f"does not beat {theirs} ({comparison.gain:+.4f}, needed: more than {gate.margin:+.4f})"
    return Check("gain", passed, f"{mine} {said}")


def _classes(comparison: Comparison, gate: Gate) -> Check:
    limit, broad = f"{gate.largest_class_fall:.2f}", has_fallen_broadly(comparison.macro, gate)
    low = sorted(
        (change for change in comparison.classes if change.fall > gate.largest_class_fall), key=lambda each: -each.fall
    )
    surely = [change for change in comparison.lost if is_surely_lost(change, gate)]
    fallen = [change for change in low if has_fallen(change, gate) and change not in surely]
    if not fallen and not broad and not surely:
        told = [f"no class's F1 falls by more than {limit} beyond chance"]
        if unsure := [change for change in low if not change.lost]:
            told.append(f"by chance or not: {_named(unsure)}")
        return Check("classes", passed=True, said="; ".join([*told, *warnings_of(comparison, gate)]))
    said = [f"every right answer to the test rows of classes is lost: {_counted(surely)}"] if surely else []
    said += [f"F1 of classes falls by more than {limit}: {_named(fallen)}"] if fallen else []
    if broad:
        fall, most = comparison.macro.fall, gate.largest_macro_fall
        among = f", most in {_named(low)}" if low and not fallen else ""
        said.append(f"macro F1 falls by {fall:.4f}, more than {most:.4f} and no chance{among}")
    return Check("classes", passed=False, said="; ".join(said))


def warnings_of(comparison: Comparison, gate: Gate) -> list[str]:
    """What a person should know although it stops nothing: classes that are lost wholly, by chance or not."""
    lost = [change for change in comparison.lost if not is_surely_lost(change, gate)]
    if not lost:
        return []
    seen = "never here" if comparison.detectable is None else f"from {comparison.detectable} right answers on"
    return [f"lost wholly, by chance or not (told apart {seen}): {_counted(lost)}"]


def _counted(changes: Sequence[ClassChange]) -> str:
    named = ", ".join(f"{each.name!r} ({each.rows} test rows)" for each in changes[:NAMED_CLASSES])
    return f"{named} and {len(changes) - NAMED_CLASSES} more" if len(changes) > NAMED_CLASSES else named


def _named(changes: Sequence[ClassChange]) -> str:
    named = ", ".join(f"{each.name!r} from {each.champion_f1:.2f} to {each.f1:.2f}" for each in changes[:NAMED_CLASSES])
    return f"{named} and {len(changes) - NAMED_CLASSES} more" if len(changes) > NAMED_CLASSES else named


def _approval(approval: Approval) -> Check:
    if approval.rejected_by:
        return Check("approval", passed=False, said=f"refused by {approval.rejected_by}")
    if approval.approved_by:
        return Check("approval", passed=True, said=f"approved by {approval.approved_by}")
    said = "a person has to approve it: answer in Airflow, or name who did with approved_by"
    return Check("approval", passed=False, said=said)


def _limits(costs: Costs, gate: Gate) -> list[Check]:
    return [
        _limit("size", "the model's files take", costs.size_bytes, gate.largest_size_bytes, megabytes),
        _limit("latency", "the 95th percentile of one prediction is", costs.p95_ms, gate.slowest_prediction_ms, _ms),
        _limit("memory", "a process that serves it holds", costs.memory_bytes, gate.largest_memory_bytes, megabytes),
    ]


def _limit(rule: Rule, what: str, measured: float, limit: float, in_words: Callable[[float], str]) -> Check:
    relation = "within" if measured <= limit else "above"
    return Check(rule, measured <= limit, f"{what} {in_words(measured)}, {relation} the limit of {in_words(limit)}")


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:,.1f} ms"


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """A week's data by age; a later revision of a week is newer."""

    week: int
    revision: int


def is_newer(candidate: Snapshot, trained_on: Iterable[Snapshot]) -> bool:
    """Whether the candidate is newer than every snapshot that a model was trained on already."""
    return all(candidate > known for known in trained_on)
