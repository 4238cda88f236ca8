"""What works in Airflow's `http` connection works in a `prefect` one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.errors import ConnectionMisconfigured
from bridge.in_airflow.hook import PrefectHook
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
