"""To which run of a DAG an end belongs, by what Airflow has recorded and what runs have claimed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.in_airflow import event_claims
from bridge.in_airflow.event_claims import _claim, _oldest_doubt, _take

DAG = "after_training"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def event(name: str, seconds: float, *runs: str, dag_id: str = DAG, doubtful: bool = False) -> Any:
    """An asset event of an end, with the runs that Airflow has given it to."""
    ended = (NOON + timedelta(seconds=seconds)).isoformat()
    payload = {"event_id": name, "end_time": ended, "maybe_repeated": doubtful}
    given_to = [SimpleNamespace(dag_id=dag_id, run_id=run) for run in runs]
    moment = NOON + timedelta(seconds=seconds)
    return SimpleNamespace(timestamp=moment, extra={"from_trigger": True, "payload": payload}, created_dagruns=given_to)


def take(run_id: str, first: float, recorded: list[Any], claims: dict[str, str] | None = None) -> tuple[list, list]:
    ends, claimed = _take(DAG, run_id, NOON + timedelta(seconds=first), recorded, claims or {})
    return [end["event_id"] for end in ends], claimed


def test_a_run_has_the_ends_that_it_was_given() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2, "r2"), event("c", 3, "r2")]
    assert take("r2", 2, recorded) == (["b", "c"], [])


def test_what_no_run_was_given_is_claimed() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2), event("c", 3)]
    assert take("r1", 1, recorded) == (["a", "b", "c"], ["b", "c"])


def test_what_another_run_has_claimed_is_left_to_it_though_airflow_gives_it_later() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2, "r2"), event("c", 3, "r2")]
    assert take("r2", 2, recorded, {"b": "r1"}) == (["c"], [])


def test_a_task_that_is_tried_again_has_the_same_ends() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2, "r2")]
    assert take("r1", 1, recorded, {"b": "r1"}) == (["a", "b"], [])


def test_an_end_that_is_told_twice_belongs_to_the_run_that_was_given_it_first() -> None:
    recorded = [event("a", 1, "r1"), event("a", 2, "r2")]
    assert take("r1", 1, recorded) == (["a"], [])
    assert take("r2", 2, recorded) == ([], [])


def test_an_end_that_is_told_twice_to_one_run_is_one_end() -> None:
    assert take("r1", 1, [event("a", 1, "r1"), event("a", 2, "r1")]) == (["a"], [])


def test_a_repetition_that_no_run_was_given_is_not_claimed() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2, "r2"), event("a", 3)]
    assert take("r2", 2, recorded) == (["b"], [])


def test_what_no_run_was_given_before_the_first_event_is_not_claimed() -> None:
    assert take("r1", 2, [event("a", 1), event("b", 2, "r1")]) == (["b"], [])


def test_another_dags_runs_do_not_matter() -> None:
    assert take("r1", 1, [event("a", 1, "r1"), event("b", 2, "x", dag_id="another")]) == (["a", "b"], ["b"])


def test_events_from_elsewhere_are_passed_over() -> None:
    elsewhere = SimpleNamespace(timestamp=NOON, extra=None, created_dagruns=[])
    by_hand = SimpleNamespace(timestamp=NOON, extra={"payload": "x"}, created_dagruns=[])
    assert take("r1", 0, [elsewhere, by_hand, event("a", 1, "r1")]) == (["a"], [])


def test_events_are_looked_at_back_to_the_oldest_end_in_doubt() -> None:
    assert _oldest_doubt([event("a", 1), event("b", 2)]) is None
    recorded = [event("a", 1), event("c", 9, doubtful=True), event("b", 5, doubtful=True)]
    assert _oldest_doubt(recorded) == NOON + timedelta(seconds=5)


class ClaimStore:
    """An asset's state store; what is to happen elsewhere meanwhile happens while the claiming task sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *meanwhile: dict[str, str]) -> None:
        self.claims: dict[str, str] = {}
        self._meanwhile = list(meanwhile)
        monkeypatch.setattr(event_claims.time, "sleep", self._let_time_pass)

    def get(self, _key: str) -> dict[str, str]:
        return dict(self.claims)

    def set(self, _key: str, claims: dict[str, str]) -> None:
        self.claims = dict(claims)

    def _let_time_pass(self, _seconds: float) -> None:
        if self._meanwhile:
            self.claims = self._meanwhile.pop(0)


def test_of_two_runs_that_claim_an_end_at_once_one_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # r2 had read the claims before r1 wrote its own, and writes after it.
    store = ClaimStore(monkeypatch, {"b": "r2"})
    assert _claim(store, "claims", "r1", ["b"]) == set()
    assert _claim(store, "claims", "r2", ["b"]) == {"b"}


def test_a_claim_that_another_runs_has_overwritten_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClaimStore(monkeypatch, {"b": "r2"})
    assert _claim(store, "claims", "r1", ["b", "c"]) == {"c"}
    assert store.claims == {"b": "r2", "c": "r1"}


def test_old_claims_are_forgotten_and_new_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClaimStore(monkeypatch)
    store.claims = {f"old-{number}": "r0" for number in range(event_claims.CLAIMS_KEPT + 1)}
    new = [f"new-{number}" for number in range(event_claims.CLAIMS_KEPT + 1)]
    assert _claim(store, "claims", "r1", new) == set(new)
    assert "old-0" not in store.claims


def test_a_task_gives_no_end_that_another_run_has_just_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    asset = "asset"
    recorded = [event("a", 1, "r1"), event("b", 2), event("c", 3)]

    class Recorded(list[Any]):
        def after(self, _moment: str) -> list[Any]:
            return list(self)

    context = {
        "asset_state_store": {asset: ClaimStore(monkeypatch, {"b": "r2", "c": "r1"})},
        "dag_run": SimpleNamespace(dag_id=DAG, run_id="r1"),
        "triggering_asset_events": {asset: recorded[:1]},
        "inlet_events": {asset: Recorded(recorded)},
    }
    monkeypatch.setattr(event_claims, "get_current_context", lambda: context)
    assert [end["event_id"] for end in event_claims.new_ends(asset)] == ["a", "c"]
