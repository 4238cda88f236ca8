"""What Airflow's provider manager is told of the bridge."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Metadata by Airflow's provider schema."""
    return {
        "package-name": "bridge",
        "name": "Prefect",
        "description": "Run Prefect deployments from Apache Airflow.",
        "integrations": [
            {"integration-name": "Prefect", "external-doc-url": "https://docs.prefect.io", "tags": ["service"]}
        ],
        "hooks": [{"integration-name": "Prefect", "python-modules": ["bridge.in_airflow.hook"]}],
        "operators": [{"integration-name": "Prefect", "python-modules": ["bridge.in_airflow.operators"]}],
        "sensors": [{"integration-name": "Prefect", "python-modules": ["bridge.in_airflow.sensors"]}],
        "triggers": [{"integration-name": "Prefect", "python-modules": ["bridge.in_airflow.triggers"]}],
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
                        "host": "API URL",
                        "login": "User (basic auth)",
                        "password": "API key, or password of the user",
                    },
                    "placeholders": {"host": "http://127.0.0.1:4200/api"},
                },
                "conn-fields": {
                    "ui_url": {
                        "label": "Web interface",
                        "description": "Where people open Prefect, when it is not beside the API.",
                        "schema": {"type": ["string", "null"]},
                    }
                },
            }
        ],
    }
