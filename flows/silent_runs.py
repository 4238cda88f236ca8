"""Runs whose process was killed: an automation of Prefect's own takes them for crashed once their heartbeats stop.

Owns the automation's terms. A deployment that bears `TAG` promises that its runs beat every HEARTBEAT_SECONDS: where it
has a work pool its job variables see to that, `flows.serving` where it is served. Runs without the tag are left alone.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

NAME = "Runs that fall silent have crashed"
TAG = "watched"
HEARTBEAT_SECONDS = 30
"""The most often that Prefect allows."""
SILENT_SECONDS = 90

_UNDER_WAY = {f"prefect.flow-run.{sign}" for sign in ("Pending", "Running", "heartbeat")}
"""After one of these the next sign of life is awaited: a worker may be killed before the first heartbeat, too."""
_AT_REST = {
    f"prefect.flow-run.{state}"
    for state in ("Completed", "Failed", "Crashed", "Cancelled", "Paused", "Suspended", "AwaitingRetry", "Scheduled")
}


async def watch_for_silence() -> str:
    """Make the automation unless there is one of its name, which may have been changed by people; says which."""
    async with get_client() as client:
        if await client.read_automations_by_name(NAME):
            return f"automation {NAME!r} is there and left as it is"
        await client.create_automation(_automation())
    return f"automation {NAME!r} made"


def _automation() -> AutomationCore:
    return AutomationCore(
        name=NAME,
        description=f"A run with the tag {TAG!r} sends a heartbeat every {HEARTBEAT_SECONDS} s. Without one for "
        f"{SILENT_SECONDS} s its process is gone. Disable it rather than delete it: a deploy would make it anew.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after=_UNDER_WAY,
            expect=_UNDER_WAY | _AT_REST,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"},
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                force=False,
                message=f"No sign of life for {SILENT_SECONDS} s: its process was killed, or its machine is gone",
            )
        ],
    )
