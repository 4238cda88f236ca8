"""What works in Airflow's `http` connection works in a `prefect` one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from bridge.errors import ConnectionMisconfigured
from bridge.in_airflow.hook import PrefectHook
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection


def resolved(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> PrefectConnection:
    monkeypatch.setenv("AIRFLOW_CONN_P", json.dumps({"conn_type": "prefect", **fields}))
    return PrefectHook("p").connection()


@pytest.mark.parametrize(
    ("fields", "api_url"),
    [
        ({"host": "http://prefect:4200/api"}, "http://prefect:4200/api"),
        ({"host": "http://prefect:4200"}, "http://prefect:4200/api"),
        ({"host": "http://prefect:4200/"}, "http://prefect:4200/api"),
        ({"host": "prefect", "port": 4200}, "http://prefect:4200/api"),
        ({"host": "prefect", "port": 4200, "schema": "https"}, "https://prefect:4200/api"),
        ({"host": "https://prefect.example.org/team/api"}, "https://prefect.example.org/team/api"),
        ({"host": "http://prefect/api", "port": 4200}, "http://prefect:4200/api"),
        ({"host": "http://prefect/", "port": 4200}, "http://prefect:4200/api"),
        (
            {"host": "https://api.prefect.cloud/api/accounts/a/workspaces/w"},
            "https://api.prefect.cloud/api/accounts/a/workspaces/w",
        ),
    ],
)
def test_the_address_is_made_of_host_port_and_schema(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], api_url: str
) -> None:
    assert resolved(monkeypatch, **fields).api_url == api_url


@pytest.mark.parametrize("host", ["", "ftp://prefect/api", "http://prefect:port/api"])
def test_a_host_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with pytest.raises(ConnectionMisconfigured, match="not the address of a Prefect API"):
        resolved(monkeypatch, host=host)


def test_a_password_alone_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = resolved(monkeypatch, host="http://p", password="key")
    assert connection.request_headers == {"Authorization": "Bearer key"}
    assert connection.socket_token == "key"


def test_login_and_password_are_basic_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = resolved(monkeypatch, host="http://p", login="u", password="p")
    assert connection.request_headers == {"Authorization": "Basic dTpw"}
    assert connection.socket_token == "u:p"


ACCOUNT, WORKSPACE = "6f0ae1e2-0001-4000-8000-000000000001", "6f0ae1e2-0002-4000-8000-000000000002"


def test_prefect_cloud_is_named_by_account_and_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = json.dumps({"account_id": ACCOUNT, "workspace_id": WORKSPACE})
    connection = resolved(monkeypatch, password="pnu_key", extra=extra)
    assert connection.api_url == f"https://api.prefect.cloud/api/accounts/{ACCOUNT}/workspaces/{WORKSPACE}"
    assert connection.socket_url == f"wss{connection.api_url.removeprefix('https')}/events/out"
    assert connection.ui_url == f"https://app.prefect.cloud/account/{ACCOUNT}/workspace/{WORKSPACE}"
    assert connection.request_headers == {"Authorization": "Bearer pnu_key"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password": "k", "extra": {"account_id": ACCOUNT}}, "workspace_id '' is no id of Prefect Cloud"),
        ({"password": "k", "extra": {"account_id": "acme", "workspace_id": WORKSPACE}}, "account_id 'acme' is no id"),
        ({"extra": {"account_id": ACCOUNT, "workspace_id": WORKSPACE}}, "takes an API key"),
        (
            {"login": "me", "password": "k", "extra": {"account_id": ACCOUNT, "workspace_id": WORKSPACE}},
            "no user beside it",
        ),
        (
            {"host": "https://p", "password": "k", "extra": {"account_id": ACCOUNT, "workspace_id": WORKSPACE}},
            "leave the host empty",
        ),
        (
            {"host": f"https://app.prefect.cloud/account/{ACCOUNT}/workspace/{WORKSPACE}/dashboard"},
            f"the workspace's API is https://api.prefect.cloud/api/accounts/{ACCOUNT}/workspaces/{WORKSPACE}",
        ),
        ({"host": "https://u:s3cret@p", "password": "key"}, "leave them out of the address"),
        ({"host": "https://p/api?page=1"}, "query or fragment"),
        (
            {"host": "https://p", "extra": {"timeout": "soon"}},
            "timeout must be a number of seconds above 0, not 's",
        ),
        ({"host": "https://p", "extra": {"timeout": 0}}, "timeout must be a number of seconds above 0"),
        ({"host": "https://p", "extra": {"trust_env": "perhaps"}}, "trust_env must be true or false, not 'perhaps'"),
        ({"host": "https://p", "extra": {"headers": "X: y"}}, "headers must be a JSON object"),
        ({"host": "https://p", "extra": {"retries": 3}}, "extra 'retries' is no option and no header"),
        ({"host": "https://p", "extra": {"cert": ["one"]}}, "cert must be one file"),
        ({"host": "https://p", "extra": {"proxies": "proxy:3128"}}, "'proxy:3128' is not the address of a proxy"),
        ({"host": "https://p", "extra": {"proxies": ["http://p"]}}, "proxies must be a JSON object"),
    ],
)
def test_a_field_that_cannot_be_meant_is_named(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], said: str
) -> None:
    fields = {**fields, "extra": json.dumps(fields.get("extra", {}))}
    with pytest.raises(ConnectionMisconfigured) as refused:
        resolved(monkeypatch, **fields)
    assert str(refused.value).startswith("Airflow connection 'p': ")
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_form_whose_fields_were_left_empty_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = dict.fromkeys(("account_id", "workspace_id", "ui_url", "verify", "proxy"), "")
    plain = resolved(monkeypatch, host="https://p")
    assert resolved(monkeypatch, host="https://p", extra=json.dumps({**empty, "headers": None, "timeout": 30})) == plain


@pytest.mark.parametrize(("written", "verify"), [("true", True), ("False", False), ("0", False), ("ca.pem", "ca.pem")])
def test_a_form_writes_as_text_whether_to_verify(
    monkeypatch: pytest.MonkeyPatch, written: str, verify: bool | str
) -> None:
    assert resolved(monkeypatch, host="https://p", extra=json.dumps({"verify": written})).verify == verify


def test_every_field_of_the_form_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.in_airflow.provider import get_provider_info

    fields = set(get_provider_info()["connection-types"][0]["conn-fields"])
    said = {"ui_url": "https://ui", "verify": "ca.pem", "proxy": "http://px:1", "timeout": 5, "headers": {"X-A": "b"}}
    assert fields == {"account_id", "workspace_id", *said}
    connection = resolved(monkeypatch, host="https://p", extra=json.dumps(said))
    assert connection.ui_url == "https://ui"
    assert connection.verify == "ca.pem"
    assert connection.proxy == "http://px:1"
    assert connection.timeout_seconds == 5
    assert connection.request_headers == {"X-A": "b"}


def test_extras_are_those_of_the_http_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "verify": "ca.pem",
        "cert": ["client.pem", "client.key"],
        "proxies": {"https": "http://proxy:3128"},
        "timeout": 7,
        "trust_env": False,
        "ui_url": "https://prefect.example.org/",
        "headers": {"X-Team": "models"},
        "X-Plain": "as the http provider takes it",
    }
    connection = resolved(monkeypatch, host="https://p", extra=json.dumps(extra))
    assert connection.verify == "ca.pem"
    assert connection.client_certificate == ("client.pem", "client.key")
    assert connection.proxy == "http://proxy:3128"
    assert connection.timeout_seconds == 7
    assert connection.trust_environment is False
    assert connection.flow_run_url("1") == "https://prefect.example.org/runs/flow-run/1"
    assert connection.request_headers == {"X-Team": "models", "X-Plain": "as the http provider takes it"}


def test_a_connection_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = resolved(
        monkeypatch,
        host="http://p",
        login="u",
        password="a-secret",
        extra=json.dumps({"proxies": {"http": "http://u:a-secret@proxy"}, "headers": {"X-Token": "a-secret"}}),
    )
    assert "a-secret" not in repr(connection)


async def test_it_is_read_without_blocking_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved(monkeypatch, host="http://p") == await PrefectHook("p").connection_async()


def test_the_test_button_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_P", json.dumps({"conn_type": "prefect", "host": "ftp://p"}))
    well, said = PrefectHook("p").test_connection()
    assert not well
    assert "ftp://p" in said


def test_the_test_button_tells_what_it_found(client: PrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    well, said = PrefectHook().test_connection()
    assert well
    assert said.startswith("Prefect 3.")
    assert "accepts the credentials; " in said
    assert said.endswith(client.connection.api_url)


def test_the_test_button_takes_an_api_without_a_version(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect Cloud is no release; a server that knows deployments is a Prefect."""
    httpserver.expect_request("/api/deployments/filter").respond_with_json([])
    httpserver.expect_request(re.compile(".*")).respond_with_json({"detail": "Not Found"}, status=404)
    monkeypatch.setenv("AIRFLOW_CONN_P", json.dumps({"conn_type": "prefect", "host": httpserver.url_for("/api")}))
    well, said = PrefectHook("p").test_connection()
    assert well
    assert said.startswith("A Prefect API without a version of its own answers and accepts the credentials")


def test_the_test_button_does_not_take_any_server_for_prefect(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_data("no such page", status=404)
    monkeypatch.setenv("AIRFLOW_CONN_P", json.dumps({"conn_type": "prefect", "host": httpserver.url_for("/x")}))
    well, said = PrefectHook("p").test_connection()
    assert not well
    assert "no Prefect API at this address" in said
