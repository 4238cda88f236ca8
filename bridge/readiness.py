"""Whether Prefect is ready to run certain deployments, and what stands in the way of a run that waits to be started.

Without I/O, as `wire`. Asked by `bridge doctor`, by the sensor at the head of a DAG, by Airflow's test button, and for
the error of a run that never started. What Prefect's fields mean was measured:
docs/decisions/0023-what-keeps-a-run-waiting.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote

from bridge.errors import DeploymentNotFound, PrefectApiError, PrefectUnauthorised, PrefectUnreachable
from bridge.prefect_api import wire, work_pools
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import DeploymentRecord, FlowRun, Limit, Worker, WorkPool, WorkQueue

DEPLOY = "prefect deploy --all"
PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` says what to do where it is not in order.

    One that is in order bears a remedy where somebody may want to do something, though it passes by itself.
    """

    subject: str
    in_order: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """An API that answered and let us in: its version, None where it tells none, and deployments by name."""

    version: str | None
    deployments: Mapping[str, DeploymentRecord]

    def __str__(self) -> str:
        count = len(self.deployments)
        what = f"Prefect {self.version}" if self.version else "A Prefect API without a version of its own"
        return f"{what} answers and accepts the credentials; {count} deployment{'' if count == 1 else 's'}"


def read_server(deployments: Sequence[str] = ()) -> Operation[Server]:
    """Whether a Prefect API is there and lets us in, and which of `deployments` it has; all where none is named.

    Raises PrefectUnreachable, PrefectUnauthorised, or PrefectApiError where something else than Prefect answers.
    """
    version = yield from _version()
    if not deployments:
        return Server(version, dict((yield from wire.list_deployments())))
    present: dict[str, DeploymentRecord] = {}
    for name in deployments:
        with suppress(DeploymentNotFound):
            present[name] = yield from wire.find_deployment(name)
    return Server(version, present)


def _version() -> Operation[str | None]:
    """Prefect Cloud has no release to tell: where the version is not to be had, the deployments decide."""
    try:
        return (yield from wire.read_server_version())
    except (PrefectUnreachable, PrefectUnauthorised):
        raise
    except PrefectApiError as no_version:
        try:
            yield from wire.check_deployments_are_known()
        except (PrefectUnreachable, PrefectUnauthorised):
            raise
        except PrefectApiError:
            raise no_version from None
    return None


def examine(deployments: Sequence[str] = ()) -> Operation[list[Finding]]:
    """What stands in the way of running `deployments` (`<flow>/<deployment>`), or any deployment when none is named.

    Raises PrefectUnreachable or PrefectUnauthorised where nothing can be found out.
    """
    met = yield from read_server(deployments)
    present = met.deployments
    findings = [
        Finding("API", in_order=True, detail=f"Prefect {met.version}" if met.version else "Prefect, no version told"),
        Finding("credentials", in_order=True, detail="accepted"),
    ]
    for name in deployments:
        found = present.get(name)
        findings.append(_of_deployment(name, found) if found else _absent(f"deployment {name}"))
    if not deployments:
        detail = f"{len(present)} present"
        findings.append(Finding("deployments", bool(present), detail, "" if present else DEPLOY))
        each = (_of_deployment(name, record) for name, record in present.items())
        findings += [finding for finding in each if finding.detail != PRESENT]
    wanted = [present[name] for name in deployments or present if name in present]
    return findings + (yield from _look_at_places([(each.work_pool_name, each.work_queue_name) for each in wanted]))


def examine_run(run: FlowRun) -> Operation[list[Finding]]:
    """The same for a run that waits to be started: its deployment, and the pool and queue in which it waits itself."""
    findings = []
    if run.deployment_id is not None:
        record = yield from work_pools.read_deployment(run.deployment_id)
        label = record.name if record else run.deployment_id
        findings.append(_of_deployment(label, record) if record else _absent(f"deployment {label}"))
    return findings + (yield from _look_at_places([(run.work_pool_name, run.work_queue_name)]))


def finding_of_socket(error: PrefectApiError | None) -> Finding:
    """Whether the event socket opens; nothing needs it, so that doing without is in order."""
    if error is None:
        return Finding("event socket", in_order=True, detail="open: ends of flow runs are noticed at once")
    detail = f"none, flow runs are read every few seconds instead: {error}"
    return Finding("event socket", in_order=True, detail=detail, remedy="let websockets through the proxy")


def _of_deployment(name: str, record: DeploymentRecord) -> Finding:
    """What the deployment itself says of its runs' start.

    Being paused concerns its schedules alone: Prefect starts what is asked for by hand.
    """
    subject, limit = f"deployment {name}", record.limit
    mend = f"prefect global-concurrency-limit update {quote(record.limit_name)} --limit 1"
    if record.work_pool_name is None and record.work_queue_name is not None and record.work_queue_id is None:
        detail = "present, but its work pool, or its queue there, was deleted: nobody is given its runs"
        return Finding(subject, in_order=False, detail=detail, remedy=f"make the work pool again, then {DEPLOY}")
    if record.work_pool_name is None and record.status == "NOT_READY":
        remedy = "start the process that serves it, or deploy it to a work pool"
        return Finding(subject, in_order=False, detail="present, but served by nobody", remedy=remedy)
    if limit.slots == 0:
        return Finding(subject, in_order=False, detail="its concurrency limit is 0: no run is started", remedy=mend)
    if not record.limit_enabled:
        remedy = f"prefect global-concurrency-limit enable {quote(record.limit_name)}"
        detail = "its concurrency limit is disabled, for which Prefect starts no run"
        return Finding(subject, in_order=False, detail=detail, remedy=remedy)
    if limit.used_up and record.collision_strategy == "CANCEL_NEW":
        detail = f"{_busy(limit)}: a run that is started now is cancelled (CANCEL_NEW)"
        return Finding(subject, in_order=False, detail=detail, remedy=f"wait until one has ended, or {mend}")
    if limit.used_up:
        return Finding(subject, in_order=True, detail=f"{_busy(limit)}: a new run waits", remedy=f"wait, or {mend}")
    if record.paused or (record.schedules and not any(each.get("active", True) for each in record.schedules)):
        return Finding(subject, in_order=True, detail=f"{PRESENT}; its schedules are paused, by hand it can be started")
    return Finding(subject, in_order=True, detail=PRESENT)


def _absent(subject: str) -> Finding:
    return Finding(subject, in_order=False, detail="absent", remedy=DEPLOY)


def _look_at_places(places: Iterable[tuple[str | None, str | None]]) -> Operation[list[Finding]]:
    """Each pool, and those of the queues used there that have something to tell."""
    findings: list[Finding] = []
    used = {(pool, queue) for pool, queue in places if pool is not None}
    for name in sorted({pool for pool, _ in used}):
        pool = yield from work_pools.read_work_pool(name)
        if pool is None:
            remedy = f"prefect work-pool create {quote(name)}, then {DEPLOY}"
            findings.append(Finding(f"work pool {name}", in_order=False, detail="absent", remedy=remedy))
            continue
        workers = yield from wire.list_workers(name)
        findings.append(_of_pool(pool, workers))
        queues = {queue.name: queue for queue in (yield from work_pools.list_work_queues(name))}
        others = sorted(queue.name for queue in queues.values() if queue.polled)
        for wanted in sorted(queue for each, queue in used if each == name and queue is not None):
            findings += _of_queue(pool, wanted, queues.get(wanted), others)
    return findings


def _of_pool(pool: WorkPool, workers: Sequence[Worker]) -> Finding:
    """Where several things stand in the way, all of them are told."""
    name, details, remedies = quote(pool.name), [], []
    online = any(worker.status == "ONLINE" for worker in workers)
    if pool.paused:
        details.append("paused: no run is started")
        remedies.append(f"prefect work-pool resume {name}")
    if pool.limit.slots == 0:
        details.append("its concurrency limit is 0: no run is started")
        remedies.append(f"prefect work-pool clear-concurrency-limit {name}")
    if pool.needs_workers and not online:
        remedies.append(f"prefect worker start --pool {name}")
    in_order = not remedies
    if in_order and pool.limit.used_up:
        details.append(f"{_busy(pool.limit)}: a new run waits")
        remedies.append(f"wait, or prefect work-pool clear-concurrency-limit {name}")
    details.append(describe_attendance(workers) if pool.needs_workers else "needs no worker")
    return Finding(f"work pool {pool.name}", in_order, "; ".join(details), "; ".join(remedies))


def _of_queue(pool: WorkPool, name: str, queue: WorkQueue | None, polled: Sequence[str]) -> list[Finding]:
    """What is amiss with a queue; nothing for one that is as it should be. `polled` are the pool's that are asked."""
    subject, there = f"work queue {name} of {pool.name}", f"{quote(name)} --pool {quote(pool.name)}"
    if queue is None:
        return [Finding(subject, in_order=False, detail="absent", remedy=f"prefect work-queue create {there}")]
    details, remedies = [], []
    if queue.paused:
        details.append("paused: no run is started")
        remedies.append(f"prefect work-queue resume {there}")
    if queue.limit.slots == 0:
        details.append("its concurrency limit is 0: no run is started")
        remedies.append(f"prefect work-queue clear-concurrency-limit {there}")
    if pool.needs_workers and not queue.paused and not queue.polled and polled:
        details.append(f"no worker polls it; those that are there poll {', '.join(polled)}")
        remedies.append(f"prefect worker start --pool {quote(pool.name)} --work-queue {quote(name)}")
    if details:
        return [Finding(subject, in_order=False, detail="; ".join(details), remedy="; ".join(remedies))]
    if queue.limit.used_up:
        remedy = f"wait, or prefect work-queue clear-concurrency-limit {there}"
        return [Finding(subject, in_order=True, detail=f"{_busy(queue.limit)}: a new run waits", remedy=remedy)]
    return []


def _busy(limit: Limit) -> str:
    return f"{limit.taken} of {limit.slots} slots taken"


def describe_attendance(workers: Sequence[Worker]) -> str:
    """How many of a pool's workers are online, and how long ago one was last heard."""
    beats = [worker.last_heartbeat for worker in workers if worker.last_heartbeat is not None]
    if not beats:
        return "no worker has ever polled it"
    online = sum(worker.status == "ONLINE" for worker in workers)
    ago = (datetime.now(UTC) - max(beats)).total_seconds()
    return f"{online} worker(s) online, last heartbeat {ago:.0f} s ago"
