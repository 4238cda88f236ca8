"""The scripts that run around the containers."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import ModuleType

import pytest
from pytest_httpserver import HTTPServer


def test_make_env_writes_random_secrets_for_its_owner_alone(make_env: ModuleType, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert make_env.main(["--file", str(one)]) == 0
    assert make_env.main(["--file", str(two)]) == 0
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert set(make_env.PASSWORDS) <= make_env.names_in(one.read_text())
    shared = {line for line in one.read_text().splitlines() if "=" in line and not line.startswith("#")} & {
        *two.read_text().splitlines()
    }
    assert {line.split("=")[0] for line in shared} == {"WEEK_EPOCH", "COMPOSE_IGNORE_ORPHANS"}


def test_make_env_keeps_what_is_there(make_env: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / ".env"
    make_env.main(["--file", str(file)])
    before = file.read_text()
    make_env.main(["--file", str(file)])
    assert file.read_text() == before
    assert "kept as it is" in capsys.readouterr().out


def test_make_env_adds_what_an_older_file_lacks_and_changes_nothing_else(make_env: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("MINE=1\nPREFECT_PASSWORD=known\nAIRFLOW_ADMIN_PASSWORD=")
    make_env.main(["--file", str(file)])
    text = file.read_text()
    assert text.startswith("MINE=1\nPREFECT_PASSWORD=known\nAIRFLOW_ADMIN_PASSWORD=\n")
    assert text.count("PREFECT_PASSWORD=") == 1
    assert set(make_env.PASSWORDS) <= make_env.names_in(text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_make_env_replaces_secrets_only_when_forced(make_env: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    make_env.main(["--file", str(file)])
    before = file.read_text()
    make_env.main(["--file", str(file), "--force"])
    assert not {line for line in before.splitlines() if "PASSWORD=" in line} & {*file.read_text().splitlines()}


def test_weeks_begin_with_the_monday_of_the_week_in_which_the_file_is_made(make_env: ModuleType) -> None:
    from datetime import UTC, datetime

    sunday = datetime(2026, 1, 11, 23, 59, tzinfo=UTC)
    assert make_env.new_values(sunday)["WEEK_EPOCH"] == "2026-01-05T00:00:00+00:00"


def test_probe_believes_an_answer_and_a_component_that_is_called_healthy(
    probe: ModuleType, httpserver: HTTPServer
) -> None:
    said = {"scheduler": {"status": "healthy"}, "triggerer": {"status": None}}
    httpserver.expect_request("/health").respond_with_json(said)
    url = httpserver.url_for("/health")
    assert probe.verdict(url) == ""
    assert probe.verdict(url, ["scheduler"]) == ""
    assert probe.verdict(url, ["scheduler", "triggerer"]) == "triggerer is None"
    assert probe.verdict(url, ["unheard_of"]) == "unheard_of is None"


def test_probe_names_what_does_not_answer(probe: ModuleType, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/health").respond_with_data("", status=503)
    url = httpserver.url_for("/health")
    assert url in probe.verdict(url)
    assert "503" in probe.verdict(url)


def test_probe_logs_in_where_the_address_names_a_user(
    probe: ModuleType, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is no argument, which every user of the machine could read."""
    monkeypatch.setenv("PROBE_PASSWORD", "s3cret")
    login = {"Authorization": "Basic YWRtaW46czNjcmV0"}
    httpserver.expect_request("/query", query_string="max_results=1", headers=login).respond_with_json({})
    url = httpserver.url_for("/query?max_results=1").replace("://", "://admin@")
    assert probe.verdict(url) == ""


def test_probe_names_what_is_not_there(probe: ModuleType, unused_tcp_port: int) -> None:
    assert "does not answer" in probe.verdict(f"http://127.0.0.1:{unused_tcp_port}/health")


def test_the_login_of_airflow_is_replaced_and_private(airflow_init: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "passwords.json"
    airflow_init.write_passwords(file, "one")
    airflow_init.write_passwords(file, 'with "quotes"')
    assert json.loads(file.read_text()) == {"admin": 'with "quotes"'}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["passwords.json"]


@pytest.mark.parametrize(
    ("script", "seconds", "said"),
    [("exec sleep 600", 0.2, "did not end within 0.2 s"), ("exit 3", 600, "failed; the cause stands above")],
)
def test_a_migration_that_stands_still_or_fails_ends_the_step_with_what_to_look_at(
    airflow_init: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, seconds: float, said: str
) -> None:
    airflow = tmp_path / "airflow"
    airflow.write_text(f"#!/bin/sh\n{script}\n")
    airflow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(SystemExit, match=f"(?s){said}.*docker compose .* logs airflow-postgres"):
        airflow_init.migrate(seconds)
