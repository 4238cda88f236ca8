"""Steps of the data side tell of themselves, to whom the client's settings say; what is wrong there fails no step."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge.tracing import Lineage, LineageRun
from factory.contracts import DatasetRef
from factory.errors import FactoryError, WeekRejected
from factory.lineage import sending
from factory.lineage.data import of_file
from factory.lineage.sending import SETTLE_SECONDS
from factory.lineage.steps import Account, part_of, step
from factory.quality.checking import check_week
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.weeks import start_of
from factory.test_sets.freezing import freeze
from tests.lineage_graph import Events, parent_of, root_of, to_file

Cut = Callable[[int], DatasetRef]
TASK = LineageRun("airflow", "weekly.cut_week", "0190f8a4-0000-7000-8000-000000000001")
DAG_RUN = LineageRun("airflow", "weekly", "0190f8a4-0000-7000-8000-000000000002")


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Nothing is configured yet, and the sender is this test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sending, "_made", [])
    yield monkeypatch
    for name in [each for each in os.environ if each.startswith("OPENLINEAGE")]:
        del os.environ[name]  # the client adds some of its own


@pytest.fixture
def file(configured: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where events are written."""
    path = tmp_path / "events.jsonl"
    for name, value in to_file(path).items():
        configured.setenv(name, value)
    return path


@step(lambda _, *__, **___: Account("add"))
def add(one: int, other: int) -> int:
    return one + other


def test_a_week_is_a_chain_of_what_was_read_and_written(
    file: Path, settings: Settings, stock: Callable[..., object], goods: Callable[..., pd.DataFrame], cut: Cut
) -> None:
    stock(goods(400))
    dataset = check_week(settings, cut(1))

    events = Events.of_file(file)
    assert [event["eventType"] for event in events.told] == ["START", "COMPLETE"] * 3
    assert events.inputs("load/products") == {("origin", "invented goods")}
    tables = events.outputs("load/products")
    assert len(tables) == 2
    assert tables == events.inputs("cut/products")
    week, test = (of_file(each) for each in (dataset, dataset.test))
    assert events.outputs("cut/products") == {(each.namespace, each.name) for each in (week, test)}
    assert events.inputs("check/products") == {(week.namespace, week.name)}


def test_what_was_written_is_described(
    file: Path, settings: Settings, stock: Callable[..., object], goods: Callable[..., pd.DataFrame], cut: Cut
) -> None:
    stock(goods(400))
    dataset = cut(1)

    [rows, _] = Events.of_file(file).last("load/products")["outputs"]
    assert rows["outputFacets"]["outputStatistics"]["rowCount"] == 400
    assert "designation" in {column["name"] for column in rows["facets"]["schema"]["fields"]}
    [week, _] = Events.of_file(file).last("cut/products")["outputs"]
    assert week["facets"]["version"]["datasetVersion"] == dataset.sha256
    assert {"entity_id", "side"} <= {column["name"] for column in week["facets"]["schema"]["fields"]}
    size = Path(dataset.uri.removeprefix("file://")).stat().st_size
    statistics = week["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (dataset.rows, size)


def test_a_rejected_week_fails_with_its_findings(
    file: Path, settings: Settings, stock: Callable[..., object], goods: Callable[..., pd.DataFrame], cut: Cut
) -> None:
    stock(goods(400), goods(1, first=500).assign(prdtypecode="rare"))
    dataset = cut(21)
    with pytest.raises(WeekRejected) as rejected:
        check_week(settings, dataset)

    event = Events.of_file(file).last("check/products")
    assert event["eventType"] == "FAIL"
    assert event["run"]["facets"]["errorMessage"]["message"] == str(rejected.value)
    verdict, *findings = event["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert verdict == {"assertion": "accepted", "success": False, "severity": "error", "params": {}}
    assert any(each["severity"] == "error" for each in findings)


def test_a_later_test_set_is_an_input_of_the_cut(
    file: Path, settings: Settings, stock: Callable[..., object], goods: Callable[..., pd.DataFrame], cut: Cut
) -> None:
    stock(goods(400))
    check_week(settings, cut(1))
    stock(goods(200, first=400), created_at=start_of(2, settings.weeks.epoch))
    frozen = freeze(settings, "products", "somebody").test
    assert frozen is not None
    week = cut(2)

    events, test = Events.of_file(file), of_file(frozen.file)
    assert events.outputs("freeze/products") == {(test.namespace, test.name)}
    assert (test.namespace, test.name) in events.inputs("cut/products")
    assert events.outputs("cut/products") == {("file", of_file(week).name)}


def test_a_step_is_part_of_what_runs_it(file: Path, configured: pytest.MonkeyPatch) -> None:
    with part_of(Lineage(parent=TASK, root=DAG_RUN)):
        assert add(1, other=2) == 3
    configured.setenv("OPENLINEAGE_PARENT_ID", TASK.identifier)
    add(1, other=2)

    first, *_, last = Events.of_file(file).of("add")
    assert (parent_of(first), root_of(first)) == ((TASK.job, TASK.run_id), (DAG_RUN.job, DAG_RUN.run_id))
    assert (parent_of(last), root_of(last)) == ((TASK.job, TASK.run_id), (TASK.job, TASK.run_id))


def test_an_interrupted_step_is_aborted(file: Path) -> None:
    @step(lambda _: Account("wait"))
    def wait() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert Events.of_file(file).kinds("wait") == ["START", "ABORT"]


def test_jobs_are_of_the_namespace_of_airflows_provider(file: Path, configured: pytest.MonkeyPatch) -> None:
    add(1, other=2)
    configured.setenv("OPENLINEAGE_NAMESPACE", "factory")
    add(1, other=2)
    assert [event["job"]["namespace"] for event in Events.of_file(file).told] == ["default"] * 2 + ["factory"] * 2


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OPENLINEAGE_URL": "", "OPENLINEAGE__TRANSPORT": ""},
        {"OPENLINEAGE_URL": "http://receiver.test", "OPENLINEAGE_DISABLED": "true"},
    ],
)
def test_nothing_is_told_unless_it_is_asked_for(variables: dict[str, str], configured: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        configured.setenv(name, value)
    assert not sending.is_wanted()
    assert add(1, other=2) == 3
    assert sending._made == []


def test_a_file_of_the_client_counts_as_asked_for(tmp_path: Path, configured: pytest.MonkeyPatch) -> None:
    (tmp_path / "openlineage.yml").write_text("transport: {type: console}\n")
    assert sending.is_wanted()
    configured.chdir("/")
    assert not sending.is_wanted()
    configured.setenv("OPENLINEAGE_CONFIG", str(tmp_path / "openlineage.yml"))
    assert sending.is_wanted()


def test_the_console_shows_events_to_whoever_calls_a_step(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "factory", "freeze"]
    environment = {"OPENLINEAGE__TRANSPORT__TYPE": "console", "DATABASE_URL": f"sqlite:///{tmp_path}/catalogue.sqlite"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environment},
        cwd=Path(__file__).parents[3],
    )
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [event["eventType"] for event in told] == ["START", "FAIL"]
    assert told[0]["job"]["name"] == "freeze/products"


def test_a_receiver_gets_events_over_http(configured: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    received: list[tuple[str, dict]] = []

    def receive(request: Request) -> Response:
        received.append((request.headers["Authorization"], json.loads(request.data)))
        return Response(status=201)

    httpserver.expect_request("/api/v1/lineage", method="POST").respond_with_handler(receive)
    configured.setenv("OPENLINEAGE_URL", httpserver.url_for(""))
    configured.setenv("OPENLINEAGE_API_KEY", "a-key")
    add(1, other=2)
    assert [(key, event["eventType"], event["job"]["name"]) for key, event in received] == [
        ("Bearer a-key", "START", "add"),
        ("Bearer a-key", "COMPLETE", "add"),
    ]


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What a step has warned of, once."""

    def read() -> str:
        [record] = [each for each in caplog.records if each.name == sending.__name__]
        assert record.levelno == logging.WARNING
        return record.getMessage()

    return read


def test_a_receiver_that_is_down_is_one_warning_with_its_cause(
    configured: pytest.MonkeyPatch, warned: Callable[[], str]
) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        configured.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{unheard.getsockname()[1]}")
        assert add(1, other=2) == 3
    assert warned().startswith("2 of 2 lineage events of add were not sent (ConnectionError: ")
    assert "Connection refused" in warned()


def test_a_receiver_that_fails_is_one_warning_with_its_answer(
    configured: pytest.MonkeyPatch, warned: Callable[[], str], httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api/v1/lineage").respond_with_data("broken", status=500)
    configured.setenv("OPENLINEAGE_URL", httpserver.url_for("").replace("//", "//me:s3cret@"))
    assert add(1, other=2) == 3
    assert "500" in warned()
    assert len(httpserver.log) == 2 * (1 + sending.IMPATIENT["total"])
    assert "s3cret" not in warned()


def test_a_receiver_that_hangs_is_not_waited_for(configured: pytest.MonkeyPatch, warned: Callable[[], str]) -> None:
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        configured.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{hanging.getsockname()[1]}")
        configured.setattr(sending, "SETTLE_SECONDS", 0.2)
        began = time.monotonic()
        assert add(1, other=2) == 3
        assert time.monotonic() - began < SETTLE_SECONDS + sending.PREPARE_SECONDS
    assert warned().startswith("2 of 2 lineage events of add were not sent (no answer within 0.2 s)")


def test_a_transport_that_cannot_be_made_is_a_warning(
    configured: pytest.MonkeyPatch, warned: Callable[[], str]
) -> None:
    configured.setenv("OPENLINEAGE__TRANSPORT__TYPE", "pigeon")
    assert add(1, other=2) == 3
    assert "pigeon" in warned()


def test_what_the_step_raises_is_raised_whoever_listens(file: Path, settings: Settings) -> None:
    broken = settings.model_copy(update={"database_url": "no address"})
    with pytest.raises(FactoryError):
        cut_week(broken, "products", as_of=settings.weeks.epoch)
    assert Events.of_file(file).kinds("cut/products") == ["START", "FAIL"]
