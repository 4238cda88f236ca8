"""`BridgeNotifier`: tells people how a DAG run went, from Airflow's callbacks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseNotifier
from pydantic import BaseModel, ValidationError

from bridge.contracts import Labelled, Newsworthy, Reportable
from bridge.in_airflow.channels import send_by_email, send_to_slack
from bridge.in_airflow.links import FLOW_RUN_URL_KEY
from bridge.notifications.discord import send
from bridge.notifications.message import Message, compose

NOT_MAPPED = -1
SUCCESS = "success"
"""The reason with which Airflow calls a DAG's `on_success_callback`; any other is that of a failure."""


class BridgeNotifier(BaseNotifier):
    """One message a DAG run: in Discord, in Slack and by e-mail, wherever there is somebody to tell.

    As the DAG's `on_success_callback`: what the run's results tell, green or yellow. As a task's `on_failure_callback`
    (give it to `default_args`): red, with the failed task, the reason and the links. As the DAG's
    `on_failure_callback`: red, with Airflow's reason. A mapped task's member that fails is told of by itself: its
    number, its links, its facts.

    :param results: by task id, the `Reportable` model of what that task pushes; told in this order.
    :param links: further links by the text to show, such as MLflow's address.
    What is not given is read when there is something to say, from the variable named; without any channel the message
    is logged.

    :param webhook_url: Discord's address (DISCORD_WEBHOOK_URL).
    :param slack_conn_id: a connection of type `slackwebhook` (NOTIFY_SLACK_CONN_ID).
    :param email_to: who gets an e-mail (NOTIFY_EMAIL_TO, separated by commas).
    :param smtp_conn_id: a connection of type `smtp` (NOTIFY_SMTP_CONN_ID, else `smtp_default`).
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        results: Mapping[str, type[BaseModel]] | None = None,
        links: Mapping[str, str] | None = None,
        webhook_url: str | None = None,
        slack_conn_id: str | None = None,
        email_to: str | Sequence[str] | None = None,
        smtp_conn_id: str | None = None,
    ) -> None:
        super().__init__()
        self.results = dict(results or {})
        self.links = dict(links or {})
        self.webhook_url = webhook_url
        self.slack_conn_id = slack_conn_id
        self.email_to = email_to
        self.smtp_conn_id = smtp_conn_id

    def notify(self, context: Mapping[str, Any]) -> None:
        """Send the message; never raises for a channel's sake."""
        self.tell(self.compose(context))

    def tell(self, message: Message) -> None:
        """Send a message of one's own the same way."""
        webhook_url = self.webhook_url or os.environ.get("DISCORD_WEBHOOK_URL")
        slack_conn_id = self.slack_conn_id or os.environ.get("NOTIFY_SLACK_CONN_ID")
        email_to = self.email_to or os.environ.get("NOTIFY_EMAIL_TO")
        if webhook_url or not (slack_conn_id or email_to):
            send(message, webhook_url)
        if slack_conn_id:
            send_to_slack(message, slack_conn_id)
        if email_to:
            send_by_email(
                message, email_to, self.smtp_conn_id or os.environ.get("NOTIFY_SMTP_CONN_ID") or "smtp_default"
            )

    def compose(self, context: Mapping[str, Any]) -> Message:
        """The message for the run that `context` is about; of a mapped task's member, for that member alone."""
        # A run whose tasks were all skipped, or that timed out, has no task instance to speak of.
        ti, dag_id, run_id = context.get("ti"), context["dag"].dag_id, context["run_id"]
        error, reason = context.get("exception"), context.get("reason") or SUCCESS
        base_url = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
        run_url = f"{base_url}/dags/{quote(dag_id)}/runs/{quote(run_id)}"
        if ti is not None and error is not None:
            return self._of_failure(context["dag"], ti, run_url, str(error) or type(error).__name__)
        told: list[Reportable] = []
        links = {"Airflow": run_url}
        if ti is not None:
            told = self._told({task_id: _pulled(ti, task_id) for task_id in self.results})
            links |= _prefect_links([_pulled(ti, task_id, FLOW_RUN_URL_KEY) for task_id in self.results])
        if reason != SUCCESS:
            failure = f"Airflow gives the reason: {reason.replace('_', ' ')}."
            return compose(f"{dag_id} failed", results=told, failure=failure, links=links | self.links)
        return compose(f"{dag_id} succeeded", results=told, links=links | self.links)

    def _of_failure(self, dag: Any, ti: Any, run_url: str, failure: str) -> Message:
        member = _map_index(ti)
        named, page = (ti.task_id, "") if member is None else (f"{ti.task_id}[{member}]", f"/mapped/{member}")
        beside = _beside(dag, ti.task_id)
        told = self._told(
            {
                task_id: _pulled(ti, task_id) if member is None else _of_member(ti, task_id, member, beside)
                for task_id in self.results
            }
        )
        own = _pulled(ti, ti.task_id, FLOW_RUN_URL_KEY, member)
        links = {"Airflow": f"{run_url}/tasks/{quote(ti.task_id)}{page}"} | _prefect_links([own]) | self.links
        return compose(f"{dag.dag_id}: {named} failed", results=told, failure=failure, links=links)

    def _told(self, documents: Mapping[str, list[Any]]) -> list[Reportable]:
        """What the results tell, by task; those of a mapped task with what tells them apart, a label or a number."""
        told: list[Reportable] = []
        for task_id, found in documents.items():
            results = [result for document in found if (result := self._result(task_id, document)) is not None]
            several = len(results) > 1
            numbered = enumerate(results, start=1)
            told += [Beside(each, _label(each, n, len(results))) if several else each for n, each in numbered]
        return told

    def _result(self, task_id: str, document: Any) -> Reportable | None:
        model = self.results[task_id]
        try:
            result = model.model_validate(document)
        except ValidationError as error:
            self.log.warning("The result of %s is no %s: %s", task_id, model.__name__, error)
            return None
        return result if isinstance(result, Reportable) else None


@dataclass(frozen=True, slots=True)
class Beside:
    """One of several results of a mapped task, which are told beside each other."""

    result: Reportable
    label: str

    def facts(self) -> dict[str, str]:
        return {self._named(name): value for name, value in self.result.facts().items()}

    def reservations(self) -> list[str]:
        return [self._named(sentence) for sentence in self.result.reservations()]

    def news(self) -> list[str]:
        told = self.result.news() if isinstance(self.result, Newsworthy) else []
        return [self._named(sentence) for sentence in told]

    def links(self) -> dict[str, str]:
        return {self._named(text): url for text, url in self.result.links().items()}

    def _named(self, text: str) -> str:
        return f"{text} ({self.label})"


def _label(result: Reportable, number: int, count: int) -> str:
    return result.label if isinstance(result, Labelled) else f"{number} of {count}"


def _map_index(ti: Any) -> int | None:
    """Which member of a mapped task it is; None for a task that is not mapped."""
    index = getattr(ti, "map_index", None)
    return None if index is None or index < 0 else int(index)


def _pulled(ti: Any, task_id: str, key: str = "return_value", member: int | None = None) -> list[Any]:
    """What the task pushed under that key: nothing, one, or, of a mapped task, one each member that pushed it."""
    if member is not None:
        value = ti.xcom_pull(task_ids=task_id, key=key, map_indexes=member)
        return [] if value is None else [value]
    values = ti.xcom_pull(task_ids=task_id, key=key)
    several = isinstance(values, Sequence) and not isinstance(values, str)
    return [each for each in (values if several else [values]) if each is not None]


def _of_member(ti: Any, task_id: str, member: int, beside: frozenset[str]) -> list[Any]:
    """What belongs to the member: its own and its fellows' in the mapped group, and that of tasks that are not mapped.

    Another mapped task's member of the same number is another thing.
    """
    return _pulled(ti, task_id, member=member if task_id in beside else NOT_MAPPED)


def _beside(dag: Any, task_id: str) -> frozenset[str]:
    """The task and its fellows in a mapped task group, whose members of one number belong together."""
    task = getattr(dag, "task_dict", {}).get(task_id)
    group = task.get_closest_mapped_task_group() if task is not None else None
    return frozenset({task_id}) if group is None else frozenset(each.task_id for each in group.iter_tasks())


def _prefect_links(urls: list[list[str]]) -> dict[str, str]:
    """The address of the last task's flow run; of each, where it has several."""
    last = next((each for each in reversed(urls) if each), [])
    if len(last) == 1:
        return {"Prefect": last[0]}
    return {f"Prefect ({number} of {len(last)})": url for number, url in enumerate(last, start=1)}
