"""MLflow's command line, whose server takes the command's place instead of running beside it.

Owns that one difference: `mlflow server` prepares databases and login, starts the server as a child and keeps 190 MB
only to wait for it; killed, it would leave the server behind. Knows nothing of the stack.

    python -m stack.mlflow_server server --host 127.0.0.1
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NoReturn

import mlflow.server
from mlflow.cli import cli

STARTED_BY = "_exec_cmd"
"""MLflow's private name of the function by which it starts its server."""


def become(command: list[str], *, extra_env: Mapping[str, str], **_: Any) -> NoReturn:
    """In the place of that function."""
    os.execvpe(command[0], command, {**os.environ, **extra_env})  # noqa: S606 - MLflow's own command


if __name__ == "__main__":
    setattr(mlflow.server, STARTED_BY, become)  # there is no public way
    cli()
