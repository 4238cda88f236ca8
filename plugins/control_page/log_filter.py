"""Which lines of a log a person wants to see, as the address says it; and a log as a text file. Pure."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bridge.plain_text import as_line, as_lines
from bridge.prefect_api.records import LogLine

LEVELS = ("debug", "info", "warning", "error", "critical")
FLOW_ITSELF = "-"
"""In the place of a task's name: lines that no task has written."""
LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The least `level` that is shown, `find` a part of the text whatever its case, `task` the name of a task run."""

    level: str = ""
    find: str = ""
    task: str = ""

    @classmethod
    def parse(cls, asked: Mapping[str, str]) -> LogFilter:
        """Of the address's parameters; nothing in them is an error."""
        level = asked.get("level", "")
        return cls(
            level if level in LEVELS else "", asked.get("find", "").strip()[:LONGEST_TEXT], asked.get("task", "")
        )

    @property
    def is_empty(self) -> bool:
        """Whether every line is wanted."""
        return self == LogFilter()

    def keeps(self, line: LogLine, task_names: Mapping[str, str]) -> bool:
        """Whether the line is wanted."""
        if self.level and line.named_level < logging.getLevelNamesMapping()[self.level.upper()]:
            return False
        task = FLOW_ITSELF if line.task_run_id is None else task_names.get(line.task_run_id, "")
        if self.task and task != self.task:
            return False
        return self.find.casefold() in f"{task} {line.message}".casefold()


def text_lines(lines: Iterable[LogLine], task_names: Mapping[str, str]) -> Iterator[str]:
    """Each line with its time (UTC), level and task; no character of it steers a terminal."""
    for line in lines:
        level = logging.getLevelName(line.named_level)
        task = (
            "" if line.task_run_id is None else task_names.get(line.task_run_id) or f"task run {line.task_run_id[:8]}"
        )
        stamp = line.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        yield f"{stamp} {level:<8} {as_line(task) + ': ' if task else ''}{as_lines(line.message)}\n"


def file_name(run_name: str, flow_run_id: str) -> str:
    """Of a run's log: letters, digits, dots and hyphens alone, which every system and every header takes."""
    stem = re.sub(r"[^A-Za-z0-9.-]+", "-", run_name).strip("-.")[:80]
    return f"{stem or flow_run_id}.log.txt"
