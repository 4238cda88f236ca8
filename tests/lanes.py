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
    Lane("factory", ML, ("unit/factory",)),
    Lane("ending", AIRFLOW, ("airflow/test_ending_in_airflow.py", "airflow/test_watching_in_airflow.py")),
    Lane("airflow", AIRFLOW, ("airflow",), workers=2),
    Lane("approval", AIRFLOW, ("airflow/test_approval_in_airflow.py", "airflow/test_secrets_in_airflow.py")),
    Lane("models", ML, ("unit/flows", "unit/stack", "unit/docker", "unit/suite", "unit/isolation")),
    Lane("contract", AIRFLOW, ("contract",)),
    Lane("flows", ML, ("prefect",)),
    Lane("bridge", AIRFLOW, ("unit/bridge", "unit/plugins", "unit/isolation"), shares=False),
    Lane("faults", AIRFLOW, ("faults",)),
)
"""The longest first."""

OWN_TARGETS = {
    "airflow/test_identity_in_airflow.py": "test-identity",
    "airflow/test_many_members.py": "test-many",
    "browser": "test-browser",
    "e2e/test_backfill.py": "test-backfill",
    "e2e/test_documented_commands.py": "test-docs",
    "e2e/test_killed_services.py": "test-kills",
    "e2e/test_sqlite.py": "test-sqlite",
    "model": "test-model",
    "prefect/test_announcements.py": "test-flows",
    "prefect/test_deployments.py": "test-flows",
    "prefect/test_explanation.py": "test-flows",
    "prefect/test_how_to_add_a_use_case.py": "test-docs",
    "prefect/test_killed_runs.py": "test-flows",
    "prefect/test_late_weeks.py": "test-backfill",
    "prefect/test_lineage.py": "test-flows",
    "prefect/test_promotion_commits.py": "test-flows",
    "prefect/test_scoring_and_monitoring.py": "test-flows",
    "prefect/test_serving.py": "test-flows",
    "prefect/test_training.py": "test-flows",
    "prefect/test_week_on_s3.py": "test-s3",
    "prefect/test_worker.py": "test-sqlite",
    "prefect/use_cases": "test-use-cases",
    "wheel": "test-wheel",
}
"""Long by nature, with the target of the Makefile that runs it; `make test-all` runs each.

Why, and what `make test` has in its place, says docs/how-to/run-the-tests.md.
"""


def files_of(lane: Lane) -> list[Path]:
    """The lane's test files."""
    return sorted(set(_files(*lane.paths)) - set(_files(*named_by_others(lane))))


def named_by_others(lane: Lane) -> tuple[str, ...]:
    """What other lanes, or targets of their own, name below this lane's folders."""
    named = (path for other in LANES if other is not lane for path in other.paths)
    return tuple(
        path
        for path in (*named, *OWN_TARGETS)
        if path not in lane.paths and any(path.startswith(f"{folder}/") for folder in lane.paths)
    )


def _files(*paths: str) -> list[Path]:
    return [
        file
        for path in paths
        for file in ([TESTS / path] if path.endswith(".py") else (TESTS / path).rglob("test_*.py"))
    ]
