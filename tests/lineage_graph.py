"""What OpenLineage events say, read back as a receiver would: from a file of one event a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def to_file(path: Path) -> dict[str, str]:
    """The client's settings by which all processes append to one file."""
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    return {"OPENLINEAGE__TRANSPORT": json.dumps(transport)}


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

    def completed(self, job: str) -> list[dict[str, Any]]:
        """How each run of the job ended well."""
        return [event for event in self.of(job) if event["eventType"] == "COMPLETE"]

    def last(self, job: str) -> dict[str, Any]:
        """The last event of a job, which knows all that was read and written."""
        return self.of(job)[-1]

    def inputs(self, job: str) -> set[tuple[str, str]]:
        """Namespace and name of all that its last run read."""
        return names(self.last(job)["inputs"])

    def outputs(self, job: str) -> set[tuple[str, str]]:
        """Namespace and name of all that its last run wrote."""
        return names(self.last(job)["outputs"])


def names(datasets: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """The namespace and name of each."""
    return {(each["namespace"], each["name"]) for each in datasets}


def parent_of(event: dict[str, Any]) -> tuple[str, str]:
    """Name and run id of what the event's run is part of."""
    parent = event["run"]["facets"]["parent"]
    return parent["job"]["name"], parent["run"]["runId"]


def root_of(event: dict[str, Any]) -> tuple[str, str]:
    """Name and run id of what all of it is part of."""
    root = event["run"]["facets"]["parent"]["root"]
    return root["job"]["name"], root["run"]["runId"]
