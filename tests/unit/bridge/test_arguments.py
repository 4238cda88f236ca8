"""What a command cannot use is refused before anything is asked or started, with what could be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from bridge.cli.app import app
from bridge.cli.arguments import parse_run_id, parse_since, parse_state

RUN = "7d6f0e6e-1b1c-4c3b-9d5e-2f4b8e0f1a2b"

REFUSED = [
    *([command, ""] for command in ("status", "watch", "logs", "retry", "cancel", "run", "doctor")),
    *([command, "brave-owl"] for command in ("status", "watch", "logs", "retry", "cancel", "run", "doctor")),
    *([command, name] for command in ("run", "doctor") for name in ("/", "a/", "/b", "a/b/c", " / ")),
    *(["runs", option, ""] for option in ("--deployment", "--state", "--since", "--tag", "--limit", "--api-url")),
    *(["runs", "--limit", number] for number in ("0", "-1", "many", "1000000")),
    *(["runs", "--since", age] for age in ("bogus", "-2h", "2y", "99999999999d", "2026-13-01")),
    *(
        ["run", "a/b", "--wait", option, time]
        for option in ("--timeout", "--patience")
        for time in ("-1", "nan", "x", "")
    ),
    ["run", "a/b", "--key", ""],
    ["run", "a/b", "--tag", ""],
    ["run", "a/b", "--profile", ""],
    ["logs", RUN, "--level", "loud"],
]


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_what_cannot_be_used_is_wrong_usage_and_asks_nobody(arguments: list[str]) -> None:
    shown = CliRunner().invoke(app, arguments, env={"PREFECT_API_URL": "http://127.0.0.1:9/api", "COLUMNS": "200"})

    assert shown.exit_code == 2, shown.output
    assert "Invalid value" in shown.output
    assert shown.exception is None or isinstance(shown.exception, SystemExit)


def test_an_empty_text_is_told_from_one_that_was_not_given() -> None:
    shown = CliRunner().invoke(app, ["retry", ""], env={"COLUMNS": "200"})

    assert "it is empty: was a variable not set?" in shown.output


def test_an_id_may_be_written_as_uuids_are() -> None:
    assert parse_run_id(RUN.upper()) == parse_run_id(RUN.replace("-", "")) == RUN


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("late", "Late"),
        ("FAILED", "FAILED"),
        ("failed", "FAILED"),
        ("awaitingretry", "AwaitingRetry"),
        ("Ours", "Ours"),
    ],
)
def test_a_state_is_known_however_it_is_written(written: str, meant: str) -> None:
    assert parse_state(written) == meant


def test_ages_and_dates_are_moments() -> None:
    assert timedelta(hours=2) - (datetime.now(UTC) - parse_since("2h")) < timedelta(seconds=10)
    assert parse_since("2026-01-31T00:00+00:00") == datetime(2026, 1, 31, tzinfo=UTC)
    with pytest.raises(typer.BadParameter):
        parse_since("yesterday")
