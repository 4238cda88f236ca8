"""Which values Airflow takes as an XCom. Pure.

The task's process validates a message (pydantic's `JsonValue`, 255 levels), its supervisor sends it with httpx, which
refuses NaN, infinities and lone surrogates; either way the task is answered with an error of Airflow's.
"""

from __future__ import annotations

import json
from typing import Any


def refusal_of(value: Any) -> str | None:
    """What Airflow says to a value that it does not take; None for one that it takes."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return None
