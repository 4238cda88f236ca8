"""Which versions are supported: the one list that `make test-matrix` tries and that bounds and documents are held to.

Owns no more than that. A version is supported when its cell of the matrix passes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """A version that is tried for its minor, what else its environment needs, and what it lacks."""

    version: str
    requirements: tuple[str, ...] = ()
    lacks: str = ""

    @property
    def minor(self) -> str:
        """As `3.3`."""
        return ".".join(self.version.split(".")[:2])


# Prefect's server ends at its start with a newer FastAPI, its scheduler with a newer SQLAlchemy.
_SERVER = ("fastapi==0.150.*", "sqlalchemy>=2.0.50,<2.1")

AIRFLOW = (
    Release("3.3.2"),
    # Its execution API cannot be built by a newer FastAPI, and does not find its services with a newer svcs.
    Release(
        "3.2.2",
        ("fastapi<0.137", "svcs<26"),
        lacks="PrefectEventTrigger; a deferred task that a person ends leaves its run",
    ),
)
"""The newest first: it is the one of `requirements/airflow.txt`, and is tried with every Python."""

PREFECT = (Release("3.9.1", _SERVER), Release("3.8.8", _SERVER), Release("3.7.8", _SERVER))
"""The newest first."""

PYTHON = ("3.11", "3.12", "3.13")
"""The oldest first: it is the one with which every release is tried."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of tests: the wheel's on an Airflow, or the contract's on a Prefect."""

    product: str
    release: Release
    python: str

    @property
    def name(self) -> str:
        """As `airflow-3.3.2-py3.11`, by which one cell is asked for and its log is named."""
        return f"{self.product.lower()}-{self.release.version}-py{self.python}"


def cells() -> list[Cell]:
    """The newest Airflow with every Python, the older ones and every Prefect with the oldest."""
    newest, *older = AIRFLOW
    return [
        *(Cell("Airflow", newest, python) for python in PYTHON),
        *(Cell("Airflow", release, PYTHON[0]) for release in older),
        *(Cell("Prefect", release, PYTHON[0]) for release in PREFECT),
    ]
