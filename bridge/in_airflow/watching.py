"""The other way: the end of a Prefect flow run, told to Airflow as an asset event that schedules DAGs.

Owns each watcher's cursor, in the state store of its asset. Built on the ack mode of Airflow's shared streams
(`airflow.triggers.shared_stream`): the cursor moves only once Airflow has stored the events in its database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Sequence
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from bridge.in_airflow.airflow_internals import (
    AdvanceItem,
    AdvanceOutcome,
    SharedStreamProducer,
    needs_shared_streams,
    watched_state_stores,
)
from bridge.in_airflow.hook import DEFAULT_CONN_ID
from bridge.in_airflow.polling import OUTAGES, RECONCILE_SECONDS, Poll, Poller
from bridge.prefect_api import wire
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.end_cursor import Cursor, Watch, describe, start_from_now
from bridge.prefect_api.records import FlowRun

EVENTS_A_POLL = 100
"""A backlog is told in parts, so that a restart in its middle leaves few events in doubt."""


class PrefectEventTrigger(BaseEventTrigger):
    """For an `AssetWatcher`: one asset event for each flow run that ends as looked for.

    :param deployment: `<flow>/<deployment>`; found again when it is made anew under its name.
    :param flow: a flow's name, for all its runs, in place of `deployment`.
    :param tags: the run bears all of these.
    :param states: state types that count, of COMPLETED, FAILED, CRASHED and CANCELLED.
    :param prefect_conn_id: Airflow connection of type `prefect`.
    :param reconcile_seconds: how often to look although no event of Prefect's has asked for it.

    The first poll starts from now. Every later end is told at least once, and once only unless the triggerer is lost
    between storing an event and saving that it did so (a second or two): such an event bears `maybe_repeated`. In the
    DAG, `bridge.in_airflow.event_claims.new_ends` gives each end once. While Prefect is away the trigger keeps trying.
    Needs Airflow 3.3: raises AirflowOptionalProviderFeatureException on an older one.
    """

    def __init__(
        self,
        deployment: str | None = None,
        *,
        flow: str | None = None,
        tags: Sequence[str] = (),
        states: Sequence[str] = ("COMPLETED",),
        prefect_conn_id: str = DEFAULT_CONN_ID,
        reconcile_seconds: float = RECONCILE_SECONDS,
    ) -> None:
        needs_shared_streams("PrefectEventTrigger")
        super().__init__()
        self.watch = Watch(deployment, flow, tuple(sorted(tags)), tuple(sorted(states)))
        self.prefect_conn_id = prefect_conn_id
        self.reconcile_seconds = float(reconcile_seconds)
        self._cursor: Cursor | None = None
        self._unsaved = False
        self._backlog: list[FlowRun] = []
        self._deployment_names: dict[str, str] = {}
        self._away = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        # Airflow tells watchers apart by this: one form for one meaning.
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "deployment": self.watch.deployment,
                "flow": self.watch.flow,
                "tags": list(self.watch.tags),
                "states": list(self.watch.states),
                "prefect_conn_id": self.prefect_conn_id,
                "reconcile_seconds": self.reconcile_seconds,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """All watchers of one connection share one event socket."""
        return ("prefect", self.prefect_conn_id, self.reconcile_seconds)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """The polls that the watchers share."""
        return Poller(kwargs["prefect_conn_id"], kwargs["reconcile_seconds"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """At every poll: what has ended since the one before."""
        async for poll in shared_stream:
            for event in await self._poll(poll):
                yield event
            poll.when_stored(self._save)
            poll.again = poll.again or bool(self._backlog)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same with a stream of its own, as if every event were stored at once."""
        poller = Poller(self.prefect_conn_id, self.reconcile_seconds)
        stream = poller.open_stream()
        try:
            async for poll, _ in stream:
                async for event in self.filter_shared_stream(_only(poll)):
                    yield event
                await poller.advance([AdvanceItem(poll, AdvanceOutcome(acked=1, failed=0))])
        finally:
            await stream.aclose()

    async def _poll(self, poll: Poll) -> list[TriggerEvent]:
        is_up_to_date = self._cursor is not None and not self._backlog and not self._away
        if is_up_to_date and not poll.concerns(self.watch):
            return []
        try:
            events = await self._read(await poll.client())
        except OUTAGES as error:
            if not self._away:
                self.log.warning("Cannot look at Prefect, trying again until it is possible: %s", error)
            self._away = True
            return []
        if self._away:
            self.log.info("Looking at Prefect again; nothing that ended meanwhile is lost")
        self._away = False
        return events

    async def _read(self, client: AsyncPrefectClient) -> list[TriggerEvent]:
        """The next events; leaves everything as it was where it raises."""
        cursor = self._cursor or await self._recall()
        if cursor is None:
            cursor = await client.run(start_from_now(self.watch))
        backlog = self._backlog or cursor.news(await client.run(self.watch.find(cursor.since)))
        runs = backlog[:EVENTS_A_POLL]
        payloads = [await self._describe(client, run, cursor) for run in runs]
        if runs:
            await self._store(cursor.beginning(runs))
            self.log.info("%d flow run(s) ended: %s", len(runs), ", ".join(run.name for run in runs))
        elif self._cursor is None:
            await self._store(cursor)
        self._backlog = backlog[len(runs) :]
        self._unsaved = self._unsaved or bool(runs)
        self._cursor = cursor.told_of(runs) if runs else cursor
        return [TriggerEvent(payload) for payload in payloads]

    async def _describe(self, client: AsyncPrefectClient, run: FlowRun, cursor: Cursor) -> dict[str, Any]:
        if self.watch.deployment is None and run.deployment_id not in {None, *self._deployment_names}:
            self._deployment_names = {record.id: name for name, record in await client.run(wire.list_deployments())}
        return describe(
            run,
            client.connection.flow_run_url(run.id),
            deployment=self.watch.deployment or self._deployment_names.get(run.deployment_id or ""),
            result=await client.run(wire.read_result(run.id)),
            maybe_repeated=cursor.is_pending(run),
        )

    @property
    def _cursor_key(self) -> str:
        return f"prefect-events-{self.watch.digest}"

    def _stores(self) -> list[Any]:
        """The state stores of the watched assets; several assets may be watched by one and the same trigger."""
        return watched_state_stores(self.asset_state_store)

    async def _recall(self) -> Cursor | None:
        """The cursor of an earlier life of this watcher; None where there is none."""
        for store in self._stores():
            document = await store.aget(self._cursor_key)
            if document is None:
                continue
            try:
                return Cursor.decode(document)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                self.log.warning(
                    "What was saved under %s is no cursor (%r); starting from now", self._cursor_key, error
                )
        return None

    async def _store(self, cursor: Cursor) -> None:
        for store in self._stores():
            await store.aset(self._cursor_key, cursor.encode())

    async def _save(self) -> None:
        """Remember what Airflow has stored; where that fails the next poll tries again."""
        if self._cursor is None or not self._unsaved:
            return
        try:
            await self._store(self._cursor)
        except OUTAGES as error:
            self.log.warning("The cursor could not be saved, trying again: %s", error)
        else:
            self._unsaved = False


async def _only(poll: Poll) -> AsyncIterator[Poll]:
    yield poll
