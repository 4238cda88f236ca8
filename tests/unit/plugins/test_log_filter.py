"""A log is searched, and is a text file that harms nobody who reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.errors import PrefectUnreachable
from bridge.prefect_api.exchange import PAGE
from bridge.prefect_api.records import LogLine
from plugins.control_page.log_filter import LogFilter, file_name, text_lines
from plugins.control_page.routes import run_log

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAMES = {"t1": "fit-model"}


def line(key: str, level: int, message: str, task: str | None = None) -> LogLine:
    return LogLine(key, NOW, level, "prefect.flow_runs", message, task)


LINES = [
    line("1", 20, "Week 3: 3,367 rows"),
    line("2", 30, "short texts", "t1"),
    line("3", 40, "No space left", "t2-of-a-later-page"),
]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({}, "123"),
        ({"level": "warning"}, "23"),
        ({"level": "loud"}, "123"),
        ({"find": "SPACE"}, "3"),
        ({"find": "fit-model"}, "2"),
        ({"task": "fit-model"}, "2"),
        ({"task": "-"}, "1"),
        ({"task": "-", "find": "space"}, ""),
    ],
)
def test_lines_are_chosen_by_level_text_and_task(asked: dict[str, str], kept: str) -> None:
    wanted = LogFilter.parse(asked)
    assert "".join(each.id for each in LINES if wanted.keeps(each, NAMES)) == kept


def test_a_log_as_text_has_time_level_task_and_no_character_that_steers_a_terminal() -> None:
    text = list(text_lines([*LINES, line("4", 20, "a\x1b[31m\nb")], NAMES))
    assert text[0] == "2026-03-02T12:00:00.000Z INFO     Week 3: 3,367 rows\n"
    assert text[1] == "2026-03-02T12:00:00.000Z WARNING  fit-model: short texts\n"
    assert text[2] == "2026-03-02T12:00:00.000Z ERROR    task run t2-of-a-: No space left\n"
    assert text[3].endswith("a\\x1b[31m\nb\n")


def test_a_file_is_named_for_its_run_whatever_that_is_called() -> None:
    assert file_name("brave-owl", "id") == "brave-owl.log.txt"
    assert file_name('../"x"\r\nSet-Cookie: 1', "id") == "x-Set-Cookie-1.log.txt"
    assert file_name("кот", "id") == "id.log.txt"


async def test_a_download_that_breaks_off_says_so_at_its_end_and_sends_no_line_twice() -> None:
    class Failing:
        """Gives one more page, the first line of which is the last of the page before, and then breaks."""

        def __init__(self) -> None:
            self.pages = [[line(f"{n}", 20, f"line {n}") for n in range(PAGE - 1, 2 * PAGE - 1)]]

        async def read(self, _: Any) -> list[LogLine]:
            if self.pages:
                return self.pages.pop()
            raise PrefectUnreachable("nobody is there")

    first = [line(f"{n}", 20, f"line {n}") for n in range(PAGE)]
    text = [each async for each in run_log._lines(Failing(), "r", first, NAMES)]  # type: ignore[arg-type]
    assert [each.split()[-1] for each in text[:-1]] == [f"{n}" for n in range(2 * PAGE - 1)]
    assert text[-1] == f"--- The log breaks off here, after {2 * PAGE} lines: nobody is there ---\n"
