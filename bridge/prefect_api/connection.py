"""Where a Prefect API is and how to be let in.

Owns addresses and credentials, and never shows a credential. Opens no connection, reads no environment.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from bridge.errors import ConnectionMisconfigured


@dataclass(frozen=True)
class PrefectConnection:
    """One Prefect API: `api_url` ends in `/api` on a server of one's own.

    `api_key` is sent as a Bearer token (Prefect Cloud), `basic_auth` ("user:password") as HTTP Basic
    (PREFECT_SERVER_API_AUTH_STRING). `verify` is True, False or the path of a CA bundle. `ui_url` is where people open
    the web interface; derived from `api_url` when empty. Raises ConnectionMisconfigured when `api_url` is not an
    http(s) address.
    """

    api_url: str
    api_key: str | None = field(default=None, repr=False)
    basic_auth: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    verify: bool | str = True
    client_certificate: str | tuple[str, str] | None = None
    proxy: str | None = field(default=None, repr=False)
    trust_environment: bool = True
    timeout_seconds: float = 30.0
    ui_url: str = ""

    def __post_init__(self) -> None:
        if not _is_web_address(self.api_url):
            raise ConnectionMisconfigured(
                f"{_without_credentials(self.api_url)!r} is not the address of a Prefect API; "
                "write it like http://127.0.0.1:4200/api"
            )
        object.__setattr__(self, "api_url", self.api_url.rstrip("/"))
        object.__setattr__(self, "ui_url", (self.ui_url or _ui_url(self.api_url)).rstrip("/"))

    @property
    def request_headers(self) -> dict[str, str]:
        """Headers of every request, credentials included."""
        headers = dict(self.headers)
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        elif self.basic_auth:
            headers["Authorization"] = f"Basic {b64encode(self.basic_auth.encode()).decode()}"
        return headers

    @property
    def socket_url(self) -> str:
        """Address of the event socket."""
        return "ws" + self.api_url.removeprefix("http") + "/events/out"

    @property
    def socket_token(self) -> str | None:
        """What the event socket wants in its `auth` message."""
        return self.api_key or self.basic_auth

    def flow_run_url(self, flow_run_id: str) -> str:
        """Where people look at a flow run."""
        return f"{self.ui_url}/runs/flow-run/{flow_run_id}"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _ui_url(api_url: str) -> str:
    cloud = "https://api.prefect.cloud/api/accounts/"
    if api_url.startswith(cloud):
        account, _, workspace = api_url.removeprefix(cloud).partition("/workspaces/")
        return f"https://app.prefect.cloud/account/{account}/workspace/{workspace}"
    return api_url.rstrip("/").removesuffix("/api")


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
