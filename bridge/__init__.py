"""Run Prefect deployments from Apache Airflow: started once, waited for free, ended well.

The public face of what knows neither orchestrator's library. Operators, sensors and triggers stand in
`bridge.in_airflow`, a Prefect for tests in `bridge.testing`. Only the errors come with `import bridge`; everything else
is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bridge import errors
from bridge.errors import *  # noqa: F403 — each of them; the tree is drawn there

if TYPE_CHECKING:
    from bridge.contracts import Deployment, Reportable
    from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient
    from bridge.prefect_api.connection import PrefectConnection, cloud_api_url
    from bridge.prefect_api.records import FlowRun
    from bridge.prefect_api.retrying import RetryPolicy

    __version__: str

_HOMES = {
    "AsyncPrefectClient": "bridge.prefect_api.client",
    "Deployment": "bridge.contracts",
    "FlowRun": "bridge.prefect_api.records",
    "PrefectClient": "bridge.prefect_api.client",
    "PrefectConnection": "bridge.prefect_api.connection",
    "Reportable": "bridge.contracts",
    "RetryPolicy": "bridge.prefect_api.retrying",
    "cloud_api_url": "bridge.prefect_api.connection",
}

__all__ = [
    "AsyncPrefectClient",
    "Deployment",
    "FlowRun",
    "PrefectClient",
    "PrefectConnection",
    "Reportable",
    "RetryPolicy",
    "__version__",
    "cloud_api_url",
    "errors",
]
__all__ += errors.__all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("airflow-provider-prefect")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
