"""Where a Prefect API is, from the environment, a profile or by hand; credentials never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConnectionMisconfigured
from bridge.prefect_api.connection import PrefectConnection, cloud_api_url
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


def test_credentials_in_the_address_become_basic_auth() -> None:
    connection = PrefectConnection("https://us%40er:p%3Ass@host/api/")
    assert connection.api_url == "https://host/api"
    assert connection.ui_url == "https://host"
    assert connection.basic_auth == "us@er:p:ss"
    assert connection.socket_url == "wss://host/api/events/out"
    with pytest.raises(ConnectionMisconfigured, match="leave them out"):
        PrefectConnection("https://u:p@host/api", api_key="k")


def test_every_form_of_a_credential_can_be_masked() -> None:
    connection = PrefectConnection("http://h/api", basic_auth="u:pass", proxy="http://v:word@proxy")
    assert set(connection.secrets) == {"u:pass", "pass", "dTpwYXNz", "v:word", "word", "djp3b3Jk"}
    assert PrefectConnection("http://h/api", api_key="key").secrets == ["key"]


def test_a_page_of_prefect_cloud_is_answered_with_the_api() -> None:
    ids = "6f0ae1e2-0001-4000-8000-000000000001", "6f0ae1e2-0002-4000-8000-000000000002"
    with pytest.raises(ConnectionMisconfigured) as refused:
        PrefectConnection(f"https://app.prefect.cloud/account/{ids[0]}/workspace/{ids[1]}/runs")
    assert cloud_api_url(*ids) in str(refused.value)
    assert (
        PrefectConnection(cloud_api_url(*ids)).ui_url
        == f"https://app.prefect.cloud/account/{ids[0]}/workspace/{ids[1]}"
    )


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://"])
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ConnectionMisconfigured, match="not the address of a proxy"):
        PrefectConnection("http://h/api", proxy=proxy)


def test_basic_auth_comes_before_a_key_as_with_prefects_own_client() -> None:
    both = PrefectConnection("http://h/api", api_key="k", basic_auth="u:p")
    assert both.request_headers == {"Authorization": "Basic dTpw"}
    assert both.socket_token == "u:p"


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


def test_prefects_own_names_are_understood(tmp_path: Path) -> None:
    connection = find_connection(
        {
            "PREFECT_API_URL": "https://h/api",
            "PREFECT_API_AUTH_STRING": "u:p",
            "PREFECT_API_SSL_CERT_FILE": "ca.pem",
            "PREFECT_API_REQUEST_TIMEOUT": "7.5",
            "PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Team": "models"}',
            "PREFECT_UI_URL": "https://ui",
        },
        folder=tmp_path,
    )
    assert connection.request_headers == {"X-Team": "models", "Authorization": "Basic dTpw"}
    assert (connection.verify, connection.timeout_seconds, connection.ui_url) == ("ca.pem", 7.5, "https://ui")
    careless = {"PREFECT_API_URL": "https://h/api", "PREFECT_API_TLS_INSECURE_SKIP_VERIFY": "true"}
    assert find_connection(careless, folder=tmp_path).verify is False


def test_prefect_clouds_pages_may_lie_elsewhere(tmp_path: Path) -> None:
    environment = {"PREFECT_API_URL": CLOUD, "PREFECT_CLOUD_UI_URL": "https://ui.example.org", "PREFECT_API_KEY": "k"}
    assert find_connection(environment, folder=tmp_path).ui_url == "https://ui.example.org/account/a1/workspace/w2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_CLIENT_CUSTOM_HEADERS", "X-Key: s3cret"),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", '["s3cret"]'),
        ("PREFECT_API_REQUEST_TIMEOUT", "soon"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConnectionMisconfigured, match=name) as refused:
        find_connection({"PREFECT_API_URL": "http://h/api", name: value}, folder=tmp_path)
    assert "s3cret" not in str(refused.value)


def test_a_projects_settings_come_between_environment_and_profile(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.prefect.api]\nurl = "http://pyproject/api"\nkey = "p"\n')
    assert find_connection(home, folder=tmp_path).api_url == "http://pyproject/api"
    (tmp_path / "prefect.toml").write_text('[api]\nurl = "http://toml/api"\n[client.custom_headers]\nX-A = "b"\n')
    connection = find_connection(home, folder=tmp_path)
    assert (connection.api_url, connection.api_key, connection.headers) == ("http://toml/api", "p", {"X-A": "b"})
    assert find_connection({**home, "PREFECT_API_URL": "http://env/api"}, folder=tmp_path).api_url == "http://env/api"


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "prefect.toml").write_text("[api")
    with pytest.raises(ConnectionMisconfigured, match=r"prefect\.toml cannot be read"):
        find_connection({}, folder=tmp_path)


def test_a_profile_in_a_folder_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `sudo -u`, which leaves HOME as it was."""

    def refused(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(ConnectionMisconfigured, match=r"profiles\.toml cannot be read: .*Permission denied"):
        find_connection({"PREFECT_HOME": str(tmp_path)})


def test_a_user_without_a_home_has_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a bare number."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**30)
    assert find_connection({"PREFECT_API_URL": "http://h/api"}, folder=tmp_path).api_url == "http://h/api"


@pytest.mark.parametrize("written", ["tool = 1", "[tool]\nprefect = 3", '[[tool]]\nname = "x"'])
def test_a_project_that_says_something_else_there_says_nothing_to_prefect(tmp_path: Path, written: str) -> None:
    (tmp_path / "pyproject.toml").write_text(written)
    (tmp_path / "profiles.toml").write_text('active = ["a"]\nprofiles = "none"')
    with pytest.raises(ConnectionMisconfigured, match="No Prefect API is known"):
        find_connection({"PREFECT_HOME": str(tmp_path)}, folder=tmp_path)
