"""`RunPrefectDeployment`: one Airflow task that is one flow run.

Owns the Airflow side only: what the task instance means, where its identifiers go, and which Airflow exception a typed
error becomes. How a run is found or started, judged and concluded is written once, in `bridge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pydantic import BaseModel, ValidationError

from bridge.contracts import AIRFLOW_TAG, Deployment
from bridge.ending import conclude, never_started, timed_out
from bridge.errors import BridgeError, FlowRunError, ParametersRejected
from bridge.in_airflow.hook import DEFAULT_CONN_ID, PrefectHook
from bridge.in_airflow.links import FLOW_RUN_ID_KEY, FLOW_RUN_URL_KEY, PrefectFlowRunLink
from bridge.in_airflow.triggers import FlowRunTrigger
from bridge.intention import Intention, airflow_intention
from bridge.parameters import check_parameters
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.wire import Submission
from bridge.submitting import submit
from bridge.verdict import Live, judge


class RunPrefectDeployment(BaseOperator):
    """Run a Prefect deployment once, wait for it, hand back its published result.

    :param deployment: `<flow>/<deployment>`, or a `Deployment` contract, by which parameters and result are checked.
    :param parameters: the flow run's parameters: a mapping (templated) or the contract's params model.
    :param prefect_conn_id: Airflow connection of type `prefect`.
    :param deferrable: wait in the triggerer (default) or on the worker; the semantics are the same.
    :param start_timeout_seconds: the run must have started by then, else it is cancelled: FlowRunNeverStarted.
    :param run_timeout_seconds: the run must have ended by then, else it is cancelled: FlowRunTimedOut.
    :param end_from_trigger: let the triggerer end a success without starting a worker again; where the task has
        outlets, or another task is mapped over its result, it resumes on a worker all the same.
    :param tags: further tags for the flow run.

    A retry re-attaches to a run that lives and takes the result of one that succeeded; after a failed, crashed or
    cancelled run it starts a fresh one. Clearing the task starts a fresh run.
    Pushes the published result as `return_value`, and the run's id and address under keys of their own.
    """

    template_fields: Sequence[str] = ("deployment_name", "parameters", "prefect_conn_id", "tags")
    template_fields_renderers = {"parameters": "json"}  # noqa: RUF012 — Airflow's signature
    operator_extra_links = (PrefectFlowRunLink(),)
    ui_color = "#dbe7ff"

    def __init__(
        self,
        *,
        deployment: str | Deployment[Any, Any],
        parameters: Mapping[str, Any] | BaseModel | None = None,
        prefect_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = True,
        start_timeout_seconds: float | None = 600.0,
        run_timeout_seconds: float | None = None,
        end_from_trigger: bool = True,
        tags: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract = deployment if isinstance(deployment, Deployment) else None
        self.deployment_name = deployment.name if isinstance(deployment, Deployment) else deployment
        if isinstance(parameters, BaseModel):
            parameters = parameters.model_dump(mode="json", exclude_unset=True)
        # Not copied: it may be another task's output, which is known only when this task runs.
        self.parameters: Any = {} if parameters is None else parameters
        self.prefect_conn_id = prefect_conn_id
        self.deferrable = deferrable
        self.start_timeout_seconds = start_timeout_seconds
        self.run_timeout_seconds = run_timeout_seconds
        self.end_from_trigger = end_from_trigger
        self.tags = list(tags)
        self._flow_run_id: str | None = None

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Start or find the run; then wait for it."""
        try:
            with self._hook.client() as client:
                run = self._submit(client, context)
                while isinstance(judge(run), Live):
                    if self.deferrable:
                        self.defer(trigger=self._trigger(run), method_name="execute_complete")
                    because = asyncio.run(_first_payload(self._trigger(run)))["because"]
                    run = self._reread(client, run.id)
                    self._enforce_deadline(client, run, because)
                return self._conclude(client, run, context)
        except BridgeError as error:
            raise _for_airflow(error) from error

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
        """Resumed by the trigger: the run is read again, whatever the event says."""
        self._flow_run_id = event["flow_run_id"]
        try:
            with self._hook.client() as client:
                run = self._reread(client, event["flow_run_id"])
                self._enforce_deadline(client, run, event["because"])
                if isinstance(judge(run), Live):
                    self.log.warning("Flow run %r still lives (%s); waiting again", run.name, event.get("detail", ""))
                    self.defer(trigger=self._trigger(run), method_name="execute_complete")
                return self._conclude(client, run, context)
        except BridgeError as error:
            raise _for_airflow(error) from error

    def on_kill(self) -> None:
        """The task is ended while a worker runs it: cancel its own run, and only that."""
        if self._flow_run_id is None:
            return
        with self._hook.client() as client:
            run = client.run(wire.cancel_flow_run(self._flow_run_id))
        self.log.info("Cancelled flow run %s: it is %s now", self._flow_run_id, run.state_name)

    @property
    def _hook(self) -> PrefectHook:
        return PrefectHook(self.prefect_conn_id)

    @staticmethod
    def _reread(client: PrefectClient, flow_run_id: str) -> FlowRun:
        return client.run(wire.reread_flow_run(flow_run_id, client.connection.flow_run_url(flow_run_id)))

    def _submit(self, client: PrefectClient, context: Mapping[str, Any]) -> FlowRun:
        name, ti = self.deployment_name, context["ti"]
        parameters = self._checked_by_contract()
        record = client.run(wire.find_deployment(name))
        check_parameters(parameters, record, name)
        submission = Submission(parameters, tags=self._tags(ti), labels=self._labels(ti))
        submitted = client.run(submit(record, self._intention(ti), submission, generations=max(1, ti.try_number)))
        run, url = submitted.run, client.connection.flow_run_url(submitted.run.id)
        self._flow_run_id = run.id
        ti.xcom_push(key=FLOW_RUN_ID_KEY, value=run.id)
        ti.xcom_push(key=FLOW_RUN_URL_KEY, value=url)
        verb = "Attached to" if submitted.attached else "Started"
        self.log.info("%s flow run %r of %s: %s", verb, run.name, name, url)
        return run

    def _intention(self, ti: Any) -> Intention:
        return airflow_intention(
            self.deployment_name,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index,
            epoch=ti.max_tries - (self.retries or 0),
        )

    def _checked_by_contract(self) -> dict[str, Any]:
        if self.contract is None:
            return dict(self.parameters)
        try:
            params: BaseModel = self.contract.params.model_validate(self.parameters)
        except ValidationError as error:
            raise ParametersRejected(f"Parameters for {self.deployment_name!r} break its contract: {error}") from error
        return self.contract.encode(params)

    def _tags(self, ti: Any) -> list[str]:
        return [AIRFLOW_TAG, f"dag:{ti.dag_id}", f"run:{ti.run_id}", f"task:{ti.task_id}", *self.tags]

    def _labels(self, ti: Any) -> dict[str, str | int]:
        return {
            "airflow.dag_id": ti.dag_id,
            "airflow.run_id": ti.run_id,
            "airflow.task_id": ti.task_id,
            "airflow.map_index": ti.map_index,
            "airflow.try_number": ti.try_number,
            "airflow.url": ti.log_url,
        }

    def _trigger(self, run: FlowRun) -> FlowRunTrigger:
        model = self.contract.result if self.contract else None
        since = run.created or datetime.now(UTC)
        return FlowRunTrigger(
            prefect_conn_id=self.prefect_conn_id,
            flow_run_id=run.id,
            start_deadline=_deadline(since, self.start_timeout_seconds),
            run_deadline=_deadline(since, self.run_timeout_seconds),
            result_model=f"{model.__module__}:{model.__qualname__}" if model else None,
            end_from_trigger=self.deferrable and self.end_from_trigger and not self._needs_a_worker_to_end(),
            push_result=bool(self.do_xcom_push),
            resume_not_before=_deadline(datetime.now(UTC), _handover_seconds()) if self.deferrable else None,
        )

    def _needs_a_worker_to_end(self) -> bool:
        """Asset events are emitted, and the length of what is mapped over recorded, by the worker that ends a task."""
        return bool(self.outlets) or next(self.iter_mapped_dependants(), None) is not None

    def _enforce_deadline(self, client: PrefectClient, run: FlowRun, because: str) -> None:
        """On a passed deadline: cancel, then say so with a typed error."""
        verdict = judge(run)
        url = client.connection.flow_run_url(run.id)
        if not isinstance(verdict, Live):
            return
        error: FlowRunError
        if because == "start_timeout" and not verdict.started:
            error = client.run(never_started(run, url, self.start_timeout_seconds or 0.0))
        elif because == "run_timeout":
            error = timed_out(run, url, self.run_timeout_seconds or 0.0)
        else:
            return
        after = client.run(wire.cancel_flow_run(run.id))
        self.log.info("Cancelled flow run %r: it is %s now", run.name, after.state_name)
        raise error

    def _conclude(self, client: PrefectClient, run: FlowRun, context: Mapping[str, Any]) -> Any:
        model = self.contract.result if self.contract else None
        outcome = client.run(conclude(run, client.connection.flow_run_url(run.id), model))
        result = dict(outcome.result) if outcome.result is not None else None
        if outcome.skipped_because is not None:
            if self.do_xcom_push and result is not None:
                context["ti"].xcom_push(key="return_value", value=result)
            raise AirflowSkipException(outcome.skipped_because)
        return result


def _handover_seconds() -> float:
    """How long after a deferral the executor may still report its worker, with three seconds for the scheduler."""
    return conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + 3.0


def _deadline(since: datetime, seconds: float | None) -> str | None:
    return None if seconds is None else (since + timedelta(seconds=seconds)).isoformat()


async def _first_payload(trigger: FlowRunTrigger) -> Mapping[str, Any]:
    payload: Mapping[str, Any] = (await anext(trigger.run())).payload
    return payload


def _for_airflow(error: BridgeError) -> Exception:
    """What Airflow is to be told: an error that nobody can wait out is not retried."""
    return error if error.retryable else AirflowFailException(str(error))
