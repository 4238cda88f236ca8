"""Who is behind a run: who was logged in comes before what a parameter says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flows.adapters import initiator

STARTED, RETRIED = ({"control_page.user": "ada"}, {"control_page.user": "ada", "control_page.retried_by": "ben"})
BY_AIRFLOW = {"airflow.dag_id": "weekly", "airflow.run_id": "r"}


@pytest.mark.parametrize(
    ("labels", "requested_by", "name"),
    [
        (STARTED, "boss", "ada"),
        (STARTED, None, "ada"),
        (RETRIED, "ada", "ben"),
        ({**BY_AIRFLOW, "control_page.retried_by": "ben"}, None, "ben"),
        (BY_AIRFLOW, None, "Airflow, weekly r"),
        (BY_AIRFLOW, "anna", "anna"),
        ({"control_page.retried_by": ""}, "anna", "anna"),
    ],
)
def test_who_was_logged_in_decided_else_who_is_named_else_what_started_the_run(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, Any], requested_by: str | None, name: str
) -> None:
    context = SimpleNamespace(flow_run=SimpleNamespace(id="part"))
    root = SimpleNamespace(labels=labels)
    monkeypatch.setattr(initiator, "FlowRunContext", SimpleNamespace(get=lambda: context))
    monkeypatch.setattr(initiator, "flow_run_url", lambda _: None)
    monkeypatch.setattr(initiator, "_root", lambda _: (root, "promotion"))
    assert initiator.find_initiator(None, requested_by).name == name
