"""Print what the monitoring finds, what it leaves alone and what a large look costs: `python -m benchmarks.monitoring`.

See docs/benchmarks/drift.md for what is measured how.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.monitoring import changes, drift, million
from benchmarks.monitoring.streams import Stream, offers, packages, simulated
from factory.settings import WeekPlan
from factory.sources.simulation import PUBLISHED_ROWS, Simulation

PARTS = ("change", "silence", "dilution", "million")
DRIFT_WEEK = 6
LAST_WEEK = 9
SLOW_WEEKS = 20
ONE_MISSING = 1 / 500
FIFTY_WEEKS = WeekPlan(first_share=0.40, weekly_share=0.0118)
"""Weeks 2 to 51 bring the same number of products each; the last of the catalogue come in week 52."""
SHARES = (0.05, 0.10, 0.20, 0.50)
SMALL_ROWS = 14_000


def main() -> None:
    """Run the parts that were asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--offers", type=Path, help="PriceRunner's aggregate CSV: weeks of real offers too")
    parser.add_argument("--weeks", type=int, default=50, help="quiet weeks of each stream")
    parser.add_argument("--database", choices=("sqlite", "embedded"), action="append")
    parser.add_argument("--rows", type=int, default=1_000_000, help="logged predictions of the last part")
    options = parser.parse_args()
    parts = options.part or PARTS
    if "change" in parts:
        show_change()
    if "silence" in parts:
        show_silence(options.offers, options.weeks)
    if "dilution" in parts:
        show_dilution(options.offers)
    if "million" in parts:
        million.show(options.rows, options.database or ["sqlite", "embedded"])


def show_change() -> None:
    """A vocabulary that changes in one week: when is there an alarm?"""
    plan = WeekPlan(first_share=0.40, weekly_share=0.03)
    print("## The vocabulary changes in one week\n\nProducts are simulated. A star: the permutation test agrees.")
    changed = Simulation(drift_week=DRIFT_WEEK, drift=0.5, plan=plan)
    drift.print_weeks(simulated(changed, changed.source).until(LAST_WEEK), DRIFT_WEEK)
    print("\n### How large a change is seen\n")
    print("| words exchanged | predictions a week | PSI text that week | level | first alarm | alarms before |")
    print("|--:|--:|--:|---|---|--:|")
    for rows in (PUBLISHED_ROWS, SMALL_ROWS):
        for share in SHARES:
            simulation = Simulation(rows=rows, drift_week=DRIFT_WEEK, drift=share, plan=plan)
            stream = simulated(simulation, simulation.source).until(LAST_WEEK)
            print(drift.sensitivity_row(stream, share, DRIFT_WEEK), flush=True)


def show_silence(offers_path: Path | None, weeks: int) -> None:
    """Weeks in which nothing changed: how many false alarms?"""
    print("\n## Weeks without a change\n")
    headings = ("products", "weeks", "predictions a week", "reference by itself", "bare PSI of 0.2", "any level")
    print("| " + " | ".join([*headings, "false alarms", "s a look"]) + " |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for rows in (PUBLISHED_ROWS, SMALL_ROWS):
        simulation = Simulation(rows=rows, plan=FIFTY_WEEKS)
        print(drift.silence_row(simulated(simulation, simulation.source).until(1 + weeks)), flush=True)
    for stream in _real(offers_path):
        print(drift.silence_row(stream.until(1 + weeks)), flush=True)


def show_dilution(offers_path: Path | None) -> None:
    """The same real weeks with what the whole dilutes."""
    print("\n## Real weeks with what the whole dilutes\n")
    headings = ("products", "change", "first alarm (share by then)", "by", "trend critical", "PSI text, last week")
    print("| " + " | ".join([*headings, "texts missing", "alarms before"]) + " |\n|---|---|---|---|---|--:|--:|--:|")
    for stream in _real(offers_path):
        show_diluted(stream)


def _real(offers_path: Path | None) -> Iterator[Stream]:
    if shutil.which("apt-cache"):
        yield packages(FIFTY_WEEKS)
    if offers_path is not None:
        yield from (offers(offers_path, FIFTY_WEEKS, group) for group in ("group_id", "merchant"))


def show_diluted(stream: Stream) -> None:
    """A language that comes slowly or at once, and texts that are missing: when is there an alarm?"""
    slow, sudden = stream.until(1 + SLOW_WEEKS), stream.until(LAST_WEEK)
    shares = {week: place / (3 * len(slow.weeks)) for place, week in enumerate(slow.weeks, 1)}
    print(drift.change_row(changes.slowly_french(slow, 1 / 3), "a slow third of French", shares, 2), flush=True)
    tenth, third = (changes.french_at_once(sudden, share, DRIFT_WEEK) for share in (0.1, 1 / 3))
    at_once = dict.fromkeys(sudden.weeks, 0.1)
    print(drift.change_row(tenth, f"a tenth of French in week {DRIFT_WEEK}", at_once, DRIFT_WEEK), flush=True)
    few = dict.fromkeys(sudden.weeks, ONE_MISSING)
    print(drift.change_row(changes.missing(sudden, ONE_MISSING), "one text in 500 missing", few, LAST_WEEK + 1))
    at_once = dict.fromkeys(sudden.weeks, 1 / 3)
    print(drift.change_row(third, f"a third of French in week {DRIFT_WEEK}", at_once, DRIFT_WEEK), flush=True)
    both = changes.missing(third, ONE_MISSING)
    print(drift.change_row(both, "the same, one text in 500 missing", at_once, DRIFT_WEEK), flush=True)


if __name__ == "__main__":
    main()
