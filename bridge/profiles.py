"""Which Prefect API a command line means: PREFECT_API_URL and its kin, `prefect.toml`, else Prefect's active profile.

Owns the reading of Prefect's own settings without its library, under the names of Prefect 3.8
(`prefect.settings.models`). A `.env` file, which Prefect reads too, is left to the shell.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge.errors import ConnectionMisconfigured
from bridge.prefect_api.connection import PrefectConnection, cloud_page
from bridge.switches import read_switch

NO_ADDRESS = (
    "No Prefect API is known. Set PREFECT_API_URL (like http://127.0.0.1:4200/api), give --api-url, "
    "or choose a Prefect profile that has one (prefect profile use …)"
)
DEFAULT_TIMEOUT_SECONDS = 30.0


def find_connection(
    environ: Mapping[str, str] = os.environ,
    *,
    api_url: str | None = None,
    profile: str | None = None,
    folder: Path | None = None,
) -> PrefectConnection:
    """The API that `api_url`, the environment, `prefect.toml` or `pyproject.toml` in `folder` (the working directory
    by default) or the active profile names, in this order.

    Raises ConnectionMisconfigured when none does, or what they say cannot be used.
    """
    settings = {
        **_profile_settings(environ, profile),
        **_project_settings(folder or Path()),
        **{name: value for name, value in environ.items() if name.startswith("PREFECT_") and value},
    }
    address = api_url or settings.get("PREFECT_API_URL")
    if not address:
        raise ConnectionMisconfigured(NO_ADDRESS)
    insecure = _switch("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", settings)
    certificates = settings.get("PREFECT_API_SSL_CERT_FILE") or environ.get("SSL_CERT_FILE")
    cloud_ui = cloud_page(address, settings.get("PREFECT_CLOUD_UI_URL", ""))
    return PrefectConnection(
        api_url=address,
        api_key=settings.get("PREFECT_API_KEY"),
        basic_auth=settings.get("PREFECT_API_AUTH_STRING"),
        headers=_headers(settings.get("PREFECT_CLIENT_CUSTOM_HEADERS")),
        verify=False if insecure else certificates or True,
        timeout_seconds=_timeout_seconds(settings.get("PREFECT_API_REQUEST_TIMEOUT")),
        ui_url=cloud_ui or settings.get("PREFECT_UI_URL", ""),
    )


def _profile_settings(environ: Mapping[str, str], profile: str | None) -> dict[str, str]:
    home = environ.get("PREFECT_HOME") or os.path.expanduser("~/.prefect")  # noqa: PTH111 - a user may have no home
    path = Path(environ.get("PREFECT_PROFILES_PATH") or Path(home) / "profiles.toml")
    document = _read_toml(path)
    if document is None:
        if profile is not None:
            raise ConnectionMisconfigured(f"There is no Prefect profile {profile!r}: {path} does not exist")
        return {}
    profiles = _table(document, "profiles")
    name = profile or environ.get("PREFECT_PROFILE") or str(document.get("active"))
    if profile is not None and profile not in profiles:
        raise ConnectionMisconfigured(f"There is no Prefect profile {profile!r} in {path}; there are: {list(profiles)}")
    return {key: str(value) for key, value in _table(profiles, name).items()}


def _project_settings(folder: Path) -> dict[str, str]:
    """`[api] url = …` in prefect.toml, or `[tool.prefect.api]` in pyproject.toml, is PREFECT_API_URL."""
    project, own = _read_toml(folder / "pyproject.toml") or {}, _read_toml(folder / "prefect.toml") or {}
    return {**dict(_variables(_table(_table(project, "tool"), "prefect"))), **dict(_variables(own))}


def _variables(document: Mapping[str, Any], prefix: str = "PREFECT") -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        name = f"{prefix}_{key.upper()}"
        if not isinstance(value, Mapping):
            yield name, str(value)
        elif name == "PREFECT_CLIENT_CUSTOM_HEADERS":
            yield name, json.dumps(value)
        else:
            yield from _variables(value, name)


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The table of that name; what is none says nothing to Prefect."""
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def _read_toml(path: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ConnectionMisconfigured(f"Prefect's settings in {path} cannot be read: {error}") from error


def _headers(text: str | None) -> dict[str, str]:
    if not text:
        return {}
    try:
        headers = json.loads(text)
    except ValueError:
        headers = None  # what it holds is not told: it may be a secret
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ConnectionMisconfigured("PREFECT_CLIENT_CUSTOM_HEADERS must be a JSON object of names and texts")
    return headers


def _switch(name: str, settings: Mapping[str, str]) -> bool:
    try:
        return read_switch(name, settings.get(name), default=False)
    except ValueError as error:
        raise ConnectionMisconfigured(str(error)) from None


def _timeout_seconds(text: str | None) -> float:
    try:
        seconds = float(text) if text else DEFAULT_TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConnectionMisconfigured(f"PREFECT_API_REQUEST_TIMEOUT must be a number of seconds above 0, not {text!r}")
    return seconds
