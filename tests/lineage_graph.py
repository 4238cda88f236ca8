"""What OpenLineage events say, read back as a receiver would: from a file of one event a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Events:
    """Events in the order in which they were told."""

    told: list[dict[str, Any]]

    @classmethod
    def of_file(cls, path: Path) -> Events:
        """Those that a file transport appended."""
        return cls([json.loads(line) for line in path.read_text().splitlines()])

    def of(self, job: str) -> list[dict[str, Any]]:
        """The events of a job."""
        return [event for event in self.told if event["job"]["name"] == job]

    def kinds(self, job: str) -> list[str]:
        """How its runs began and ended."""
        return [event["eventType"] for event in self.of(job)]

    def last(self, job: str) -> dict[str, Any]:
        """The last event of a job, which knows all that was read and written."""
        return self.of(job)[-1]

    def inputs(self, job: str) -> set[tuple[str, str]]:
        """Namespace and name of all that its last run read."""
        return {(each["namespace"], each["name"]) for each in self.last(job)["inputs"]}

    def outputs(self, job: str) -> set[tuple[str, str]]:
        """Namespace and name of all that its last run wrote."""
        return {(each["namespace"], each["name"]) for each in self.last(job)["outputs"]}


def parent_of(event: dict[str, Any]) -> tuple[str, str]:
    """Name and run id of what the event's run is part of."""
    parent = event["run"]["facets"]["parent"]
    return parent["job"]["name"], parent["run"]["runId"]


def root_of(event: dict[str, Any]) -> tuple[str, str]:
    """Name and run id of what all of it is part of."""
    root = event["run"]["facets"]["parent"]["root"]
    return root["job"]["name"], root["run"]["runId"]
