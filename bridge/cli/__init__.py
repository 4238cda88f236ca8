"""The command line `bridge`: start, watch and end Prefect flow runs, for people and scripts."""

from bridge.cli.app import main

__all__ = ["main"]
