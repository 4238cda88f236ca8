"""Airflow's audit log: who changed what from the control page. Blocks; call it in a thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plugins.control_page.airflow_internals import Log, create_session
from plugins.control_page.run_views import shortened

EXTRA_CHARACTERS = 20_000
"""As much as an entry says; what is longer stands on the run."""


def record(event: str, user_name: str, what: Mapping[str, Any], dag_id: str | None = None) -> None:
    """One entry; it is written before anything is changed, so that nothing is changed without one."""
    with create_session() as session:
        session.add(
            Log(
                event=f"control_page_{event}",
                owner=user_name,
                owner_display_name=user_name,
                extra=_fitting(dict(what)),
                dag_id=dag_id,
            )
        )


def _fitting(what: dict[str, Any]) -> str:
    """As JSON; parameters that are too much for an entry are cut, and it is said that they are."""
    written = json.dumps(what)
    if len(written) <= EXTRA_CHARACTERS:
        return written
    cut = {name: shortened(json.dumps(value), EXTRA_CHARACTERS // (4 * len(what))) for name, value in what.items()}
    return json.dumps(cut)
