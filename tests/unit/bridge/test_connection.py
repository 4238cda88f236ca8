"""Where a Prefect API is, from the environment, a profile or by hand; credentials never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConnectionMisconfigured
from bridge.prefect_api.connection import PrefectConnection
from bridge.profiles import find_connection

CLOUD = "https://api.prefect.cloud/api/accounts/a1/workspaces/w2"


def test_addresses_follow_from_the_api() -> None:
    connection = PrefectConnection("https://example.org/prefix/api/")
    assert connection.api_url == "https://example.org/prefix/api"
    assert connection.socket_url == "wss://example.org/prefix/api/events/out"
    assert connection.flow_run_url("1") == "https://example.org/prefix/runs/flow-run/1"


def test_prefect_cloud_has_its_own_web_interface() -> None:
    assert PrefectConnection(CLOUD).flow_run_url("1") == (
        "https://app.prefect.cloud/account/a1/workspace/w2/runs/flow-run/1"
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "prefect:4200/api",
        "ftp://host/api",
        "http:///api",
        "http://host:port/api",
        "http://host:99999/api",
        "http://[::1/api",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConnectionMisconfigured, match="not the address of a Prefect API"):
        PrefectConnection(address)


def test_no_credential_shows() -> None:
    connection = PrefectConnection(
        "http://h/api", api_key="k-secret", basic_auth="u:p-secret", proxy="http://u:x-secret@p"
    )
    assert "secret" not in repr(connection)
    with pytest.raises(ConnectionMisconfigured) as refused:
        PrefectConnection("ftp://user:p-secret@host/api")
    assert "secret" not in str(refused.value)


def test_a_key_is_a_bearer_and_a_password_is_basic() -> None:
    assert PrefectConnection("http://h/api", api_key="k").request_headers == {"Authorization": "Bearer k"}
    assert PrefectConnection("http://h/api", basic_auth="u:p").request_headers == {"Authorization": "Basic dTpw"}
    assert PrefectConnection("http://h/api", basic_auth="u:p").socket_token == "u:p"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "profiles.toml").write_text(
        'active = "office"\n[profiles.office]\nPREFECT_API_URL = "http://office/api"\nPREFECT_API_KEY = "k"\n'
        '[profiles.home]\nPREFECT_API_URL = "http://home/api"\n'
    )
    return {"PREFECT_HOME": str(tmp_path)}


def test_the_active_profile_is_understood(home: dict[str, str]) -> None:
    connection = find_connection(home)
    assert (connection.api_url, connection.api_key) == ("http://office/api", "k")


def test_a_profile_can_be_named(home: dict[str, str]) -> None:
    assert find_connection(home, profile="home").api_url == "http://home/api"
    assert find_connection({**home, "PREFECT_PROFILE": "home"}).api_url == "http://home/api"
    with pytest.raises(ConnectionMisconfigured, match="no Prefect profile 'none'"):
        find_connection(home, profile="none")


def test_the_environment_comes_before_the_profile_and_an_option_before_both(home: dict[str, str]) -> None:
    environment = {**home, "PREFECT_API_URL": "http://env/api"}
    assert find_connection(environment).api_url == "http://env/api"
    assert find_connection(environment, api_url="http://option/api").api_url == "http://option/api"


def test_without_any_address_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectionMisconfigured, match="PREFECT_API_URL"):
        find_connection({"PREFECT_HOME": str(tmp_path)})
