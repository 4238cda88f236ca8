"""The environment of each service: deliberate, whole, and nothing else of the user's shell.

Pure: settings, identity and database URLs in, variables out. Airflow never sees a PREFECT_* of the user's, nor the
other way round. Opens nothing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from stack.database import DatabaseUrls
from stack.identity import ADMIN, Identity
from stack.settings import CHECKOUT, Home, StackSettings

MARK = "STACK_SERVICE_OF"
"""Every process of a stack bears its folder under this name, so that orphans can be found."""

WORK_POOL = "models"

_QUIET = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
_LEAN = {
    "PYTHONUNBUFFERED": "1",
    "MALLOC_ARENA_MAX": "2",
    # threads of numerical libraries that wait for one another sleep; spinning, they take a processor from a service
    "OMP_WAIT_POLICY": "passive",
    "OPENBLAS_THREAD_TIMEOUT": "4",
}


def airflow_environment(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> dict[str, str]:
    """For Airflow's four services and its command line."""
    home = settings.home.path
    return {
        **_base(settings, ".venv-airflow"),
        **factory_environment(settings, identity, urls),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW_CONN_PREFECT_DEFAULT": json.dumps(prefect_connection(settings, identity)),
        "AIRFLOW_SCHEDULE": settings.airflow_schedule,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": urls.airflow,
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",  # each is a process of 50 MB; while a flow runs its task needs none
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": identity.fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(settings.home.passwords_file),
        "AIRFLOW__API__BASE_URL": settings.airflow_url,
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": identity.api_secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": identity.jwt_secret,
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        # a worker's supervisor may notice the end of its task this late, in seconds
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        **_AIRFLOW_PACE,
    }


_AIRFLOW_PACE = {
    # So long the scheduler may take to notice that the task before has ended; 1 s by Airflow's default.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    # A stack that was stopped in the middle of a task finds it again soon after the next start.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "600",
}


def prefect_environment(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> dict[str, str]:
    """For Prefect's server, its command line, and the flow runs."""
    return {
        **_base(settings, ".venv-ml"),
        **factory_environment(settings, identity, urls),
        **_mlflow_client(identity),
        **_prefect_client(settings, identity),
        "PREFECT_SERVER_API_AUTH_STRING": identity.prefect_secret,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_own_origins(settings.prefect_port)),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": urls.prefect,
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_RUNNER_PROCESS_LIMIT": str(settings.flow_runs),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "30",
        "PREFECT_LOGGING_COLORS": "false",
        "TMPDIR": str(settings.home.temporary),
    }


def mlflow_environment(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> dict[str, str]:
    """For the MLflow server; without its job executor it needs a third of the memory.

    The database's URL stands here rather than among the arguments, where every user of the machine could read it.
    """
    origins = _own_origins(settings.mlflow_port)
    return {
        **_base(settings, ".venv-ml"),
        "MLFLOW_AUTH_CONFIG_PATH": str(settings.home.mlflow_login_file),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": identity.mlflow_password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": identity.mlflow_secret,
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(origin.removeprefix("http://") for origin in origins),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "MLFLOW_BACKEND_STORE_URI": urls.mlflow,
        "MLFLOW_ARTIFACTS_DESTINATION": str(settings.home.path / "artifacts"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def mlflow_login(settings: StackSettings) -> str:
    """What MLflow's login reads. To check a password takes long on purpose, so one is believed for a while."""
    return f"""\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{settings.home.path / "mlflow-login.sqlite"}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 600
"""


def factory_environment(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> dict[str, str]:
    """What `factory.settings` reads, the same for both sides, and who hears of runs."""
    return {
        **settings.factory,
        **settings.notify,
        "DATABASE_URL": urls.catalogue,
        "STACK_HOME": str(settings.home.path),
        # as fsspec reads it, which takes %20 for three characters of a name
        "SNAPSHOT_URI": f"file://{settings.home.path / 'snapshots'}",
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
        "WEEK_EPOCH": identity.week_epoch,
        "AIRFLOW_UI_URL": settings.airflow_url,
        "PREFECT_UI_URL": settings.prefect_url,
        "MLFLOW_UI_URL": settings.mlflow_url,
    }


def prefect_connection(settings: StackSettings, identity: Identity) -> dict[str, object]:
    """Airflow's connection `prefect_default`."""
    return {
        "conn_type": "prefect",
        "host": f"{settings.prefect_url}/api",
        "login": identity.prefect_secret.partition(":")[0],
        "password": identity.prefect_password,
        "extra": {"ui_url": settings.prefect_url},
    }


def shell_exports(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> str:
    """A file to `source`, after which bridge, prefect, mlflow, airflow and python are those of this stack."""
    variables = {
        **factory_environment(settings, identity, urls),
        **_QUIET,
        **_mlflow_client(identity),
        **_prefect_client(settings, identity),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "VIRTUAL_ENV": str(CHECKOUT / ".venv-ml"),
    }
    path = shlex.quote(":".join(map(str, tool_folders(settings.home))))
    return f'{_exports(variables)}export PATH={path}:"$PATH"\nunset PYTHONHOME\n'


def tool_folders(home: Home) -> tuple[Path, ...]:
    """What stands first on the PATH of a shell of this stack."""
    return home.tools, CHECKOUT / ".venv-ml" / "bin"


def airflow_command(settings: StackSettings, identity: Identity, urls: DatabaseUrls) -> str:
    """A script that is Airflow's command line on this stack: its environment is another than that of all others."""
    everything = airflow_environment(settings, identity, urls)
    # of the shell in which it is called comes the rest; a process that bears the mark would end with the stack
    variables = {name: value for name, value in everything.items() if name not in {*settings.passed, "PATH", MARK}}
    command = shlex.quote(str(CHECKOUT / ".venv-airflow" / "bin" / "airflow"))
    return f'#!/bin/sh\n{_exports(variables)}exec {command} "$@"\n'


def read_exports(text: str) -> dict[str, str]:
    """The variables of a file for shells; without PATH, which says there what comes before the shell's own."""
    given = dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)
    return {name: value for name, value in given.items() if name != "PATH"}


def _exports(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))


def _prefect_client(settings: StackSettings, identity: Identity) -> dict[str, str]:
    """What Prefect's own client and `bridge` need to know."""
    return {
        "PREFECT_HOME": str(settings.home.path / "prefect"),
        "PREFECT_API_URL": f"{settings.prefect_url}/api",
        "PREFECT_API_AUTH_STRING": identity.prefect_secret,
    }


def _mlflow_client(identity: Identity) -> dict[str, str]:
    """What MLflow's own client needs to know beside the address."""
    return {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": identity.mlflow_password}


def _own_origins(port: int) -> list[str]:
    """The names under which a browser on this machine may have opened a web interface of ours."""
    return [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost")]


def _base(settings: StackSettings, environment: str) -> dict[str, str]:
    path = f"{CHECKOUT / environment / 'bin'}:{settings.passed.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    return {
        **settings.passed,
        **_loopback_without_proxy(settings.passed),
        **_QUIET,
        **_LEAN,
        "PATH": path,
        MARK: str(settings.home.path),
    }


def _loopback_without_proxy(passed: Mapping[str, str]) -> dict[str, str]:
    """A proxy for the outer world must not be asked for 127.0.0.1."""
    if not any(name.lower().endswith("_proxy") for name in passed):
        return {}
    beside = passed.get("NO_PROXY") or passed.get("no_proxy")
    value = ",".join(filter(None, [beside, "127.0.0.1", "localhost"]))
    return {"NO_PROXY": value, "no_proxy": value}
