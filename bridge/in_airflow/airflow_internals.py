"""What the bridge uses of Airflow beyond its public interface, and what stands in for it where a minor lacks it.

The only module of `bridge` that may name such things; `tests/airflow/test_airflow_internals.py` proves each of them and
that they stand nowhere else. Beside each is the Airflow with which it may go. Must not know what the bridge does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowOptionalProviderFeatureException, AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.listener import get_listener_manager
from airflow.sdk.log import mask_secret
from asgiref.sync import sync_to_async
from pydantic import JsonValue

try:
    from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome, SharedStreamProducer

    HAS_SHARED_STREAMS = True
except ModuleNotFoundError:  # may go once 3.3 is the oldest that is supported: 3.2 has no streams that triggers share
    AdvanceItem = AdvanceOutcome = SharedStreamProducer = object  # type: ignore[assignment, misc]
    HAS_SHARED_STREAMS = False

try:
    from airflow.sdk.log import amask_secret
except ImportError:  # may go once 3.3 is the oldest that is supported

    async def amask_secret(secret: JsonValue, name: str | None = None) -> None:
        """Masks in a thread: what 3.2 has would block the event loop for its supervisor's answer."""
        await sync_to_async(mask_secret)(secret, name)


__all__ = [
    "HAS_SHARED_STREAMS",
    "AdvanceItem",
    "AdvanceOutcome",
    "AirflowRuntimeError",  # may go when `airflow.sdk` lists what the execution API raises; 3.3 does not
    "SharedStreamProducer",  # Airflow calls shared streams experimental; 3.3 has them
    "amask_secret",  # may go when `airflow.sdk` exports both; 3.3 does not
    "has_post_execute_hook",
    "is_mapped_over",
    "is_success_listened_to",
    "link_address",
    "mask_secret",
    "needs_shared_streams",
    "read_http_extra",
    "read_task_states",
    "read_xcom",
    "runs_in_process",
    "watched_state_stores",
    "write_xcom",
]


def needs_shared_streams(what: str) -> None:
    """Raises AirflowOptionalProviderFeatureException on an Airflow without them."""
    if not HAS_SHARED_STREAMS:
        raise AirflowOptionalProviderFeatureException(
            f"{what} needs Airflow 3.3 or newer: before, triggers share no stream and an asset has no state store. "
            "Upgrade Airflow, or let the flow call POST /api/v2/assets/events of Airflow's API when it has ended."
        )


def runs_in_process() -> bool:
    """Whether the task is run by `dag.test()`; may go when a task's context says so, which 3.3's does not."""
    return type(getattr(task_runner, "SUPERVISOR_COMMS", None)).__name__ == "InProcessSupervisorComms"


def read_task_states(*, dag_id: str, task_id: str, run_id: str, map_index: int | None) -> Mapping[str, Any]:
    """States in Airflow's database by the task's name; may go when `airflow.sdk` asks for them. Blocks."""
    states = RuntimeTaskInstance.get_task_states(
        dag_id=dag_id, task_ids=[task_id], run_ids=[run_id], map_index=map_index
    )
    found: Mapping[str, Any] = states.get(run_id, {})
    return found


async def read_xcom(*, key: str, dag_id: str, task_id: str, run_id: str, map_index: int) -> Any:
    """The value of one XCom, or None; the class may go when `airflow.sdk` exports it, the thread with 3.2."""
    read = XCom.aget_one if hasattr(XCom, "aget_one") else sync_to_async(XCom.get_one)
    return await read(key=key, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index)


async def write_xcom(key: str, value: Any, *, dag_id: str, task_id: str, run_id: str, map_index: int) -> None:
    """Set one XCom, from a triggerer too; may go as `read_xcom`."""
    write = XCom.aset if hasattr(XCom, "aset") else sync_to_async(XCom.set)
    await write(key, value, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index)


def link_address(key: str, ti_key: Any) -> str:
    """What an operator link's XCom holds, in the api-server; may go as `read_xcom`."""
    return XCom.get_value(key=key, ti_key=ti_key) or ""


def has_post_execute_hook(operator: BaseOperator) -> bool:
    """Whether the task was given a `post_execute`; may go when Airflow has a public name for it. 3.3 has none."""
    return operator._post_execute_hook is not None  # noqa: SLF001


def is_mapped_over(operator: BaseOperator) -> bool:
    """Whether another task is mapped over what this one returns; may go as above."""
    return next(operator.iter_mapped_dependants(), None) is not None


def is_success_listened_to() -> bool:
    """Whether a listener, such as OpenLineage's, is told of a task's success; may go as above."""
    return bool(get_listener_manager().hook.on_task_instance_success.get_hookimpls())


def watched_state_stores(accessors: Any) -> list[Any]:
    """The state store of each asset that a trigger watches; may go when Airflow tells a trigger their names."""
    return [] if accessors is None else [*accessors._by_name.values(), *accessors._by_uri.values()]  # noqa: SLF001


def read_http_extra(extra: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A connection's extra as the HTTP provider reads it, headers and options; may go when it reads them in public."""
    from airflow.providers.http.hooks.http import _process_extra_options_from_connection

    return _process_extra_options_from_connection(_WithExtra(extra), {})


class _WithExtra:
    """What the HTTP provider's reader of extras wants to see of a connection."""

    def __init__(self, extra: Mapping[str, Any]) -> None:
        self.extra_dejson = dict(extra)
