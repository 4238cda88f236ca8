"""MLflow's runs: what a training and a monitoring leave behind, and where to look at it.

Owns how runs are written and read. What a training's run holds is `flows.adapters.training_record`'s business, versions
and aliases are `flows.adapters.registry`'s.
"""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.contracts import DatasetRef
from factory.records import stored
from flows.adapters.artifacts import fetch, reaching
from flows.adapters.killed_runs import end_killed, who_writes
from flows.adapters.registry import Version, experiment_id
from flows.adapters.training_record import DATASET_FILE, NEAR_FILE, REASONS_FILE, REFERENCE_FILE, Training
from flows.core.logic import logic_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

REPORT_FILE = "drift_report.html"
CHART_FILE = "drift_by_week.png"
_log = logging.getLogger(__name__)
TRAINING_VIEW = "?workflowType=machine_learning"
"""MLflow's pages have a view for trainings and one for agents, and open on the latter where nothing is said."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A run that was written, the id of the model in it, and where a person looks at the run."""

    run_id: str
    model_id: str
    url: str | None


def log_training(client: MlflowClient, training: Training, *, ui_url: str | None) -> Logged:
    """Write the training as a new run of the model's experiment."""
    dataset = training.dataset
    name = f"{training.declared.name} {dataset.period}"
    tags = {"use_case": dataset.use_case, "week": str(dataset.week), "kind": "training"}
    tags |= _origin(training.flow_run_url)
    with _run(client, training.declared.name, name, tags) as run_id:
        _log_numbers(client, run_id, training.parameters(), training.numbers())
        _log_input(client, run_id, dataset)
        with tempfile.TemporaryDirectory() as folder:
            training.write_files(Path(folder))
            client.log_artifacts(run_id, folder)
        for name, table in training.tables().items():
            client.log_table(run_id, table.astype(object), name)  # pandas warns where MLflow looks at a text column
        model_id = _log_model(client, run_id, training)
    return Logged(run_id, model_id, run_url(client, ui_url, run_id))


def log_monitoring(
    client: MlflowClient,
    experiment: str,
    *,
    watched: Version,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    report: str,
    chart: Figure,
) -> str:
    """Write one look at drift as a run, with the report's HTML and the weeks' chart; gives the run's id."""
    name = f"drift of {watched.model} v{watched.number}"
    with _run(client, experiment, name, {"kind": "monitoring", "model_version": watched.number, **tags}) as run_id:
        _log_numbers(client, run_id, {}, metrics)
        client.log_text(run_id, report, REPORT_FILE)
        client.log_figure(run_id, chart, CHART_FILE)
    return run_id


def read_dataset(client: MlflowClient, run_id: str, roots: Sequence[str] = ()) -> DatasetRef:
    """The dataset that a training run logged."""
    with _fetched(client, run_id, DATASET_FILE, roots) as file:
        return stored.load_json(DatasetRef, file.read_bytes())


def read_reference(client: MlflowClient, watched: Version, roots: Sequence[str] = ()) -> pd.DataFrame:
    """The version's predictions on the frozen test set: prediction and score, and what drift is measured on."""
    import pandas as pd

    with _fetched(client, watched.run_id, REFERENCE_FILE, roots) as file:
        return stored.load_table(pd.read_parquet(file))


def read_near_rows(client: MlflowClient, trained: Version, roots: Sequence[str] = ()) -> frozenset[str] | None:
    """Ids of the test rows that nearly equal a row that the version was trained on; None where it did not say."""
    if NEAR_FILE not in {item.path for item in client.list_artifacts(trained.run_id)}:
        return None
    with _fetched(client, trained.run_id, NEAR_FILE, roots) as file:
        return frozenset(json.loads(file.read_bytes()))


def read_reasons(client: MlflowClient, trained: Version, roots: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What moves the version's answers, a column a row, the strongest first; nothing where it did not say."""
    if REASONS_FILE not in {item.path for item in client.list_artifacts(trained.run_id)}:
        return []
    with _fetched(client, trained.run_id, REASONS_FILE, roots) as file:
        table = json.loads(file.read_bytes())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def read_params(client: MlflowClient, run_id: str) -> dict[str, str]:
    """The parameters of a run, as text."""
    return dict(client.get_run(run_id).data.params)


def read_metrics(client: MlflowClient, run_id: str) -> dict[str, float]:
    """The metrics of a run."""
    return dict(client.get_run(run_id).data.metrics)


def run_url(client: MlflowClient, ui_url: str | None, run_id: str, artifact: str = "") -> str | None:
    """Where a person looks at the run, or at one of its artifacts; None when no web interface is known."""
    if ui_url is None:
        return None
    experiment = client.get_run(run_id).info.experiment_id
    page = f"{ui_url.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    return (f"{page}/artifacts/{artifact}" if artifact else page) + TRAINING_VIEW


def experiment_url(client: MlflowClient, ui_url: str | None, run_id: str) -> str | None:
    """Where a person looks at all runs of the run's experiment; None when no web interface is known."""
    if ui_url is None:
        return None
    experiment = client.get_run(run_id).info.experiment_id
    return f"{ui_url.rstrip('/')}/#/experiments/{experiment}/runs{TRAINING_VIEW}"


def git_revision() -> str | None:
    """The checkout's revision, with `-dirty` when files differ from it; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@contextmanager
def _run(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """A run's id while it is written.

    One that could not be written whole ends as FAILED, so that what is FINISHED can be relied on; one whose process is
    killed is ended by the next.
    """
    place = experiment_id(client, experiment)
    for killed, why in end_killed(client, place).items():
        _log.warning("run %s of experiment %s had not ended and was ended as KILLED: %s", killed, experiment, why)
    info = client.create_run(place, run_name=name, tags={**who_writes(), **tags}).info
    run_id = str(info.run_id)
    try:
        with reaching(info.artifact_uri):
            yield run_id
    except BaseException:  # Ctrl-C included: a run that was cut short must not say RUNNING for ever
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _origin(flow_run_url: str | None) -> dict[str, str]:
    found = {"mlflow.source.git.commit": git_revision(), "prefect.flow_run_url": flow_run_url}
    return {key: value for key, value in found.items() if value}


def _log_numbers(client: MlflowClient, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    now_ms = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(key, float(value), now_ms, 0) for key, value in metrics.items()],
        params=[Param(key, str(value)) for key, value in params.items()],
    )


def _log_input(client: MlflowClient, run_id: str, dataset: DatasetRef) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps({"rows": dataset.rows, "train_rows": dataset.train_rows, "classes": dataset.classes})
    entry = Dataset(
        name=f"{dataset.use_case} {dataset.period} r{dataset.revision}",
        digest=dataset.sha256[:32],  # the column takes 36 characters; dataset.json holds all of it
        source_type="fsspec",
        source=json.dumps({"uri": dataset.uri, "sha256": dataset.sha256}),
        profile=profile,
    )
    client.log_inputs(run_id, datasets=[DatasetInput(entry, [InputTag("mlflow.data.context", "training")])])


def _log_model(client: MlflowClient, run_id: str, training: Training) -> str:
    import mlflow.sklearn

    from flows.core.models import drop_lookup

    logic = logic_of(training.declared)
    drop_lookup(training.model)
    mlflow.set_tracking_uri(client.tracking_uri)  # log_model takes no client
    with mlflow.start_run(run_id=run_id):  # without an active run the model would go to the default experiment
        logged = mlflow.sklearn.log_model(
            training.model,
            name="model",
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=list(logic.trusted),
            pip_requirements=[f"{name}=={version(name)}" for name in logic.needs],  # inferring them takes 4 s
        )
    return str(logged.model_id)


@contextmanager
def _fetched(client: MlflowClient, run_id: str, path: str, roots: Sequence[str]) -> Iterator[Path]:
    """A file of the run, in a folder that goes with the block."""
    place = str(client.get_run(run_id).info.artifact_uri)
    with tempfile.TemporaryDirectory() as folder:
        yield fetch(client, f"{place.rstrip('/')}/{path}", roots, folder=folder)
