"""The other way: the end of a Prefect flow run, told to Airflow as an asset event that schedules DAGs.

Owns each watcher's cursor, in the state store of its asset. Built on the ack mode of Airflow's shared streams
(`airflow.triggers.shared_stream`): the cursor moves only once Airflow has stored the events in its database.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from typing import Any
from uuid import UUID

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from bridge.errors import BridgeError, PrefectApiError, UnexpectedAnswer
from bridge.in_airflow.airflow_internals import (
    AdvanceItem,
    AdvanceOutcome,
    SharedStreamProducer,
    needs_shared_streams,
    watched_state_stores,
)
from bridge.in_airflow.arguments import rendered_texts, seconds
from bridge.in_airflow.hook import DEFAULT_CONN_ID
from bridge.in_airflow.polling import OUTAGES, RECONCILE_SECONDS, Poll, Poller
from bridge.prefect_api import wire
from bridge.prefect_api.batches import RESULTS_PAGE, read_results
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.end_cursor import Cursor, Watch, start_from_now
from bridge.prefect_api.end_event import describe, event_id
from bridge.prefect_api.exchange import PAGE
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import UnreadableRun

EVENTS_A_POLL = 100
"""A backlog is told in parts, so that a restart in its middle leaves few events in doubt."""

RECHECK_SECONDS_A_PAGE = 15.0
"""So often all ends are read that the cursor can tell apart, for each page of them: what a clock that was set back, or
a very late commit, has put before the last search."""

RESULT_TRIES = 3
"""Polls in which a result may fail to be read before its end is told without it."""

NOBODY = str(UUID(int=0))


class PrefectEventTrigger(BaseEventTrigger):
    """For an `AssetWatcher`: one asset event for each flow run that ends as watched for.

    :param deployment: `<flow>/<deployment>`; found again when it is made anew under its name.
    :param flow: a flow's name, for all its runs, in place of `deployment`.
    :param tags: the run bears all of these.
    :param states: state types that count, of COMPLETED, FAILED, CRASHED and CANCELLED.
    :param prefect_conn_id: Airflow connection of type `prefect`.
    :param reconcile_seconds: how often to poll although no event of Prefect's has asked for it.

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
        wanted_tags, wanted_states = rendered_texts(tags, "tags"), rendered_texts(states, "states")
        self.watch = Watch(deployment, flow, tuple(sorted(wanted_tags)), tuple(sorted(wanted_states)))
        self.prefect_conn_id = prefect_conn_id
        self.reconcile_seconds = seconds(reconcile_seconds, "reconcile_seconds")
        self._cursor: Cursor | None = None
        self._unsaved = False
        self._backlog: list[FlowRun] = []
        self._rechecked_at: float | None = None
        """When all that the cursor can tell apart was read, by the event loop's clock; None: that is due."""
        self._result_tries: Counter[str] = Counter()
        self._deployment_names: dict[str, str | None] = {}
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
            events = await self._read(await poll.client(), poll)
        except OUTAGES as error:
            if not self._away:
                self.log.warning("Cannot poll Prefect, trying again until it is possible: %s", error)
            self._away = True
            return []
        if self._away:
            self.log.info("Polling Prefect again; nothing that ended meanwhile is lost")
        self._away = False
        return events

    async def _read(self, client: AsyncPrefectClient, poll: Poll) -> list[TriggerEvent]:
        """The next events; leaves everything as it was where it raises."""
        cursor = self._cursor or await self._recall()
        if cursor is None:
            cursor = await client.run(start_from_now(self.watch))
        backlog = self._backlog or await self._search(client, cursor, poll)
        runs = backlog[:EVENTS_A_POLL]
        payloads = await self._payloads(client, runs, cursor)
        if runs:
            await self._store(cursor.beginning(runs))
            self._log_ends(payloads)
        elif self._cursor is None:
            await self._store(cursor)
        self._backlog = backlog[len(runs) :]
        self._unsaved = self._unsaved or bool(runs)
        self._cursor = cursor.told_of(runs) if runs else cursor
        return [TriggerEvent(payload) for payload in payloads]

    async def _search(self, client: AsyncPrefectClient, cursor: Cursor, poll: Poll) -> list[FlowRun]:
        """The ends that are news, whatever the server's clock has said of them."""
        now = asyncio.get_running_loop().time()
        is_recheck = poll.for_all and self._is_recheck_due(cursor, now)
        found = await client.run(self.watch.find(cursor.floor if is_recheck else cursor.since))
        if not is_recheck and cursor.is_ahead_of(found.present):
            is_recheck, found = True, await client.run(self.watch.find(cursor.floor))
        news = cursor.news(found.runs)
        hinted = sorted(filter(_is_id, poll.hinted_ids(self.watch) - {run.id for run in found.runs}))
        if hinted:  # of more than a page the rest is found by a search
            news += cursor.unknown((await client.run(self.watch.find(ids=hinted[:PAGE]))).runs)
        if is_recheck:
            self._rechecked_at = now
        return news

    def _is_recheck_due(self, cursor: Cursor, now: float) -> bool:
        pages = 1 + len(cursor.told) // PAGE
        return self._rechecked_at is None or now - self._rechecked_at >= pages * RECHECK_SECONDS_A_PAGE

    async def _payloads(
        self, client: AsyncPrefectClient, runs: Sequence[FlowRun], cursor: Cursor
    ) -> list[dict[str, Any]]:
        await self._learn_names(client, {run.deployment_id for run in runs if run.deployment_id})
        results = await self._results(client, [run for run in runs if not isinstance(run, UnreadableRun)])
        return [
            describe(
                run,
                client.connection.flow_run_url(run.id),
                deployment=self.watch.deployment or self._deployment_names.get(run.deployment_id or ""),
                result=results.get(run.id),
                maybe_repeated=cursor.may_have_told(run),
            )
            for run in runs
        ]

    async def _learn_names(self, client: AsyncPrefectClient, deployment_ids: set[str]) -> None:
        """The deployments' names, which no end has to wait for."""
        unknown = deployment_ids - self._deployment_names.keys()
        if self.watch.deployment is not None or not unknown:
            return
        names: dict[str, str | None] = dict.fromkeys(unknown)
        try:
            names |= {record.id: name for name, record in await client.run(wire.list_deployments())}
        except UnexpectedAnswer as error:
            self.log.warning("Ends are told without the names of their deployments: %s", error)
        self._deployment_names = names

    async def _results(
        self, client: AsyncPrefectClient, runs: Sequence[FlowRun]
    ) -> dict[str, Mapping[str, Any] | BridgeError]:
        """The results by run. One that cannot be read is the error in its place, and spoils no other."""
        results: dict[str, Mapping[str, Any] | BridgeError] = {}
        for start in range(0, len(runs), RESULTS_PAGE):
            several = runs[start : start + RESULTS_PAGE]
            try:
                results |= await client.run(read_results([run.id for run in several]))
            except PrefectApiError:
                for run in several:
                    results |= await self._result_alone(client, run)
        return results

    async def _result_alone(
        self, client: AsyncPrefectClient, run: FlowRun
    ) -> Mapping[str, Mapping[str, Any] | BridgeError]:
        try:
            return await client.run(read_results([run.id]))
        except PrefectApiError as error:
            await client.run(read_results([NOBODY]))  # it is not the result's fault where this fails too
            self._result_tries[event_id(run)] += 1
            if self._result_tries[event_id(run)] < RESULT_TRIES:
                raise
            del self._result_tries[event_id(run)]
            return {run.id: error}

    def _log_ends(self, payloads: Sequence[Mapping[str, Any]]) -> None:
        self.log.info("%d flow run(s) ended: %s", len(payloads), ", ".join(each["name"] for each in payloads))
        for each in payloads:
            if each["omitted"]:
                omitted = ", ".join(each["omitted"])
                self.log.warning("%s is told without its %s: %s", each["event_id"], omitted, each["omitted_because"])

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


def _is_id(flow_run_id: str) -> bool:
    """Whether Prefect takes it for an id; anybody may send events, and they are hints alone."""
    try:
        UUID(flow_run_id)
    except ValueError:
        return False
    return True
