"""`make test-matrix`: the wheel's tests on each supported Airflow, the contract tests on each supported Prefect.

Runs the cells of `tests.matrix.supported` one after the other, each in an environment of its own that is made anew, and
prints a table. A Python that this machine lacks is told and counted as skipped. Exit code 1 when a cell failed, 2 when
none was run.

    python -m tests.matrix.run
    python -m tests.matrix.run --only airflow-3.2 --only prefect-3.7
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tests.matrix.supported import Cell, cells

CHECKOUT = Path(__file__).resolve().parents[2]
UV = CHECKOUT / ".venv-tools" / "bin" / "uv"
LOGS = CHECKOUT / ".stack" / "logs"
LAST_LINES = 15

Result = Literal["passed", "FAILED", "SKIPPED"]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a cell; `said` is pytest's last line, or why it did not come so far."""

    cell: Cell
    result: Result
    seconds: float
    said: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cells that are asked for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="CELL", help="cells whose name begins so")
    wanted = tuple(parser.parse_args(arguments).only)
    chosen = [cell for cell in cells() if not wanted or cell.name.startswith(wanted)]
    rows = []
    for cell in chosen:
        print(f"== {cell.name} ...", flush=True)
        rows.append(try_cell(cell))
        print(f"   {rows[-1].result} after {rows[-1].seconds:.0f} s: {rows[-1].said}", flush=True)
    print("\n".join(table(rows)))
    return exit_code(rows)


def try_cell(cell: Cell) -> Row:
    """Its tests in a new environment; what they print goes into a log."""
    began = time.monotonic()
    python = find_python(cell.python)
    if python is None:
        return Row(cell, "SKIPPED", 0.0, f"there is no Python {cell.python} on this machine")
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"matrix-{cell.name}.log"
    with TemporaryDirectory(prefix="matrix-") as folder, log.open("w") as output:
        passed = all(
            subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **more}, stdout=output, stderr=output).returncode
            == 0
            for command, more in steps(cell, python, Path(folder))
        )
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if not passed:
        print("\n".join(f"   | {line}" for line in lines[-LAST_LINES:]), file=sys.stderr)
    said = re.sub(r"^=+ | in [\d.]+s.*$", "", lines[-1]) if lines else "nothing was printed"
    return Row(cell, "passed" if passed else "FAILED", time.monotonic() - began, f"{said} ({log.name})")


def steps(cell: Cell, python: str, folder: Path) -> Iterable[tuple[list[str], dict[str, str]]]:
    """Commands with further variables, in their order; each is run when the one before has succeeded."""
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tests'}"]
    if cell.product == "Airflow":
        ml = str(CHECKOUT / ".venv-ml" / "bin" / "python")
        yield [ml, *pytest, "tests/wheel"], {"WHEEL_AIRFLOW": cell.release.version, "WHEEL_PYTHON": python}
        return
    server = folder / "prefect" / "bin" / "python"
    wanted = [f"prefect=={cell.release.version}", *cell.release.requirements]
    yield [str(UV), "venv", "--quiet", "--no-project", "--python", python, str(folder / "prefect")], {}
    yield [str(UV), "pip", "install", "--quiet", "--python", str(server), *wanted], {}
    airflow = str(CHECKOUT / ".venv-airflow" / "bin" / "python")
    yield [airflow, *pytest, "tests/contract"], {"BRIDGE_ML_PYTHON": str(server)}


def find_python(minor: str) -> str | None:
    """An interpreter of that minor: this one, one on the path, or one of pyenv's; None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [
        sys.executable,
        shutil.which(f"python{minor}"),
        *map(str, sorted(pyenv.glob(f"versions/{minor}.*/bin/python"))),
    ]
    return next((each for each in found if each is not None and _minor_of(each) == minor), None)


def _minor_of(python: str) -> str | None:
    code = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return said.stdout.strip() if said.returncode == 0 else None


def table(rows: Sequence[Row]) -> list[str]:
    """A line for each cell and one that counts them."""
    lines = [f"{'':9} {'version':9} {'python':7} {'result':8} {'seconds':>7}  said"]
    lines += [
        f"{row.cell.product:9} {row.cell.release.version:9} {row.cell.python:7} {row.result:8} {row.seconds:7.0f}  "
        f"{row.said}"
        for row in rows
    ]
    count = {result: sum(row.result == result for row in rows) for result in ("passed", "FAILED", "SKIPPED")}
    return [*lines, f"== {count['passed']} passed, {count['FAILED']} failed, {count['SKIPPED']} skipped"]


def exit_code(rows: Sequence[Row]) -> int:
    """1 when a cell failed, 2 when none was run."""
    if any(row.result == "FAILED" for row in rows):
        return 1
    return 0 if any(row.result == "passed" for row in rows) else 2


if __name__ == "__main__":
    sys.exit(main())
