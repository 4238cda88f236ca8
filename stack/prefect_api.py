"""Prefect's REST API as the stack itself asks it: the one place that sends its address together with its secret.

Standard library alone, for what runs before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stack.probes import Probe, ask, basic_auth


@dataclass(frozen=True, slots=True)
class PrefectApi:
    """`url` ends in `/api`; `secret` is what Prefect calls its auth string, `user:password`."""

    url: str
    secret: str = field(repr=False)

    @classmethod
    def named_in(cls, environment: Mapping[str, str]) -> PrefectApi:
        """The API that Prefect's own client would use with these variables."""
        return cls(environment["PREFECT_API_URL"], environment["PREFECT_API_AUTH_STRING"])

    @property
    def web_url(self) -> str:
        """Prefect's web interface."""
        return self.url.removesuffix("/api")

    @property
    def headers(self) -> dict[str, str]:
        """What every request needs."""
        return basic_auth(self.secret)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """As `probes.ask`: the answer's JSON, or None when Prefect does not answer with success."""
        return ask(f"{self.url}{path}", body, self.headers)


def serves(prefect: PrefectApi) -> Probe:
    """Ready when a deployment without a work pool has been polled since this probe was made."""
    since = datetime.now(UTC)

    def probe() -> bool:
        found = prefect.ask("/deployments/filter", {}) or []
        polled = [each["last_polled"] for each in found if each["work_pool_name"] is None]
        return any(when and datetime.fromisoformat(when) > since for when in polled)

    return probe


def polls(prefect: PrefectApi, pool: str) -> Probe:
    """Ready when a worker has polled that work pool since this probe was made; an earlier one counts as online long."""
    since = datetime.now(UTC)

    def probe() -> bool:
        workers = prefect.ask(f"/work_pools/{pool}/workers/filter", {}) or []
        return any(datetime.fromisoformat(worker["last_heartbeat_time"]) > since for worker in workers)

    return probe
