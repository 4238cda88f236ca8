"""Every operation asks what it should, and makes a typed error of every answer that it does not know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bridge import errors
from bridge.prefect_api import wire, work_pools
from bridge.prefect_api.exchange import Answer, Operation, Request
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.wire import Submission
from bridge.readiness import examine

RUN = {"id": "r1", "name": "brave-owl", "state": {"type": "RUNNING", "name": "Running"}}
DEPLOYMENT = {"id": "d1", "name": "products", "flow_id": "f1"}
RECORD = DeploymentRecord.parse(DEPLOYMENT)


def exchange(operation: Operation[Any], answers: Iterable[Answer]) -> tuple[Any, list[Request]]:
    """What the operation learned from these answers, and what it asked."""
    pending, asked = iter(answers), []
    try:
        request = next(operation)
        while True:
            asked.append(request)
            request = operation.send(next(pending))
    except StopIteration as stop:
        return stop.value, asked


OPERATIONS = [
    lambda: wire.find_deployment("train/products"),
    lambda: wire.list_deployments(),
    lambda: wire.create_flow_run(RECORD, Submission({}), "train/products"),
    lambda: wire.read_flow_run("r1"),
    lambda: wire.read_flow_runs(["r1"]),
    lambda: wire.cancel_flow_run("r1"),
    lambda: wire.retry_flow_run("r1"),
    lambda: wire.read_result("r1"),
    lambda: work_pools.read_deployment("d1"),
    lambda: work_pools.read_work_pool("pool"),
    lambda: work_pools.list_work_queues("pool"),
    lambda: wire.read_logs("r1"),
    lambda: wire.list_workers("pool"),
    lambda: wire.read_server_version(),
]


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, errors.FlowRunNotFound), (401, errors.PrefectUnauthorised), (500, errors.PrefectApiError)],
)
def test_labels_that_are_not_written_are_told(status: int, error: type[Exception]) -> None:
    exchange(wire.label_flow_run("r1", {"a": "b"}), [Answer(204, None)])
    with pytest.raises(error):
        exchange(wire.label_flow_run("r1", {"a": "b"}), [Answer(status, {"detail": "no"})])


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_said_to_be_refused(operation: Any, status: int) -> None:
    with pytest.raises(errors.PrefectUnauthorised, match=str(status)):
        exchange(operation(), [Answer(status, {"detail": "no"})])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refusal_that_the_protocol_does_not_know_is_given_in_the_servers_words(operation: Any) -> None:
    with pytest.raises(errors.PrefectApiError, match=r"418.*a teapot") as refused:
        exchange(operation(), [Answer(418, {"detail": "a teapot"})])
    assert not refused.value.retryable


@pytest.mark.parametrize("operation", OPERATIONS[:-3])
@pytest.mark.parametrize("body", [None, "text", 7, {}, [None], ["text"], [{}], [[]], {"id": None}])
def test_an_answer_of_another_form_is_a_typed_error(operation: Any, body: Any) -> None:
    with pytest.raises((errors.UnexpectedAnswer, errors.ResultInvalid)):
        exchange(operation(), [Answer(200, body)] * 3)


def test_names_are_quoted_into_addresses() -> None:
    _, [asked] = exchange(wire.find_deployment("a flow/no. 1?"), [Answer(200, DEPLOYMENT)])
    assert asked.path == "/deployments/name/a%20flow/no.%201%3F"
    _, [asked] = exchange(wire.list_workers("a/pool"), [Answer(200, [])])
    assert asked.path == "/work_pools/a%2Fpool/workers/filter"


def test_only_a_create_with_a_key_may_be_repeated() -> None:
    for key, repeatable in [(None, False), ("k", True)]:
        _, [asked] = exchange(
            wire.create_flow_run(RECORD, Submission({}, idempotency_key=key), "x"), [Answer(201, RUN)]
        )
        assert asked.repeatable is repeatable
        assert (asked.json or {}).get("idempotency_key") == key


@pytest.mark.parametrize("status", [400, 409, 422])
def test_refused_parameters_name_the_deployment(status: int) -> None:
    answer = Answer(status, {"detail": "week is no number"})
    with pytest.raises(errors.ParametersRejected, match=r"'train/products'.*week is no number"):
        exchange(wire.create_flow_run(RECORD, Submission({}), "train/products"), [answer])


def test_a_deployment_that_was_deleted_meanwhile_is_not_found() -> None:
    with pytest.raises(errors.DeploymentNotFound, match="deleted while"):
        exchange(wire.create_flow_run(RECORD, Submission({}), "train/products"), [Answer(404, {})])


def test_a_run_that_was_there_before_is_lost_and_a_retry_may_start_afresh() -> None:
    with pytest.raises(errors.FlowRunLost, match="http://p/r1") as lost:
        exchange(wire.reread_flow_run("r1", "http://p/r1"), [Answer(404, {})])
    assert lost.value.flow_run_id == "r1"
    assert lost.value.retryable


def test_many_runs_are_read_in_pages_of_what_prefect_allows() -> None:
    ids = [str(number) for number in range(450)]
    _, asked = exchange(wire.read_flow_runs(ids), [Answer(200, [])] * 3)
    assert [len(request.json["flow_runs"]["id"]["any_"]) for request in asked if request.json] == [200, 200, 50]


def test_after_a_cancellation_the_run_is_read_again() -> None:
    after = {**RUN, "state": {"type": "CANCELLED", "name": "Cancelled"}}
    run, asked = exchange(wire.cancel_flow_run("r1"), [Answer(200, {"status": "REJECT"}), Answer(200, after)])
    assert run.state_type == "CANCELLED"
    assert asked[0].json == {
        "state": {"type": "CANCELLING", "name": "Cancelling", "message": "Cancelled by bridge"},
        "force": False,
    }


def in_state(state_type: str) -> Answer:
    return Answer(200, {**RUN, "state": {"type": state_type, "name": state_type.title()}})


def test_a_cancellation_is_looked_after_until_the_run_has_ended() -> None:
    answers = [Answer(200, {}), in_state("CANCELLING"), in_state("CANCELLING"), in_state("CANCELLED")]
    run, asked = exchange(wire.cancel_flow_run("r1", confirm_seconds=10), answers)
    assert run.state_type == "CANCELLED"
    assert [request.after_seconds for request in asked] == [0, 0, 0.5, 0.5]


def test_a_cancellation_that_does_not_end_is_looked_after_for_so_long() -> None:
    run, asked = exchange(
        wire.cancel_flow_run("r1", confirm_seconds=2), [Answer(200, {}), *[in_state("CANCELLING")] * 9]
    )
    assert run.state_type == "CANCELLING"
    assert sum(request.after_seconds for request in asked) == 2


def bulk(*results: dict[str, Any]) -> Answer:
    return Answer(200, {"results": list(results)})


def test_a_failed_run_is_scheduled_again_in_place() -> None:
    answers = [in_state("FAILED"), bulk({"status": "ACCEPT"}), in_state("SCHEDULED")]
    run, asked = exchange(wire.retry_flow_run("r1"), answers)
    assert run.state_type == "SCHEDULED"
    assert asked[1].json == {
        "flow_runs": {"id": {"any_": ["r1"]}, "state": {"type": {"any_": ["FAILED"]}}},
        "state": {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retried by bridge"},
        "force": True,
    }
    assert asked[1].repeatable


def test_a_run_that_lives_is_not_retried() -> None:
    run, asked = exchange(wire.retry_flow_run("r1"), [in_state("RUNNING")])
    assert (run.state_type, len(asked)) == ("RUNNING", 1)


def test_a_run_that_has_left_its_end_meanwhile_is_left_alone() -> None:
    run, _ = exchange(wire.retry_flow_run("r1"), [in_state("FAILED"), bulk(), in_state("RUNNING")])
    assert run.state_type == "RUNNING"


def test_a_refused_retry_says_why() -> None:
    refused = bulk({"status": "ABORT", "state": {"type": "FAILED"}, "details": {"reason": "no such thing"}})
    with pytest.raises(errors.RetryRefused, match="no such thing"):
        exchange(wire.retry_flow_run("r1"), [in_state("FAILED"), refused])


def test_a_retry_that_a_locked_database_prevented_is_asked_for_again() -> None:
    locked = bulk({"status": "ABORT", "state": None, "details": {"reason": "database is locked"}})
    answers = [in_state("FAILED"), locked, in_state("FAILED"), bulk({"status": "ACCEPT"}), in_state("SCHEDULED")]
    run, asked = exchange(wire.retry_flow_run("r1"), answers)
    assert run.state_type == "SCHEDULED"
    assert [request.after_seconds for request in asked] == [0, 0, 0, 0.5, 0]
    with pytest.raises(errors.PrefectUnreachable, match="database is locked"):
        exchange(wire.retry_flow_run("r1"), [in_state("FAILED"), *[locked, in_state("FAILED")] * 99])


@pytest.mark.parametrize("data", [{"f1": 0.9}, '{"f1": 0.9}'])
def test_a_result_is_read_in_both_forms(data: Any) -> None:
    assert exchange(wire.read_result("r1"), [Answer(200, [{"data": data}])])[0] == {"f1": 0.9}


@pytest.mark.parametrize("data", [None, "no json", "[1]", [1]])
def test_a_result_that_is_no_object_is_a_typed_error(data: Any) -> None:
    with pytest.raises(errors.ResultInvalid, match="bridge-result"):
        exchange(wire.read_result("r1"), [Answer(200, [{"data": data}])])


def test_a_run_is_read_with_or_without_the_states_own_record() -> None:
    flat = FlowRun.parse({"id": "1", "name": "n", "state_type": "FAILED", "state_name": "Failed"})
    assert (flat.state_type, flat.state_message) == ("FAILED", "")
    assert FlowRun.parse({"id": "1", "name": "n"}).state_type == "SCHEDULED"


def test_only_the_deployments_that_are_named_are_read() -> None:
    answers = [Answer(200, "3.8.8"), Answer(404, {"detail": "Deployment not found"}), Answer(200, DEPLOYMENT)]
    findings, asked = exchange(examine(["train/absent", "train/products"]), answers)
    assert [(finding.in_order, finding.detail) for finding in findings[2:]] == [(False, "absent"), (True, "present")]
    assert [request.path for request in asked] == [
        "/admin/version",
        "/deployments/name/train/absent",
        "/deployments/name/train/products",
    ]


def test_all_deployments_are_read_where_none_is_named() -> None:
    answers = [Answer(200, "3.8.8"), Answer(200, [DEPLOYMENT]), Answer(200, [{"id": "f1", "name": "train"}])]
    findings, _ = exchange(examine(), answers)
    assert (findings[-1].subject, findings[-1].detail) == ("deployments", "1 present")


def test_an_absent_deployment_is_no_word_of_something_else_than_prefect() -> None:
    """Without a version, the deployments decide whether it is Prefect that lacks one."""
    not_found = Answer(404, {"detail": "Not Found"})
    findings, _ = exchange(examine(["train/absent"]), [not_found, Answer(200, []), not_found])
    assert [finding.in_order for finding in findings] == [True, True, False]
    with pytest.raises(errors.PrefectApiError, match="no Prefect API at this address"):
        exchange(examine(["train/absent"]), [not_found] * 3)


@pytest.mark.parametrize("data", ["no JSON", "[1]", '{"in":' * 100_000 + "1" + "}" * 100_000, "9" * 10_000, 7, None])
def test_a_published_result_that_is_no_object_is_an_error_of_its_run(data: Any) -> None:
    with pytest.raises(errors.ResultInvalid, match=r"r1 .*it is no JSON object"):
        wire.published_result("r1", {"data": data})
