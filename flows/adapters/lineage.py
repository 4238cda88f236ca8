"""What flow runs tell of themselves as OpenLineage events, under the names of `factory.lineage`.

Owns how a flow run becomes a run of a job, what it is part of (its Airflow task, by the labels that the bridge gives
it; else the run that called it), and which end is which. A run bears its id in Prefect, so that whoever sees its end
can tell of it: a flow that died is told of by the process that started it. Must not know what flows do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext

from bridge.tracing import Lineage
from factory.lineage import sending
from factory.lineage.data import Data
from factory.lineage.events import Happening, Job, Kind, Run
from factory.lineage.steps import part_of

_KINDS: dict[StateType, Kind] = {
    StateType.RUNNING: "START",
    StateType.COMPLETED: "COMPLETE",
    StateType.FAILED: "FAIL",
    StateType.CRASHED: "FAIL",
    StateType.CANCELLING: "ABORT",
    StateType.CANCELLED: "ABORT",
}


@dataclass
class _Telling:
    """A flow run of this process that is told of, and what it said so far."""

    run: Run
    inputs: list[Data] = field(default_factory=list)
    outputs: list[Data] = field(default_factory=list)
    sent: list[Future[None]] = field(default_factory=list)


_tellings: dict[UUID, _Telling] = {}


def tell_lineage(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """A hook for every state that begins or ends a run; waits for a receiver at the end alone, and not for long."""
    if not sending.is_wanted():
        return
    telling = _tellings.get(flow_run.id) or _Telling(_run_of(flow, flow_run))
    kind = _KINDS[state.type]
    error = (state.message or state.name) if kind == "FAIL" else None
    happening = Happening(kind, telling.run, tuple(telling.inputs), tuple(telling.outputs), error)
    telling.sent.append(sending.send(happening))
    if kind == "START":
        _tellings[flow_run.id] = telling
    else:
        _tellings.pop(flow_run.id, None)
        sending.settle(telling.run.job.name, telling.sent)


def reads(*inputs: Data) -> None:
    """The running flow reads these; nothing where nobody wants to hear of it."""
    if telling := _this():
        telling.inputs.extend(inputs)


def writes(*outputs: Data) -> None:
    """The running flow has written these."""
    if telling := _this():
        telling.outputs.extend(outputs)


@contextmanager
def steps_of_this_run() -> Iterator[None]:
    """Steps of the data side in this block are part of the running flow."""
    if telling := _this():
        with part_of(telling.run.parent_of(sending.namespace())):
            yield
    else:
        yield


def _this() -> _Telling | None:
    context = FlowRunContext.get()
    return _tellings.get(context.flow_run.id) if context and context.flow_run else None


def _run_of(flow: Flow[..., Any], flow_run: FlowRun) -> Run:
    """The run, part of the flow that calls it (a flow that starts is not in its own context yet), else of the task."""
    job = Job(f"{flow.name}/{flow_run.parameters.get('use_case', 'products')}", "PREFECT", "FLOW")
    if caller := _this():
        return Run(job, str(flow_run.id), caller.run.parent_of(sending.namespace()))
    labelled = Lineage.of_labels(flow_run.labels)
    return Run(job, str(flow_run.id), labelled if labelled.parent else Lineage.of_environment(os.environ))
