"""Deferred task instances with the triggers that a file describes, in the metadata database of the environment.

Run in Airflow's environment: `python -m benchmarks.waits.airflow_rows <file>`; the file holds a JSON list of
{"classpath": …, "kwargs": {…}}.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def insert(triggers: list[dict[str, Any]]) -> None:
    """One task instance of the DAG `waits` for each, all of one DAG run."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.dagbag import DBDagBag
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import insert as insert_into
    from sqlalchemy import select
    from uuid6 import uuid7

    initdb()
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    for bundle in manager.get_all_dag_bundles():
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle.version)
    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag("waits", session=session)
        now = datetime.now(UTC)
        dag.create_dagrun(
            run_id="measured",
            logical_date=now,
            data_interval=(now, now),
            run_after=now,
            run_type=DagRunType.MANUAL,
            state=DagRunState.RUNNING,
            triggered_by=DagRunTriggeredByType.TEST,
            start_date=now,
            session=session,
        )
        session.flush()
        model = session.execute(select(TaskInstance.__table__)).mappings().one()
        rows = [Trigger(each["classpath"], each["kwargs"]) for each in triggers]
        session.add_all(rows)
        session.flush()
        deferred = {"state": TaskInstanceState.DEFERRED, "next_method": "execute_complete", "try_number": 1}
        session.execute(
            insert_into(TaskInstance.__table__),
            [
                {**model, **deferred, "id": uuid7(), "map_index": number, "trigger_id": row.id}
                for number, row in enumerate(rows)
            ],
        )


if __name__ == "__main__":
    insert(json.loads(Path(sys.argv[1]).read_text()))
