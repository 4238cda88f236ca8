"""Which run of a DAG has taken which of an asset's recorded events, in the asset's state store.

Records are named by Airflow's own numbers. A claim is kept for as long as its run may be tried again: what no longer
fits on the newest page goes to pages that are full, and only those are read that reach back as far as is asked.
Knows nothing of flow runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

SETTLE_SECONDS = 1.0
"""Longer than a task takes from reading the claims to writing them: the state store cannot compare and set."""

PAGE_BYTES = 32_768
"""Airflow stores values of 64 KB without complaint. Such a page holds thousands of claims: neighbours are ranges."""

FULL_PAGES_KEPT = 200
"""Some hundred thousand claims, or more, are remembered."""


class ClaimBook:
    """The claims of one DAG on one asset; `store` is the asset's state store as a task is given it."""

    def __init__(self, store: Any, dag_id: str) -> None:
        self._store = store
        self._key = f"prefect-event-claims-{dag_id}"

    def claims(self, since: int) -> dict[int, str]:
        """The run that has claimed a record, by the record's number, of those from `since` on."""
        return self._read(self._newest(), since)

    def claim(self, run_id: str, records: Iterable[int]) -> set[int]:
        """Those of the records that are this run's, once no other run's claim can have crossed with its own."""
        wanted = sorted(records)
        while wanted:
            newest = self._newest()
            claims = self._read(newest, wanted[0])
            missing = [record for record in wanted if record not in claims]
            if not missing:
                return {record for record in wanted if claims[record] == run_id}
            own = [record for record, owner in claims.items() if owner == run_id and record >= wanted[0]]
            self._write(newest, run_id, [*own, *missing])
            time.sleep(SETTLE_SECONDS)
        return set()

    def _newest(self) -> dict[str, Any]:
        return self._store.get(self._key) or {"runs": {}, "full": []}

    def _read(self, newest: Mapping[str, Any], since: int) -> dict[int, str]:
        pages = [self._store.get(self._full_key(number)) or {} for number, last in newest["full"] if last >= since]
        claims: dict[int, str] = {}
        for page in [*pages, newest["runs"]]:
            for run_id, ranges in page.items():
                claims |= dict.fromkeys(_expanded(ranges), run_id)
        return claims

    def _write(self, newest: dict[str, Any], run_id: str, records: Iterable[int]) -> None:
        runs: dict[str, str] = {**newest["runs"], run_id: _ranges(records)}
        full: list[list[int]] = list(newest["full"])
        others = {each: ranges for each, ranges in runs.items() if each != run_id}
        if others and len(json.dumps(runs)) > PAGE_BYTES:
            # Written first, and the same by whoever turns this page: a crash or a crossing loses nothing.
            number = full[-1][0] + 1 if full else 0
            self._store.set(self._full_key(number), others)
            full.append([number, max(record for ranges in others.values() for record in _expanded(ranges))])
            runs = {run_id: runs[run_id]}
        for number, _ in full[:-FULL_PAGES_KEPT]:
            self._store.delete(self._full_key(number))
        self._store.set(self._key, {"runs": runs, "full": full[-FULL_PAGES_KEPT:]})

    def _full_key(self, number: int) -> str:
        return f"{self._key}-{number}"


def _ranges(records: Iterable[int]) -> str:
    """`3,7-9`: the numbers 3, 7, 8 and 9."""
    found: list[list[int]] = []
    for record in sorted(set(records)):
        if found and record == found[-1][1] + 1:
            found[-1][1] = record
        else:
            found.append([record, record])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _expanded(ranges: str) -> list[int]:
    bounds = [each.split("-") for each in ranges.split(",")]
    return [record for each in bounds for record in range(int(each[0]), int(each[-1]) + 1)]
