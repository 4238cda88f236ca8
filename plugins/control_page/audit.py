"""Airflow's audit log: who changed what from the control page. Blocks; call it in a thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plugins.control_page.airflow_internals import Log, create_session


def record(event: str, user_name: str, what: Mapping[str, Any], dag_id: str | None = None) -> None:
    """One entry; it is written before anything is changed, so that nothing is changed without one.

    Parameters are not written: they may hold what a log must not.
    """
    with create_session() as session:
        session.add(
            Log(
                event=f"control_page_{event}",
                owner=user_name,
                owner_display_name=user_name,
                extra=json.dumps(dict(what)),
                dag_id=dag_id,
            )
        )
