"""Which runs a person has asked for, as the address of the list says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from bridge.prefect_api.run_queries import RunQuery

RUNS_A_PAGE = 50
STATES = ("Running", "Late", "Scheduled", "Pending", "Completed", "Failed", "Crashed", "Cancelled", "Cancelling")
SPANS: Mapping[str, timedelta | None] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "ever": None,
}


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What stands in the list's form; what is none of the choices counts as not chosen. Pages count from 1."""

    state: str = ""
    deployment: str = ""
    use_case: str = ""
    span: str = "week"
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
            page=max(1, int(page)) if page.isdecimal() and len(page) < 7 else 1,
        )

    def address(self, page: int) -> str:
        """The query of another page of the same list."""
        named = {name: getattr(replace(self, page=page), name) for name in self.__slots__}
        return urlencode({name: value for name, value in named.items() if value})

    def query(self, deployment_ids: Mapping[str, str], now: datetime, *, everything: bool) -> RunQuery:
        """For Prefect. `deployment_ids` are those that the viewer may see, by name; `everything`: there is no other.

        A deployment or use case that is not among them finds nothing.
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
            since=now - span if span else None,
            limit=RUNS_A_PAGE,
            deployment_ids=None if unrestricted else tuple(sorted(wanted.values())),
        )
