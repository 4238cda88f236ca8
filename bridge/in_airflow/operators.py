"""`RunPrefectDeployment`: one Airflow task that is one flow run.

Owns the Airflow side only: what the task instance means, where its identifiers go, and which Airflow exception a typed
error becomes. How a run is found or started, judged and concluded is written once, in `bridge`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout, TaskDeferred
from pydantic import BaseModel, ValidationError

from bridge.attempts import HowEnded
from bridge.contracts import Deployment
from bridge.ending import Outcome, conclude
from bridge.errors import BridgeError, FlowRunCancelled, FlowRunError, ParametersRejected, UnexpectedAnswer
from bridge.in_airflow.arguments import (
    flag,
    mapping,
    one_of,
    rendered_mapping,
    rendered_texts,
    seconds,
    seconds_or_none,
    text,
    texts,
)
from bridge.in_airflow.attempt_journal import AttemptJournal
from bridge.in_airflow.deployment_cache import DeploymentCache
from bridge.in_airflow.hand_over import needs_a_worker_to_end, resume_not_before, wait_here
from bridge.in_airflow.hook import DEFAULT_CONN_ID, PrefectHook, patient_for
from bridge.in_airflow.limits import Limits, OnLost
from bridge.in_airflow.links import FLOW_RUN_ID_KEY, FLOW_RUN_URL_KEY, PrefectFlowRunLink
from bridge.in_airflow.ownership import OnWorkerShutdown, OwnedRun, Ownership
from bridge.in_airflow.run_log import AIRFLOW_ERRORS, LAST_LINES_SECONDS, write_last_lines
from bridge.in_airflow.run_metadata import labels_of, lineage_of, tags_of
from bridge.in_airflow.submission import Order, attempt_of, begun_before, counted_from
from bridge.in_airflow.triggers import FlowRunTrigger
from bridge.intention import AfterFailure
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.wire import Submission
from bridge.submitting import Claim, Submitted
from bridge.verdict import is_final

CANCEL_CONFIRM_SECONDS = 10.0
"""How long a passed deadline looks for the end of the run that it cancels: a worker takes some four seconds."""

TRIGGERER_ERRORS_ALLOWED = 5
"""How many waits in a row may fail in the triggerer while a worker reaches Prefect, before the worker itself waits."""

ERRORS_ALLOWED = 2 * TRIGGERER_ERRORS_ALLOWED
"""How many there may be, on the worker as well, before the run counts as lost."""


class RunPrefectDeployment(BaseOperator):
    """Run a Prefect deployment once, wait for it, hand back its published result.

    What is started:

    :param deployment: `<flow>/<deployment>`, or a `Deployment` contract, by which parameters and result are checked.
    :param parameters: the flow run's parameters: a mapping (templated) or the contract's params model.
    :param prefect_conn_id: Airflow connection of type `prefect`.
    :param tags: further tags for the flow run.
    :param job_variables: for the work pool's job template, over those of the deployment.
    :param on_retry: what an Airflow retry does once the run has failed: "start_afresh", or "retry_in_place": Prefect
        runs the same flow run again, in which finished tasks keep their results. A run that lives is re-attached to,
        one that succeeded gives its result, whatever is chosen. Clearing the task cancels a run that lives and starts
        a fresh one.

    How it is waited for:

    :param wait: False hands back `{"flow_run_id", "name", "url"}` as soon as the run is there.
    :param deferrable: wait in the triggerer (default) or on the worker; the semantics are the same.
    :param end_from_trigger: let the triggerer end a success without starting a worker again; where the task has
        outlets, another task is mapped over its result, or a listener (OpenLineage's, say) waits for its success, it
        resumes on a worker all the same.
    :param stream_logs: Prefect's log of the run goes into the task's log while it runs.
    :param patience_seconds: for so long Prefect may give no answer while it is waited for; then FlowRunLost.

    How it ends:

    :param start_timeout_seconds: the run must have started by then, else it is cancelled: FlowRunNeverStarted.
    :param run_timeout_seconds: the run must have ended by then, else it is cancelled: FlowRunTimedOut. While the task
        is deferred, its `execution_timeout` counts as well.
    :param crash_grace_seconds: how long a CRASHED run may report again before it is taken for crashed.
    :param on_cancelled: "fail" or "skip" the task when somebody else has cancelled its run.
    :param on_lost: "leave" a run that is out of sight, or "cancel" it.
    :param on_worker_shutdown: "leave" the run when only the worker is stopped (scale-down) and a retry is left, which
        re-attaches to it; or "cancel" it. A task that a person ends always cancels its run.

    Pushes the published result as `return_value`, and the run's id and address under keys of their own. Outlets' asset
    events bear result, id and address as `extra`.
    """

    template_fields: Sequence[str] = ("deployment_name", "parameters", "prefect_conn_id", "tags", "job_variables")
    template_fields_renderers = {"parameters": "json", "job_variables": "json"}  # noqa: RUF012 — Airflow's signature
    operator_extra_links = (PrefectFlowRunLink(),)
    ui_color = "#dbe7ff"

    def __init__(
        self,
        *,
        deployment: str | Deployment[Any, Any],
        parameters: Mapping[str, Any] | BaseModel | None = None,
        prefect_conn_id: str = DEFAULT_CONN_ID,
        tags: Sequence[str] = (),
        job_variables: Mapping[str, Any] | None = None,
        on_retry: AfterFailure = "start_afresh",
        wait: bool = True,
        deferrable: bool = True,
        end_from_trigger: bool = True,
        stream_logs: bool = True,
        patience_seconds: float = 300.0,
        start_timeout_seconds: float | None = 600.0,
        run_timeout_seconds: float | None = None,
        crash_grace_seconds: float = 30.0,
        on_cancelled: Literal["fail", "skip"] = "fail",
        on_lost: OnLost = "leave",
        on_worker_shutdown: OnWorkerShutdown = "leave",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract = deployment if isinstance(deployment, Deployment) else None
        name = deployment.name if isinstance(deployment, Deployment) else deployment
        self.deployment_name: Any = text(name, "deployment")
        self.parameters = mapping(parameters, "parameters")
        self.prefect_conn_id: Any = text(prefect_conn_id, "prefect_conn_id")
        self.tags: Any = texts(tags, "tags")
        self.job_variables = mapping(job_variables, "job_variables")
        self.on_retry = one_of(on_retry, "on_retry", "start_afresh", "retry_in_place")
        self.wait = flag(wait, "wait")
        self.deferrable = flag(deferrable, "deferrable")
        # Not `end_from_trigger`: where any listener is installed, Airflow refuses a DAG whose task bears that name.
        self._may_end_from_trigger = flag(end_from_trigger, "end_from_trigger")
        self.stream_logs = flag(stream_logs, "stream_logs")
        self.patience_seconds = seconds(patience_seconds, "patience_seconds")
        self.start_timeout_seconds = seconds_or_none(start_timeout_seconds, "start_timeout_seconds")
        self.run_timeout_seconds = seconds_or_none(run_timeout_seconds, "run_timeout_seconds")
        self.crash_grace_seconds = seconds(crash_grace_seconds, "crash_grace_seconds")
        self.on_cancelled = one_of(on_cancelled, "on_cancelled", "fail", "skip")
        self.on_lost = one_of(on_lost, "on_lost", "leave", "cancel")
        self.on_worker_shutdown = one_of(on_worker_shutdown, "on_worker_shutdown", "leave", "cancel")
        self._ownership = Ownership(self.on_worker_shutdown)

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Start or find the run; then wait for it."""
        with self._errors_for_airflow(context), self._hook.client() as client:
            with self._hook.client(patient_for(self.patience_seconds)) as patient:
                submitted = self._start(patient, context)
            run = submitted.run
            if not self.wait:
                self._ownership.release()
                self._remember_the_end(context, "success")
                return {"flow_run_id": run.id, "name": run.name, "url": client.connection.flow_run_url(run.id)}
            terms = {"counted_from": counted_from(submitted), "begun_before": begun_before(submitted)}
            return self._wait(client, run, terms, context)

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
        """Resumed by the trigger: the run is read again, whatever the event says."""
        with self._errors_for_airflow(context), self._hook.client() as client:
            self._own(client, context, flow_run_id=event["flow_run_id"])
            run = self._look_again(client, event)
            if not self._is_final(run):
                self.log.warning("Flow run %r still lives (%s); waiting again", run.name, event.get("detail", ""))
            return self._wait(client, run, event, context)

    def on_kill(self) -> None:
        """The task is ended while a worker runs it: cancel its own run, and only that.

        Airflow calls this for a task that a person has ended, for one that is out of time, and for one whose worker is
        being stopped; the last leaves the run to the task's retry, where one is left. Ends `execute` by raising:
        Airflow's signal handler itself lets it go on.
        """
        self._ownership.end()

    @property
    def _hook(self) -> PrefectHook:
        return PrefectHook(self.prefect_conn_id)

    @contextmanager
    def _errors_for_airflow(self, context: Mapping[str, Any]) -> Iterator[None]:
        """What Airflow is to be told: an error that nobody can wait out is not retried.

        Whatever else is raised says nothing of the run: it is left to the retry that comes, or cancelled.
        """
        try:
            yield
        except (TaskDeferred, AirflowSkipException):
            raise
        except FlowRunError as error:
            self._remember_the_end(context)
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error
        except BridgeError as error:
            self._ownership.settle(will_retry=error.retryable)
            self._remember_the_end(context)
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error
        except AirflowTaskTimeout:
            self._ownership.out_of_time = True  # `on_kill` comes next
            raise
        except BaseException as error:  # cleans up and raises again: nothing may leave a run to nobody
            self._ownership.settle(will_retry=not isinstance(error, AirflowFailException))
            raise

    def _remember_the_end(self, context: Mapping[str, Any], how: HowEnded = "failed") -> None:
        """For the attempt that comes next: this one has ended by itself."""
        journal = self._journal(context)
        try:
            record = journal.recall()
            if record is not None and record.attempt.ti_id == str(context["ti"].id):
                journal.write(replace(record, ended=how))
        except AIRFLOW_ERRORS as error:
            self.log.warning("Airflow does not take down how this attempt ended: %s", error)

    @staticmethod
    def _journal(context: Mapping[str, Any]) -> AttemptJournal:
        return AttemptJournal(context.get("task_state_store"))

    def _own(self, client: PrefectClient, context: Mapping[str, Any], **what: Any) -> None:
        journal = self._journal(context)
        self._ownership.take(OwnedRun(context["ti"], journal, client.connection, self.patience_seconds, **what))

    def _start(self, client: PrefectClient, context: Mapping[str, Any]) -> Submitted:
        """The run that answers, known to Airflow from here on."""
        order = self._order(context)
        self._own(client, context, order=order)
        submitted = order.place(client, DeploymentCache())
        run, url = submitted.run, client.connection.flow_run_url(submitted.run.id)
        self._own(client, context, flow_run_id=run.id)
        self._push(context, {FLOW_RUN_ID_KEY: run.id, FLOW_RUN_URL_KEY: url})
        verb = {"started": "Started", "attached": "Attached to", "retried": "Retrying in place"}[submitted.how]
        self.log.info("%s flow run %r of %s: %s", verb, run.name, self.deployment_name, url)
        return submitted

    def _push(self, context: Mapping[str, Any], places: Mapping[str, str]) -> None:
        """Where the run is, for people; the task goes on without."""
        try:
            for key, value in places.items():
                context["ti"].xcom_push(key=key, value=value)
        except AIRFLOW_ERRORS as error:
            self.log.warning("Airflow does not take down where the flow run is: %s", error)

    def _wait(self, client: PrefectClient, run: FlowRun, terms: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """Wait until the run has ended, in the triggerer or here; then what came of it."""
        while not self._is_final(run):
            waiting = self._trigger(run, terms)
            # What fails in the triggerer alone, time and again, is done here.
            if self.deferrable and waiting.errors_before < TRIGGERER_ERRORS_ALLOWED:
                self._ownership.check_not_ended()
                self.defer(trigger=waiting, method_name="execute_complete")
            if waiting.errors_before >= ERRORS_ALLOWED:
                broken = UnexpectedAnswer(f"waiting for it broke down {waiting.errors_before} times: {terms['detail']}")
                raise self._limits.lost(client, run.id, broken)
            terms = wait_here(waiting)
            run = self._look_again(client, terms)
        return self._conclude(client, run, context, terms)

    def _look_again(self, client: PrefectClient, event: Mapping[str, Any]) -> FlowRun:
        """The run as it stands; a passed deadline cancels it, unless this try has been passed on meanwhile."""
        if event["because"] != "ended":
            self._ownership.check_not_ended()
        return self._limits.look_again(client, event)

    def _order(self, context: Mapping[str, Any]) -> Order:
        ti = context["ti"]
        lineage = lineage_of(ti)
        return Order(
            self.deployment_name,
            attempt_of(ti, context["dag_run"], self.retries or 0),
            Claim(tuple(tags_of(ti)), ti.log_url),
            self._journal(context),
            lambda: Submission(
                self._checked_parameters(),
                tags=tags_of(ti, rendered_texts(self.tags, "tags")),
                labels=labels_of(ti, lineage),
                job_variables=rendered_mapping(self.job_variables, "job_variables"),
            ),
            lineage.environment,
            self.on_retry,
            self.crash_grace_seconds,
            self.patience_seconds,
        )

    def _checked_parameters(self) -> dict[str, Any]:
        parameters = rendered_mapping(self.parameters, "parameters")
        if self.contract is None:
            return parameters
        try:
            params: BaseModel = self.contract.params.model_validate(parameters)
        except ValidationError as error:
            raise ParametersRejected(f"Parameters for {self.deployment_name!r} break its contract: {error}") from error
        return self.contract.encode(params)

    def _trigger(self, run: FlowRun, terms: Mapping[str, Any]) -> FlowRunTrigger:
        """What waits for the run, on the terms on which it was started or waited for before."""
        model, limits = self.contract.result if self.contract else None, self._limits
        return FlowRunTrigger(
            prefect_conn_id=self.prefect_conn_id,
            flow_run_id=run.id,
            start_seconds=limits.start_seconds,
            run_seconds=limits.run_seconds,
            counted_from=terms.get("counted_from"),
            begun_before=terms.get("begun_before", 0),
            crash_grace_seconds=self.crash_grace_seconds,
            patience_seconds=self.patience_seconds,
            stream_logs=self.stream_logs,
            logged_until=terms.get("logged_until"),
            result_model=f"{model.__module__}:{model.__qualname__}" if model else None,
            end_from_trigger=self.deferrable and self._may_end_from_trigger and not needs_a_worker_to_end(self),
            push_result=bool(self.do_xcom_push),
            resume_not_before=resume_not_before() if self.deferrable else None,
            errors_before=terms.get("errors", 0),
        )

    @property
    def _limits(self) -> Limits:
        # Airflow does not enforce a deferred task's `execution_timeout`, so the run timeout stands in for it.
        of_task = self.execution_timeout.total_seconds() if self.execution_timeout else None
        return Limits(
            self.start_timeout_seconds,
            min((limit for limit in (self.run_timeout_seconds, of_task) if limit is not None), default=None),
            cancel_confirm_seconds=self._at_most(CANCEL_CONFIRM_SECONDS),
            on_lost=self.on_lost,
        )

    def _at_most(self, seconds: float) -> float:
        """No more of a resumed task's time than a third: Airflow gives it its `execution_timeout` anew."""
        limit = self.execution_timeout.total_seconds() if self.execution_timeout else seconds * 3
        return min(seconds, limit / 3)

    def _is_final(self, run: FlowRun) -> bool:
        return is_final(run, self.crash_grace_seconds, datetime.now(UTC))

    def _conclude(
        self, client: PrefectClient, run: FlowRun, context: Mapping[str, Any], terms: Mapping[str, Any]
    ) -> Any:
        self._ownership.release()
        if self.stream_logs and run.start_time is not None and not terms.get("log_is_closed", False):
            seconds = 0.0 if "log_is_closed" in terms else self._at_most(LAST_LINES_SECONDS)
            write_last_lines(self.log, client, run.id, terms.get("logged_until"), seconds)
        model = self.contract.result if self.contract else None
        url = client.connection.flow_run_url(run.id)
        try:
            outcome = client.run(conclude(run, url, model))
        except FlowRunCancelled as cancelled:
            if self.on_cancelled == "skip":
                raise AirflowSkipException(str(cancelled)) from cancelled
            raise
        result = dict(outcome.result) if outcome.result is not None else None
        if outcome.skipped_because is not None:
            if self.do_xcom_push and result is not None:
                context["ti"].xcom_push(key="return_value", value=result)
            raise AirflowSkipException(outcome.skipped_because)
        self._describe_outlets(context, run, url, outcome)
        self._remember_the_end(context, "success")
        return result

    def _describe_outlets(self, context: Mapping[str, Any], run: FlowRun, url: str, outcome: Outcome) -> None:
        for outlet in self.outlets or ():
            if isinstance(outlet, Asset):
                extra = {"flow_run_id": run.id, "flow_run_url": url, "result": outcome.result}
                context["outlet_events"][outlet].extra.update(extra)
