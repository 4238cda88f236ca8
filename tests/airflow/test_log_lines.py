"""A flow's log lines through Airflow's own logger, whatever flows write: none of them may end a wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from bridge.in_airflow import run_log
from bridge.in_airflow.run_log import RunLog, write_lines
from bridge.prefect_api.records import LogLine

LINE = LogLine("a", datetime(2026, 1, 5, 7, tzinfo=UTC), 20, "prefect.flow_runs", "the message")
TASK = SimpleNamespace(task_id="t", dag_id="d", run_id="r", map_index=-1)


class Refusing:
    """A logger that takes no line but the warnings of others."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def log(self, *_: Any) -> None:
        raise KeyError(25)

    def warning(self, form: str, *said: Any, **_: Any) -> None:
        self.warnings.append(form % said)


@pytest.mark.parametrize("level", [25, 0, -5, 10**9, 10, 20, 30, 40, 50, 51, 1])
def test_a_line_at_any_level_is_written_by_a_logger_that_knows_the_named_ones_alone(level: int) -> None:
    with capture_logs() as written:
        write_lines(structlog.get_logger(), [replace(LINE, level=level)])
    assert len(written) == (level >= 20)  # Airflow itself drops what is below INFO
    assert "going on without" not in str(written)


@pytest.mark.parametrize("message", ["", "%s %d %(x)s {}", "\x00\x1b[31m", "é€😀\ud800", "x" * 1_000_000])
def test_whatever_a_message_holds_is_written(message: str) -> None:
    with capture_logs() as written:
        write_lines(structlog.get_logger(), [replace(LINE, message=message)])
    assert len(written) == 1


async def test_a_logger_that_refuses_lines_is_told_of_once_and_the_wait_goes_on() -> None:
    log = Refusing()
    written = RunLog(log, None, None)
    for _ in range(3):
        await written.write([LINE, replace(LINE, id="b")])
    assert len(log.warnings) == 1
    assert "KeyError(25)" in log.warnings[0]
    assert written.position is not None


async def test_a_position_that_airflow_does_not_take_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise TypeError("not like this")

    monkeypatch.setattr(run_log, "write_xcom", refused)
    monkeypatch.setattr(run_log, "SAVE_SECONDS", -1.0)
    with capture_logs() as told:
        written = RunLog(structlog.get_logger(), TASK, None)
        for number in range(3):
            await written.write([replace(LINE, id=str(number))])
    assert sum("not like this" in str(each) for each in told) == 1


def test_a_line_says_which_task_run_wrote_it() -> None:
    with capture_logs() as written:
        write_lines(structlog.get_logger(), [replace(LINE, task_run_id="0123456789", task_run_name="clean-3")])
        write_lines(structlog.get_logger(), [replace(LINE, task_run_id="0123456789")])
    assert "clean-3: the message" in str(written[0])
    assert "01234567" in str(written[1])
