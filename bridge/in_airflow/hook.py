"""From an Airflow connection of type `prefect` to a `PrefectConnection`, and to clients that use it.

Builds on the HTTP provider's hook to read connections: what works in an `http` connection works in a `prefect` one.
Sending is httpx's business (`bridge.prefect_api.client`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import Connection

from bridge.errors import BridgeError, ConnectionMisconfigured
from bridge.in_airflow.airflow_internals import amask_secret, mask_secret, read_http_extra
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import CLOUD_API_URL, PrefectConnection, cloud_api_url
from bridge.prefect_api.retrying import RetryPolicy
from bridge.readiness import read_server
from bridge.switches import meaning

DEFAULT_CONN_ID = "prefect_default"
DEFAULT_TIMEOUT_SECONDS = 30.0

PATIENT = RetryPolicy(busy_patience_seconds=300.0)
"""A task's: it bears with a busy server, where it could only fail otherwise."""


def patient_for(seconds: float) -> RetryPolicy:
    """That of a submission: it bears as well with a server that gives no answer of its own."""
    return RetryPolicy(patience_seconds=seconds, busy_patience_seconds=max(seconds, PATIENT.busy_patience_seconds))


class PrefectHook(HttpHook):
    """Talks to the Prefect API of an Airflow connection.

    Host (with scheme, port and path) is the API's address; `/api` is added where it has no path. A password alone is
    an API key, login and password are the server's basic auth. Extra: `account_id` and `workspace_id` in place of a
    host for Prefect Cloud, `ui_url`, `headers`, and the HTTP provider's `verify`, `cert`, `proxy` or `proxies`,
    `timeout` and `trust_env`.
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
        resolved = self._resolve(self.get_connection(self.prefect_conn_id))
        # Airflow masks the password; not the form in which HTTP sends it, nor what stands in a proxy's address.
        for secret in resolved.secrets:
            mask_secret(secret)
        return resolved

    async def connection_async(self) -> PrefectConnection:
        """The same without blocking an event loop."""
        resolved = self._resolve(await self.aget_connection(self.prefect_conn_id))
        for secret in resolved.secrets:
            await amask_secret(secret)
        return resolved

    def client(self, retry: RetryPolicy = PATIENT) -> PrefectClient:
        """A blocking client; close it or use it as a context manager."""
        return PrefectClient(self.connection(), retry)

    def test_connection(self) -> tuple[bool, str]:
        """Airflow's test button: whether the API answers and lets us in, its version and deployments."""
        try:
            connection = self.connection()
            with PrefectClient(connection, RetryPolicy(attempts=3)) as client:
                return True, f"{client.run(read_server())}. {connection.api_url}"
        except BridgeError as error:
            return False, str(error)

    def _resolve(self, conn: Connection) -> PrefectConnection:
        try:
            return _connection(conn, self._api_url(conn))
        except (ConnectionMisconfigured, ValueError) as error:
            raise ConnectionMisconfigured(f"Airflow connection {self.prefect_conn_id!r}: {error}") from error

    def _api_url(self, conn: Connection) -> str:
        """The API's address; the HTTP provider writes a connection's port behind the path, where it does not belong."""
        account_id, workspace_id = (conn.extra_dejson.get(name) or "" for name in ("account_id", "workspace_id"))
        if account_id or workspace_id:
            return _cloud_workspace(conn, str(account_id).strip(), str(workspace_id).strip())
        self._set_base_url(conn)
        scheme, _, rest = self.base_url.partition("://")
        place, _, path = rest.partition("/")
        if conn.port and path.endswith(f":{conn.port}"):
            place, path = f"{place}:{conn.port}", path.removesuffix(f":{conn.port}")
        return f"{scheme}://{place}/{path.strip('/') or 'api'}"


def _cloud_workspace(conn: Connection, account_id: str, workspace_id: str) -> str:
    if conn.host and conn.host.rstrip("/") != CLOUD_API_URL:
        raise ConnectionMisconfigured(
            "it names a host and a workspace of Prefect Cloud; leave the host empty, or account_id and workspace_id"
        )
    if conn.login or not conn.password:
        raise ConnectionMisconfigured("Prefect Cloud takes an API key: put it into the password, and no user beside it")
    return cloud_api_url(account_id, workspace_id)


def _connection(conn: Connection, api_url: str) -> PrefectConnection:
    # A form stores fields that were left empty.
    extra = {name: value for name, value in conn.extra_dejson.items() if value not in (None, "")}
    ours = {name: extra.pop(name, None) for name in ("account_id", "workspace_id", "ui_url", "headers")}
    others, options = read_http_extra(extra)
    return PrefectConnection(
        api_url=api_url,
        api_key=conn.password if conn.password and not conn.login else None,
        basic_auth=f"{conn.login}:{conn.password or ''}" if conn.login else None,
        headers={**_headers(others), **_headers(ours["headers"] or {})},
        verify=_verify(options.get("verify_ssl", True)),
        client_certificate=_certificate(options.get("cert")),
        proxy=_proxy(api_url, options.get("proxy")),
        trust_environment=_flag("trust_env", options.get("trust_env", True)),
        timeout_seconds=_timeout_seconds(options.get("timeout", DEFAULT_TIMEOUT_SECONDS)),
        ui_url=str(ours["ui_url"] or ""),
    )


def _headers(value: Any) -> dict[str, str]:
    """Every extra that is no option is a header, as in an `http` connection."""
    if not isinstance(value, Mapping):
        raise ConnectionMisconfigured("headers must be a JSON object of names and texts")
    for name, text in value.items():
        if not isinstance(text, str):
            raise ConnectionMisconfigured(f"extra {name!r} is no option and no header: a header's value is a text")
    return dict(value)


def _verify(value: Any) -> bool | str:
    """True, False or the path of a CA bundle; a form gives all three as text."""
    if isinstance(value, str) and meaning(value) is None:
        return value
    return _flag("verify", value)


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    said = meaning(str(value))
    if said is None:
        raise ConnectionMisconfigured(f"{name} must be true or false, not {value!r}")
    return said


def _timeout_seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConnectionMisconfigured(f"timeout must be a number of seconds above 0, not {value!r}")
    return seconds


def _certificate(cert: Any) -> str | tuple[str, str] | None:
    if isinstance(cert, list | tuple):
        if len(cert) != 2:
            raise ConnectionMisconfigured("cert must be one file, or a list of certificate and key")
        certificate, key = cert
        return str(certificate), str(key)
    return str(cert) if cert else None


def _proxy(api_url: str, value: Any) -> str | None:
    """One address, or the HTTP provider's mapping of schemes to addresses."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise ConnectionMisconfigured('proxies must be a JSON object like {"https": "http://proxy:3128"}')
    return value.get(api_url.split("://", 1)[0]) or value.get("all")
