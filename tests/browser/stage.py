"""The control page over a fake Prefect in which everything has gone wrong, or in which there is nothing yet.

Runs in Airflow's environment, as a process of its own: prints one line of JSON that says where what is to be seen, and
serves until its standard input ends. `python -m tests.browser.stage troubled` or `... empty`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import tempfile
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.testing import Course, FakePrefect

HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
LONG = "an-unbroken-name-" * 30
USERS = {"admin": "ADMIN", "visitor": "VIEWER", "nobody": None}
DAG = """
from airflow.sdk import DAG
from bridge.in_airflow.operators import RunPrefectDeployment

with DAG("weekly_ml_pipeline", schedule=None):
    for stem in ("score", "training-pipeline", "promotion", "monitor-and-retrain"):
        RunPrefectDeployment(task_id=stem, deployment=f"{stem}/products")
"""


def main(play: str) -> None:
    """Serve the scenes of the play, each below `/<scene>`."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        _configure(home, f"http://127.0.0.1:{listening.getsockname()[1]}")
        app = _airflow(home)
        told: dict[str, Any] = {"runs": {}, "tokens": _tokens(app)}
        for scene, furnish in PLAYS[play].items():
            prefect = stack.enter_context(FakePrefect())
            _mount(app, scene, prefect)
            told["runs"][scene] = furnish(prefect)
        if play == "troubled":
            _fill_catalogue()
            _fail_a_dag_run()
        _serve(app, listening, told)


def troubled(prefect: FakePrefect) -> dict[str, str]:
    """Runs that failed, are late, run and wait; a pool whose one worker has gone."""
    _deploy(prefect)
    training, score, promotion = "training-pipeline/products", "score/products", "promotion/products"
    lines = ["Week 3: 3,367 rows, 21 classes", (logging.WARNING, "412 texts are shorter than three words")]
    failure = (logging.ERROR, "OSError: [Errno 28] No space left on device: 'model.skops'")
    prefect.on_run(
        training,
        Course(state="RUNNING", logs=lines),
        Course(state="CRASHED", message="The flow's process ended without a word: it may have run out of memory."),
        Course(state="RUNNING", logs=lines),
    )
    failed, _, running = (prefect.run(training, {"week_number": week}) for week in (3, 3, 4))
    prefect.on_run(promotion, state="SCHEDULED")
    prefect.set_state(prefect.run(promotion), "SCHEDULED", name="Late")
    prefect.on_run(score, result={"week": 3, "rows": 812, "mlflow_url": "http://127.0.0.1:9/#/runs/1"})
    started_by = ["airflow", "dag:weekly_ml_pipeline", "run:manual__2026-03-02T00:00:00+00:00", "task:score"]
    done = prefect.run(score, {"week_number": 3}, started_by, {"airflow.dag_id": "weekly_ml_pipeline"})
    prefect.on_run(score, state="SCHEDULED")
    submitting = prefect.run(score)
    prefect.set_state(submitting, "PENDING", name="Submitting")
    since = (datetime.now(UTC) - timedelta(minutes=15)).isoformat()
    prefect._state.run(submitting.id)["state"]["timestamp"] = since
    prefect.wait_for(
        lambda: prefect.read(failed).state_type == "RUNNING" and prefect.read(done).state_type == "COMPLETED"
    )
    for name, state in (("read-week", "COMPLETED"), ("fit-model", "FAILED"), ("log-model", "PENDING")):
        prefect.task(failed, name, state)
    prefect.finish(failed, state="FAILED", message="OSError: [Errno 28] No space left on device", logs=[failure])
    return {"failed": failed.id, "running": running.id, "done": done.id}


def hostile(prefect: FakePrefect) -> dict[str, str]:
    """Names, texts and addresses that somebody has made up to do harm, or that are very long."""
    name = f"{LONG}/{LONG}"
    field = {"title": LONG, "description": HOSTILE, "type": "string", "default": HOSTILE}
    prefect.deployment(name, parameters={"properties": {"text": field}}, work_pool="models")
    prefect.on_run(name, state="RUNNING", logs=[HOSTILE, LONG])
    run = prefect.run(name, {"text": HOSTILE + LONG}, tags=[HOSTILE])
    prefect._state.run(run.id)["name"] = HOSTILE + LONG
    prefect.task(run, HOSTILE + LONG)
    prefect.publish(run, {"page_url": "javascript:document.title='taken'", "said": HOSTILE, "long": LONG})
    prefect.set_state(run, "FAILED", name=HOSTILE, message=HOSTILE + LONG)
    return {"failed": run.id}


def down(prefect: FakePrefect) -> dict[str, str]:
    """Prefect has ended."""
    prefect.stop()
    return {}


def hanging(prefect: FakePrefect) -> dict[str, str]:
    """Prefect takes every request and answers none."""
    prefect.faults.delay(60, times=None)
    return {}


def empty(_: FakePrefect) -> dict[str, str]:
    """Nothing is deployed and nothing has run."""
    return {}


PLAYS = {
    "troubled": {"troubled": troubled, "hostile": hostile, "down": down, "hanging": hanging},
    "empty": {"empty": empty},
}


def _deploy(prefect: FakePrefect) -> None:
    from factory import contracts

    for build in (contracts.score, contracts.training, contracts.promotion, contracts.monitor):
        made = build("products")
        pool = "gpus" if build is contracts.training else "models"
        prefect.deployment(made, defaults={"use_case": "products"}, work_pool=pool)
        if build is contracts.monitor:
            flow, _, short = made.name.partition("/")
            rule = {"schedule": {"cron": "0 9 * * *", "timezone": "UTC"}, "active": True}
            prefect._state.find_deployment(flow, short)["schedules"] = [rule]  # type: ignore[index]
    prefect.worker("models", "worker-1")
    prefect.worker("gpus", "worker-2", status="OFFLINE", ago_seconds=5400)


def _configure(home: Path, url: str) -> None:
    """Airflow reads its settings when it is first imported."""
    from tests.live_prefect import CHECKOUT

    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.airflow.per_dag_auth.PerDagAuthManager",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "DATABASE_URL": f"sqlite:///{home}/catalogue.sqlite",
    }


def _airflow(home: Path) -> Any:
    """Airflow's own application, with the weekly DAG in its database."""
    from airflow.api_fastapi.app import create_app
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    folder = home / "dags"
    folder.mkdir()
    (folder / "weekly.py").write_text(DAG)
    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
    sync_bag_to_db(DagBag(folder), "tests", None)
    return create_app(apps="core")


def _tokens(app: Any) -> dict[str, str]:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    made = app.state.auth_manager.generate_jwt
    return {name: made(SimpleAuthManagerUser(username=name, role=role)) for name, role in USERS.items()}


def _mount(app: Any, scene: str, prefect: FakePrefect) -> None:
    """The page over that Prefect, before Airflow's own route for everything else. Asking costs nothing here."""
    from starlette.routing import Mount

    from plugins.control_page.app import make_application
    from plugins.control_page.budget import RequestBudget
    from plugins.control_page.prefect_reader import PrefectReader

    where = prefect.connection

    def make() -> Any:
        return make_application(PrefectReader(lambda: where, RequestBudget(rate=1000, burst=1000)))

    async def seen_for_the_first_time(*request: Any) -> None:
        await make()(*request)

    # who has waited for an answer once is told that none comes: here everybody is the first to look
    app.router.routes.insert(0, Mount(f"/{scene}", seen_for_the_first_time if scene == "hanging" else make()))


def _fill_catalogue() -> None:
    """Three weeks, the last of them rejected; two decisions; drift that grows until it alarms."""
    from factory.catalogue.database import open_catalogue
    from factory.records import decisions, drift_checks, ledger, measurements
    from tests.airflow.test_control_page import decision
    from tests.measured import measurement

    engine, today = open_catalogue(os.environ["DATABASE_URL"]), datetime.now(UTC)
    with engine.begin() as connection:
        for week, status in ((1, "accepted"), (2, "accepted"), (3, "rejected")):
            made = decision(week, "promoted").dataset
            ledger.record_cut(connection, made, 0.4)
            findings = ["class_balance: 4 of 21 classes are missing"] if status == "rejected" else []
            ledger.record_verdict(connection, made, status, findings)
        plain = {"card_url": "http://127.0.0.1:9/card", "mlflow_url": "http://127.0.0.1:9"}
        decisions.record(connection, decision(1, "promoted", reason="There was no champion before.", **plain))
        kept = {
            "reason": "The gain of 0.0041 is not above 0.",
            "champion_version": "1",
            "previous_champion_version": "1",
        }
        decisions.record(connection, decision(2, "kept", **kept, **plain))
        for number in (1, 2):
            measurements.record(connection, measurement(number, rival=number - 1))
    for week, score in enumerate((0.05, 0.12, 0.08, 0.31, 0.66)):
        until = today - timedelta(weeks=4 - week)
        level, alarm = ("critical", True) if score > 0.6 else ("stable", False)
        said = {
            "model_version": "1",
            "samples": 1200,
            "level": level,
            "drift_score": score,
            "alarm": alarm,
            "columns": {},
        }
        drift_checks.record_drift_check(
            engine, drift_checks.DriftCheck(model="products", until=until, looked_at=until, **said)
        )


def _fail_a_dag_run() -> None:
    from airflow.models import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from tests.airflow.control_page import make_task_instance

    make_task_instance("weekly_ml_pipeline", "manual__2026-03-02T00:00:00+00:00")
    with create_session() as session:
        run = session.scalars(select(DagRun)).one()
        run.state, run.start_date = "failed", datetime.now(UTC) - timedelta(minutes=7)


def _serve(app: Any, listening: socket.socket, told: dict[str, Any]) -> None:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))

    def until_nobody_listens() -> None:
        sys.stdin.read()
        server.should_exit = server.force_exit = True

    threading.Thread(target=until_nobody_listens, daemon=True).start()
    told["url"] = f"http://127.0.0.1:{listening.getsockname()[1]}"
    print("stage", json.dumps(told), flush=True)
    # Nobody reads on, and a pipe that is full stops whoever writes; what breaks off at the end is meant to.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    logging.disable()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
