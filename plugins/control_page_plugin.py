"""The control page as an Airflow plugin: a page in the navigation and a tab on every task instance.

Wiring only. Every process of Airflow loads this file, tasks included: the page itself is imported where its application
is asked for, which is in the api-server, at its start.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/control-page"
TASK_TAB = "task?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}"


async def control_page(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The page as an ASGI application."""
    from plugins.control_page.app import application

    await application()(scope, receive, send)


class ControlPagePlugin(AirflowPlugin):
    """Airflow finds it by its base class."""

    name = "control_page"
    # Without a leading slash, so that Airflow may live below a path of its own.
    external_views = [  # noqa: RUF012 — Airflow declares it as an instance's
        {
            "name": "Control page",
            "href": f"{PREFIX[1:]}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "control-page",
        },
        {
            "name": "Prefect run",
            "href": f"{PREFIX[1:]}/{TASK_TAB}",
            "destination": "task_instance",
            "url_route": "prefect-run",
        },
    ]

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """Asked for by the api-server alone; what the page needs is there before its first viewer is."""
        from plugins.control_page.app import application

        application()
        return [{"app": control_page, "url_prefix": PREFIX, "name": "Control page"}]
