"""Fault runs by seed: `python -m tests.faults.run --count 180`, and `--seed 17` for one that failed.

Owns the servers that the runs share, what is printed, and the file from which an interrupted series goes on. Seeds that
let the server die have one of their own, so that a seed's faults are its own.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.flow_side import deploy
from tests.faults.judgement import COUNTS
from tests.faults.kinds import KINDS, make_plan
from tests.faults.orders import start_fork_server
from tests.faults.scenario import Outcome, run_seed
from tests.live_prefect import LivePrefect

JOBS = 6
MORTAL_JOBS = 3


@contextmanager
def fault_runs(
    folder: Path, seeds: Iterable[int], jobs: int = JOBS, steady: LivePrefect | None = None
) -> Iterator[Iterator[Outcome]]:
    """The outcomes of these seeds as they come, several played at once.

    `steady` is a server for the seeds that let none die, which others may use as well; else they have their own.
    """
    mortal = {seed: make_plan(seed).server_death is not None for seed in seeds}
    start_fork_server(folder / "airflow")
    with ExitStack() as stack:
        places = {}
        for dies in sorted(set(mortal.values())):
            if dies or steady is None:
                server = LivePrefect(folder / ("mortal" if dies else "steady"))
                server.start()
                stack.callback(server.stop)
            else:
                server = steady
            deploy(server)
            places[dies] = server, stack.enter_context(ThreadPoolExecutor(MORTAL_JOBS if dies else jobs))
        coming = [places[dies][1].submit(run_seed, seed, places[dies][0], folder) for seed, dies in mortal.items()]
        try:
            yield (done.result() for done in as_completed(coming))
        finally:
            for each in coming:
                each.cancel()


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds asked for; 0 when none of them found anything."""
    asked = _parser().parse_args(arguments)
    end_orderly_on_sigterm()
    wanted = [asked.seed] if asked.seed is not None else list(range(asked.start, asked.start + asked.count))
    if asked.kind is not None:
        wanted = [seed for seed in wanted if asked.kind in make_plan(seed).kinds]
    found = read_done(asked.resume)
    left = [seed for seed in wanted if seed not in found]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        if left:
            with fault_runs(Path(folder), left, asked.jobs) as outcomes:
                for outcome in outcomes:
                    tell(outcome, verbose=asked.seed is not None)
                    found[outcome.seed] = [finding.count for finding in outcome.findings]
                    write_done(asked.resume, outcome)
    return summarise("tests.faults.run", {seed: found[seed] for seed in wanted}, time.monotonic() - began)


def end_orderly_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, with all that it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.faults.run", description="Random faults between Airflow and Prefect.")
    parser.add_argument("--seed", type=int, help="one seed, with everything that happened")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=180, help="how many seeds")
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], help="only the seeds that hold such a fault")
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many are played at once")
    parser.add_argument("--resume", type=Path, help="file of the seeds that are done; they are not played again")
    return parser


def tell(outcome: Outcome, *, verbose: bool) -> None:
    """One line, and everything that happened where something was found."""
    print(f"seed {outcome.seed:4} {'FAILED' if outcome.findings else 'ok':6} {outcome.seconds:5.1f} s", flush=True)
    if outcome.findings or verbose:
        print(outcome.account, flush=True)


def read_done(path: Path | None) -> dict[int, list[str]]:
    """The seeds that are done, with what was found."""
    if path is None or not path.exists():
        return {}
    documents = (json.loads(line) for line in path.read_text().splitlines())
    return {document["seed"]: document["findings"] for document in documents}


def write_done(path: Path | None, outcome: Outcome) -> None:
    """Note a seed as done."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps({"seed": outcome.seed, "findings": [f.count for f in outcome.findings]}) + "\n")


def _ranges(seeds: list[int]) -> str:
    """Such as `0-3, 7`; `seeds` in order."""
    parts: list[tuple[int, int]] = []
    for seed in seeds:
        follows = bool(parts) and seed == parts[-1][1] + 1
        parts[-1:] = [(parts[-1][0], seed)] if follows else [*parts[-1:], (seed, seed)]
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in parts)


def summarise(program: str, found: dict[int, list[str]], seconds: float) -> int:
    """Print the seeds, the four counts and the seeds that failed; gives the exit code."""
    counts = Counter(count for findings in found.values() for count in findings)
    failed = sorted(seed for seed, findings in found.items() if findings)
    print(f"\n{len(found)} fault runs, seeds {_ranges(sorted(found))}, {seconds:.0f} s")
    for count in COUNTS:
        print(f"  {count:15} {counts[count]}")
    if failed:
        print(f"failed seeds: {', '.join(map(str, failed))}; play one again: python -m {program} --seed <seed>")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
