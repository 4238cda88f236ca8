"""Runs that do not get on, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.prefect_api.records import FlowRun
from bridge.readiness import Finding
from plugins.control_page.routes.stuck import MOST_SUSPECTS, in_turn
from plugins.control_page.run_views import run_view
from plugins.control_page.stuck import Stuck, grouped, how_stuck, is_suspect, pools_at_work, reason_in

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def run(state: str, name: str, seconds: float = 3600, **more: Any) -> FlowRun:
    """A run that has been in that state for so long."""
    since = (NOW - timedelta(seconds=seconds)).isoformat()
    document = {"id": "r", "name": "brave-owl", "state": {"type": state, "name": name, "timestamp": since}}
    return FlowRun.parse({**document, "expected_start_time": since, **more})


@pytest.mark.parametrize(
    ("stands", "phrase"),
    [
        (run("SCHEDULED", "Late", 16), "late"),
        (run("SCHEDULED", "Scheduled", 600), "late"),
        (run("PENDING", "Submitting"), "stuck in Submitting"),
        (run("PENDING", "Pending"), "stuck in Pending"),
        (run("CANCELLING", "Cancelling"), "stuck in Cancelling"),
        (run("PAUSED", "Suspended"), "suspended"),
    ],
)
def test_a_run_that_does_not_get_on_is_stuck(stands: FlowRun, phrase: str) -> None:
    stuck = how_stuck(stands, NOW)
    assert stuck is not None
    assert (stuck.phrase, bool(stuck.why), stuck.since is not None) == (phrase, True, True)


@pytest.mark.parametrize(
    "stands",
    [
        run("SCHEDULED", "Scheduled", 5),
        run("SCHEDULED", "Scheduled", -3600),
        run("PENDING", "Pending", 20),
        run("RUNNING", "Running"),
        run("CANCELLING", "Cancelling", 5),
        run("COMPLETED", "Completed"),
        run("CRASHED", "Crashed"),
    ],
)
def test_a_run_that_gets_on_is_not(stands: FlowRun) -> None:
    assert how_stuck(stands, NOW) is None


def test_behind_others_that_run_one_that_waits_has_time() -> None:
    assert how_stuck(run("SCHEDULED", "Late", 90), NOW, behind=True) is None
    stuck = how_stuck(run("SCHEDULED", "Late", 130), NOW, behind=True)
    assert stuck is not None
    assert (stuck.phrase, stuck.why) == ("late", "Others run, and it has not had its turn.")


def test_a_pool_is_at_work_where_a_run_of_it_runs_and_is_heard_of() -> None:
    served, pooled = run("RUNNING", "Running"), run("RUNNING", "Running", id="p", work_pool_name="gpus")
    waits = run("SCHEDULED", "Late", work_pool_name="cpus")
    assert pools_at_work([served, pooled, waits]) == {None, "gpus"}
    assert pools_at_work([served, pooled, waits], {"p"}) == {None}


def test_a_run_without_a_heartbeat_is_stuck_and_only_one_that_has_run_for_a_while_is_asked_after() -> None:
    stuck = how_stuck(run("RUNNING", "Running"), NOW, silent_seconds=600)
    assert stuck is not None
    assert stuck.phrase == "running without a heartbeat"
    assert is_suspect(run("RUNNING", "Running"), NOW, 90)
    assert not is_suspect(run("RUNNING", "Running", 20), NOW, 90)
    assert not is_suspect(run("PENDING", "Pending"), NOW, 90)


@pytest.mark.parametrize("count", [0, 1, 5, 6, 23])
def test_of_many_runs_that_may_be_silent_each_has_its_turn(count: int) -> None:
    suspects = [run("RUNNING", "Running", id=str(number)) for number in range(count)]
    turns = [in_turn(suspects, turn) for turn in range(7, 7 + 5)]
    assert {each.id for asked in turns for each in asked} == {each.id for each in suspects}
    assert all(len(asked) <= MOST_SUSPECTS for asked in turns)


def test_the_reason_is_what_stands_in_the_way_else_what_the_state_tells() -> None:
    stuck = Stuck("late", NOW, "Nobody has taken it.")
    fine, paused = (
        Finding("API", in_order=True, detail="fine"),
        Finding("work pool gpus", in_order=False, detail="paused: no run is started", remedy="resume"),
    )
    full = Finding("work pool gpus", in_order=True, detail="1 of 1 slots taken: a new run waits", remedy="wait")
    assert reason_in([fine, full, paused], stuck) == "work pool gpus: paused: no run is started."
    assert reason_in([fine, full], stuck) == "work pool gpus: 1 of 1 slots taken: a new run waits."
    assert reason_in([fine], stuck) == "Nobody has taken it."


def test_runs_that_are_stuck_alike_are_one_group_with_the_longest_wait() -> None:
    runs = [run("SCHEDULED", "Late", seconds, id=f"r{seconds}") for seconds in (60, 600)]
    runs.append(run("PENDING", "Pending", id="p"))
    found = {each.id: stuck for each in runs if (stuck := how_stuck(each, NOW)) is not None}
    views = [run_view(each, "a/b", NOW) for each in runs]
    late, pending = grouped(found, views, {"r60": "no worker."})
    assert (late.phrase, len(late.runs), late.why) == ("late", 2, "no worker.")
    assert late.since == NOW - timedelta(seconds=600)
    assert pending.phrase == "stuck in Pending"
