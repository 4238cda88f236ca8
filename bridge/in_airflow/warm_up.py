"""The question with which a triggerer gets to know Airflow, asked while nobody waits for the answer.

Airflow 3.3 builds its execution API within the triggerer when something there first asks it: some four seconds, once in
the process's life. Whoever asks when a flow run has ended would keep that one task waiting.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bridge.in_airflow.airflow_internals import read_xcom
from bridge.in_airflow.run_log import AIRFLOW_ERRORS, POSITION_KEY, xcom_place

log = logging.getLogger(__name__)

_asked: list[asyncio.Task[None]] = []


def warm_up_once(ti: Any) -> None:
    """Ask in the background, once a process; `ti` is a task instance that waits there, or None."""
    if ti is not None and not _asked:
        _asked.append(asyncio.create_task(_ask(ti)))


async def _ask(ti: Any) -> None:
    try:
        await read_xcom(key=POSITION_KEY, **xcom_place(ti))
    except AIRFLOW_ERRORS as error:
        log.warning("Airflow does not answer the triggerer's first question: %s", error)
