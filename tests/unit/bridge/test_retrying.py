"""Passing faults are met with the same request again; what must not be repeated is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bridge.errors import PrefectUnreachable
from bridge.prefect_api.exchange import Answer, Operation, Request
from bridge.prefect_api.retrying import Fault, Pause, RetryPolicy, persistently

READ = Request("GET", "/x")
KEYLESS = Request("POST", "/create", {}, repeatable=False)
FINE = {"id": "r1", "name": "fine"}
OK = Answer(200, FINE)
LOST = Fault("ReadTimeout", sent=True)
UNSENT = Fault("ConnectError", sent=False)
POLICY = RetryPolicy(attempts=4)


def ask(request: Request) -> Operation[object]:
    answer = yield request
    return answer.body


def drive(request: Request, outcomes: Iterable[Answer | Fault], policy: RetryPolicy = POLICY) -> tuple[object, list]:
    """The operation's result, and every step that was taken."""
    steps: list[Request | Pause] = []
    pending = iter(outcomes)
    driven = persistently(ask(request), policy, "http://prefect/api")
    try:
        step = next(driven)
        while True:
            steps.append(step)
            step = driven.send(None if isinstance(step, Pause) else next(pending))
    except StopIteration as stop:
        return stop.value, steps


@pytest.mark.parametrize("passing", [Answer(503, ""), Answer(429, ""), Answer(500, ""), LOST, UNSENT])
def test_a_passing_fault_is_met_with_the_same_request(passing: Answer | Fault) -> None:
    result, steps = drive(READ, [passing, passing, OK])
    assert result == FINE
    assert [step for step in steps if isinstance(step, Request)] == [READ] * 3
    assert len(steps) == 5


@pytest.mark.parametrize("final", [OK, Answer(404, "b"), Answer(401, "c"), Answer(409, "d")])
def test_an_answer_that_says_something_is_not_asked_for_again(final: Answer) -> None:
    assert drive(READ, [final]) == (final.body, [READ])


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_borne_with_for_longer_than_one_that_is_away(status: int) -> None:
    patient = RetryPolicy(attempts=2, busy_patience_seconds=60.0)
    busy = Answer(status, "", {"Retry-After": "5"})
    result, steps = drive(READ, [*[busy] * 12, OK], patient)
    assert (result, len(steps)) == (FINE, 25)
    with pytest.raises(PrefectUnreachable, match="13 times in a row"):
        drive(READ, [busy] * 13, patient)
    with pytest.raises(PrefectUnreachable, match="2 times in a row"):
        drive(READ, [UNSENT] * 2, patient)


@pytest.mark.parametrize("policy", [RetryPolicy(attempts=4, busy_patience_seconds=60.0), RetryPolicy(attempts=10)])
def test_a_server_that_was_busy_may_still_lose_an_answer(policy: RetryPolicy) -> None:
    assert drive(READ, [*[Answer(503, "")] * 9, LOST, LOST, OK], policy)[0] == FINE


def test_patience_with_a_busy_server_is_none_with_one_that_is_away() -> None:
    busy = Answer(503, "", {"Retry-After": "20"})
    patient = RetryPolicy(attempts=3, busy_patience_seconds=60.0)
    with pytest.raises(PrefectUnreachable) as gone:
        drive(READ, [LOST, busy, UNSENT, busy, LOST], patient)
    for words in ("5 times in a row", "ReadTimeout: 2", "HTTP 503: 2", "ConnectError: 1", "cannot be reached"):
        assert words in str(gone.value)


def test_a_server_that_answers_is_not_said_to_be_out_of_reach() -> None:
    with pytest.raises(PrefectUnreachable, match="takes no requests: HTTP 503, 4 times in a row"):
        drive(READ, [Answer(503, "")] * 4)


def test_a_request_that_is_to_wait_is_sent_after_its_pause() -> None:
    later = Request("GET", "/x", after_seconds=2.5)
    assert drive(later, [OK]) == (FINE, [Pause(2.5), later])


def test_an_operation_may_know_another_way_when_its_request_may_have_been_carried_out() -> None:
    def look_after_a_loss() -> Operation[str]:
        with pytest.raises(PrefectUnreachable):
            yield KEYLESS
        answer = yield READ
        return f"looked: {answer.body}"

    driven = persistently(look_after_a_loss(), POLICY, "http://prefect/api")
    assert next(driven) == KEYLESS
    assert driven.send(LOST) == READ
    with pytest.raises(StopIteration) as stop:
        driven.send(OK)
    assert stop.value.value == f"looked: {FINE}"


def test_attempts_end() -> None:
    with pytest.raises(PrefectUnreachable, match="4 times in a row"):
        drive(READ, [UNSENT] * 4)


@pytest.mark.parametrize("outcome", [LOST, Answer(500, ""), Answer(502, ""), Answer(504, "")])
def test_a_create_without_key_is_not_repeated_once_it_may_have_arrived(outcome: Answer | Fault) -> None:
    with pytest.raises(PrefectUnreachable, match="may have been carried out"):
        drive(KEYLESS, [outcome, OK])


@pytest.mark.parametrize("outcome", [UNSENT, Answer(503, ""), Answer(429, "")])
def test_a_create_without_key_is_repeated_when_it_was_not_taken(outcome: Answer | Fault) -> None:
    assert drive(KEYLESS, [outcome, OK])[0] == FINE


def test_retry_after_is_honoured_within_reason() -> None:
    _, steps = drive(READ, [Answer(429, "", {"Retry-After": "7"}), Answer(503, "", {"retry-after": "9999"}), OK])
    assert [step.seconds for step in steps if isinstance(step, Pause)] == [7.0, POLICY.longest_retry_after_seconds]


@pytest.mark.parametrize("value", ["-3", "0", "nan", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_wait_is_met_with_our_own_pause(value: str) -> None:
    _, steps = drive(READ, [Answer(503, "", {"Retry-After": value}), OK])
    [pause] = [step.seconds for step in steps if isinstance(step, Pause)]
    assert 0 < pause <= POLICY.longest_pause_seconds


def test_pauses_grow_with_jitter_and_stay_bounded() -> None:
    policy = RetryPolicy(first_pause_seconds=1.0, longest_pause_seconds=5.0)
    for attempt in range(1, 9):
        pauses = {policy.pause(attempt) for _ in range(50)}
        ceiling = min(5.0, 2.0**attempt)
        assert all(ceiling / 10 <= pause <= ceiling for pause in pauses)
        assert len(pauses) > 1


@pytest.mark.parametrize("body", [None, "", {}, [], {"status": "ok"}, "login"])
def test_an_answer_that_cannot_be_prefects_is_a_lost_one(body: Any) -> None:
    result, steps = drive(READ, [Answer(200, body, url="http://proxy/api/things"), OK])
    assert (result, len(steps)) == (FINE, 3)
    with pytest.raises(PrefectUnreachable, match=r"from http://proxy/api/things with .*not Prefect's answer"):
        drive(READ, [Answer(200, body, url="http://proxy/api/things")] * 8)
    with pytest.raises(PrefectUnreachable, match="may have been carried out"):
        drive(KEYLESS, [Answer(201, body)])


def test_lost_answers_are_borne_as_long_as_patience_lasts() -> None:
    now = iter(range(1000))
    policy = RetryPolicy(attempts=2, patience_seconds=50)
    steps = persistently(ask(READ), policy, "http://prefect/api", clock=lambda: float(next(now)))
    sent = 0
    with pytest.raises(PrefectUnreachable):  # noqa: PT012 — the answers are part of what raises
        step = next(steps)
        while True:
            sent += step is READ
            step = steps.send(LOST if step is READ else None)
    assert sent == 50
