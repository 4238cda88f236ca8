"""What is told of a run, and the OpenLineage event that says so.

Pure. Owns which facets there are. The client's classes are imported when an event is made: whoever tells nothing pays
nothing for them. Knows nothing of transports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from bridge.tracing import Lineage, LineageRun
from factory.lineage.data import Data

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import DatasetFacet, InputDatasetFacet, OutputDatasetFacet, RunFacet

PRODUCER = "urn:model-factory"
"""OpenLineage wants a URI of whoever tells."""

Kind = Literal["START", "COMPLETE", "FAIL", "ABORT"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is run again and again, by its name; `integration` says what runs it, `kind` how it is called there."""

    name: str
    integration: str = "MODEL_FACTORY"
    kind: str = "STEP"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job, and what it is part of."""

    job: Job
    run_id: str
    part_of: Lineage

    def parent_of(self, namespace: str) -> Lineage:
        """What a run that this one starts is part of; both jobs are of the namespace."""
        this = LineageRun(namespace, self.job.name, self.run_id)
        return Lineage(parent=this, root=self.part_of.root or self.part_of.parent or this)


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened to a run, and when; `error` is why it failed."""

    kind: Kind
    run: Run
    inputs: tuple[Data, ...] = ()
    outputs: tuple[Data, ...] = ()
    error: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def compose(happening: Happening, namespace: str) -> RunEvent:
    """The event; the job is of that namespace."""
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import job_type_job

    run, job = happening.run, happening.run.job
    kind = job_type_job.JobTypeJobFacet("BATCH", job.integration, job.kind, producer=PRODUCER)
    return event_v2.RunEvent(
        eventType=event_v2.RunState[happening.kind],
        eventTime=happening.at.isoformat(),
        run=event_v2.Run(run.run_id, dict(_run_facets(happening))),
        job=event_v2.Job(namespace, job.name, {"jobType": kind}),
        inputs=[_input(data) for data in happening.inputs],
        outputs=[_output(data) for data in happening.outputs],
        producer=PRODUCER,
    )


def _run_facets(happening: Happening) -> Mapping[str, RunFacet]:
    from openlineage.client.facet_v2 import error_message_run, parent_run

    found: dict[str, RunFacet] = {}
    parent, root = happening.run.part_of.parent, happening.run.part_of.root
    if parent is not None:
        above = root or parent
        found["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(parent.run_id),
            parent_run.Job(parent.namespace, parent.job),
            parent_run.Root(parent_run.RootRun(above.run_id), parent_run.RootJob(above.namespace, above.job)),
            producer=PRODUCER,
        )
    if happening.error is not None:
        found["errorMessage"] = error_message_run.ErrorMessageRunFacet(happening.error, "PYTHON", producer=PRODUCER)
    return found


def _facets(data: Data) -> dict[str, DatasetFacet]:
    from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

    found: dict[str, DatasetFacet] = {}
    if data.columns:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name, kind, ordinal_position=place)
            for place, (name, kind) in enumerate(data.columns, start=1)
        ]
        found["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)
    if data.version:
        found["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(data.version, producer=PRODUCER)
    return found


def _input(data: Data) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import (
        data_quality_assertions_dataset,
        data_quality_metrics_input_dataset,
        input_statistics_input_dataset,
    )

    found: dict[str, InputDatasetFacet] = {}
    if _is_counted(data):
        found["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            data.rows, data.size_bytes, producer=PRODUCER
        )
    if data.accepted is not None:
        found["dataQualityMetrics"] = data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
            {}, data.rows, data.size_bytes, producer=PRODUCER
        )
        found["dataQualityAssertions"] = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
            _assertions(data), producer=PRODUCER
        )
    return InputDataset(data.namespace, data.name, facets=_facets(data), inputFacets=found)


def _assertions(data: Data) -> list[Any]:
    from openlineage.client.generated.data_quality_assertions_dataset import Assertion

    found = [
        Assertion(
            each.name,
            success=False,
            severity="error" if each.stops else "warn",
            description=each.said,
            actual=f"{each.rows} rows",
        )
        for each in data.findings
    ]
    return [Assertion("accepted", success=bool(data.accepted), severity="error"), *found]


def _output(data: Data) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    found: dict[str, OutputDatasetFacet] = {}
    if _is_counted(data):
        found["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            data.rows, data.size_bytes, producer=PRODUCER
        )
    return OutputDataset(data.namespace, data.name, facets=_facets(data), outputFacets=found)


def _is_counted(data: Data) -> bool:
    return data.rows is not None or data.size_bytes is not None
