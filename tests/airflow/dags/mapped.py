"""DAGs with mapped tasks whose results and flow runs are told of."""

from __future__ import annotations

from airflow.sdk import DAG, task, task_group
from pydantic import BaseModel

URL = "prefect_flow_run_url"


class Numbers(BaseModel):
    """A result that says whose it is."""

    whose: str
    number: int

    def facts(self) -> dict[str, str]:
        return {f"number of {self.whose}": str(self.number)}

    def reservations(self) -> list[str]:
        return []

    def links(self) -> dict[str, str]:
        return {}


@task
def whole() -> dict:
    return {"whose": "whole", "number": 100}


@task
def elsewhere(number: int) -> dict:
    return {"whose": "elsewhere", "number": number}


@task
def one(number: int, fails_at: int, ti) -> dict:
    ti.xcom_push(key=URL, value=f"http://prefect/one/{number}")
    if number == fails_at:
        raise ValueError(f"number {number} is too much")
    return {"whose": "one", "number": number}


@task
def last() -> None: ...


with DAG("mapped_well", schedule=None):
    whole() >> one.partial(fails_at=-1).expand(number=[0, 1, 2]) >> last()

with DAG("mapped_with_a_failure", schedule=None):
    [whole(), elsewhere.expand(number=[7, 8])] >> one.partial(fails_at=1).expand(number=[0, 1, 2])

with DAG("mapped_group_with_a_failure", schedule=None):

    @task_group
    def each(number: int):
        @task
        def begin(number: int) -> dict:
            return {"whose": "each.begin", "number": number}

        @task
        def end(result: dict) -> dict:
            if result["number"] == 2:
                raise ValueError("the last one")
            return {"whose": "each.end", "number": result["number"]}

        end(begin(number))

    [whole(), elsewhere.expand(number=[7, 8, 9])] >> each.expand(number=[0, 1, 2])
