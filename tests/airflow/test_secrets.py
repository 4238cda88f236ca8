"""A key or a password that lets Airflow into Prefect is nowhere but in the connection."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from bridge.in_airflow.operators import RunPrefectDeployment
from tests.live_prefect import LivePrefect
from tests.shared_services import GUARDED_PASSWORD as PASSWORD
from tests.shared_services import GUARDED_USER as USER

KEY = "pnu_Zk9wQ3/rT+7uVx=secret"

LOGGERS = ("", "airflow", "bridge", "httpcore", "httpx", "task", "websockets", "websockets.client")


def forms(*secrets: str) -> set[str]:
    """Every form in which a secret may lie about: as it is, quoted, as JSON, and in base64 at each of its offsets."""
    found: set[str] = set()
    for secret in secrets:
        found |= {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
        for offset in range(3):
            # The first and last characters depend on what stands beside the secret.
            found.add(b64encode(b"x" * offset + secret.encode()).decode()[4 if offset else 0 : -4])
    return found


@dataclass
class Traces:
    """What a run of Airflow leaves behind: its logs at DEBUG, what it prints, its metadata database."""

    log: Path
    printed: list[str] = field(default_factory=list)

    @property
    def database(self) -> str:
        path = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = [str(row) for table in tables for row in connection.execute(f'SELECT * FROM "{table}"')]  # noqa: S608
        return "\n".join(rows)

    def holding(self, needles: set[str]) -> set[str]:
        """The places in which one of the needles is found."""
        places = {"log": self.log.read_text(), "database": self.database, "output": "\n".join(self.printed)}
        return {name for name, text in places.items() if any(needle in text for needle in needles)}

    def lines_with(self, needles: set[str]) -> list[str]:
        """The log's lines in which one of the needles is found, for a message that helps."""
        return [line for line in self.log.read_text().splitlines() if any(needle in line for needle in needles)]


@pytest.fixture
def traces(tmp_path: Path, scenarios: Any) -> Iterator[Traces]:
    """Everything is logged, by every library, into a file that nobody masks."""
    handler = logging.FileHandler(tmp_path / "debug.log")
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(handler)
    yield Traces(tmp_path / "debug.log")
    for name, (level, propagate) in before.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).propagate = propagate
        logging.getLogger(name).removeHandler(handler)
    handler.close()


def connect(monkeypatch: pytest.MonkeyPatch, server: LivePrefect, **credentials: str) -> None:
    fields = {"conn_type": "prefect", "host": server.api_url, **credentials}
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(fields))


@pytest.mark.parametrize("mode", ["deferred", "blocking"])
def test_user_and_password_leave_no_trace(
    play: Callable[..., Any],
    traces: Traces,
    guarded: LivePrefect,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    mode: str,
) -> None:
    connect(monkeypatch, guarded, login=USER, password=PASSWORD)
    good = play(f"any_{mode}", deployment="echo/t", parameters={}, tag="secrets")
    assert good.state("run") == "success"
    bad = play(f"any_{mode}", deployment="fail/t", parameters={}, tag="secrets")
    assert bad.state("run") == "failed"
    connect(monkeypatch, guarded, login=USER, password=PASSWORD + "x")
    refused = play(f"any_{mode}", deployment="echo/t", parameters={}, tag="secrets")
    assert "refused the credentials" in str(refused.raised)
    traces.printed += [*capfd.readouterr(), str(refused.raised), str(bad.raised)]
    needles = forms(PASSWORD, f"{USER}:{PASSWORD}")
    assert traces.holding(needles) == set(), traces.lines_with(needles)
    assert "httpcore" in traces.log.read_text() or "send_request_headers" in traces.log.read_text()


@pytest.mark.parametrize("mode", ["deferred", "blocking"])
def test_a_key_leaves_no_trace(
    play: Callable[..., Any],
    traces: Traces,
    prefect: LivePrefect,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    mode: str,
) -> None:
    connect(monkeypatch, prefect, password=KEY)
    assert play(f"any_{mode}", deployment="echo/t", parameters={}, tag="secrets").state("run") == "success"
    traces.printed += capfd.readouterr()
    assert traces.holding(forms(KEY)) == set()


def test_credentials_in_the_host_leave_no_trace(
    play: Callable[..., Any],
    traces: Traces,
    guarded: LivePrefect,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pair = f"{USER}:{quote(PASSWORD, safe='')}@"
    host = guarded.api_url.replace("://", f"://{pair}")
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps({"conn_type": "prefect", "host": host}))
    assert play("any_deferred", deployment="echo/t", parameters={}, tag="secrets").state("run") == "success"
    traces.printed += capfd.readouterr()
    assert traces.holding(forms(PASSWORD, f"{USER}:{PASSWORD}")) == set()


def test_the_search_finds_what_is_there(
    play: Callable[..., Any],
    traces: Traces,
    prefect: LivePrefect,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    planted = "planted-s3cret/with+odd=characters"
    connect(monkeypatch, prefect)
    play("any_blocking", deployment="echo/t", parameters={"text": planted}, tag="secrets")
    logging.getLogger("httpcore").debug("Authorization: Basic %s", b64encode(f"user:{planted}".encode()).decode())
    print(quote(planted, safe=""))
    traces.printed += capfd.readouterr()
    assert traces.holding(forms(planted)) == {"log", "database", "output"}


def test_what_is_serialised_names_the_connection_alone(
    guarded: LivePrefect, monkeypatch: pytest.MonkeyPatch, scenarios: Any
) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    connect(monkeypatch, guarded, login=USER, password=PASSWORD)
    dag = scenarios.dags["any_deferred"]
    operator = dag.get_task("run")
    assert isinstance(operator, RunPrefectDeployment)
    text = json.dumps(DagSerialization.to_dict(dag), default=str)
    assert "prefect_default" in text or "prefect_conn_id" in text
    assert not [needle for needle in forms(PASSWORD, f"{USER}:{PASSWORD}") if needle in text]
