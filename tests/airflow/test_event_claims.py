"""To which run of a DAG an end belongs, by what Airflow has recorded and what runs have claimed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.in_airflow import claim_book, event_claims
from bridge.in_airflow.claim_book import ClaimBook
from bridge.in_airflow.event_claims import _take

DAG = "after_training"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def event(name: str, number: int, *runs: str, dag_id: str = DAG, doubtful: bool = False) -> Any:
    """The asset's recorded event of that number, of an end, with the runs that Airflow has given it to."""
    payload = {"event_id": name, "maybe_repeated": doubtful}
    given_to = [SimpleNamespace(dag_id=dag_id, run_id=run) for run in runs]
    moment = NOON + timedelta(seconds=number)
    extra = {"from_trigger": True, "payload": payload}
    return SimpleNamespace(id=number, timestamp=moment, extra=extra, created_dagruns=given_to)


def take(run_id: str, first: int, recorded: list[Any], claims: dict[int, str] | None = None) -> tuple[list, list]:
    ends, claimed = _take(DAG, run_id, first, recorded, claims or {})
    return [end["event_id"] for end in ends], list(claimed.values())


def test_a_run_has_the_ends_that_it_was_given() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2, "r2"), event("c", 3, "r2")]
    assert take("r2", 2, recorded) == (["b", "c"], [])


def test_what_no_run_was_given_is_claimed() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2), event("c", 3)]
    assert take("r1", 1, recorded) == (["a", "b", "c"], ["b", "c"])


def test_what_another_run_has_claimed_is_left_to_it_though_airflow_gives_it_later() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2, "r2"), event("c", 3, "r2")]
    assert take("r2", 2, recorded, {2: "r1"}) == (["c"], [])


def test_a_task_that_is_tried_again_has_the_same_ends() -> None:
    recorded = [event("a", 1, "r1"), event("b", 2, "r2"), event("told since", 3)]
    assert take("r1", 1, recorded, {2: "r1"}) == (["a", "b"], [])


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
    elsewhere = SimpleNamespace(id=1, timestamp=NOON, extra=None, created_dagruns=[])
    by_hand = SimpleNamespace(id=2, timestamp=NOON, extra={"payload": "x"}, created_dagruns=[])
    assert take("r1", 1, [elsewhere, by_hand, event("a", 3, "r1")]) == (["a"], [])


class Store:
    """An asset's state store; what is to happen elsewhere meanwhile happens while the claiming task sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: dict[str, str] = {}
        self.meanwhile: list[Callable[[], None]] = []
        monkeypatch.setattr(claim_book.time, "sleep", self._let_time_pass)

    def get(self, key: str) -> Any:
        return json.loads(self.values[key]) if key in self.values else None

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def _let_time_pass(self, _seconds: float) -> None:
        if self.meanwhile:
            self.meanwhile.pop(0)()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(monkeypatch)


def overwritten(store: Store, run_id: str, *records: int) -> Callable[[], None]:
    """Another run had read the claims before this one wrote its own, and writes after it."""
    before = dict(store.values)

    def write() -> None:
        store.values = dict(before)
        book = ClaimBook(store, DAG)
        book._write(book._newest(), run_id, records)

    return write


def test_of_two_runs_that_claim_an_end_at_once_one_has_it(store: Store) -> None:
    store.meanwhile = [overwritten(store, "r2", 2)]
    assert ClaimBook(store, DAG).claim("r1", [2]) == set()
    assert ClaimBook(store, DAG).claim("r2", [2]) == {2}


def test_a_claim_that_another_runs_has_overwritten_is_made_again(store: Store) -> None:
    store.meanwhile = [overwritten(store, "r2", 2)]
    assert ClaimBook(store, DAG).claim("r1", [2, 3]) == {3}
    assert ClaimBook(store, DAG).claims(1) == {2: "r2", 3: "r1"}


def test_claims_are_kept_however_many_follow(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_book, "PAGE_BYTES", 1000)
    book = ClaimBook(store, DAG)
    expected: dict[int, str] = {}
    for run in range(100):
        records = range(run * 10, run * 10 + 9, 2)
        assert book.claim(f"run-{run}", records) == set(records)
        expected |= dict.fromkeys(records, f"run-{run}")
    assert book.claims(0) == expected
    assert max(map(len, store.values.values())) < 1200
    assert book.claim("run-3", range(30, 40)) == {*range(30, 39, 2), *range(31, 40, 2)}


def test_claims_of_long_ago_are_not_read_for_what_is_new(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_book, "PAGE_BYTES", 300)
    book = ClaimBook(store, DAG)
    for run in range(100):
        book.claim(f"run-{run}", [run])
    read: list[str] = []
    get = store.get
    monkeypatch.setattr(store, "get", lambda key: read.append(key) or get(key))
    assert book.claims(98) == {number: f"run-{number}" for number in book.claims(98)}
    assert len(read) <= 4


def test_the_oldest_pages_go_in_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_book, "PAGE_BYTES", 100)
    monkeypatch.setattr(claim_book, "FULL_PAGES_KEPT", 3)
    book = ClaimBook(store, DAG)
    for run in range(100):
        book.claim(f"run-{run}", [run])
    assert len(store.values) == 4
    assert 99 in book.claims(0)


def test_thousands_of_ends_in_one_run_are_one_small_claim(store: Store) -> None:
    book = ClaimBook(store, DAG)
    assert len(book.claim("r1", range(5000))) == 5000
    assert sum(map(len, store.values.values())) < 200


class Recorded(list[Any]):
    """An asset's recorded events, as a task asks for them."""

    def after(self, moment: str) -> Recorded:
        return Recorded(each for each in self if each.timestamp >= datetime.fromisoformat(moment))

    def before(self, moment: str) -> Recorded:
        return Recorded(each for each in self if each.timestamp <= datetime.fromisoformat(moment))

    def ascending(self, *, ascending: bool) -> Recorded:
        return Recorded(sorted(self, key=lambda each: each.timestamp, reverse=not ascending))

    def limit(self, count: int) -> Recorded:
        return Recorded(self[:count])


@pytest.fixture
def ends_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[Any]], list[str]]:
    """What `new_ends` gives to a run, of so many recorded events."""
    asset: Any = "asset"

    def ends(run_id: str, recorded: list[Any]) -> list[str]:
        given = [each for each in recorded if run_id in [run.run_id for run in each.created_dagruns]]
        context = {
            "asset_state_store": {asset: store},
            "dag_run": SimpleNamespace(dag_id=DAG, run_id=run_id),
            "triggering_asset_events": {asset: given},
            "inlet_events": {asset: Recorded(recorded)},
        }
        monkeypatch.setattr(event_claims, "get_current_context", lambda: context)
        return [end["event_id"] for end in event_claims.new_ends(asset)]

    return ends


def test_a_task_gives_no_end_that_another_run_has_just_claimed(store: Store, ends_of: Any) -> None:
    store.meanwhile = [overwritten(store, "r2", 2)]
    assert ends_of("r1", [event("a", 1, "r1"), event("b", 2), event("c", 3)]) == ["a", "c"]


def test_a_late_retry_has_its_own_ends_and_no_other(ends_of: Any) -> None:
    """However many runs have claimed however many ends since."""
    recorded: list[Any] = []
    first_given: dict[str, list[str]] = {}
    for run in range(20):
        start = len(recorded) + 1
        recorded += [event(f"{run}-0", start, f"r{run}"), *(event(f"{run}-{n}", start + n) for n in range(1, 60))]
        first_given[f"r{run}"] = ends_of(f"r{run}", recorded)
        assert len(first_given[f"r{run}"]) == 60
    assert {run: ends_of(run, recorded) for run in first_given} == first_given


def test_an_end_that_may_have_been_told_before_is_looked_for_among_what_was_recorded_before(ends_of: Any) -> None:
    """By Airflow's records: the end's own moment, by Prefect's clock, says nothing."""
    recorded = [event("a", 1, "r1"), event("a", 500, "r2", doubtful=True), event("b", 501)]
    assert ends_of("r2", recorded) == ["b"]
