"""Telling people about runs that Airflow did not start.

Owns who is told by whom: Airflow tells of its own runs, a parent run of its parts, everything else is told from here by
Prefect's hooks. What is said and how it is sent is `bridge.notifications`' business.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger
from pydantic import BaseModel, ValidationError

from bridge.contracts import AIRFLOW_TAG, Reportable
from factory.settings import Settings, read_settings

if TYPE_CHECKING:
    from prefect.flows import FlowStateHook


DISCORD, APPRISE = "DISCORD_WEBHOOK_URL", "NOTIFY_APPRISE_URLS"
"""The variables with the addresses of whoever may be told."""


def teller(flow_run: FlowRun | None) -> str:
    """Who tells people about this run, as a short sentence; empty when nobody else does and it is up to Prefect."""
    if flow_run is None:
        return ""
    if AIRFLOW_TAG in flow_run.tags:
        return "Airflow tells of this run"
    if flow_run.parent_task_run_id is not None:
        return "the parent run tells of this run"
    return ""


def announcement_of(flow_run: FlowRun | None) -> str:
    """What becomes of the news of this run, as a sentence for its result."""
    if told := teller(flow_run):
        return told
    channels = [name for name, variable in (("Discord", DISCORD), ("Apprise", APPRISE)) if os.environ.get(variable)]
    return f"told when the run ends: {', '.join(channels)}" if channels else "no address is configured"


def announce_result(contract: type[BaseModel]) -> FlowStateHook[..., Any]:
    """A hook for completed runs whose result is of that contract."""

    def announce_completed(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
        if teller(flow_run):
            return
        document = state.result(raise_on_failure=False)
        try:
            result = contract.model_validate(document)
        except ValidationError:
            return  # nothing was published, so there is nothing to tell
        _tell(flow, flow_run, results=(result,) if isinstance(result, Reportable) else ())

    return announce_completed


def announce_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """A hook for failed and crashed runs."""
    if not teller(flow_run):
        _tell(flow, flow_run, failure=state.message or f"The run ended as {state.name}")


def _tell(
    flow: Flow[..., Any], flow_run: FlowRun, *, results: tuple[Reportable, ...] = (), failure: str | None = None
) -> None:
    from bridge.notifications import discord, through_apprise
    from bridge.notifications.message import compose

    use_case = flow_run.parameters.get("use_case")
    title = f"{flow.name}/{use_case}: {flow_run.name}" if use_case else f"{flow.name}: {flow_run.name}"
    message = compose(title, results=results, failure=failure, links=_links(read_settings(), flow_run, results))
    webhook_url, services = os.environ.get(DISCORD), os.environ.get(APPRISE)
    deliveries = [discord.send(message, webhook_url)] if webhook_url or not services else []
    if services:
        deliveries += through_apprise.send(message, services)
    if problems := [delivery.problem for delivery in deliveries if not delivery.sent]:
        log = flow_run_logger(flow_run, flow)
        log.info("Not everybody was told (%s). The message:\n%s", "; ".join(problems), message.as_text())


def _links(settings: Settings, flow_run: FlowRun, results: tuple[Reportable, ...]) -> dict[str, str]:
    known = {"Airflow": settings.airflow_ui_url, "MLflow": settings.mlflow_ui_url}
    if settings.prefect_ui_url:
        known["Prefect"] = f"{settings.prefect_ui_url.rstrip('/')}/runs/flow-run/{flow_run.id}"
    for result in results:
        known["MLflow"] = getattr(result, "mlflow_url", None) or known["MLflow"]
        known["Drift report"] = getattr(result, "report_url", None)
    return {name: url for name, url in known.items() if url}
