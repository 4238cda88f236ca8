"""What Airflow's provider manager is told of the bridge."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": ["string", "null"]}

_FORM: dict[str, Any] = {
    "account_id": {
        "label": "Prefect Cloud: account id",
        "description": "The id behind /account/ in the address of the workspace's pages. The API key is the password.",
        "schema": _TEXT,
    },
    "workspace_id": {
        "label": "Prefect Cloud: workspace id",
        "description": "The id behind /workspace/ in the same address.",
        "schema": _TEXT,
    },
    "ui_url": {
        "label": "Web interface",
        "description": "Where people open Prefect, when it is not beside the API.",
        "schema": {**_TEXT, "format": "url"},
    },
    "verify": {
        "label": "Check the certificate",
        "description": "true, false, or the path of a file with the CA's certificate, on workers and triggerers alike.",
        "schema": _TEXT,
    },
    "proxy": {
        "label": "Proxy",
        "description": "For requests and for the event socket, like http://proxy:3128; else the environment's is used.",
        "schema": _TEXT,
    },
    "timeout": {
        "label": "Timeout in seconds",
        "description": "Of one request; those that may be repeated are.",
        "schema": {"type": ["number", "null"], "default": 30, "minimum": 1},
    },
    "headers": {
        "label": "Headers",
        "description": "Further headers of every request, as JSON.",
        "schema": {"type": ["object", "null"]},
    },
}
"""Fields of the connection form beyond Airflow's own; each is stored under its name in the extra."""


def get_provider_info() -> dict[str, Any]:
    """Metadata by Airflow's provider schema."""
    return {
        "package-name": "airflow-provider-prefect",
        "name": "Prefect",
        "description": "Run Prefect deployments from Apache Airflow.",
        "integrations": [
            {"integration-name": "Prefect", "external-doc-url": "https://docs.prefect.io", "tags": ["service"]}
        ],
        "hooks": [{"integration-name": "Prefect", "python-modules": ["bridge.in_airflow.hook"]}],
        "operators": [{"integration-name": "Prefect", "python-modules": ["bridge.in_airflow.operators"]}],
        "sensors": [{"integration-name": "Prefect", "python-modules": ["bridge.in_airflow.sensors"]}],
        "triggers": [
            {
                "integration-name": "Prefect",
                "python-modules": [
                    "bridge.in_airflow.triggers",
                    "bridge.in_airflow.many_runs",
                    "bridge.in_airflow.watching",
                ],
            }
        ],
        "notifications": ["bridge.in_airflow.notifier.BridgeNotifier"],
        "extra-links": ["bridge.in_airflow.links.PrefectFlowRunLink"],
        "connection-types": [
            {
                "hook-class-name": "bridge.in_airflow.hook.PrefectHook",
                "hook-name": "Prefect",
                "connection-type": "prefect",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "API URL (empty for Prefect Cloud)",
                        "login": "User (basic auth)",
                        "password": "API key, or the user's password",
                    },
                    "placeholders": {
                        "host": "https://prefect.example.org/api",
                        "login": "leave empty with an API key",
                        "port": "443 (Airflow's Test button wants it)",
                    },
                },
                "conn-fields": _FORM,
            }
        ],
    }
