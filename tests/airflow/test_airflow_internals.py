"""What is used of Airflow beyond its public interface: that it does what is relied on, and stands in one module a side.

A new Airflow that changes one of these fails here, by its name, before a DAG does.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, BaseOperator, task
from airflow.sdk._shared.secrets_masker import _secrets_masker
from airflow.sdk.exceptions import AirflowException, AirflowOptionalProviderFeatureException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetTaskStates,
    GetXCom,
    SetXCom,
    TaskStatesResult,
    XComResult,
)

from bridge.in_airflow import airflow_internals as internals
from bridge.in_airflow.watching import PrefectEventTrigger

CHECKOUT = Path(__file__).resolve().parents[2]
PUBLIC = {
    "airflow.configuration",
    "airflow.plugins_manager",
    "airflow.providers.http.hooks.http",
    "airflow.providers.slack.notifications.slack_webhook",
    "airflow.providers.smtp.notifications.smtp",
    "airflow.providers.standard.operators.hitl",
    "airflow.sdk",
    "airflow.sdk.definitions.retry_policy",
    "airflow.sdk.exceptions",
    "airflow.triggers.base",
}
"""Modules of which Airflow's documentation speaks to the authors of DAGs, providers and plugins."""
UNSTABLE = {"AirflowRuntimeError", "_process_extra_options_from_connection"}
"""Names in those modules of which it does not."""
PLACE = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1}


class Supervisor:
    """What a task's process, or a triggerer, speaks with."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def send(self, message: Any) -> Any:
        self.asked.append(message)
        if isinstance(message, GetXCom):
            return XComResult(key=message.key, value="known")
        if isinstance(message, GetTaskStates):
            return TaskStatesResult(task_states={"r": {"t": "running"}})
        return None

    async def asend(self, message: Any) -> Any:
        return self.send(message)


shares_streams = pytest.mark.skipif(not internals.HAS_SHARED_STREAMS, reason="this Airflow has none; 3.3 has")


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


def test_a_tasks_state_is_asked_for(supervisor: Supervisor) -> None:
    assert internals.read_task_states(dag_id="d", task_id="t", run_id="r", map_index=-1) == {"t": "running"}
    [asked] = supervisor.asked
    assert (asked.dag_id, asked.task_ids, asked.run_ids, asked.map_index) == ("d", ["t"], ["r"], -1)


async def test_an_xcom_is_read_and_written_from_an_event_loop(supervisor: Supervisor) -> None:
    assert await internals.read_xcom(key="k", **PLACE) == "known"
    await internals.write_xcom("k", {"a": 1}, **PLACE)
    [written] = [message for message in supervisor.asked if isinstance(message, SetXCom)]
    assert (written.key, written.value, written.dag_id, written.task_id) == ("k", {"a": 1}, "d", "t")


def test_a_links_address_is_read_from_its_xcom(supervisor: Supervisor) -> None:
    class Key:
        dag_id, task_id, run_id, map_index = "d", "t", "r", -1

    assert internals.link_address("k", Key()) == "known"


@pytest.mark.parametrize(("comms", "in_process"), [("InProcessSupervisorComms", True), ("CommsDecoder", False)])
def test_a_task_of_dag_test_is_told_from_one_of_an_executor(
    comms: str, in_process: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.execution_time import supervisor as airflows

    known = getattr(airflows, comms, None) or getattr(task_runner, comms, None)
    if known is None:
        from airflow.sdk.execution_time import comms as messages

        known = getattr(messages, comms)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object.__new__(known), raising=False)
    assert internals.runs_in_process() is in_process


def test_what_a_refusal_of_the_execution_api_is() -> None:
    refusal = internals.AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"why": "not now"}))
    assert "not now" in str(refusal)
    assert not isinstance(refusal, AirflowException)


async def test_secrets_are_masked_by_both_worlds(supervisor: Supervisor) -> None:
    internals.mask_secret("a secret of a worker")
    await internals.amask_secret("a secret of a triggerer")
    said = _secrets_masker().redact("a secret of a worker, a secret of a triggerer")
    assert "secret of a" not in said
    assert len(supervisor.asked) == 2


def test_an_operators_post_execute_is_seen() -> None:
    assert internals.has_post_execute_hook(BaseOperator(task_id="t", post_execute=lambda *_: None))
    assert not internals.has_post_execute_hook(BaseOperator(task_id="t"))


def test_who_is_mapped_over_is_seen() -> None:
    with DAG("d", schedule=None):
        listed, alone = BaseOperator(task_id="listed"), BaseOperator(task_id="alone")

        @task
        def each(name: str) -> str:
            return name

        each.expand(name=listed.output)
    assert internals.is_mapped_over(listed)
    assert not internals.is_mapped_over(alone)


def test_who_is_told_of_a_success_is_seen() -> None:
    from airflow.listeners import hookimpl

    class Listener:
        @hookimpl
        def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
            """As OpenLineage's provider has one."""

    before, listener, manager = internals.is_success_listened_to(), Listener(), internals.get_listener_manager()
    manager.add_listener(listener)
    try:
        assert (before, internals.is_success_listened_to()) == (False, True)
    finally:
        manager.pm.unregister(listener)


@shares_streams
def test_the_state_stores_of_all_watched_assets_are_found() -> None:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    accessors = AssetStateStoreAccessors(inlets=[Asset("one"), Asset("two"), Asset.ref(uri="s3://three/")])
    assert len(internals.watched_state_stores(accessors)) == 3
    assert internals.watched_state_stores(None) == []


def test_the_http_providers_extra_is_read_as_headers_and_options() -> None:
    headers, options = internals.read_http_extra(
        {"X-Team": "data", "verify": False, "timeout": 3, "proxies": {"all": "p"}}
    )
    assert headers == {"X-Team": "data"}
    assert options == {"verify_ssl": False, "timeout": 3, "proxy": {"all": "p"}}


@shares_streams
async def test_a_shared_streams_producer_is_opened_and_told_what_is_stored() -> None:
    class Producer(internals.SharedStreamProducer):
        async def open_stream(self) -> Any:
            yield "event", "payload"

        async def advance(self, batch: Any) -> None:
            self.advanced = batch

    producer = Producer()
    item = internals.AdvanceItem("payload", internals.AdvanceOutcome(acked=1, failed=0))
    assert [each async for each in producer.open_stream()] == [("event", "payload")]
    await producer.advance([item])
    assert item.outcome.is_clean
    assert item.broker_payload == "payload"


def test_a_watcher_without_shared_streams_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internals, "HAS_SHARED_STREAMS", False)
    with pytest.raises(AirflowOptionalProviderFeatureException, match=r"PrefectEventTrigger needs Airflow 3\.3"):
        PrefectEventTrigger("score/products")


def test_the_control_pages_names_are_there() -> None:
    from plugins.control_page import airflow_internals as of_the_page

    for name in of_the_page.__all__:
        assert getattr(of_the_page, name) is not None


def airflow_imports(file: Path) -> Iterator[tuple[str, str]]:
    """Module and name of what a file imports of Airflow, within functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "airflow")
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "airflow":
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", ["bridge", "plugins", "dags"])
def test_what_is_not_public_is_imported_in_one_module_alone(folder: str) -> None:
    files = [file for file in (CHECKOUT / folder).rglob("*.py") if file.name != "airflow_internals.py"]
    assert files
    strays = [
        f"{file.relative_to(CHECKOUT)}: {module} {name}"
        for file in files
        for module, name in airflow_imports(file)
        if module not in PUBLIC or name in UNSTABLE
    ]
    assert strays == []
    private = [file.name for file in files if "noqa: SLF001" in file.read_text()]
    assert private == (["total_time.py"] if folder == "bridge" else [])  # httpx's: tests/unit/bridge/test_client.py
