"""Which runs a person has asked for, as the address of the list says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from bridge.prefect_api.run_queries import RunQuery

RUNS_A_PAGE = 50
DRAWN = 200
"""Runs in the picture over time: one page of Prefect's."""
LONGEST_TEXT = 200
STATES = (
    "Running",
    "Late",
    "Scheduled",
    "Pending",
    "Completed",
    "Failed",
    "Crashed",
    "Cancelled",
    "Cancelling",
    "Paused",
)
SPANS: Mapping[str, timedelta | None] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "ever": None,
}


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What stands in the list's form; what is none of the choices counts as not chosen. Pages count from 1.

    `name` is a part of a run's name, `tag` one tag or several with commas between, `parameter` as
    `parameter_search.has_parameter` has it.
    """

    state: str = ""
    deployment: str = ""
    use_case: str = ""
    span: str = "week"
    name: str = ""
    tag: str = ""
    parameter: str = ""
    page: int = 1

    @classmethod
    def parse(cls, asked: Mapping[str, str]) -> RunFilter:
        """Of the address's parameters; nothing in them is an error."""
        page = asked.get("page", "1")
        span = asked.get("span", "week")
        return cls(
            state=asked.get("state", "") if asked.get("state") in STATES else "",
            deployment=asked.get("deployment", ""),
            use_case=asked.get("use_case", ""),
            span=span if span in SPANS else "week",
            name=_text(asked.get("name", "")),
            tag=_text(asked.get("tag", "")),
            parameter=_text(asked.get("parameter", "")),
            page=max(1, int(page)) if page.isdecimal() and len(page) < 7 else 1,
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the time is asked for."""
        return any((self.state, self.deployment, self.use_case, self.name, self.tag, self.parameter))

    def address(self, page: int | None = None, **other: Any) -> str:
        """The query of the same list, of another page of it, or with something else in its form."""
        changed = replace(self, **other) if page is None else replace(self, page=page)
        named = {name: getattr(changed, name) for name in self.__slots__}
        return urlencode({name: value for name, value in named.items() if value})

    def query(
        self,
        deployment_ids: Mapping[str, str],
        now: datetime,
        *,
        everything: bool,
        limit: int = RUNS_A_PAGE,
        times: int = 1,
    ) -> RunQuery:
        """For Prefect. `deployment_ids` are those that the viewer may see, by name; `everything`: there is no other.

        A deployment or use case that is not among them finds nothing. `times` as long a time is looked at.
        """
        wanted = {
            name: each
            for name, each in deployment_ids.items()
            if self.deployment in {"", name} and self.use_case in {"", name.partition("/")[2]}
        }
        unrestricted = everything and not self.deployment and not self.use_case
        span = SPANS[self.span]
        return RunQuery(
            states=(self.state,) if self.state else (),
            since=now - times * span if span else None,
            limit=limit,
            deployment_ids=None if unrestricted else tuple(sorted(wanted.values())),
            tags=tuple(tag for each in self.tag.split(",") if (tag := each.strip())),
            name_part=self.name or None,
        )


def _text(written: str) -> str:
    """What a person has written, without what no name holds: Prefect's database refuses a NUL."""
    return "".join(each for each in written[:LONGEST_TEXT] if each.isprintable()).strip()
