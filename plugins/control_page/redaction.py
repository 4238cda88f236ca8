"""What of a run's parameters is shown and written down: all but secrets. Pure, save for Airflow's list of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plugins.control_page.airflow_internals import redact

HIDDEN = "***"
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def redacted(parameters: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without what is secret, by what Airflow holds for secret, by the schema, or in an address."""
    secret = {name for name, declared in schema.get("properties", {}).items() if is_secret(name, declared)}
    shown = {name: HIDDEN if name in secret else value for name, value in parameters.items()}
    hidden: Any = redact(shown)
    return {name: _without_credentials(value) for name, value in hidden.items()}


def is_secret(name: str, declared: Mapping[str, Any]) -> bool:
    """Whether a field's value is a secret, by its name or by its schema, as of pydantic's `SecretStr`."""
    branches = [declared, *declared.get("anyOf", ()), *declared.get("oneOf", ())]
    told = any(each.get("writeOnly") or each.get("format") == "password" for each in branches)
    return told or redact("shown", name) != "shown"


def _without_credentials(value: Any) -> Any:
    """The value, in whose addresses no user and no password stands."""
    if isinstance(value, str):
        return _CREDENTIALS.sub(f"{HIDDEN}@", value)
    if isinstance(value, Mapping):
        return {name: _without_credentials(each) for name, each in value.items()}
    return [_without_credentials(each) for each in value] if isinstance(value, list | tuple) else value
