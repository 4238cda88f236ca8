"""From an Airflow connection of type `prefect` to a `PrefectConnection`, and to clients that use it.

Builds on the HTTP provider's hook to read connections: what works in an `http` connection works in a `prefect` one.
Sending is httpx's business (`bridge.prefect_api.client`).
"""

from __future__ import annotations

from typing import Any

from airflow.providers.http.hooks.http import HttpHook, _process_extra_options_from_connection
from airflow.sdk import Connection

from bridge.errors import BridgeError, ConnectionMisconfigured
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection

DEFAULT_CONN_ID = "prefect_default"


class PrefectHook(HttpHook):
    """Talks to the Prefect API of an Airflow connection.

    Host (with scheme, port and path) is the API's address; `/api` is added where it has no path. A password alone is
    an API key, login and password are the server's basic auth. Extra: `ui_url`, `headers`, and the HTTP provider's
    `verify`, `cert`, `proxies`, `timeout` and `trust_env`.
    """

    conn_name_attr = "prefect_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "prefect"
    hook_name = "Prefect"

    def __init__(self, prefect_conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__(http_conn_id=prefect_conn_id)
        self.prefect_conn_id = prefect_conn_id

    def connection(self) -> PrefectConnection:
        """Where the API is; reads the Airflow connection, raises ConnectionMisconfigured."""
        return self._resolve(self.get_connection(self.prefect_conn_id))

    async def connection_async(self) -> PrefectConnection:
        """The same without blocking an event loop."""
        return self._resolve(await self.aget_connection(self.prefect_conn_id))

    def client(self) -> PrefectClient:
        """A blocking client; close it or use it as a context manager."""
        return PrefectClient(self.connection())

    def test_connection(self) -> tuple[bool, str]:
        """Airflow's test button: whether the API answers and lets us in, and its version."""
        try:
            with self.client() as client:
                version = client.run(wire.read_server_version())
                client.run(wire.list_deployments())
        except BridgeError as error:
            return False, str(error)
        return True, f"Prefect {version} answers"

    def _resolve(self, conn: Connection) -> PrefectConnection:
        try:
            self._set_base_url(conn)
        except ValueError as error:
            raise ConnectionMisconfigured(f"Airflow connection {self.prefect_conn_id!r}: {error}") from error
        extra: dict[str, Any] = dict(conn.extra_dejson)
        ui_url = str(extra.pop("ui_url", "") or "")
        headers = extra.pop("headers", None) or {}
        conn_headers, options = _process_extra_options_from_connection(_WithExtra(extra), {})
        proxies = options.get("proxy") or {}
        base_url = self.base_url
        return PrefectConnection(
            api_url=_api_url(base_url, conn.port),
            api_key=conn.password if conn.password and not conn.login else None,
            basic_auth=f"{conn.login}:{conn.password or ''}" if conn.login else None,
            headers={**conn_headers, **headers},
            verify=options.get("verify_ssl", True),
            client_certificate=_certificate(options.get("cert")),
            proxy=proxies if isinstance(proxies, str) else _proxy_for(base_url, proxies),
            trust_environment=bool(options.get("trust_env", True)),
            timeout_seconds=float(options.get("timeout") or 30.0),
            ui_url=ui_url,
        )


def _api_url(base_url: str, port: int | None) -> str:
    """The API's address; the HTTP provider writes a connection's port behind the path, where it does not belong."""
    scheme, _, rest = base_url.partition("://")
    place, _, path = rest.partition("/")
    if port and path.endswith(f":{port}"):
        place, path = f"{place}:{port}", path.removesuffix(f":{port}")
    return f"{scheme}://{place}/{path.strip('/') or 'api'}"


class _WithExtra:
    """What the HTTP provider's reader of extras wants to see of a connection."""

    def __init__(self, extra: dict[str, Any]) -> None:
        self.extra_dejson = extra


def _certificate(cert: Any) -> str | tuple[str, str] | None:
    if isinstance(cert, list | tuple):
        certificate, key = cert
        return str(certificate), str(key)
    return str(cert) if cert else None


def _proxy_for(base_url: str, proxies: dict[str, str]) -> str | None:
    return proxies.get(base_url.split("://", 1)[0]) or proxies.get("all")
