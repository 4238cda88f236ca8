"""Which tests run side by side: every file of tests/ is in one lane, or has a target of its own in the Makefile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ML, AIRFLOW = ".venv-ml", ".venv-airflow"


@dataclass(frozen=True)
class Lane:
    """Files and folders below tests/ for one pytest; what an earlier lane names is left out of a later one's folder."""

    name: str
    environment: str
    paths: tuple[str, ...]
    shares: bool = True
    """Whether it uses what the run starts; if not, it begins at once."""
    workers: int = 0
    """Processes of pytest-xdist, where the tests of the lane are independent and use no dear fixture."""


LANES = (
    Lane("week", ML, ("e2e/test_weekly_loop.py",), shares=False),
    Lane("flows", ML, ("prefect",)),
    Lane("ending", AIRFLOW, tuple(f"airflow/test_{name}_in_airflow.py" for name in ("ending", "watching", "identity"))),
    Lane("airflow", AIRFLOW, ("airflow",), workers=2),
    Lane("serving", ML, ("prefect/test_deployments.py", "prefect/test_serving.py")),
    Lane("models", ML, ("unit/factory", "unit/flows", "unit/stack", "unit/docker", "unit/suite", "unit/isolation")),
    Lane("contract", AIRFLOW, ("contract",)),
    Lane("approval", AIRFLOW, ("airflow/test_approval_in_airflow.py", "airflow/test_secrets_in_airflow.py")),
    Lane("faults", AIRFLOW, ("faults",)),
    Lane("bridge", AIRFLOW, ("unit/bridge", "unit/plugins", "unit/isolation"), shares=False),
)
"""The longest first."""

OWN_TARGETS = {
    "browser": "test-browser",
    "e2e/test_backfill.py": "test-backfill",
    "e2e/test_documented_commands.py": "test-docs",
    "e2e/test_killed_services.py": "test-kills",
    "e2e/test_sqlite.py": "test-sqlite",
    "model": "test-model",
    "wheel": "test-wheel",
}
"""Long by nature, with the target of the Makefile that runs it; `make test-all` runs each.

Why, and what `make test` has in its place, says docs/how-to/run-the-tests.md.
"""


def files_of(lane: Lane) -> list[Path]:
    """The lane's test files."""
    return sorted(set(_files(*lane.paths)) - set(_files(*named_by_others(lane))))


def named_by_others(lane: Lane) -> tuple[str, ...]:
    """The files that other lanes, or targets of their own, name."""
    named = (path for other in LANES if other is not lane for path in other.paths)
    return tuple(path for path in (*named, *OWN_TARGETS) if path.endswith(".py") and path not in lane.paths)


def _files(*paths: str) -> list[Path]:
    return [
        file
        for path in paths
        for file in ([TESTS / path] if path.endswith(".py") else (TESTS / path).rglob("test_*.py"))
    ]
