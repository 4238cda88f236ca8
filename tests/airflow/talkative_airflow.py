"""An Airflow at DEBUG, in front of a faked Prefect with a password: the project's own DAGs, and a person to approve."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from bridge.testing import FakePrefect
from factory.catalogue import loading
from factory.catalogue.database import open_catalogue
from factory.settings import read_settings
from factory.sources import readers
from tests.lineage_graph import to_file
from tests.live_airflow import LiveAirflow
from tests.live_prefect import CHECKOUT
from tests.shared_services import GUARDED_PASSWORD, GUARDED_USER


class TalkativeAirflow(LiveAirflow):
    """Everything that can be logged is; the weekly DAG asks before it promotes."""

    @property
    def environment(self) -> dict[str, str]:
        loggers = ("httpx", "httpcore", "websockets", "bridge")
        more = {
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "AIRFLOW__LOGGING__NAMESPACE_LEVELS": " ".join(f"{name}=DEBUG" for name in loggers),
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW_SCHEDULE": "none",
            "PROMOTION_APPROVAL": "true",
            "DATABASE_URL": f"sqlite:///{self.catalogue / 'catalogue.sqlite'}",
            "SNAPSHOT_URI": (self.catalogue / "snapshots").as_uri(),
        }
        return super().environment | more | to_file(self.lineage)

    @property
    def lineage(self) -> Path:
        """What is told of DAG runs, tasks and steps; below Airflow's home, where secrets are looked for."""
        return self.home / "lineage.jsonl"

    @property
    def catalogue(self) -> Path:
        return self.home.with_name("catalogue")

    def files_with(self, needles: set[str]) -> set[str]:
        """The files of Airflow's home that hold one of the needles: logs, database, whatever there is."""
        wanted = [needle.encode() for needle in needles]
        return {
            str(path.relative_to(self.home))
            for path in self.home.rglob("*")
            if path.is_file() and any(each in path.read_bytes() for each in wanted)
        }


@contextmanager
def talkative_airflow(folder: Path, prefect: FakePrefect) -> Iterator[TalkativeAirflow]:
    """It, from nothing and with the sample in its catalogue; ended with the block."""
    dags = shutil.copytree(CHECKOUT / "dags", folder / "dags")
    address = prefect.api_url.replace("://", f"://{GUARDED_USER}:{quote(GUARDED_PASSWORD, safe='')}@")
    airflow = TalkativeAirflow(folder / "airflow", dags, address)
    settings = read_settings(airflow.environment)
    loading.load(
        open_catalogue(settings.database_url), readers.read_sample(), source="sample", created_at=settings.weeks.epoch
    )
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
