"""The command line `bridge`: start, watch and end Prefect flow runs, for people and scripts."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point; says what to install where the extra `cli` is missing."""
    try:
        from bridge.cli.app import main as run
    except ModuleNotFoundError as error:
        sys.exit(
            f"bridge: the command line needs {error.name}; install it with: pip install 'airflow-provider-prefect[cli]'"
        )
    run()
