"""Where a Prefect API is and how to be let in.

Owns addresses and credentials, and never shows a credential. Opens no connection, reads no environment.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from uuid import UUID

from bridge.errors import ConnectionMisconfigured

CLOUD_API_URL = "https://api.prefect.cloud/api"
"""Prefect Cloud, as in Prefect 3.8's `prefect.settings.models.cloud`."""

_CLOUD_WORKSPACE = re.compile(
    r"https://api(?P<domain>[.\w-]*\.prefect\.[^./]+)/api/accounts/([^/]+)/workspaces/([^/]+)"
)
_CLOUD_PAGE = re.compile(r"https://app[.\w-]*\.prefect\.[^./]+/account/([^/]+)/workspace/([^/]+)")


@dataclass(frozen=True)
class PrefectConnection:
    """One Prefect API: `api_url` ends in `/api` on a server of one's own, see `cloud_api_url` for Prefect Cloud.

    `api_key` is sent as a Bearer token (Prefect Cloud), `basic_auth` ("user:password") as HTTP Basic
    (PREFECT_SERVER_API_AUTH_STRING); where both are given, basic auth is sent, as Prefect's own client does. A user and
    password in `api_url` are taken out of it and become `basic_auth`. `verify` is True, False or the path of a CA
    bundle. `ui_url` is where people open the web interface; derived from `api_url` when empty.

    Raises ConnectionMisconfigured when an address is none, or when there are credentials in it and beside it.
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
        address, credentials = _address(self.api_url)
        if credentials and (self.api_key or self.basic_auth):
            raise ConnectionMisconfigured(
                f"There are credentials in the address of {address} and beside it; leave them out of the address"
            )
        _check_proxy(self.proxy)
        object.__setattr__(self, "api_url", address)
        object.__setattr__(self, "basic_auth", credentials or self.basic_auth)
        object.__setattr__(self, "ui_url", (self.ui_url or _ui_url(address)).rstrip("/"))

    @property
    def request_headers(self) -> dict[str, str]:
        """Headers of every request, credentials included."""
        headers = dict(self.headers)
        if self.basic_auth:
            headers["Authorization"] = f"Basic {b64encode(self.basic_auth.encode()).decode()}"
        elif self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers

    @property
    def socket_url(self) -> str:
        """Address of the event socket."""
        return "ws" + self.api_url.removeprefix("http") + "/events/out"

    @property
    def socket_token(self) -> str | None:
        """What the event socket wants in its `auth` message."""
        return self.basic_auth or self.api_key

    @property
    def secrets(self) -> list[str]:
        """Every form in which a credential of this connection is sent, for those who mask logs."""
        forms = [self.api_key, self.basic_auth]
        if self.basic_auth:
            forms += [self.basic_auth.partition(":")[2], b64encode(self.basic_auth.encode()).decode()]
        for pair in filter(None, [_credentials(urlsplit(self.proxy))] if self.proxy else []):
            forms += [pair, pair.partition(":")[2], b64encode(pair.encode()).decode()]
        return [form for form in forms if form]

    def flow_run_url(self, flow_run_id: str) -> str:
        """Where people look at a flow run."""
        return f"{self.ui_url}/runs/flow-run/{flow_run_id}"


def cloud_api_url(account_id: str, workspace_id: str) -> str:
    """The API of a workspace in Prefect Cloud; raises ConnectionMisconfigured when an id is missing or none."""
    for name, value in (("account_id", account_id), ("workspace_id", workspace_id)):
        try:
            UUID(value)
        except ValueError as error:
            raise ConnectionMisconfigured(
                f"{name} {value!r} is no id of Prefect Cloud. Both ids stand in the address of the workspace's pages: "
                "https://app.prefect.cloud/account/<account id>/workspace/<workspace id>"
            ) from error
    return f"{CLOUD_API_URL}/accounts/{account_id}/workspaces/{workspace_id}"


def cloud_page(api_url: str, ui_url: str = "") -> str:
    """The web interface of the workspace whose API this is, on `ui_url` where that is given; "" for another API."""
    workspace = _CLOUD_WORKSPACE.fullmatch(api_url.rstrip("/"))
    if workspace is None:
        return ""
    domain, account, name = workspace.groups()
    return f"{ui_url.rstrip('/') or f'https://app{domain}'}/account/{account}/workspace/{name}"


def _address(url: str) -> tuple[str, str | None]:
    """The API's address without credentials, and the `user:password` that stood in it."""
    shown = _without_credentials(url)
    parts = _web_address(url)
    if parts is None:
        raise ConnectionMisconfigured(
            f"{shown!r} is not the address of a Prefect API; write it like http://127.0.0.1:4200/api"
        )
    if parts.query or parts.fragment:
        raise ConnectionMisconfigured(
            f"{urlunsplit(urlsplit(shown)._replace(query='', fragment=''))!r} is followed by a query or fragment; "
            "the address of a Prefect API has none"
        )
    if page := _CLOUD_PAGE.match(shown):
        raise ConnectionMisconfigured(
            f"{shown!r} is a page of Prefect Cloud; the workspace's API is {cloud_api_url(*page.groups())}"
        )
    return shown.rstrip("/"), _credentials(parts)


def _web_address(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and parts.hostname else None


def _check_proxy(proxy: str | None) -> None:
    if proxy is not None and _web_address(proxy) is None:
        raise ConnectionMisconfigured(
            f"{_without_credentials(proxy)!r} is not the address of a proxy; write it like http://proxy:3128"
        )


def _credentials(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def _ui_url(api_url: str) -> str:
    return cloud_page(api_url) or api_url.removesuffix("/api")


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
