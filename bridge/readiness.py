"""Whether Prefect is ready to run certain deployments: the API answers, they exist, somebody polls for their runs.

Without I/O, as `wire`. Asked by `bridge doctor`, by the sensor at the head of a DAG and by Airflow's test button.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.errors import DeploymentNotFound, PrefectApiError, PrefectUnauthorised, PrefectUnreachable
from bridge.prefect_api import wire
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import DeploymentRecord, Worker


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` says what to do where it is not in order."""

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
    findings += [_presence(name, present) for name in deployments]
    if not deployments:
        detail = f"{len(present)} present"
        findings.append(Finding("deployments", bool(present), detail, "" if present else "prefect deploy --all"))
    wanted = [present[name] for name in deployments or present if name in present]
    for pool in sorted({record.work_pool_name for record in wanted if record.work_pool_name}):
        workers = yield from wire.list_workers(pool)
        findings.append(_attendance(pool, workers))
    return findings


def finding_of_socket(error: PrefectApiError | None) -> Finding:
    """Whether the event socket opens; nothing needs it, so that doing without is in order."""
    if error is None:
        return Finding("event socket", in_order=True, detail="open: ends of flow runs are noticed at once")
    detail = f"none, flow runs are read every few seconds instead: {error}"
    return Finding("event socket", in_order=True, detail=detail, remedy="let websockets through the proxy")


def _presence(name: str, present: Mapping[str, DeploymentRecord]) -> Finding:
    if name not in present:
        return Finding(f"deployment {name}", in_order=False, detail="absent", remedy="prefect deploy --all")
    if present[name].paused:
        return Finding(f"deployment {name}", in_order=False, detail="paused", remedy="resume it in Prefect")
    if not present[name].work_pool_name and present[name].status == "NOT_READY":
        remedy = "start the process that serves it, or deploy it to a work pool"
        return Finding(f"deployment {name}", in_order=False, detail="present, but served by nobody", remedy=remedy)
    return Finding(f"deployment {name}", in_order=True, detail="present")


def _attendance(pool: str, workers: list[Worker]) -> Finding:
    online = any(worker.status == "ONLINE" for worker in workers)
    remedy = "" if online else f"prefect worker start --pool {pool}"
    return Finding(f"work pool {pool}", online, describe_attendance(workers), remedy)


def describe_attendance(workers: Sequence[Worker]) -> str:
    """How many of a pool's workers are online, and how long ago one was last heard."""
    beats = [worker.last_heartbeat for worker in workers if worker.last_heartbeat is not None]
    if not beats:
        return "no worker has ever polled it"
    online = sum(worker.status == "ONLINE" for worker in workers)
    ago = (datetime.now(UTC) - max(beats)).total_seconds()
    return f"{online} worker(s) online, last heartbeat {ago:.0f} s ago"
