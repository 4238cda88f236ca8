"""Whether a service is ready, asked of the service itself over HTTP on loopback.

A probe is called until it says yes; it never raises for a service that is not there yet. Standard library alone.
"""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Probe = Callable[[], bool]

ANSWER_SECONDS = 3

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, body: dict[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON answer of a service, or its text; None when it does not answer with success."""
    request = urllib.request.Request(  # noqa: S310 - only addresses of our own services
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
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


def basic_auth(login: str) -> dict[str, str]:
    """The header that says who asks; `login` is `user:password`."""
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def answers(url: str, headers: Mapping[str, str] | None = None) -> Probe:
    """Ready when the address answers with success."""
    return lambda: ask(url, headers=headers) is not None


def beats(airflow_url: str, component: str) -> Probe:
    """Ready when an Airflow component has sent a heartbeat since this probe was made."""
    since = datetime.now(UTC)

    def probe() -> bool:
        health = ask(f"{airflow_url}/api/v2/monitor/health") or {}
        last = health.get(component, {}).get(f"latest_{component}_heartbeat")
        return bool(last) and datetime.fromisoformat(last) > since

    return probe
