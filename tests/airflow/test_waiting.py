"""The trigger and the sensor on a real Prefect: when they fire, and what they leave alone."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent

from bridge.in_airflow import warm_up
from bridge.in_airflow.hand_over import REPORT_SECONDS, may_be_a_takeover, resume_not_before, seconds_to_resumption
from bridge.in_airflow.sensors import PrefectReady
from bridge.in_airflow.triggers import FlowRunTrigger
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import FlowRun
from bridge.waiting.shared import SharedWaiting
from tests.live_prefect import LivePrefect

PATIENCE_SECONDS = 60
PAST = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
FUTURE = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
BLOCKING = {"open", "subprocess.Popen", "sqlite3.connect", "socket.getaddrinfo", "socket.gethostbyname"}
"""Audit events of what may keep a thread waiting."""
TASK = SimpleNamespace(task_id="t", dag_id="d", run_id="r", map_index=-1)


@pytest.fixture(autouse=True)
def _airflow_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no Airflow to ask here."""
    monkeypatch.setattr(warm_up, "_asked", [object()])


def state_of(prefect: LivePrefect, flow_run_id: str) -> str:
    return str(prefect.request("GET", f"/flow_runs/{flow_run_id}")["state_type"])


def trigger(flow_run_id: str, **more: Any) -> FlowRunTrigger:
    made = FlowRunTrigger("prefect_default", flow_run_id, **more)
    made._task_instance = TASK  # the triggerer's doing
    return made


async def fired(waiting: FlowRunTrigger) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await anext(waiting.run())


async def fires_after(waiting: FlowRunTrigger, act: Any) -> Mapping[str, Any]:
    """The event that comes once `act` was done; none may come before."""
    event = asyncio.ensure_future(fired(waiting))
    done, _ = await asyncio.wait({event}, timeout=1.5)
    assert not done, event.result()
    await asyncio.to_thread(act)
    return dict((await event).payload)


async def test_a_success_without_result_ends_the_task(client: PrefectClient, prefect: LivePrefect) -> None:
    event = await fired(trigger(prefect.run_by_hand("COMPLETED"), end_from_trigger=True))
    assert isinstance(event, TaskSuccessEvent)


@pytest.mark.parametrize("answer", [{"return_value": None}, {"side_effect": AirflowException("HTTP 500")}])
async def test_a_triggerer_gets_to_know_airflow_once_whatever_the_answer(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    question = AsyncMock(**answer)
    monkeypatch.setattr(XCom, "aget_one", question)
    monkeypatch.setattr(warm_up, "_asked", [])
    for _ in range(2):
        event = await fired(trigger(prefect.run_by_hand("COMPLETED"), end_from_trigger=True))
        assert isinstance(event, TaskSuccessEvent)
    assert question.await_count == 1


async def test_a_skip_ends_the_task_as_skipped(client: PrefectClient, prefect: LivePrefect) -> None:
    flow_run_id = prefect.run_by_hand()
    prefect.put_state(flow_run_id, "COMPLETED", "Skipped")
    event = await fired(trigger(flow_run_id, end_from_trigger=True))
    assert isinstance(event, TaskSkippedEvent)


@pytest.mark.parametrize("state_type", ["FAILED", "CRASHED", "CANCELLED"])
async def test_every_other_end_resumes_on_a_worker(
    client: PrefectClient, prefect: LivePrefect, state_type: str
) -> None:
    flow_run_id = prefect.run_by_hand(state_type)
    event = await fired(trigger(flow_run_id, end_from_trigger=True))
    assert (event.payload["flow_run_id"], event.payload["because"]) == (flow_run_id, "ended")


@pytest.mark.parametrize("fault", ["the connection is missing", "Airflow fails"])
async def test_airflows_own_errors_resume_on_a_worker(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    waiting = trigger(prefect.run_by_hand("COMPLETED"), end_from_trigger=True)
    if fault == "the connection is missing":
        waiting.prefect_conn_id = "nowhere"
    else:
        monkeypatch.setattr(FlowRunTrigger, "_success", AsyncMock(side_effect=AirflowException("HTTP 500")))
    event = await fired(waiting)
    assert event.payload["because"] == "error"
    assert event.payload["errors"] == 1


async def test_a_crash_is_final_only_after_its_grace(client: PrefectClient, prefect: LivePrefect) -> None:
    flow_run_id = prefect.run_by_hand("CRASHED")
    event = await fired(trigger(flow_run_id, crash_grace_seconds=2))
    assert event.payload["because"] == "ended"
    crashed = client.run(wire.read_flow_run(flow_run_id)).state_timestamp
    assert datetime.now(UTC) >= crashed + timedelta(seconds=2)


async def test_a_run_that_reports_again_after_a_crash_is_waited_for(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    flow_run_id = prefect.run_by_hand("CRASHED")

    def come_back_and_complete() -> None:
        prefect.put_state(flow_run_id, "RUNNING")
        prefect.put_state(flow_run_id, "COMPLETED")

    waiting = trigger(flow_run_id, crash_grace_seconds=3600, end_from_trigger=True, push_result=False)
    event = asyncio.ensure_future(fired(waiting))
    done, _ = await asyncio.wait({event}, timeout=1.0)
    assert not done
    await asyncio.to_thread(come_back_and_complete)
    assert isinstance(await event, TaskSuccessEvent)


async def test_what_the_wait_counts_from_and_the_logs_position_come_back_with_a_resumption(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    event = await fired(trigger(prefect.run_by_hand("FAILED"), counted_from=PAST, logged_until=PAST))
    assert event.payload["counted_from"] == PAST
    assert event.payload["logged_until"] == PAST


async def test_a_success_that_prefect_does_not_confirm_is_waited_for(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that was ahead of the API, or of a run that was retried in place since, says COMPLETED too early."""
    flow_run_id = prefect.run_by_hand("RUNNING")
    confirmations: list[str] = []
    follow, confirm = SharedWaiting.follow, SharedWaiting.confirm

    async def ahead(self: SharedWaiting, *arguments: Any, **options: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(follow(self, *arguments, **options)) as news:
            async for told in news:
                yield told if confirmations else replace(told, state_type="COMPLETED", state_name="Completed")

    async def counted(self: SharedWaiting, asked: str) -> FlowRun:
        reading = await confirm(self, asked)
        confirmations.append(reading.state_type)
        if len(confirmations) == 1:
            await asyncio.to_thread(prefect.put_state, flow_run_id, "COMPLETED")
        return reading

    monkeypatch.setattr(SharedWaiting, "follow", ahead)
    monkeypatch.setattr(SharedWaiting, "confirm", counted)
    event = await fired(trigger(flow_run_id, end_from_trigger=True))
    assert isinstance(event, TaskSuccessEvent)
    assert confirmations == ["RUNNING", "COMPLETED"]


async def test_a_success_without_its_promised_result_resumes_on_a_worker(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    promised = {"end_from_trigger": True, "result_model": "factory.contracts:TrainingResult"}
    event = await fired(trigger(prefect.run_by_hand("COMPLETED"), **promised))
    assert event.payload["because"] == "error"
    assert "published no result" in event.payload["detail"]


async def test_a_run_that_never_starts_fires_at_its_start_deadline(client: PrefectClient, prefect: LivePrefect) -> None:
    event = await fired(trigger(prefect.run_by_hand(), start_seconds=0.0, run_seconds=3600.0))
    assert event.payload["because"] == "start_timeout"


async def test_a_start_deadline_says_nothing_of_a_run_that_has_started(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING")
    payload = await fires_after(
        trigger(flow_run_id, start_seconds=0.0), lambda: prefect.put_state(flow_run_id, "COMPLETED")
    )
    assert payload["because"] == "ended"


async def test_a_run_that_prefect_is_about_to_repeat_has_started(client: PrefectClient, prefect: LivePrefect) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING")
    prefect.put_state(flow_run_id, "SCHEDULED", "AwaitingRetry")
    payload = await fires_after(
        trigger(flow_run_id, start_seconds=0.0), lambda: prefect.put_state(flow_run_id, "COMPLETED")
    )
    assert payload["because"] == "ended"


async def test_a_passed_run_deadline_fires_whatever_the_run_does(client: PrefectClient, prefect: LivePrefect) -> None:
    event = await fired(trigger(prefect.run_by_hand("RUNNING"), start_seconds=3600.0, run_seconds=0.0))
    assert event.payload["because"] == "run_timeout"


async def test_a_deleted_run_resumes_on_a_worker(client: PrefectClient) -> None:
    event = await fired(trigger(str(uuid4())))
    assert event.payload["because"] == "error"
    assert "was deleted" in event.payload["detail"]


@pytest.mark.parametrize(
    ("task_state", "after"),
    [("deferred", "RUNNING"), ("queued", "RUNNING"), ("failed", "CANCELLING"), (None, "CANCELLING")],
)
async def test_a_killed_task_cancels_its_run_and_a_moved_trigger_does_not(
    client: PrefectClient,
    prefect: LivePrefect,
    monkeypatch: pytest.MonkeyPatch,
    task_state: str | None,
    after: str,
) -> None:
    states = {"r": {"t": task_state}} if task_state else {}
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(lambda **_: states))
    flow_run_id = prefect.run_by_hand("RUNNING")
    await trigger(flow_run_id).on_kill()
    assert state_of(prefect, flow_run_id) == after


async def test_ending_the_wait_leaves_the_run_alone(client: PrefectClient, prefect: LivePrefect) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING")
    waiting = trigger(flow_run_id)
    event = asyncio.ensure_future(fired(waiting))
    await asyncio.wait({event}, timeout=0.5)
    event.cancel()
    await waiting.cleanup()
    assert state_of(prefect, flow_run_id) == "RUNNING"


def ready(*deployments: str) -> bool:
    return bool(PrefectReady(task_id="ready", deployments=deployments).poke({}))


def test_prefect_is_ready_when_the_deployments_are_there(client: PrefectClient) -> None:
    assert ready("echo/t", "fail/t")


def test_what_is_missing_is_waited_for(client: PrefectClient) -> None:
    assert not ready("echo/t", "nope/t")


def test_an_api_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    away = {"conn_type": "prefect", "host": "http://127.0.0.1", "port": unused_tcp_port}
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(away))
    assert not ready("echo/t")


def test_a_connection_that_cannot_work_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps({"conn_type": "prefect", "host": "ftp://p"}))
    with pytest.raises(AirflowFailException, match="ftp://p"):
        ready("echo/t")


async def test_a_resumption_waits_until_the_deferring_worker_is_gone(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    failed = prefect.run_by_hand("FAILED")
    moment = datetime.now(UTC) + timedelta(seconds=2)
    event = await fired(trigger(failed, resume_not_before=moment.isoformat()))
    assert event.payload["because"] == "ended"
    assert datetime.now(UTC) >= moment


def test_a_triggerer_whose_clock_is_behind_holds_a_task_no_longer_than_a_hand_over_takes() -> None:
    ten_minutes_ahead = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    assert seconds_to_resumption(ten_minutes_ahead) <= 5.0 + REPORT_SECONDS
    assert seconds_to_resumption(PAST) == 0
    assert may_be_a_takeover(ten_minutes_ahead)  # so that it asks how far the log was written
    assert not may_be_a_takeover(resume_not_before())


async def test_a_trigger_that_a_bridge_before_wrote_down_keeps_its_deadlines(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    event = await fired(trigger(prefect.run_by_hand("RUNNING"), start_deadline=FUTURE, run_deadline=PAST))
    assert event.payload["because"] == "run_timeout"


async def test_nothing_blocks_the_event_loop_while_a_trigger_waits(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fired(trigger(prefect.run_by_hand("FAILED"), stream_logs=True))  # lazy imports are read once
    loop_thread = threading.get_ident()
    blocking: list[str] = []
    watching = True

    def audit(event: str, _: object) -> None:
        if watching and event in BLOCKING and threading.get_ident() == loop_thread:
            blocking.append(event)

    def sleep(seconds: float) -> None:
        if threading.get_ident() == loop_thread:
            blocking.append("time.sleep")
        slept(seconds)

    slept = time.sleep
    monkeypatch.setattr(time, "sleep", sleep)
    flow_run_id = await asyncio.to_thread(prefect.run_by_hand, "RUNNING")
    sys.addaudithook(audit)
    try:
        payload = await fires_after(
            trigger(flow_run_id, stream_logs=True), lambda: prefect.put_state(flow_run_id, "FAILED")
        )
    finally:
        watching = False
    assert payload["because"] == "ended"
    assert blocking == []
