"""A list of flow runs as people and scripts want it.

Owns its fields: a table where the terminal is wide enough, else two lines a run, so that no id is cut or folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bridge.cli.display import Display, describe
from bridge.plain_text import as_line
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.records import FlowRun

LINE = 74
"""What fits into the 80 columns of a terminal beside an indent."""


def show_runs(
    display: Display, runs: Sequence[FlowRun], deployments: Mapping[str, str], address: PrefectConnection
) -> None:
    """Show the runs; `deployments` are names by id."""
    names = [deployments.get(run.deployment_id or "") for run in runs]
    documents = [
        {**describe(run, address.flow_run_url(run.id)), "deployment": name}
        for run, name in zip(runs, names, strict=True)
    ]
    shown = [
        {
            "id": run.id,
            "name": run.name,
            "deployment": name or "",
            "state": run.state_name,
            "started": _local(run.start_time, "%Y-%m-%d %H:%M:%S"),
            "seconds": f"{run.run_seconds:.1f}",
        }
        for run, name in zip(runs, names, strict=True)
    ]
    display.rows("Flow runs", documents, shown, narrow=[_narrow(row) for row in shown])


def _narrow(row: Mapping[str, str]) -> str:
    """What a run is known by and how it stands; below it what it is called, in two lines where one is too short."""
    started = row["started"][5:16]  # month to minute
    first = f"{row['id']}  {as_line(row['state']):<10}  {started:<11}  {row['seconds']:>6} s"
    name, deployment = as_line(row["name"]), as_line(row["deployment"])
    between = "  " if len(name) + len(deployment) < LINE else "\n    "
    return f"{first}\n    {name}{between}{deployment}".rstrip()


def _local(when: datetime | None, form: str) -> str:
    return when.astimezone().strftime(form) if when else ""
