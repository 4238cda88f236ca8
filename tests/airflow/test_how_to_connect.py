"""Every connection of docs/how-to/connect.md is what the page says it is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from bridge.in_airflow.hook import PrefectHook
from bridge.prefect_api.connection import PrefectConnection
from tests.live_prefect import CHECKOUT

PAGE = (CHECKOUT / "docs" / "how-to" / "connect.md").read_text()

SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))

ACCOUNT, WORKSPACE = "6f0ae1e2-0001-4000-8000-000000000001", "6f0ae1e2-0002-4000-8000-000000000002"
MEANT = {
    "A server of one's own": PrefectConnection("http://127.0.0.1:4200/api"),
    "Behind basic auth": PrefectConnection("https://prefect.example.org/api", basic_auth="airflow:s3cret"),
    "Behind a path prefix, with a CA and a proxy of one's own": PrefectConnection(
        "https://gateway.example.org/models/prefect/api",
        api_key="an-api-key",
        verify="/etc/ssl/example-ca.pem",
        proxy="http://proxy.example.org:3128",
    ),
    "Prefect Cloud": PrefectConnection(
        f"https://api.prefect.cloud/api/accounts/{ACCOUNT}/workspaces/{WORKSPACE}", api_key="pnu_1234567890"
    ),
}


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)


def same_way_in(one: PrefectConnection, other: PrefectConnection) -> bool:
    """Whether both lead to the same API with the same credentials, by the same way."""
    names = ("api_url", "api_key", "basic_auth", "verify", "proxy")
    return all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.mark.parametrize("section", MEANT)
def test_json_and_uri_lead_where_the_page_says(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = blocks(section, "json") + blocks(section, "uri")
    assert written
    for text in written:
        monkeypatch.setenv("AIRFLOW_CONN_WRITTEN", text.strip())
        found = PrefectHook("written").connection()
        assert same_way_in(found, MEANT[section]), text


def test_the_last_fields_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = blocks("Behind a path prefix, with a CA and a proxy of one's own", "json")
    monkeypatch.setenv("AIRFLOW_CONN_WRITTEN", text)
    found = PrefectHook("written").connection()
    assert (found.timeout_seconds, found.ui_url) == (10, "https://prefect.example.org")
    assert found.headers == {"X-Team": "models"}
    assert found.socket_url == "wss://gateway.example.org/models/prefect/api/events/out"


def airflow(*words: str) -> None:
    """Airflow's command line, in this process: a process of its own takes seconds to start."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(words)
    arguments.func(arguments)


def test_airflows_command_stores_what_the_page_says(scenarios: object, tmp_path: Path) -> None:
    names = []
    for section in MEANT:
        [command] = blocks(section, "sh")
        words = shlex.split(command.replace("\\\n", " "))
        assert words[:3] == ["airflow", "connections", "add"]
        airflow(*words[1:])
        names.append(words[3])
    stored = tmp_path / "connections.json"
    airflow("connections", "export", str(stored))
    connections = json.loads(stored.read_text())
    for section, name in zip(MEANT, names, strict=True):
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("AIRFLOW_CONN_WRITTEN", json.dumps(connections[name]))
            assert same_way_in(PrefectHook("written").connection(), MEANT[section])
        airflow("connections", "delete", name)
