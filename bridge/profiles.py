"""Which Prefect API a command line means: PREFECT_API_URL and its kin, else Prefect's active profile.

Owns the reading of Prefect's own settings (environment variables and `~/.prefect/profiles.toml`) without its library.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.errors import ConnectionMisconfigured
from bridge.prefect_api.connection import PrefectConnection

NO_ADDRESS = (
    "No Prefect API is known. Set PREFECT_API_URL (like http://127.0.0.1:4200/api), give --api-url, "
    "or choose a Prefect profile that has one (prefect profile use …)"
)


def find_connection(
    environ: Mapping[str, str] = os.environ, *, api_url: str | None = None, profile: str | None = None
) -> PrefectConnection:
    """The API that `api_url`, the environment or the active profile names, in this order.

    Raises ConnectionMisconfigured when none does, or the profiles file cannot be read.
    """
    settings = {**_profile_settings(environ, profile), **{k: v for k, v in environ.items() if k.startswith("PREFECT_")}}
    address = api_url or settings.get("PREFECT_API_URL")
    if not address:
        raise ConnectionMisconfigured(NO_ADDRESS)
    insecure = settings.get("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "").lower() in {"1", "true"}
    return PrefectConnection(
        api_url=address,
        api_key=settings.get("PREFECT_API_KEY") or None,
        basic_auth=settings.get("PREFECT_API_AUTH_STRING") or None,
        verify=False if insecure else settings.get("PREFECT_API_SSL_CERT_FILE") or True,
        ui_url=settings.get("PREFECT_UI_URL", ""),
    )


def _profile_settings(environ: Mapping[str, str], profile: str | None) -> dict[str, str]:
    home = Path(environ.get("PREFECT_HOME") or Path("~/.prefect").expanduser())
    path = Path(environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    if not path.exists():
        if profile is not None:
            raise ConnectionMisconfigured(f"There is no Prefect profile {profile!r}: {path} does not exist")
        return {}
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConnectionMisconfigured(f"Prefect's profiles in {path} cannot be read: {error}") from error
    profiles = document.get("profiles", {})
    name = profile or environ.get("PREFECT_PROFILE") or document.get("active")
    if profile is not None and profile not in profiles:
        raise ConnectionMisconfigured(f"There is no Prefect profile {profile!r} in {path}; there are: {list(profiles)}")
    return {key: str(value) for key, value in profiles.get(name, {}).items()}
