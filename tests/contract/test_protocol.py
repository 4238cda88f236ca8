"""Every operation of the protocol against a real Prefect server."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from bridge import errors
from bridge.ending import conclude, never_started
from bridge.prefect_api import exchange, wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.retrying import RetryPolicy
from bridge.readiness import examine
from bridge.submitting import submit
from tests.contract.conftest import ended, intention, running, start
from tests.live_prefect import LivePrefect, wait_until


class Echo(BaseModel):
    text: str
    number: int


class Other(BaseModel):
    something_else: str


def test_a_deployment_is_found_with_its_schema(client: PrefectClient) -> None:
    record = client.run(wire.find_deployment("echo/t"))
    assert set(record.parameter_schema["properties"]) == {"text", "number"}
    assert not record.paused


def test_an_unknown_deployment_is_named_with_the_remedy(client: PrefectClient) -> None:
    with pytest.raises(errors.DeploymentNotFound, match=r"'nope/t'.*prefect deploy"):
        client.run(wire.find_deployment("nope/t"))


def test_deployments_are_listed_by_full_name(client: PrefectClient) -> None:
    names = [name for name, _ in client.run(wire.list_deployments())]
    assert {"echo/t", "fail-once/t", "fail/t", "hold/t", "skip/t"} <= set(names)
    assert names == sorted(names)


def test_the_published_result_comes_back_typed(client: PrefectClient) -> None:
    run = ended(client, start(client, "echo/t", text="hi", number=3))
    assert client.run(conclude(run, "http://x", Echo)).result == {"text": "hi", "number": 3}


def test_a_promised_result_that_is_missing_or_of_another_form_is_an_error(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    run = client.run(wire.read_flow_run(prefect.run_by_hand("COMPLETED")))
    assert client.run(conclude(run, "http://x")).result is None
    with pytest.raises(errors.ResultInvalid, match="published no result"):
        client.run(conclude(run, "http://x", Other))
    published = {"key": "bridge-result", "type": "result", "data": {"text": "hi"}, "flow_run_id": run.id}
    prefect.request("POST", "/artifacts/", published)
    with pytest.raises(errors.ResultInvalid, match="is no Other"):
        client.run(conclude(run, "http://x", Other))


def test_the_server_refuses_what_slipped_through_in_its_own_words(client: PrefectClient) -> None:
    record = client.run(wire.find_deployment("echo/t"))
    with pytest.raises(errors.ParametersRejected, match="'echo/t'"):
        client.run(submit(record, intention("echo/t"), wire.Submission({"number": "no number"})))


def test_the_same_intention_has_one_run(client: PrefectClient) -> None:
    meant = intention("echo/t")
    assert len({start(client, "echo/t", meant).id for _ in range(4)}) == 1


def test_tags_and_labels_arrive(client: PrefectClient, prefect: LivePrefect) -> None:
    record = client.run(wire.find_deployment("echo/t"))
    submission = wire.Submission({}, tags=["airflow", "dag:d"], labels={"airflow.dag_id": "d", "airflow.map_index": 3})
    run = client.run(submit(record, intention("echo/t"), submission)).run
    document = prefect.request("GET", f"/flow_runs/{run.id}")
    assert {"airflow", "dag:d"} <= set(document["tags"])
    assert document["labels"]["airflow.dag_id"] == "d"
    assert document["labels"]["airflow.map_index"] == 3


def test_after_a_failure_the_same_intention_starts_afresh_and_takes_the_success(
    client: PrefectClient, tmp_path: Path
) -> None:
    meant, marker = intention("fail-once/t"), str(tmp_path / "failed")
    first = ended(client, start(client, "fail-once/t", meant, path=marker))
    second = ended(client, start(client, "fail-once/t", meant, path=marker))
    third = start(client, "fail-once/t", meant, path=marker)
    assert [first.state_type, second.state_type] == ["FAILED", "COMPLETED"]
    assert first.id != second.id == third.id


def test_a_failure_is_told_in_prefects_words_with_the_run(client: PrefectClient) -> None:
    run = ended(client, start(client, "fail/t", message="the disk is full"))
    with pytest.raises(errors.FlowRunFailed, match="ValueError: the disk is full") as failed:
        client.run(conclude(run, "http://x/1"))
    assert failed.value.flow_run_id == run.id
    assert "http://x/1" in str(failed.value)


def test_a_skip_is_a_success_with_a_reason_and_a_result(client: PrefectClient) -> None:
    outcome = client.run(conclude(ended(client, start(client, "skip/t")), "http://x", Echo))
    assert outcome.skipped_because == "there is nothing to do"
    assert outcome.result == {"text": "nothing", "number": 0}


def test_a_running_run_is_cancelled(client: PrefectClient, tmp_path: Path) -> None:
    run = running(client, start(client, "hold/t", path=str(tmp_path / "never")))
    assert client.run(wire.cancel_flow_run(run.id)).state_type in {"CANCELLING", "CANCELLED"}
    assert ended(client, run).state_type == "CANCELLED"


def test_cancelling_a_run_that_has_ended_changes_nothing(client: PrefectClient, prefect: LivePrefect) -> None:
    run = prefect.run_by_hand("COMPLETED")
    assert client.run(wire.cancel_flow_run(run)).state_type == "COMPLETED"


def test_what_is_gone_is_said_to_be_gone(client: PrefectClient) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for operation in (wire.read_flow_run(nobody), wire.cancel_flow_run(nobody), wire.read_flow_run("no-uuid")):
        with pytest.raises(errors.FlowRunNotFound):
            client.run(operation)
    assert client.run(wire.read_flow_runs([nobody])) == {}


def test_more_runs_than_a_page_are_read(client: PrefectClient) -> None:
    run = start(client, "echo/t")
    strangers = [f"00000000-0000-4000-8000-{number:012d}" for number in range(exchange.PAGE + 50)]
    assert set(client.run(wire.read_flow_runs([*strangers, run.id]))) == {run.id}


def test_the_log_is_read_in_order(client: PrefectClient) -> None:
    run = ended(client, start(client, "echo/t", text="into the log"))
    lines: list[wire.LogLine] = []

    def arrived() -> bool:
        lines[:] = client.run(wire.read_logs(run.id))
        return any("into the log" in line.message for line in lines)

    wait_until(arrived, "the log arrives")
    assert [line.timestamp for line in lines] == sorted(line.timestamp for line in lines)


def test_a_run_that_nobody_starts_is_explained(client: PrefectClient, prefect: LivePrefect) -> None:
    prefect.request("POST", "/work_pools/", {"name": "idle", "type": "process"})
    flow = client.run(wire.find_deployment("echo/t")).flow_id
    document = {"name": "idle", "flow_id": flow, "work_pool_name": "idle", "entrypoint": "x:y", "path": "."}
    created = prefect.request("POST", "/deployments/", document)
    try:
        run = start(client, "echo/idle")
        error = client.run(never_started(run, "http://x", 30))
        for word in ("'idle'", "no worker has ever polled it", "30 s", "http://x"):
            assert word in str(error)
        findings = {f.subject: f for f in client.run(examine(["echo/idle"]))}
        assert not findings["work pool idle"].in_order
        assert "prefect worker start --pool idle" in findings["work pool idle"].remedy
        after = client.run(wire.cancel_flow_run(run.id))
        assert after.state_type == "CANCELLED"
    finally:
        prefect.request("DELETE", f"/deployments/{created['id']}")


def test_nobody_there_is_unreachable(unused_tcp_port: int) -> None:
    connection = PrefectConnection(f"http://127.0.0.1:{unused_tcp_port}/api")
    with (
        PrefectClient(connection, RetryPolicy(attempts=2, first_pause_seconds=0.01)) as nobody,
        pytest.raises(errors.PrefectUnreachable, match="2 times in a row"),
    ):
        nobody.run(wire.read_server_version())
