"""A Prefect database with very many runs: copies of one real run, each with a time and a state of its own.

Creating them over REST would take minutes and measure nothing of interest. Knows Prefect's SQLite tables as of 3.8.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

STATES = ("COMPLETED",) * 8 + ("FAILED", "CANCELLED")
SPAN_DAYS = 6


def multiply(database: Path, flow_run_id: str, count: int, seed: int = 7) -> None:
    """Write `count` copies of the run, spread evenly over the last six days."""
    chance = random.Random(seed)  # noqa: S311 — spreads states, guards nothing
    now = datetime.now(UTC)
    with closing(sqlite3.connect(database, timeout=60)) as opened, opened:
        opened.row_factory = sqlite3.Row
        run = dict(opened.execute("SELECT * FROM flow_run WHERE id = ?", (flow_run_id,)).fetchone())
        state = dict(opened.execute("SELECT * FROM flow_run_state WHERE id = ?", (run["state_id"],)).fetchone())
        runs, states = [], []
        for number in range(count):
            begun = now - timedelta(days=SPAN_DAYS * (number + 1) / (count + 1))
            moment, end = (_stored(each) for each in (begun, begun + timedelta(seconds=20)))
            kind = chance.choice(STATES)
            run_id, state_id = (str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(2))
            told = {"type": kind, "name": kind.title(), "timestamp": end}
            times = {"expected_start_time": moment, "start_time": moment, "end_time": end, "state_timestamp": end}
            as_told = {"id": run_id, "name": f"copy-{number}", "idempotency_key": run_id, "state_id": state_id}
            runs.append({**run, **as_told, **times, "state_type": kind, "state_name": kind.title()})
            states.append({**state, **told, "id": state_id, "flow_run_id": run_id})
        _insert(opened, "flow_run", runs)
        _insert(opened, "flow_run_state", states)


def _stored(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def _insert(database: sqlite3.Connection, table: str, rows: list[dict[str, object]]) -> None:
    generated = {row[1] for row in database.execute(f"PRAGMA table_xinfo({table})") if row[6]}
    columns = [name for name in rows[0] if name not in generated]
    marks = ", ".join("?" for _ in columns)
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 — names of the database's own
    database.executemany(statement, [[row[name] for name in columns] for row in rows])
