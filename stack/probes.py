"""Whether a service is ready, asked of the service itself over HTTP on loopback.

A probe is called until it says yes; it never raises for a service that is not there yet. Standard library alone.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Probe = Callable[[], bool]

ANSWER_SECONDS = 3

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of a service, or its text; None when it does not answer with success."""
    request = urllib.request.Request(  # noqa: S310 - only addresses of our own services
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with _direct.open(request, timeout=ANSWER_SECONDS) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def answers(url: str) -> Probe:
    """Ready when the address answers with success."""
    return lambda: ask(url) is not None


def beats(airflow_url: str, component: str) -> Probe:
    """Ready when an Airflow component has sent a heartbeat since this probe was made."""
    since = datetime.now(UTC)

    def probe() -> bool:
        health = ask(f"{airflow_url}/api/v2/monitor/health") or {}
        last = health.get(component, {}).get(f"latest_{component}_heartbeat")
        return bool(last) and datetime.fromisoformat(last) > since

    return probe


def polls(prefect_api: str, pool: str) -> Probe:
    """Ready when a worker has polled that work pool since this probe was made; an earlier one counts as online long."""
    since = datetime.now(UTC)

    def probe() -> bool:
        workers = ask(f"{prefect_api}/work_pools/{pool}/workers/filter", body={}) or []
        return any(datetime.fromisoformat(worker["last_heartbeat_time"]) > since for worker in workers)

    return probe
