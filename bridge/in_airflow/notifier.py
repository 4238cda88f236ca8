"""`BridgeNotifier`: tells people how a DAG run went, from Airflow's callbacks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseNotifier
from pydantic import BaseModel, ValidationError

from bridge.contracts import Reportable
from bridge.in_airflow.links import FLOW_RUN_URL_KEY
from bridge.notifications.discord import send
from bridge.notifications.message import Message, compose

SUCCESS = "success"
"""The reason with which Airflow calls a DAG's `on_success_callback`; any other is that of a failure."""


class BridgeNotifier(BaseNotifier):
    """One Discord message a DAG run.

    As the DAG's `on_success_callback`: what the run's results tell, green or yellow. As a task's `on_failure_callback`
    (give it to `default_args`): red, with the failed task, the reason and the links. As the DAG's
    `on_failure_callback`: red, with Airflow's reason.

    :param results: by task id, the `Reportable` model of what that task pushes; told in this order.
    :param links: further links by the text to show, such as MLflow's address.
    :param webhook_url: Discord's address; without it DISCORD_WEBHOOK_URL is read when there is something to say, and
        without that the message is logged.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        results: Mapping[str, type[BaseModel]] | None = None,
        links: Mapping[str, str] | None = None,
        webhook_url: str | None = None,
    ) -> None:
        super().__init__()
        self.results = dict(results or {})
        self.links = dict(links or {})
        self.webhook_url = webhook_url

    def notify(self, context: Mapping[str, Any]) -> None:
        """Send the message; never raises for Discord's sake."""
        send(self.compose(context), self.webhook_url or os.environ.get("DISCORD_WEBHOOK_URL"))

    def compose(self, context: Mapping[str, Any]) -> Message:
        """The message for the run that `context` is about."""
        # A run whose tasks were all skipped, or that timed out, has no task instance to speak of.
        ti, dag_id, run_id = context.get("ti"), context["dag"].dag_id, context["run_id"]
        error, reason = context.get("exception"), context.get("reason") or SUCCESS
        base_url = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
        run_url = f"{base_url}/dags/{dag_id}/runs/{quote(run_id)}"
        if ti is not None and error is not None:
            links = {"Airflow": f"{run_url}/tasks/{ti.task_id}"} | self._prefect_link(ti, [ti.task_id]) | self.links
            title = f"{dag_id}: {ti.task_id} failed"
            return compose(title, results=self._told(ti), failure=str(error) or type(error).__name__, links=links)
        told = self._told(ti) if ti is not None else []
        links = {"Airflow": run_url}
        if ti is not None:
            links |= self._prefect_link(ti, list(self.results))
        if reason != SUCCESS:
            failure = f"Airflow gives the reason: {reason.replace('_', ' ')}."
            return compose(f"{dag_id} failed", results=told, failure=failure, links=links | self.links)
        return compose(f"{dag_id} succeeded", results=told, links=links | self.links)

    def _told(self, ti: Any) -> list[Reportable]:
        told: list[Reportable] = []
        for task_id, model in self.results.items():
            document = ti.xcom_pull(task_ids=task_id)
            if document is None:
                continue
            try:
                result = model.model_validate(document)
            except ValidationError as error:
                self.log.warning("The result of %s is no %s: %s", task_id, model.__name__, error)
                continue
            if isinstance(result, Reportable):
                told.append(result)
        return told

    def _prefect_link(self, ti: Any, task_ids: list[str]) -> dict[str, str]:
        """The address of the last flow run among these tasks."""
        urls = [ti.xcom_pull(task_ids=task_id, key=FLOW_RUN_URL_KEY) for task_id in task_ids]
        known = [url for url in urls if url]
        return {"Prefect": known[-1]} if known else {}
