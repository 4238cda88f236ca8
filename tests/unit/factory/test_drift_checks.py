"""The history of checks, and that one drift episode sets off one retraining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update

from factory import use_cases
from factory.catalogue.schema import retrainings
from factory.contracts import ColumnDrift, LiveQuality, Trend
from factory.records import drift_checks
from factory.records.drift_checks import (
    DriftCheck,
    by_period,
    claim_retraining,
    episode_start,
    read_drift_checks,
    read_periods_before,
    record_drift_check,
    settle_retraining,
)
from factory.use_cases.clock import Month
from tests.forked import FORKING
from tests.unit.factory import processes

MONDAY = datetime(2026, 2, 2, tzinfo=UTC)
COOLDOWN_DAYS = 30


def drift_check(days: int = 0, *, alarm: bool = False, psi: float = 0.05, model: str = "products") -> DriftCheck:
    column = ColumnDrift(psi=psi, chance_psi=0.02, p_value=0.4, level="stable", drifted=False)
    return DriftCheck(
        model=model,
        until=MONDAY + timedelta(days=days),
        looked_at=datetime(2026, 11, 21, tzinfo=UTC),
        model_version="3",
        samples=2_500,
        level="critical" if alarm else "stable",
        drift_score=0.5 if alarm else 0.0,
        alarm=alarm,
        columns={"text": column},
        live=LiveQuality(f1_weighted=0.8, low=0.78, high=0.82, labelled=900, promised=0.81),
        slices={"language": column},
        shares={"language": {"en": 0.9, "fr": 0.1}},
        trends={"language": Trend(value="fr", first=0.0, last=0.1, weeks=9, psi=0.3, p_value=0.002, level="alert")},
    )


def test_a_look_is_read_as_it_was_written(engine: Engine) -> None:
    record_drift_check(engine, drift_check())
    record_drift_check(engine, drift_check(model="other"))

    assert read_drift_checks(engine, "products") == [drift_check()]


def test_another_look_at_the_same_data_replaces_the_first(engine: Engine) -> None:
    record_drift_check(engine, drift_check(psi=0.1))
    record_drift_check(engine, drift_check(psi=0.2))

    (found,) = read_drift_checks(engine, "products")
    assert found.columns["text"].psi == 0.2


def test_the_last_looks_are_read_up_to_a_moment(engine: Engine) -> None:
    for days in (14, 0, 7, 21):
        record_drift_check(engine, drift_check(days))

    found = read_drift_checks(engine, "products", until=MONDAY + timedelta(days=14), limit=2)

    assert [each.until for each in found] == [MONDAY + timedelta(days=days) for days in (7, 14)]


def test_the_weeks_before_a_look_share_no_more_than_a_day(engine: Engine) -> None:
    for days in (0, 7, 13, 14, 20, 21, 22):
        record_drift_check(engine, drift_check(days))
    record_drift_check(engine, drift_check(14, model="other"))

    found = read_periods_before(engine, "products", MONDAY + timedelta(days=21), periods=2)

    assert [(each.until - MONDAY).days for each in found] == [7, 14]


def test_the_weeks_show_the_last_look_of_each() -> None:
    shown = by_period([drift_check(days) for days in (0, 1, 6, 7, 13, 14)])

    assert [each.until for each in shown] == [MONDAY + timedelta(days=days) for days in (0, 7, 14)]
    assert by_period([]) == []


def test_months_are_months_in_the_history_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_cases, "ALL", (replace(use_cases.get("products"), clock=Month()),))
    firsts = [datetime(2017, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4)]
    looks = [drift_check(0).model_copy(update={"until": until}) for until in (*firsts, firsts[2] + timedelta(days=12))]
    for look in looks:
        record_drift_check(engine, look)

    found = read_periods_before(engine, "products", firsts[3], periods=2)

    assert [each.until for each in found] == firsts[1:3]
    assert [each.until for each in by_period(looks)] == firsts


def test_an_episode_begins_with_the_first_of_the_last_row_of_alarms() -> None:
    alarms = [drift_check(0, alarm=True), drift_check(7), drift_check(14, alarm=True), drift_check(21, alarm=True)]

    assert episode_start(alarms) == MONDAY + timedelta(days=14)
    assert episode_start([*alarms, drift_check(28)]) is None


def test_an_episode_has_one_retraining(engine: Engine) -> None:
    assert claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="me") is None
    running = claim_retraining(engine, "products", MONDAY + timedelta(days=1), COOLDOWN_DAYS, claimed_by="other")
    settle_retraining(engine, "products", MONDAY, claimed_by="me", done=True, outcome="version 4 promoted")
    ended = claim_retraining(engine, "products", MONDAY + timedelta(days=29), COOLDOWN_DAYS, claimed_by="other")

    assert running is not None
    assert (running.until, running.status) == (MONDAY, "started")
    assert ended is not None
    assert (ended.status, ended.outcome) == ("done", "version 4 promoted")
    assert claim_retraining(engine, "other", MONDAY, COOLDOWN_DAYS, claimed_by="me") is None
    assert claim_retraining(engine, "products", MONDAY + timedelta(days=30), COOLDOWN_DAYS, claimed_by="me") is None
    assert len(drift_checks.read_retrainings(engine, "products")) == 2


def test_a_failed_or_lost_retraining_may_be_tried_again(engine: Engine) -> None:
    claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="other")
    settle_retraining(engine, "products", MONDAY, claimed_by="other", done=False, outcome="training ended as Failed")
    assert claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="me") is None

    long_ago = datetime.now(UTC) - drift_checks.LOST_AFTER
    with engine.begin() as connection:
        connection.execute(update(retrainings).values(started_at=long_ago))
    assert claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="third") is None


def test_an_interrupted_run_goes_on_with_its_own_claim(engine: Engine) -> None:
    assert claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="me") is None
    assert claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="me") is None
    assert claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="other") is not None


def test_a_retraining_that_is_forced_asks_nobody(engine: Engine) -> None:
    claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="other")

    assert claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="me", force=True) is None


def test_without_a_cooldown_one_runs_at_a_time_and_a_look_has_one(engine: Engine) -> None:
    next_look = MONDAY + timedelta(days=1)
    assert claim_retraining(engine, "products", MONDAY, 0, claimed_by="me") is None
    assert claim_retraining(engine, "products", MONDAY, 0, claimed_by="other") is not None
    assert claim_retraining(engine, "products", next_look, 0, claimed_by="other") is not None

    settle_retraining(engine, "products", MONDAY, claimed_by="me", done=True, outcome="version 4 promoted")
    assert claim_retraining(engine, "products", MONDAY, 0, claimed_by="other") is not None
    assert claim_retraining(engine, "products", next_look, 0, claimed_by="other") is None


def test_a_callers_end_does_not_settle_anothers_claim(engine: Engine) -> None:
    claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="me")
    claim_retraining(engine, "products", MONDAY, COOLDOWN_DAYS, claimed_by="other", force=True)
    settle_retraining(engine, "products", MONDAY, claimed_by="me", done=False, outcome="training ended as Failed")

    (standing,) = drift_checks.read_retrainings(engine, "products")
    assert (standing.claimed_by, standing.status) == ("other", "started")


def test_of_several_looks_at_once_one_retrains(engine: Engine, begin: Callable[..., Any]) -> None:
    together = FORKING.Barrier(3)
    begun = [begin(processes.claim, together) for _ in range(3)]
    assert sorted(each.said() for each in begun) == ["claimed\n", "refused\n", "refused\n"]


@pytest.mark.parametrize("promised_low", [None, 0.79])
def test_live_quality_is_below_the_promise_when_their_intervals_part(promised_low: float | None) -> None:
    def live(high: float) -> LiveQuality:
        return LiveQuality(f1_weighted=0.7, low=0.6, high=high, labelled=500, promised=0.8, promised_low=promised_low)

    least = 0.8 if promised_low is None else promised_low
    assert live(least - 0.01).below_promise
    assert not live(least).below_promise
