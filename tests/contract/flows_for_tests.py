"""Small flows with every way to end, served to the contract tests by a real Prefect. Runs on Prefect's side."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger, serve
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed


@flow
def echo(text: str = "hello", number: int = 1) -> None:
    """Publishes what it was given."""
    get_run_logger().info("echoing %s", text)
    Artifact(type="result", key="bridge-result", data={"text": text, "number": number}).create()


@flow
def fail(message: str = "boom") -> None:
    raise ValueError(message)


@flow
def skip() -> State:
    """Has nothing to do, and says so in a result as well."""
    Artifact(type="result", key="bridge-result", data={"text": "nothing", "number": 0}).create()
    return Completed(name="Skipped", message="there is nothing to do")


@flow
def hold(path: str) -> None:
    """Runs until the file is there."""
    while not Path(path).exists():
        time.sleep(0.05)


@flow
def fail_once(path: str) -> None:
    """Fails until the file is there, which it writes: the second run succeeds."""
    if not Path(path).exists():
        Path(path).touch()
        raise ValueError("not this time")
    Artifact(type="result", key="bridge-result", data={"text": "second", "number": 2}).create()


def serve_all() -> None:
    """Serve them as deployments of the name that the command line says."""
    serve(*(each.to_deployment(sys.argv[1]) for each in (echo, fail, skip, hold, fail_once)))


if __name__ == "__main__":
    serve_all()
