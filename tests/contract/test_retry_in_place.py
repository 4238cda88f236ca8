"""A retry in place compares and sets on Prefect's side: whatever somebody else does meanwhile, the run starts once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.exchange import Answer, Request
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.retrying import Fault
from tests.live_prefect import LivePrefect


def meanwhile(client: PrefectClient, act: Callable[[], None], answers_lost: int = 0) -> None:
    """Let `act` happen after the run was read and before the retry is sent, and lose the first answers to that."""
    send, left = client._send, iter(range(answers_lost))

    def interrupted(request: Request) -> Answer | Fault:
        if "set_state" not in request.path:
            return send(request)
        act()
        answer = send(request)
        return answer if next(left, None) is None else Fault("the answer was lost")

    client._send = interrupted  # type: ignore[method-assign]


def states(prefect: LivePrefect, flow_run_id: str) -> list[str]:
    """The run's states, the oldest first."""
    found = prefect.request("GET", f"/flow_run_states/?flow_run_id={flow_run_id}")
    return [each["type"] for each in sorted(found, key=lambda each: each["timestamp"])]


@pytest.mark.parametrize("end", ["FAILED", "CRASHED", "CANCELLED"])
def test_a_run_that_has_ended_is_scheduled_again(client: PrefectClient, prefect: LivePrefect, end: str) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING", end)
    again = client.run(wire.retry_flow_run(flow_run_id))
    assert (again.state_type, again.state_name, again.state_message) == (
        "SCHEDULED",
        "AwaitingRetry",
        wire.RETRIED_MESSAGE,
    )
    assert again.run_count == 1


@pytest.mark.parametrize(
    "by_person",
    [
        ("SCHEDULED", "PENDING", "RUNNING"),
        ("SCHEDULED", "PENDING"),
        ("SCHEDULED",),
        ("SCHEDULED", "RUNNING", "FAILED"),
        ("SCHEDULED", "RUNNING", "COMPLETED"),
    ],
)
def test_a_run_that_a_person_retries_in_between_is_left_as_it_is(
    client: PrefectClient, prefect: LivePrefect, by_person: tuple[str, ...]
) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING", "FAILED")
    meanwhile(client, lambda: [prefect.put_state(flow_run_id, state) for state in by_person] and None)
    again = client.run(wire.retry_flow_run(flow_run_id))
    assert again.state_type == by_person[-1]
    assert states(prefect, flow_run_id)[-len(by_person) :] == list(by_person)


def test_a_retry_whose_answer_was_lost_is_not_carried_out_twice(client: PrefectClient, prefect: LivePrefect) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING", "FAILED")
    sent = iter(range(9))

    def started_by_a_worker() -> None:
        if next(sent) == 1:  # the first was carried out
            prefect.put_state(flow_run_id, "RUNNING")

    meanwhile(client, started_by_a_worker, answers_lost=1)
    assert client.run(wire.retry_flow_run(flow_run_id)).state_type == "RUNNING"
    assert states(prefect, flow_run_id)[-2:] == ["SCHEDULED", "RUNNING"]


def test_of_many_retries_at_once_one_is_carried_out(prefect: LivePrefect, client: PrefectClient) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING", "FAILED")

    def retried(_: int) -> FlowRun:
        with PrefectClient(client.connection) as own:
            return own.run(wire.retry_flow_run(flow_run_id))

    with ThreadPoolExecutor(4) as several:
        found = list(several.map(retried, range(4)))
    assert {run.state_name for run in found} == {"AwaitingRetry"}


def test_a_worker_that_has_taken_the_run_is_not_overtaken(client: PrefectClient, prefect: LivePrefect) -> None:
    """What is asked for late, after the run was read long ago, finds the end gone."""
    flow_run_id = prefect.run_by_hand("RUNNING", "FAILED")
    operation = wire.retry_flow_run(flow_run_id)
    answer = client._send(next(operation))
    assert isinstance(answer, Answer)
    late = operation.send(answer)
    for state in ("SCHEDULED", "RUNNING", "FAILED", "SCHEDULED", "RUNNING"):
        prefect.put_state(flow_run_id, state)
    assert isinstance(late, Request)
    answer = client._send(late)
    assert isinstance(answer, Answer)
    assert answer.body == {"results": []}
    assert prefect.request("GET", f"/flow_runs/{flow_run_id}")["state_type"] == "RUNNING"
