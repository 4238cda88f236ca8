"""What MLflow keeps as files, fetched from where MLflow says that they lie.

Owns which of these places are believed: whoever may write in MLflow may name any address as the place of a run's or a
model's artifacts, and a worker reaches more than they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from factory.errors import ArtifactStoreAway
from factory.storage.addresses import admitted_below
from factory.storage.stores import unreached

if TYPE_CHECKING:
    from mlflow import MlflowClient


def fetch(client: MlflowClient, place: str, roots: Sequence[str], *, folder: str | None = None) -> Path:
    """The file or folder at that place, in `folder`; without one MLflow chooses.

    Raises AddressRefused unless the place is the tracking server's own, or below one of the roots (DATA_ROOTS), and
    ArtifactStoreAway.
    """
    from mlflow.artifacts import download_artifacts

    if not _is_its_own(client, place):
        admitted_below(roots, place)
    with reaching(place):
        return Path(download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=client.tracking_uri))


@contextmanager
def reaching(place: str) -> Iterator[None]:
    """What the store of the artifacts raises when it is away, as ArtifactStoreAway."""
    try:
        yield
    except unreached() as error:
        raise ArtifactStoreAway(
            f"MLflow keeps its files at {place}, and that store does not answer: {error}. Start it, or look at its "
            "endpoint and credentials in this process' environment."
        ) from error


def _is_its_own(client: MlflowClient, place: str) -> bool:
    """Whether the server serves it, or, where the registry is a file of ours, it is a file too."""
    tracking, found = urlsplit(client.tracking_uri), urlsplit(place)
    if tracking.scheme in ("http", "https"):
        server = tracking.netloc.rpartition("@")[2]
        return found.scheme == "mlflow-artifacts" and found.netloc in ("", server)
    return found.scheme in ("", "file")
