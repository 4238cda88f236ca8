"""MLflow's model registry: versions of a model, who is champion and challenger, and what is written on them.

Owns names of aliases and tags, and how a model lies on disk (skops: loading one runs no code of its own). Must not
know how a model is fitted or when it deserves promotion. Every call names the tracking address: nothing global is
relied on.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.contracts import DatasetRef
from factory.errors import DocumentUnreadable, RegistryAway
from factory.records import stored
from factory.storage.addresses import without_credentials
from factory.storage.private_files import make_file
from flows.adapters.artifacts import fetch
from flows.core.policy import Snapshot

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from sklearn.pipeline import Pipeline

CHAMPION = "champion"
CHALLENGER = "challenger"
DATASET_TAG = "dataset"
MODEL_FILE = "model.skops"
CHECKSUM_TAG = "model_sha256"
LOGGED_MODEL = "models:/"
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
"""By which MLflow's page opens an experiment on its trainings, not on an agent's traces."""
MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says of a version or an alias that it does not have."""
MLFLOW_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # tasks repeat, with backoff and in sight: both would take minutes
    "MLFLOW_UV_AUTO_DETECT": "false",  # a lock file in the working directory is not the model's environment
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is the result's
}
"""What MLflow's client is told through the environment where the user says nothing; it takes these no other way."""


class RegistryError(RuntimeError):
    """The registry does not hold what was asked for; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version; `dataset` is what it was trained on."""

    model: str
    number: str
    run_id: str
    source: str
    dataset: DatasetRef
    tags: Mapping[str, str]

    @property
    def snapshot(self) -> Snapshot:
        """The age of the data it was trained on."""
        return Snapshot(self.dataset.week, self.dataset.revision)


def connect(tracking_uri: str) -> MlflowClient:
    """A client of the tracking server and registry at that address, which was proven to answer. Raises RegistryAway."""
    for name, value in MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _one_at_a_time(tracking_uri):
            client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        said = (
            f"MLflow at {tracking_uri} cannot be asked: {_first_line(error)}. Start it, or look at MLFLOW_TRACKING_URI "
            "and at the credentials in this process' environment"
        )
        raise RegistryAway(without_credentials(said)) from error
    return client


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of that name, created where there is none."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        if KIND_TAG not in found.tags:  # of an earlier version, or made by hand
            client.set_experiment_tag(found.experiment_id, KIND_TAG, KIND)
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location=_local_artifacts(client), tags={KIND_TAG: KIND}))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = client.get_experiment_by_name(name)  # somebody was quicker
    if found is None:
        raise RegistryError(
            f"MLflow's experiment {name!r} was deleted: restore it (`mlflow experiments search --view deleted_only` "
            "tells its id, `mlflow experiments restore --experiment-id ID`), or remove it for good (`mlflow gc`)"
        )
    return str(found.experiment_id)


def register(
    client: MlflowClient, model: str, *, run_id: str, model_id: str, dataset: DatasetRef, tags: Mapping[str, str]
) -> str:
    """Register a run's model as a version and give it the alias `challenger`; gives the version's number.

    Registering the same run twice gives the version that stands, so the call may be repeated.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    standing = client.search_model_versions(f"name='{model}' and run_id='{run_id}'")
    if standing:
        number = str(standing[0].version)
    else:
        written = {**tags, DATASET_TAG: stored.dump_json(dataset)}
        source = f"{LOGGED_MODEL}{model_id}"
        number = str(client.create_model_version(model, source, run_id, written, model_id=model_id).version)
    client.set_registered_model_alias(model, CHALLENGER, number)
    return number


def find_version(client: MlflowClient, model: str, alias: str) -> Version | None:
    """The version that bears the alias, None when no version does."""
    found = _bearer(client, model, alias)
    return None if found is None else _version(found)


def get_version(client: MlflowClient, model: str, number: str) -> Version:
    """The version of that number; raises RegistryError when there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(client.get_model_version(model, number))
    except MlflowException as error:
        if error.error_code in MISSING:
            raise RegistryError(_no_version(client, model, number)) from error
        raise


def tags_by_number(client: MlflowClient, model: str) -> dict[str, Mapping[str, str]]:
    """The tags of all versions that there are, whoever registered them, by number; the oldest first."""
    found = client.search_model_versions(f"name='{model}'")
    return {str(each.version): dict(each.tags) for each in sorted(found, key=lambda each: int(each.version))}


def alias_number(client: MlflowClient, model: str, alias: str) -> str | None:
    """The number of the version that bears the alias, whoever registered it; None when no version does."""
    found = _bearer(client, model, alias)
    return None if found is None else str(found.version)


def alias_tags(client: MlflowClient, model: str, alias: str) -> Mapping[str, str]:
    """The tags of the version that bears the alias, whoever registered it."""
    found = _bearer(client, model, alias)
    return {} if found is None else dict(found.tags)


def trained_snapshots(client: MlflowClient, model: str) -> tuple[list[Snapshot], list[str]]:
    """The snapshots that versions of the model were trained on, and what is wrong with versions that tell of none.

    A version that was registered by hand keeps nobody from training.
    """
    known, strangers = [], []
    for found in client.search_model_versions(f"name='{model}'"):
        try:
            known.append(_version(found).snapshot)
        except RegistryError as error:
            strangers.append(str(error))
    return known, strangers


def take_alias(client: MlflowClient, model: str, alias: str) -> None:
    """Nobody bears the alias afterwards."""
    client.delete_registered_model_alias(model, alias)


def give_alias(client: MlflowClient, version: Version, alias: str) -> None:
    """The alias to this version; whichever bore it before loses it."""
    client.set_registered_model_alias(version.model, alias, version.number)


def tag(client: MlflowClient, version: Version, tags: Mapping[str, Any]) -> None:
    """Write tags on a version; values become text, None an empty one."""
    for key, value in tags.items():
        client.set_model_version_tag(version.model, version.number, key, "" if value is None else str(value))


def load_model(
    client: MlflowClient, version: Version, roots: Sequence[str] = (), *, trusted: Sequence[str] = ()
) -> Pipeline:
    """The version's fitted pipeline, see `read_model`."""
    with downloaded(client, version, roots) as folder:
        return read_model(folder, trusted)


def checksum(client: MlflowClient, version: Version, roots: Sequence[str] = ()) -> str:
    """The SHA-256 of the version's model file, read once and kept on the version; errors as in `downloaded`."""
    if known := version.tags.get(CHECKSUM_TAG):
        return known
    with downloaded(client, version, roots) as folder, (folder / MODEL_FILE).open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    tag(client, version, {CHECKSUM_TAG: found})
    return found


@contextmanager
def downloaded(client: MlflowClient, version: Version, roots: Sequence[str] = ()) -> Iterator[Path]:
    """The version's files in a folder that goes with the block; `roots` and errors as in `artifacts.fetch`.

    Raises RegistryError when the files are gone.
    """
    from mlflow.exceptions import MlflowException

    gone = (
        f"the files of version {version.number} of model {version.model!r} are gone ({version.source}): restore them. "
        f"If it is the champion, give its title back (python -m flows.promotion --use-case {version.dataset.use_case} "
        f"--rollback) or take it away (… --champion none); neither loads the model"
    )
    place = version.source
    with tempfile.TemporaryDirectory() as folder:
        try:
            if place.startswith(LOGGED_MODEL):
                place = client.get_logged_model(place.removeprefix(LOGGED_MODEL)).artifact_location
            path = fetch(client, place, roots, folder=folder)
        except FileNotFoundError as error:
            raise RegistryError(gone) from error
        except MlflowException as error:
            if error.error_code in MISSING:
                raise RegistryError(gone) from error
            raise
        if not (path / MODEL_FILE).exists():
            raise RegistryError(gone)
        yield path


def read_model(folder: Path, trusted: Sequence[str] = ()) -> Pipeline:
    """The fitted pipeline in the folder of a version's files.

    skops is told to trust no type beyond scikit-learn's own and those that are `trusted` by name, so that a file which
    holds another one is refused rather than run.
    """
    import skops.io

    return skops.io.load(folder / MODEL_FILE, trusted=list(trusted))


def _bearer(client: MlflowClient, model: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model, alias)
    except MlflowException as error:
        if error.error_code in MISSING:
            return None
        raise


def _version(found: ModelVersion) -> Version:
    tags = dict(found.tags)
    if DATASET_TAG not in tags:
        raise RegistryError(_stranger(found, "has no tag"))
    try:
        dataset = stored.load_json(DatasetRef, tags[DATASET_TAG])
    except DocumentUnreadable as error:
        raise RegistryError(_stranger(found, "names no snapshot in its tag")) from error
    return Version(found.name, str(found.version), str(found.run_id), str(found.source), dataset, tags)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _no_version(client: MlflowClient, model: str, number: str) -> str:
    there = ", ".join(tags_by_number(client, model))
    way = f"name one of those that it holds ({there})" if there else "run training-pipeline first"
    return f"MLflow holds no version {number!r} of model {model!r}: it was deleted, or never there; {way}"


def _stranger(found: ModelVersion, fault: str) -> str:
    return (
        f"version {found.version} of model {found.name!r} {fault} {DATASET_TAG!r}: it was not registered by the "
        f"training pipeline, delete it (MlflowClient().delete_model_version({found.name!r}, "
        f"{str(found.version)!r})) or take the alias from it "
        f"(MlflowClient().delete_registered_model_alias({found.name!r}, ALIAS))"
    )


@contextmanager
def _one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Where the registry is a SQLite file, the file is there, and no other process is in here.

    MLflow makes its tables when it is asked first; of two processes that do, one fails. The folder is locked: of the
    file itself, closing it would take away SQLite's own locks.
    """
    from sqlalchemy.engine import make_url

    if not tracking_uri.startswith("sqlite") or not (database := make_url(tracking_uri).database):
        yield
        return
    make_file(Path(database))
    folder = os.open(Path(database).parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _local_artifacts(client: MlflowClient) -> str | None:
    """Beside the database where the registry is a SQLite file: MLflow's own default is the working directory."""
    if not client.tracking_uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    return (Path(str(make_url(client.tracking_uri).database)).parent / "mlartifacts").absolute().as_uri()
