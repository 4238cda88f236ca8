"""`make test`: every test in the environment it belongs to, in lanes side by side, on servers that they share.

Owns what a run prints and its order. Each test runs by hand as well: pytest, called by itself, starts what it needs.

    python -m tests.suite                      all lanes
    python -m tests.suite contract faults      these
    python -m tests.suite --busy 3             three times, beside a busy loop on every core

Hypothesis tries the same examples in every run (its profile "ci"): a run says whether this code is sound, not how lucky
it was. pytest called by itself tries new ones.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.lanes import LANES, Lane, named_by_others
from tests.live_prefect import CHECKOUT
from tests.process_tree import end_descendants, end_with_the_owner, supervise
from tests.run_services import run_services

CORES = os.cpu_count() or 1
SIDE_BY_SIDE = 2 * CORES
"""Most of a test with real services is waiting."""
SLOWEST = 10
DURATION = re.compile(r"^(\d+\.\d+)s (call|setup|teardown) +(\S.*)$", re.MULTILINE)
INTERRUPTED = 130
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "XDG_RUNTIME_DIR")
"""All that a run takes from the environment: whatever else somebody has set there, the tests are the same."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
PATIENT = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
"""Threads of numerical libraries sleep while they wait for one another; else they take a processor from those who work.

A quarter of what the tests of models took was this, on two processors."""


@dataclass(frozen=True)
class Result:
    """How a lane ended; `cpu_seconds` are those of its processes that were waited for."""

    lane: Lane
    code: int
    seconds: float
    cpu_seconds: float
    output: str


def main() -> int:
    """The exit code: 0 when every test passed."""
    asked = _arguments()
    if not asked.supervised:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        command = [sys.executable, "-m", "tests.suite", "--supervised", *sys.argv[1:]]
        return supervise(command, kept | QUIET | PATIENT)
    end_with_the_owner()
    lanes = [lane for lane in LANES if not asked.lanes or lane.name in asked.lanes]
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES if asked.busy else 0)]
    try:
        return max(_run(lanes) for _ in range(asked.busy or 1))
    except KeyboardInterrupt:
        print("\n== interrupted; what was started has been ended", flush=True)
        return INTERRUPTED
    finally:
        for loop in busy:
            loop.kill()


def _arguments() -> argparse.Namespace:
    names = ", ".join(lane.name for lane in LANES)
    parser = argparse.ArgumentParser(prog="tests.suite", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lanes", nargs="*", metavar="lane", help=f"{names}; all, if none is named")
    parser.add_argument("--busy", type=int, metavar="N", help="N times, beside a busy loop on every core")
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if unknown := set(asked.lanes) - {lane.name for lane in LANES}:
        parser.error(f"there is no lane {', '.join(sorted(unknown))}; there are {names}")
    return asked


def _run(lanes: list[Lane]) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as folder:
        results = _Run(Path(folder)).results(lanes)
    _print_summary(results, time.monotonic() - began)
    return int(any(result.code for result in results))


@dataclass
class _Run:
    """One run of lanes; everything that it writes is in `folder`."""

    folder: Path
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def results(self, lanes: list[Lane]) -> list[Result]:
        """Those of all lanes, printed as they come; the lanes begin in their order."""
        with ThreadPoolExecutor(SIDE_BY_SIDE + 1) as pool, ExitStack() as services:
            wanted = run_services(self.folder) if any(lane.shares for lane in lanes) else nullcontext({})
            shared = pool.submit(services.enter_context, wanted)
            coming = [pool.submit(self._play, lane, shared) for lane in lanes]
            try:
                return [_print_result(each.result()) for each in as_completed(coming)]
            except BaseException:
                self._end_early(coming)
                raise

    def _play(self, lane: Lane, shared: Future[dict[str, str]]) -> Result:
        variables = shared.result() if lane.shares else {}
        base = self.folder / lane.name
        base.mkdir()
        ignored = [f"--ignore=tests/{path}" for path in named_by_others(lane)]
        workers = ["-n", str(lane.workers), "--dist", "loadfile"] if lane.workers else []
        options = [
            "--hypothesis-profile=ci",
            f"--basetemp={base / 'tmp'}",
            f"--durations={SLOWEST}",
            *workers,
            *ignored,
        ]
        log, began = base / "output", time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [f"{lane.environment}/bin/python", "-m", "pytest", *options, *(f"tests/{path}" for path in lane.paths)],
                cwd=CHECKOUT,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
            _, status, used = os.wait4(process.pid, 0)
            self._running.discard(process)
        code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - began
        return Result(lane, code, seconds, used.ru_utime + used.ru_stime, log.read_text(errors="replace"))

    def _end_early(self, coming: Iterable[Future[Result]]) -> None:
        """No lane begins any more; those that run end as by Ctrl-C, and then whatever is left."""
        for each in coming:
            each.cancel()
        for process in list(self._running):
            os.kill(process.pid, signal.SIGINT)
        deadline = time.monotonic() + 20
        while self._running and time.monotonic() < deadline:
            time.sleep(0.1)
        end_descendants()


def _print_result(result: Result) -> Result:
    print(f"\n== {result.lane.name} ({result.lane.environment})\n{result.output}", flush=True)
    return result


def _print_summary(results: list[Result], seconds: float) -> None:
    timed = [
        (float(taken), f"{what:8} {test}") for each in results for taken, what, test in DURATION.findall(each.output)
    ]
    print(f"\n== the {SLOWEST} slowest")
    for taken, test in sorted(timed, reverse=True)[:SLOWEST]:
        print(f"{taken:7.1f} s  {test}")
    print(f"\n== lanes: {seconds:.0f} s")
    for each in sorted(results, key=lambda result: -result.seconds):
        counted = each.output.strip().rpartition("\n")[2].strip("= ")
        print(f"{each.seconds:7.1f} s  {each.cpu_seconds:6.1f} s of CPU  {each.lane.name}: {counted}")
    failed = [each.lane.name for each in results if each.code]
    print(f"\n== failed: {', '.join(failed)}" if failed else "\n== every test passed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
