"""What a promotion takes, and the decision that it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from factory.contracts.base import Contract, OfModel, Params, Share
from factory.contracts.told_tests import test_fact, test_news

NOTHING_TO_GAIN = frozenset({"costs", "luck"})
"""Rules by which no champion may be the right answer: nobody has to mend anything."""


class PromotionParams(Params):
    """Without `model_version` the version under alias `challenger` is judged. `rollback` gives the alias back.

    `threshold` takes the place of the floor in the use case's gate. `approved_by` and `rejected_by` name the person
    who was asked, `requested_by` whoever starts the run by hand. A `rehearsal` judges and changes nothing.
    `champion` gives the title to a version without the gate, or with `none` to nobody: for a registry that was touched
    by hand. Of a use case with several models `model` names the one that is meant.
    """

    without_promotion: ClassVar[Mapping[str, Any] | None] = None
    people: ClassVar[frozenset[str]] = frozenset({"approved_by", "rejected_by", "requested_by"})
    often: ClassVar[tuple[str, ...]] = ("model_version", "rehearsal")

    use_case: str = "products"
    model: str | None = None
    model_version: str | None = None
    threshold: Share | None = None
    rollback: bool = False
    approved_by: str | None = None
    rejected_by: str | None = None
    requested_by: str | None = None
    rehearsal: bool = False
    champion: str | None = None


class GateCheck(Contract):
    """One rule of the gate, whether the challenger met it, and the sentence that says so with its numbers."""

    rule: str
    passed: bool
    said: str


class PromotionResult(OfModel):
    """One decision. Metrics are those of the kind of task, both models on the same frozen test set.

    `rule` is the one that decided, `checks` are all that were made; `gain` is the challenger's over the champion in the
    metric that decides, `gain_at_least` what it exceeds with the gate's confidence; both None without a champion.
    """

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
    commit: str | None = None
    """The commit that tells of the decision in the user's git repository; None where nothing was to be committed."""
    commit_problem: str | None = None
    """Why commits of decisions are missing there, and what writes them."""
    test_remarks: tuple[str, ...] = ()
    """What has to be known of the test set beside the metrics: rows that are not as the catalogue has them, classes."""

    def facts(self) -> dict[str, str]:
        champion = f"v{self.champion_version}" if self.champion_version else "none"
        commit = {"Commit": self.commit[:10]} if self.commit else {}
        return {"Champion": champion, **test_fact(self.test_version, self.test_looks), **commit}

    def reservations(self) -> list[str]:
        missing = [f"Commits are missing: {self.commit_problem}"] if self.commit_problem else []
        if self.rolled_back:
            return [f"Champion {self.reason}", *missing]
        warned = [f"Promoted, but classes are {said}" for said in self.warnings] if self.promoted else []
        return [*warned, *(self._unpromoted() if self._asks_for_somebody() else []), *missing]

    def news(self) -> list[str]:
        remarks = test_news(self.test_remarks)
        return remarks if self._asks_for_somebody() else [*self._unpromoted(), *remarks]

    def _asks_for_somebody(self) -> bool:
        """A champion that is kept asks for nobody, and so does a gain that was not to be had; no champion at all does,
        and so does an approval that nobody gave."""
        if self.rule in NOTHING_TO_GAIN:
            return False
        return self.champion_version is None or (self.rule == "approval" and self.rejected_by is None)

    def _unpromoted(self) -> list[str]:
        return [] if self.promoted or self.rolled_back else [f"Not promoted: {self.reason}"]

    def links(self) -> dict[str, str]:
        return {"Model card": self.card_url} if self.card_url else {}
