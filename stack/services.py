"""The services of the stack and the steps between them: what is run, after what, and when it counts as ready.

Declarative: starts nothing. The supervisor runs what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from stack.database import DatabaseUrls
from stack.environment import WORK_POOL, airflow_environment, mlflow_environment, prefect_environment
from stack.identity import ADMIN, Identity
from stack.prefect_api import PrefectApi, polls, serves
from stack.probes import Probe, answers, basic_auth, beats
from stack.settings import CHECKOUT, StackSettings

ML = CHECKOUT / ".venv-ml" / "bin"
AIRFLOW = CHECKOUT / ".venv-airflow" / "bin"


@dataclass(frozen=True, slots=True)
class Service:
    """One process. Without a probe it is a step: it counts as ready once it has ended with 0."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    after: tuple[str, ...] = ()
    probe: Callable[[], Probe] | None = None
    """Makes the probe at the moment of the start, so that an earlier start's heartbeats do not count."""
    address: str | None = None
    outlived: bool = False
    """Whether what it started lives on without it, and is left alone when it is started again: flow runs."""
    patience_seconds: float = 300.0
    """Until it is ready, or done: ten times what it needs on two cores, since a disk may be slow."""

    @property
    def is_step(self) -> bool:
        return self.probe is None


def all_services(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> list[Service]:
    """Every service in an order that a person can read; `after` is what the supervisor goes by."""
    prefect = prefect_environment(settings, identity, urls)
    return [
        *_prefect(settings, prefect),
        *_flows(settings, prefect),
        _mlflow(settings, identity, urls),
        *_airflow(settings, airflow_environment(settings, identity, urls)),
    ]


def _prefect(settings: StackSettings, environment: Mapping[str, str]) -> list[Service]:
    api = PrefectApi.named_in(environment)
    server = ("server", "start", "--host", "127.0.0.1", "--port", str(settings.prefect_port))
    return [
        Service(
            "prefect-server",
            (str(ML / "prefect"), *server),
            environment,
            probe=lambda: answers(f"{api.url}/ready"),
            address=settings.prefect_url,
        ),
    ]


def _flows(settings: StackSettings, environment: Mapping[str, str]) -> list[Service]:
    """What deploys the flows and starts their runs."""
    api = PrefectApi.named_in(environment)
    python = str(ML / "python")
    if settings.flows == "served":
        serving = (python, "-m", "flows.serving")
        probe = partial(serves, api)
        return [Service("prefect-flows", serving, environment, after=("prefect-server",), probe=probe, outlived=True)]
    limit = ("--limit", str(settings.flow_runs))
    worker = ("worker", "start", "--name", "stack", "--pool", WORK_POOL, "--type", "process", *limit)
    pool = (python, "-m", "stack.work_pool", WORK_POOL)
    return [
        Service("prefect-pool", pool, environment, after=("prefect-server",)),
        Service("prefect-deploy", (python, "-m", "flows.deploying"), environment, after=("prefect-pool",)),
        Service(
            "prefect-worker",
            (str(ML / "prefect"), *worker, "--install-policy", "never"),
            environment,
            after=("prefect-pool",),
            probe=partial(polls, api, WORK_POOL),
            outlived=True,
        ),
    ]


def _mlflow(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> Service:
    where = ("--host", "127.0.0.1", "--port", str(settings.mlflow_port), "--workers", "1")
    login = basic_auth(f"{ADMIN}:{identity.mlflow_password}")
    return Service(
        "mlflow",
        (str(ML / "python"), "-m", "stack.mlflow_server", "server", "--app-name", "basic-auth", *where),
        mlflow_environment(settings, identity, urls),
        # its /health says nothing of its database
        probe=lambda: answers(f"{settings.mlflow_url}/api/2.0/mlflow/experiments/search?max_results=1", login),
        address=settings.mlflow_url,
    )


def _airflow(settings: StackSettings, environment: Mapping[str, str]) -> list[Service]:
    airflow = str(AIRFLOW / "airflow")
    url = settings.airflow_url
    where = ("--host", "127.0.0.1", "--port", str(settings.airflow_port))
    migrated = ("airflow-migrate",)
    return [
        Service("airflow-migrate", (airflow, "db", "migrate"), environment),
        Service(
            "airflow-api-server",
            (airflow, "api-server", *where, "--workers", "1"),
            environment,
            after=migrated,
            probe=lambda: answers(f"{url}/api/v2/monitor/health"),
            address=url,
        ),
        Service(
            "airflow-scheduler",
            (airflow, "scheduler", "--skip-serve-logs"),
            environment,
            after=migrated,
            probe=lambda: beats(url, "scheduler"),
        ),
        Service(
            "airflow-dag-processor",
            (airflow, "dag-processor"),
            environment,
            after=migrated,
            probe=lambda: beats(url, "dag_processor"),
        ),
        Service(
            "airflow-triggerer",
            (airflow, "triggerer", "--skip-serve-logs"),
            environment,
            after=migrated,
            probe=lambda: beats(url, "triggerer"),
        ),
    ]
