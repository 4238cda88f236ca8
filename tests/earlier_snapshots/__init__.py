"""A catalogue with its first week of products and the test set beside it, as 5e9a04f left them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from factory.settings import Settings


def restore(folder: Path) -> Settings:
    """Put both into the folder; gives the settings of a factory that finds them there."""
    snapshots, database = folder / "snapshots", folder / "catalogue.sqlite"
    shutil.copytree(Path(__file__).parent / "products", snapshots / "products")
    script = (Path(__file__).parent / "catalogue.sql").read_text()
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(script.replace("@SNAPSHOTS@", snapshots.as_uri()))
    return Settings(
        database_url=f"sqlite:///{database}", snapshot_uri=snapshots.as_uri(), mlflow_tracking_uri="sqlite://"
    )
