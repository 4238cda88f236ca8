"""Whether a service is healthy, for the containers' health checks: exit code 0 or 1 and one line.

Knows HTTP and what Airflow says of its components; knows no Docker. Standard library alone, so that a check costs a
tenth of a second.

    python docker/probe.py http://127.0.0.1:4200/api/ready
    python docker/probe.py http://admin@127.0.0.1:5000/version    (the password is in PROBE_PASSWORD)
    python docker/probe.py http://airflow-api-server:8080/api/v2/monitor/health scheduler
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

ANSWER_SECONDS = 4


def verdict(url: str, components: Sequence[str] = ()) -> str:
    """Why the service does not count as healthy; empty when it does.

    The address must answer with success; a component must be called healthy in the JSON that it answers with.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(_request(url), timeout=ANSWER_SECONDS) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        return f"{url} does not answer: {error}"
    said = json.loads(text) if components else {}
    ill = [f"{name} is {said.get(name, {}).get('status')}" for name in components]
    return "; ".join(line for line in ill if not line.endswith(" is healthy"))


def _request(url: str) -> urllib.request.Request:
    """With the login where the address names a user."""
    parts = urlsplit(url)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(address)  # noqa: S310 - it stands in a compose file
    if parts.username:
        login = f"{parts.username}:{os.environ['PROBE_PASSWORD']}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    return request


if __name__ == "__main__":
    problem = verdict(sys.argv[1], sys.argv[2:])
    print(problem or "healthy")
    sys.exit(1 if problem else 0)
