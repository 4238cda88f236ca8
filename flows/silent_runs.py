"""Runs whose process was killed: automations of Prefect's own take them for crashed once nothing is heard of them.

Owns their terms. A deployment that bears `TAG` promises that its runs beat every HEARTBEAT_SECONDS: where it
has a work pool its job variables see to that, `flows.serving` where it is served. Runs without the tag are left alone.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

SILENT, NOT_BEGUN = "Runs that fall silent have crashed", "Runs that do not begin have crashed"
TAG = "watched"
HEARTBEAT_SECONDS = 30
"""The most often that Prefect allows."""
SILENT_SECONDS = 90
BEGIN_SECONDS = 180
"""A worker says that it has begun a run before the run's process says so; on a busy machine that takes a minute."""

_ALIVE = {"prefect.flow-run.Running", "prefect.flow-run.heartbeat"}
_AT_REST = {
    f"prefect.flow-run.{state}"
    for state in ("Completed", "Failed", "Crashed", "Cancelled", "Paused", "Suspended", "AwaitingRetry", "Scheduled")
}


async def watch_for_silence() -> list[str]:
    """Make what is missing of the two automations; one that is there may have been changed by people. Says which."""
    told = []
    async with get_client() as client:
        for automation in automations():
            known = await client.read_automations_by_name(automation.name)
            if not known:
                await client.create_automation(automation)
            told.append(f"automation {automation.name!r} {'is there and left as it is' if known else 'made'}")
    return told


def automations() -> list[AutomationCore]:
    """One for a run that began, one for a run whose process was killed before it could say so."""
    return [
        _crashed(SILENT, _ALIVE, SILENT_SECONDS, f"No sign of life for {SILENT_SECONDS} s"),
        _crashed(NOT_BEGUN, {"prefect.flow-run.Pending"}, BEGIN_SECONDS, f"It did not begin within {BEGIN_SECONDS} s"),
    ]


def _crashed(name: str, after: set[str], seconds: int, why: str) -> AutomationCore:
    return AutomationCore(
        name=name,
        description=f"{why}: then a run with the tag {TAG!r}, which sends a heartbeat every {HEARTBEAT_SECONDS} s, has "
        "no process any more. Disable this rather than delete it: the next deploy would make it anew.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after=after,
            expect=_ALIVE | _AT_REST,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"},
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=seconds),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"{why}: its process was killed, or its machine is gone",
                force=False,
            )
        ],
    )
