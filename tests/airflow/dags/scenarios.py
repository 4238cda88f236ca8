"""DAGs in which the tests play a task's lives. What a run is to do stands in the DAG run's configuration."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, task
from pydantic import BaseModel

from bridge.contracts import Deployment
from bridge.in_airflow.operators import RunPrefectDeployment


class Params(BaseModel):
    text: str = "hello"
    number: int = 1


class Echo(BaseModel):
    text: str
    number: int


ECHO = Deployment("echo/t", Params, Echo)
SKIP = Deployment("skip/t", Params, Echo)

for mode in ("deferred", "blocking"):
    common = {"deferrable": mode == "deferred", "retries": 1, "retry_delay": timedelta(0)}

    with DAG(dag_id=f"any_{mode}", schedule=None, render_template_as_native_obj=True):
        RunPrefectDeployment(
            task_id="run",
            deployment="{{ dag_run.conf['deployment'] }}",
            parameters="{{ dag_run.conf['parameters'] }}",
            tags=["{{ dag_run.conf['tag'] }}"],
            **common,
        )

    with DAG(dag_id=f"typed_{mode}", schedule=None):
        typed = RunPrefectDeployment(
            task_id="run",
            deployment=ECHO,
            parameters={"text": "{{ dag_run.conf['text'] }}", "number": "{{ dag_run.conf['number'] }}"},
            **common,
        )

        @task
        def told(result: dict) -> str:
            return f"{result['text']} x {result['number']}"

        told(typed.output)

    with DAG(dag_id=f"in_place_{mode}", schedule=None):
        RunPrefectDeployment(
            task_id="run",
            deployment="fail-once/t",
            parameters={"path": "{{ dag_run.conf['path'] }}"},
            tags=["{{ dag_run.conf['tag'] }}"],
            on_retry="retry_in_place",
            **common,
        )

    with DAG(dag_id=f"skips_cancelled_{mode}", schedule=None):
        RunPrefectDeployment(
            task_id="run",
            deployment="hold/t",
            parameters={"path": "{{ dag_run.conf['path'] }}"},
            tags=["{{ dag_run.conf['tag'] }}"],
            on_cancelled="skip",
            **common,
        )

    with DAG(dag_id=f"never_starts_{mode}", schedule=None):
        RunPrefectDeployment(
            task_id="run", deployment="{{ dag_run.conf['deployment'] }}", start_timeout_seconds=2, **common
        )

    with DAG(dag_id=f"skipping_{mode}", schedule=None):
        RunPrefectDeployment(task_id="run", deployment=SKIP, **common)

with DAG(dag_id="mapped", schedule=None):

    @task
    def numbers() -> list[dict]:
        return [{"number": 1}, {"number": 2}]

    RunPrefectDeployment.partial(task_id="run", deployment=ECHO).expand(parameters=numbers())

with DAG(dag_id="from_a_task", schedule=None):

    @task
    def parameters() -> dict:
        return {"text": "from upstream", "number": 5}

    RunPrefectDeployment(task_id="run", deployment=ECHO, parameters=parameters())

with DAG(dag_id="not_waited_for", schedule=None):
    RunPrefectDeployment(task_id="run", deployment="echo/t", wait=False)

with DAG(dag_id="announced", schedule=None):
    RunPrefectDeployment(task_id="run", deployment=ECHO, outlets=[Asset("echoed")])

with DAG(dag_id="late_by_airflows_own_limit", schedule=None):
    RunPrefectDeployment(
        task_id="run",
        deployment="hold/t",
        parameters={"path": "{{ dag_run.conf['path'] }}"},
        execution_timeout=timedelta(hours=1),
    )

with DAG(dag_id="late", schedule=None):
    RunPrefectDeployment(
        task_id="run",
        deployment="hold/t",
        parameters={"path": "{{ dag_run.conf['path'] }}"},
        run_timeout_seconds=3600,
    )
