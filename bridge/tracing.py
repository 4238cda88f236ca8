"""What a run is part of: handed from one orchestrator to the other, so that one trace and one lineage graph cross.

Pure. Knows the forms in which a W3C trace context and an OpenLineage parent travel on a flow run: labels that the flow
reads, and environment variables for its process. Who the parent is, is Airflow's side's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFECT_TRACEPARENT_LABEL = "__OTEL_TRACEPARENT"
"""Prefect's own telemetry continues the trace of this label (prefect/telemetry/run_telemetry.py)."""

TRACEPARENT_LABEL = "traceparent"
LINEAGE_LABELS = "openlineage.parent."
FACET_SCHEMA = "https://openlineage.io/spec/facets/1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet"
PRODUCER = "urn:bridge"
"""OpenLineage wants a URI of whoever writes a facet."""


@dataclass(frozen=True, slots=True)
class LineageRun:
    """A run of a job in OpenLineage's terms."""

    namespace: str
    job: str
    run_id: str

    @property
    def identifier(self) -> str:
        """As OPENLINEAGE_PARENT_ID has it: `namespace/job/run`."""
        return f"{self.namespace}/{self.job}/{self.run_id}"

    @classmethod
    def of_identifier(cls, identifier: str) -> LineageRun | None:
        """The run that OPENLINEAGE_PARENT_ID names; None where it names none. A namespace may hold slashes."""
        parts = identifier.rsplit("/", 2)
        return cls(*parts) if len(parts) == 3 and all(parts) else None


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a flow run is part of; empty where nobody traces and nobody draws lineage."""

    traceparent: str | None = None
    parent: LineageRun | None = None
    root: LineageRun | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Labels for the flow run."""
        found: dict[str, str] = {}
        if self.traceparent:
            found |= {PREFECT_TRACEPARENT_LABEL: self.traceparent, TRACEPARENT_LABEL: self.traceparent}
        for name, run in (("", self.parent), ("root.", self.root)):
            if run is not None:
                stem = LINEAGE_LABELS + name
                found |= {f"{stem}namespace": run.namespace, f"{stem}job": run.job, f"{stem}run_id": run.run_id}
        return found

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the flow run's process, by which OpenTelemetry and OpenLineage clients find their parent."""
        found = {
            "TRACEPARENT": self.traceparent,
            "OPENLINEAGE_PARENT_ID": self.parent and self.parent.identifier,
            "OPENLINEAGE_ROOT_PARENT_ID": self.root and self.root.identifier,
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def of_labels(cls, labels: Mapping[str, Any]) -> Lineage:
        """The parent and the root that a flow run's labels name."""
        parent, root = _lineage_run(labels, LINEAGE_LABELS), _lineage_run(labels, f"{LINEAGE_LABELS}root.")
        return cls(parent=parent, root=root)

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Lineage:
        """The parent and the root that a process finds in its environment."""
        parent, root = (environ.get(f"OPENLINEAGE_{name}PARENT_ID", "") for name in ("", "ROOT_"))
        return cls(parent=LineageRun.of_identifier(parent), root=LineageRun.of_identifier(root))


def parent_run_facet(labels: Mapping[str, Any]) -> dict[str, Any] | None:
    """OpenLineage's ParentRunFacet from a flow run's labels, for a flow that emits lineage; None without a parent."""
    lineage = Lineage.of_labels(labels)
    if lineage.parent is None:
        return None
    facet: dict[str, Any] = {"_producer": PRODUCER, "_schemaURL": FACET_SCHEMA, **_facet_part(lineage.parent)}
    return facet | {"root": _facet_part(lineage.root)} if lineage.root else facet


def _facet_part(run: LineageRun) -> dict[str, Any]:
    return {"run": {"runId": run.run_id}, "job": {"namespace": run.namespace, "name": run.job}}


def _lineage_run(labels: Mapping[str, Any], stem: str) -> LineageRun | None:
    found = [labels.get(f"{stem}{name}") for name in ("namespace", "job", "run_id")]
    return LineageRun(*map(str, found)) if all(found) else None
