"""`bridge` as people and scripts use it: a process with output and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.wire import find_deployment
from tests.contract.conftest import running, start
from tests.live_prefect import LivePrefect


@pytest.fixture
def bridge(prefect: LivePrefect):
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("bridge")), *arguments]
        variables = {**prefect.environment, **environment}
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)

    return run


def test_a_run_is_followed_to_its_result(bridge) -> None:
    done = bridge("run", "echo/t", "--param", "text=hi there", "-p", "number=3", "--wait")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"text": "hi there", "number": 3}
    for word in ("Started", "Completed", "echoing hi there", "/runs/flow-run/"):
        assert word in done.stderr


def test_json_is_all_that_stands_on_stdout(bridge) -> None:
    done = bridge("run", "echo/t", "--wait", "--json")
    document = json.loads(done.stdout)
    assert document["state"] == "COMPLETED"
    assert document["result"] == {"text": "hello", "number": 1}


def test_a_run_that_fails_exits_with_1_and_says_why(bridge) -> None:
    done = bridge("run", "fail/t", "-p", "message=the disk is full", "--wait")
    assert done.returncode == 1
    assert "the disk is full" in done.stderr.splitlines()[-1]


def test_a_skip_succeeds_and_gives_the_reason(bridge) -> None:
    done = bridge("run", "skip/t", "--wait")
    assert done.returncode == 0
    assert "there is nothing to do" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "echo/t", "-p", "number=three"],
        ["run", "echo/t", "-p", "colour=red"],
        ["run", "echo/t", "-p", "number"],
        ["run"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(bridge, arguments: list[str]) -> None:
    assert bridge(*arguments).returncode == 2


def test_what_is_not_there_exits_with_3(bridge, unused_tcp_port: int) -> None:
    assert bridge("run", "nope/t").returncode == 3
    assert bridge("status", "00000000-0000-4000-8000-000000000000").returncode == 3
    away = bridge("doctor", PREFECT_API_URL=f"http://127.0.0.1:{unused_tcp_port}/api")
    assert away.returncode == 3
    assert "cannot be reached" in away.stderr
    assert "Traceback" not in away.stderr


def test_the_same_key_never_starts_a_second_run(bridge) -> None:
    ids = {json.loads(bridge("run", "echo/t", "--key", "today", "--json").stdout)["id"] for _ in range(2)}
    assert len(ids) == 1


def test_status_and_cancel_tell_the_truth(bridge, client: PrefectClient, tmp_path: Path) -> None:
    run = running(client, start(client, "hold/t", path=str(tmp_path / "never")))
    assert json.loads(bridge("status", run.id, "--json").stdout)["state"] == "RUNNING"
    assert json.loads(bridge("cancel", run.id, "--json").stdout)["state"] in {"CANCELLING", "CANCELLED"}
    followed = bridge("watch", run.id)
    assert followed.returncode == 1
    assert "was cancelled" in followed.stderr


def test_deployments_are_listed_with_their_parameters(bridge) -> None:
    rows = {row["deployment"]: row for row in json.loads(bridge("deployments", "--json").stdout)}
    assert rows["echo/t"]["parameters"] == "text, number"
    assert "echo/t\t" in bridge("deployments").stdout


def test_the_doctor_finds_nothing_amiss(bridge) -> None:
    done = bridge("doctor", "echo/t", "--json")
    assert done.returncode == 0, done.stdout
    assert [finding["in order"] for finding in json.loads(done.stdout)] == [True, True, True]


def test_the_doctor_names_what_is_missing_and_the_remedy(bridge) -> None:
    done = bridge("doctor", "nope/t", "--json")
    assert done.returncode == 3
    [absent] = [finding for finding in json.loads(done.stdout) if not finding["in order"]]
    assert absent["what"] == "deployment nope/t"
    assert absent["remedy"] == "prefect deploy --all"


def test_the_doctor_looks_for_a_worker_on_the_pool(bridge, client: PrefectClient, prefect: LivePrefect) -> None:
    prefect.request("POST", "/work_pools/", {"name": "attended", "type": "process"})
    flow = client.run(find_deployment("echo/t")).flow_id
    document = {"name": "pooled", "flow_id": flow, "work_pool_name": "attended", "entrypoint": "x:y", "path": "."}
    created = prefect.request("POST", "/deployments/", document)
    try:
        without = bridge("doctor", "echo/pooled")
        assert without.returncode == 3
        assert "prefect worker start --pool attended" in without.stdout
        prefect.request("POST", "/work_pools/attended/workers/heartbeat", {"name": "w"})
        assert bridge("doctor", "echo/pooled").returncode == 0
    finally:
        prefect.request("DELETE", f"/deployments/{created['id']}")


def test_the_address_of_the_web_interface_is_told_from_the_apis(bridge, prefect: LivePrefect) -> None:
    pages = bridge("doctor", PREFECT_API_URL=prefect.api_url.removesuffix("/api"))
    assert pages.returncode == 3
    assert len(pages.stderr.splitlines()) == 1
    assert "/api" in pages.stderr
