"""Measure waiting for flow runs and print one table: `python -m benchmarks.waits [--quick] [--database sqlite]`.

See docs/benchmarks/waits.md for what is measured how.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import psutil

from benchmarks.waits.prefect_side import Server, create_runs, end_runs, prefect_server
from benchmarks.waits.waiters import Waiters, prefects_own, triggerer
from stack.settings import switch

SETTLE_SECONDS = 6.0
"""Between the begin of the last wait and the begin of the measurement."""
LATE_SECONDS = 7.0
"""How long after the last run's end firings are waited for; a poll comes every five."""


@dataclass(frozen=True)
class Case:
    """One row: who waits for how many."""

    way: str
    count: int


@dataclass(frozen=True)
class Measured:
    """What one case cost. Processor times in seconds, memory in bytes."""

    case: Case
    database: str
    requests_per_second: float
    waiter_cpu_seconds: float
    server_cpu_seconds: float
    memory_bytes: float
    lags_seconds: list[float]
    missed: int


FULL = {
    "embedded": [
        ("nothing", 100), ("bridge", 100), ("polling", 100), ("run_deployment", 100),
        ("nothing", 1000), ("bridge", 1000), ("bridge, ending the task", 1000), ("bridge, no socket", 1000),
        ("polling", 1000), ("run_deployment", 1000),
        ("nothing", 5000), ("bridge", 5000),
    ],
    "sqlite": [("nothing", 1000), ("bridge", 1000), ("polling", 1000), ("run_deployment", 1000)],
}  # fmt: skip
QUICK = [("nothing", 100), ("bridge", 100), ("bridge, no socket", 100), ("polling", 100), ("run_deployment", 100)]


COLUMNS = (
    "Prefect on",
    "waits",
    "who waits",
    "requests/s",
    "CPU s",
    "beyond Airflow's",
    "KB a wait beyond Airflow's",
    "Prefect's CPU s beyond the driving",
    "fired p50 ms",
    "p99 ms",
    "missed",
)


def main() -> None:
    """Measure the cases that the command line asks for and print their table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waits", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 waits, ended over 10 s: a try, no measurement")
    parser.add_argument("--database", choices=list(FULL), action="append", help="Prefect's database; default both")
    parser.add_argument("--way", metavar="NAME", action="append", help="this way of waiting, named as in the table")
    parser.add_argument("--waits", type=int, help="each way once, with so many waits")
    arguments = parser.parse_args()
    # ended from outside, it takes its servers along
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before the last measurement"))
    arguments.quick = arguments.quick or switch("QUICK")
    drive_seconds = 10.0 if arguments.quick else 60.0
    measured: list[Measured] = []
    try:
        for database in arguments.database or (["embedded"] if arguments.quick else list(FULL)):
            asked = QUICK if arguments.quick else FULL[database]
            cases = [Case(way, arguments.waits or count) for way, count in asked if way in (arguments.way or [way])]
            for case in dict.fromkeys(cases):
                print(f"{database}: {case.way}, {case.count} waits …", file=sys.stderr, flush=True)
                measured.append(measure(case, database, drive_seconds))
                print(table(measured[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    finally:
        # what was measured before a case failed is worth its minutes
        print(table(measured))


def measure(case: Case, database: str, drive_seconds: float) -> Measured:
    """One case on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-waits-") as folder:
        prefect_home, home = Path(folder) / "prefect", Path(folder) / "waiters"
        prefect_home.mkdir()
        home.mkdir()
        with prefect_server(prefect_home, database) as server:
            ids = asyncio.run(create_runs(server.api_url, case.count))
            with _waiters(case, home, server.api_url, ids, drive_seconds) as waiters:
                waiters.await_all(case.count)
                time.sleep(SETTLE_SECONDS)
                return _drive(case, database, server, waiters, ids, drive_seconds)


@contextmanager
def _waiters(case: Case, home: Path, api_url: str, ids: list[str], drive_seconds: float) -> Iterator[Waiters]:
    if case.way == "run_deployment":
        with prefects_own(home, api_url, ids) as waiters:
            yield waiters
        return
    extra = {"BENCH_NO_SOCKET": "1"} if case.way == "bridge, no socket" else {}
    triggers = [_trigger(case, api_url, each, drive_seconds * position / len(ids)) for position, each in enumerate(ids)]
    with triggerer(home, api_url, triggers, **extra) as waiters:
        yield waiters


def _trigger(case: Case, api_url: str, flow_run_id: str, after_seconds: float) -> dict[str, object]:
    place = "benchmarks.waits.triggers"
    if case.way == "nothing":
        kwargs: dict[str, object] = {"flow_run_id": flow_run_id, "after_seconds": after_seconds}
        return {"classpath": f"{place}.NothingTrigger", "kwargs": kwargs}
    if case.way == "polling":
        return {"classpath": f"{place}.PollingTrigger", "kwargs": {"flow_run_id": flow_run_id, "api_url": api_url}}
    kwargs = {"prefect_conn_id": "prefect_default", "flow_run_id": flow_run_id, "run_seconds": 3600.0}
    kwargs["end_from_trigger"] = case.way == "bridge, ending the task"
    return {"classpath": f"{place}.BridgeTrigger", "kwargs": kwargs}


def _drive(
    case: Case, database: str, server: Server, waiters: Waiters, ids: list[str], drive_seconds: float
) -> Measured:
    """The measurement proper, from the first run's end until a poll's time after the last one's."""
    waiters.look()
    memory_bytes = float(waiters.process.memory_full_info().pss)
    requests, waiter_cpu, server_cpu = waiters.requests, _cpu(waiters.process), _cpu(server.process)
    begun = time.monotonic()
    waiters.go()
    ended = asyncio.run(end_runs(server.api_url, ids, drive_seconds))
    time.sleep(LATE_SECONDS)
    seconds = time.monotonic() - begun
    waiters.look()
    fired = waiters.fired
    return Measured(
        case,
        database,
        requests_per_second=(waiters.requests - requests) / seconds,
        waiter_cpu_seconds=_cpu(waiters.process) - waiter_cpu,
        server_cpu_seconds=_cpu(server.process) - server_cpu,
        memory_bytes=memory_bytes,
        lags_seconds=[fired[each] - ended[each] for each in ids if each in fired],
        missed=sum(each not in fired for each in ids),
    )


def _cpu(process: psutil.Process) -> float:
    """Seconds of processor time of the process and those that it has started."""
    family = [process, *process.children(recursive=True)]
    return sum(times.user + times.system for times in (each.cpu_times() for each in family))


def table(measured: list[Measured]) -> str:
    """The Markdown table; a case's costs stand beside those of waiting for nothing, which are Airflow's own."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|--:|---" + "|--:" * (len(COLUMNS) - 3) + "|"]
    nothing = {(each.database, each.case.count): each for each in measured if each.case.way == "nothing"}
    for each in measured:
        base = nothing.get((each.database, each.case.count))
        lines.append(_row(each, base))
    return "\n".join(lines)


def _row(each: Measured, base: Measured | None) -> str:
    is_base = each.case.way == "nothing"
    in_airflow = not is_base and each.case.way != "run_deployment"
    cuts = quantiles(each.lags_seconds, n=100) if len(each.lags_seconds) > 1 and not is_base else None
    beyond = f"{each.waiter_cpu_seconds - base.waiter_cpu_seconds:.1f}" if base and in_airflow else "–"
    memory = f"{(each.memory_bytes - base.memory_bytes) / each.case.count / 1000:.1f}" if base and in_airflow else "–"
    server = f"{each.server_cpu_seconds - base.server_cpu_seconds:.1f}" if base else "–"
    cells = [
        {"embedded": "PostgreSQL", "sqlite": "SQLite"}[each.database],
        f"{each.case.count:,}",
        each.case.way,
        f"{each.requests_per_second:.2f}",
        f"{each.waiter_cpu_seconds:.1f}",
        beyond,
        memory,
        server if not is_base else f"({each.server_cpu_seconds:.1f})",
        f"{cuts[49] * 1000:.0f}" if cuts else "–",
        f"{cuts[98] * 1000:.0f}" if cuts else "–",
        str(each.missed),
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
