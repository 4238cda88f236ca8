"""Whether a service is healthy, for the containers' health checks: exit code 0 or 1 and one line.

Knows HTTP and what Airflow says of its components; knows no Docker. Standard library alone, so that a check costs a
tenth of a second.

    python docker/probe.py http://127.0.0.1:4200/api/health
    python docker/probe.py http://airflow-api-server:8080/api/v2/monitor/health scheduler
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

ANSWER_SECONDS = 4


def verdict(url: str, components: Sequence[str] = ()) -> str:
    """Why the service does not count as healthy; empty when it does.

    The address must answer with success; a component must be called healthy in the JSON that it answers with.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ANSWER_SECONDS) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        return f"{url} does not answer: {error}"
    said = json.loads(text) if components else {}
    ill = [f"{name} is {said.get(name, {}).get('status')}" for name in components]
    return "; ".join(line for line in ill if not line.endswith(" is healthy"))


if __name__ == "__main__":
    problem = verdict(sys.argv[1], sys.argv[2:])
    print(problem or "healthy")
    sys.exit(1 if problem else 0)
