"""`BridgeNotifier` tells how a DAG run went, whichever of Airflow's callbacks it is given to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from pytest_httpserver import HTTPServer

from bridge.in_airflow.links import FLOW_RUN_URL_KEY
from bridge.in_airflow.notifier import BridgeNotifier
from bridge.notifications.discord import send
from bridge.notifications.message import Level, Message
from tests.airflow.dags.mapped import Numbers

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag


class Trained(BaseModel):
    f1: float

    def facts(self) -> dict[str, str]:
        return {"F1": f"{self.f1:.2f}"}

    def reservations(self) -> list[str]:
        return [] if self.f1 > 0.75 else ["Not promoted: too weak"]

    def links(self) -> dict[str, str]:
        return {"Model": "http://mlflow/m"}


@dataclass
class Ti:
    """A task instance, as far as a notifier looks at it."""

    task_id: str = "train"
    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)
    map_index: int = -1

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.xcoms.get((task_ids, key))


def trained(f1: float) -> Ti:
    url = "http://prefect/runs/flow-run/1"
    return Ti(xcoms={("train", "return_value"): {"f1": f1}, ("train", FLOW_RUN_URL_KEY): url})


def context(ti: Ti | None, **more: Any) -> dict[str, Any]:
    here = {"dag": SimpleNamespace(dag_id="weekly"), "run_id": "manual__2026-01-05T07:05:00+00:00", **more}
    return here if ti is None else {**here, "ti": ti}


@pytest.fixture
def notifier() -> BridgeNotifier:
    return BridgeNotifier(results={"train": Trained}, links={"MLflow": "http://mlflow"})


def test_a_run_that_went_well_is_green_with_facts_and_links(notifier: BridgeNotifier) -> None:
    message = notifier.compose(context(trained(0.9), reason="success"))
    assert (message.level, message.title) == (Level.SUCCESS, "weekly succeeded")
    assert message.facts == {"F1": "0.90"}
    assert message.links == {
        "Airflow": "http://airflow.test/dags/weekly/runs/manual__2026-01-05T07%3A05%3A00%2B00%3A00",
        "Prefect": "http://prefect/runs/flow-run/1",
        "MLflow": "http://mlflow",
        "Model": "http://mlflow/m",
    }


def test_a_reservation_makes_it_yellow(notifier: BridgeNotifier) -> None:
    message = notifier.compose(context(trained(0.5), reason="success"))
    assert message.level is Level.WARNING
    assert message.sentences == ("Not promoted: too weak",)


def test_a_failed_task_is_red_with_its_reason_and_its_own_links(notifier: BridgeNotifier) -> None:
    message = notifier.compose(context(trained(0.9), exception=ValueError("the disk is full")))
    assert (message.level, message.title) == (Level.FAILURE, "weekly: train failed")
    assert message.sentences == ("the disk is full",)
    assert message.links["Airflow"].endswith("/tasks/train")
    assert message.links["Prefect"] == "http://prefect/runs/flow-run/1"


@pytest.mark.parametrize("reason", ["task_failure", "all_tasks_deadlocked", "timed_out"])
@pytest.mark.parametrize("ti", [None, trained(0.9)])
def test_as_the_dags_failure_callback_it_never_tells_of_a_success(
    notifier: BridgeNotifier, reason: str, ti: Ti | None
) -> None:
    message = notifier.compose(context(ti, reason=reason))
    assert (message.level, message.title) == (Level.FAILURE, "weekly failed")
    assert reason.replace("_", " ") in message.sentences[0]


def test_a_run_without_any_result_is_told_all_the_same(notifier: BridgeNotifier) -> None:
    assert notifier.compose(context(None, reason="success")).title == "weekly succeeded"
    assert notifier.compose(context(Ti(), reason="success")).facts == {}


def test_a_result_of_another_form_is_left_out(notifier: BridgeNotifier) -> None:
    strange = Ti(xcoms={("train", "return_value"): {"something": "else"}})
    assert notifier.compose(context(strange, reason="success")).facts == {}


def test_the_address_is_read_when_there_is_something_to_say(
    notifier: BridgeNotifier, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data(status=204)
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", httpserver.url_for("/hook"))
    notifier.notify(context(trained(0.9), reason="success"))
    [(request, _)] = httpserver.log
    assert request.get_json()["embeds"][0]["title"].endswith("weekly succeeded")


def test_nobody_listening_does_not_fail_the_callback(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.in_airflow.notifier.send", partial(send, budget_seconds=0.3))
    failing = BridgeNotifier(webhook_url=f"http://127.0.0.1:{unused_tcp_port}/hook")
    failing.notify(context(trained(0.9), reason="success"))


class Recorder(BridgeNotifier):
    """Keeps the messages instead of sending them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.told: list[Message] = []

    def notify(self, context: Mapping[str, Any]) -> None:
        self.told.append(self.compose(context))


@pytest.fixture
def heard(scenarios: DagBag) -> Callable[[str], Recorder]:
    """What is told of a run of that DAG, by its tasks that fail and by its task `last`."""

    def run(dag_id: str) -> Recorder:
        dag = scenarios.dags[dag_id]
        recorder = Recorder(results=dict.fromkeys(["whole", "one", "elsewhere", "each.begin", "each.end"], Numbers))
        for task in dag.tasks:
            task.on_failure_callback = [recorder]
            if task.task_id == "last":
                task.on_success_callback = [recorder]
        dag.test()
        return recorder

    return run


def test_a_mapped_member_that_fails_is_told_of_by_itself(heard: Callable[[str], Recorder]) -> None:
    """Airflow keeps each member's results and links apart; what is not mapped is told as well."""
    [message] = heard("mapped_with_a_failure").told
    assert message.title == "mapped_with_a_failure: one[1] failed"
    assert message.sentences == ("number 1 is too much",)
    assert message.facts == {"number of whole": "100"}
    assert message.links["Airflow"].endswith("/tasks/one/mapped/1")
    assert message.links["Prefect"] == "http://prefect/one/1"


def test_a_member_of_a_mapped_group_is_told_with_its_fellows(heard: Callable[[str], Recorder]) -> None:
    [message] = heard("mapped_group_with_a_failure").told
    assert message.title == "mapped_group_with_a_failure: each.end[2] failed"
    assert message.facts == {"number of whole": "100", "number of each.begin": "2"}
    assert message.links["Airflow"].endswith("/tasks/each.end/mapped/2")


def test_every_result_of_a_mapped_task_is_told_when_all_went_well(heard: Callable[[str], Recorder]) -> None:
    [message] = heard("mapped_well").told
    assert message.facts == {
        "number of whole": "100",
        "number of one (1 of 3)": "0",
        "number of one (2 of 3)": "1",
        "number of one (3 of 3)": "2",
    }
    assert [url for name, url in message.links.items() if name.startswith("Prefect (")] == [
        f"http://prefect/one/{number}" for number in range(3)
    ]
