"""`python -m flows.serving`: deployments without a work pool, whose flow runs are forked from a warm process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.serving import main
from tests.called import called
from tests.live_prefect import wait_until

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect

CHECKOUT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9/api"

Start = Callable[..., "subprocess.Popen[bytes]"]

FLOW = """
import gc, json, os, sys, time
from pathlib import Path
from prefect import flow, get_run_logger

def tell(flow, flow_run, state):
    Path(flow_run.parameters["folder"], state.type.value).write_text(str(os.getpid()))

@flow(name="sleeper", on_crashed=[tell], on_cancellation=[tell])
def sleeper(folder: str, seconds: float = 0) -> None:
    told = {
        "pid": os.getpid(),
        "warm": sorted({"mlflow", "sklearn", "skops.io"} & set(sys.modules)),
        "run": os.environ["PREFECT__FLOW_RUN_ID"],
        "frozen": gc.get_freeze_count(),
    }
    Path(folder, "begun.part").write_text(json.dumps(told))
    Path(folder, "begun.part").rename(Path(folder, "begun"))
    get_run_logger().info("asleep for %s s", seconds)
    time.sleep(seconds)
"""

DECLARED = """
deployments:
  - name: test
    entrypoint: sleeper.sleeper
    description: Sleeps.
    parameters: {}
    tags: []
    schedules: []
"""


def stat(pid: int) -> list[str]:
    """What the kernel tells of a process behind its name: state, parent and so on; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid: int) -> bool:
    return stat(pid)[:1] not in ([], ["Z"])


def parent_of(pid: int) -> int:
    return int(stat(pid)[1])


@pytest.fixture
def serve(start: Start, command: Callable[[str], str], tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Serves the deployments of a file for a test; returns once it says so."""

    def begin(declared: Path, **variables: str) -> subprocess.Popen[bytes]:
        return begin_to_serve(start, command("python"), declared, tmp_path / "serving.log", **variables)

    return begin


def begin_to_serve(begin: Start, python: str, declared: Path, log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Started as by a shell's `&`: without Ctrl-C."""
    process = begin(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", python, "-m", "flows.serving", "--deployments", str(declared)],
        log,
        PYTHONPATH=str(declared.parent),
        PREFECT_RUNNER_POLL_FREQUENCY="1",
        **variables,
    )
    wait_until(lambda: process.poll() is not None or "serving " in log.read_text(), "the flows are served", 120)
    assert process.poll() is None, log.read_text()[-3000:]
    return process


@pytest.fixture(scope="module")
def sleeper(
    prefect_server: Prefect,
    start_for_all: Start,
    command: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], Path]]]:
    """The process that serves `sleeper/test`, and its log; another one once a test has ended it."""
    folder = tmp_path_factory.mktemp("sleeper")
    declared = folder / "declared.yaml"
    declared.write_text(DECLARED)
    (folder / "sleeper.py").write_text(FLOW)
    served: list[tuple[subprocess.Popen[bytes], Path]] = []

    def living() -> tuple[subprocess.Popen[bytes], Path]:
        if not served or served[-1][0].poll() is not None:
            log = folder / f"serving-{len(served)}.log"
            served.append((begin_to_serve(start_for_all, command("python"), declared, log), log))
        return served[-1]

    yield living
    prefect_server.request("DELETE", f"deployments/{prefect_server.deployments()['sleeper/test']['id']}")


@pytest.fixture
def serving(sleeper: Callable[[], tuple[subprocess.Popen[bytes], Path]]) -> subprocess.Popen[bytes]:
    """The process that serves `sleeper/test`."""
    return sleeper()[0]


@pytest.fixture
def begin(prefect: Prefect, tmp_path: Path) -> Callable[[float], tuple[str, Path]]:
    """Starts a run that sleeps for so many seconds; gives its id and the folder in which it tells of itself."""

    def submit(seconds: float) -> tuple[str, Path]:
        folder = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        folder.mkdir()
        return prefect.begin("sleeper/test", {"folder": str(folder), "seconds": seconds}), folder

    return submit


def begun(folder: Path) -> dict[str, Any]:
    """What the run tells of the process in which it began."""
    wait_until((folder / "begun").exists, "the flow has begun")
    return dict(json.loads((folder / "begun").read_text()))


def test_the_deployments_of_prefect_yaml_are_served_without_their_pool_and_run(
    home: Home, prefect: Prefect, serve: Callable[..., subprocess.Popen[bytes]]
) -> None:
    home.cut(1)
    prefect.post("work_pools/", {"name": "kept", "type": "process"})
    flow = prefect.post("flows/", {"name": "score"})["id"]
    prefect.post("deployments/", {"name": "products", "flow_id": flow, "work_pool_name": "kept"})
    serve(CHECKOUT / "prefect.yaml", MONITOR_SCHEDULE_ACTIVE="false")

    made = {name: entry for name, entry in prefect.deployments().items() if name.endswith("/products")}
    flows = ("monitor-and-retrain", "promotion", "score", "training-pipeline")
    assert set(made) == {f"{flow}/products" for flow in flows}
    for entry in made.values():
        assert (entry["work_pool_name"], entry["path"]) == (None, None)
        assert (entry["parameters"], entry["tags"]) == ({"use_case": "products"}, ["products", "watched"])
    schedules = made["monitor-and-retrain/products"]["schedules"]
    assert [(each["schedule"]["cron"], each["active"]) for each in schedules] == [("0 9 * * *", False)]

    run = prefect.ended(prefect.begin("score/products", {"week_number": 1}))
    assert run["state_type"] == "COMPLETED"
    (result,) = prefect.results(run["id"])
    assert result["data"]["reason"] == "there is no champion yet"


def test_runs_begin_warm_each_in_a_process_of_its_own_and_their_log_reaches_prefect(
    prefect: Prefect, serving: subprocess.Popen[bytes], begin: Callable[[float], tuple[str, Path]]
) -> None:
    runs = [begin(0.5), begin(0.5)]

    told = [begun(folder) for _, folder in runs]
    assert [prefect.ended(run)["state_type"] for run, _ in runs] == ["COMPLETED", "COMPLETED"]
    assert [each["warm"] for each in told] == [["mlflow", "sklearn", "skops.io"]] * 2
    assert all(each["frozen"] > 100_000 for each in told), "a collection in a child copies what it shares"
    assert [each["run"] for each in told] == [run for run, _ in runs]
    assert len({serving.pid, *(each["pid"] for each in told)}) == 3
    for run, _ in runs:
        logs = {"logs": {"flow_run_id": {"any_": [run]}}}
        wait_until(
            lambda asked=logs: "asleep for 0.5 s" in [line["message"] for line in prefect.post("logs/filter", asked)],
            "the flow's own line is with Prefect",
        )


def test_a_cancelled_run_ends_cancelled_and_its_process_with_it(
    prefect: Prefect, serving: subprocess.Popen[bytes], begin: Callable[[float], tuple[str, Path]]
) -> None:
    run, folder = begin(600)
    pid = begun(folder)["pid"]

    prefect.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

    assert prefect.ended(run)["state_type"] == "CANCELLED"
    wait_until((folder / "CANCELLING").exists, "its hook has run")
    wait_until(lambda: not is_alive(pid), "its process is gone")


def test_a_run_whose_process_is_killed_crashes_and_its_hook_is_run_by_the_one_that_serves(
    prefect: Prefect, serving: subprocess.Popen[bytes], begin: Callable[[float], tuple[str, Path]]
) -> None:
    run, folder = begin(600)
    os.kill(begun(folder)["pid"], signal.SIGKILL)

    assert prefect.ended(run)["state_type"] == "CRASHED"
    wait_until((folder / "CRASHED").exists, "its hook has run")
    assert begun(folder)["pid"] != int((folder / "CRASHED").read_text()) == serving.pid
    again, _ = begin(0)
    assert prefect.ended(again)["state_type"] == "COMPLETED"


def test_a_run_does_not_outlive_the_warm_process_by_which_its_end_is_known(
    prefect: Prefect, serving: subprocess.Popen[bytes], begin: Callable[[float], tuple[str, Path]]
) -> None:
    """Prefect takes it for crashed, and whoever asked for it may start another."""
    run, folder = begin(600)
    pid = begun(folder)["pid"]

    os.kill(parent_of(pid), signal.SIGKILL)

    assert prefect.ended(run)["state_type"] == "CRASHED"
    wait_until(lambda: not is_alive(pid), "its process is gone")
    again, _ = begin(0)
    assert prefect.ended(again)["state_type"] == "COMPLETED"


@pytest.mark.parametrize("ctrl_c", [False, True])
def test_a_serving_process_that_is_ended_takes_its_runs_and_the_warm_process_with_it(
    prefect: Prefect,
    serving: subprocess.Popen[bytes],
    sleeper: Callable[[], tuple[subprocess.Popen[bytes], Path]],
    begin: Callable[[float], tuple[str, Path]],
    *,
    ctrl_c: bool,
) -> None:
    """By a signal to it alone, or by a terminal's, which reaches every process."""
    _, log = sleeper()
    run, folder = begin(600)
    pid = begun(folder)["pid"]
    warm, before = parent_of(pid), log.stat().st_size

    if ctrl_c:
        os.killpg(serving.pid, signal.SIGINT)
    else:
        os.kill(serving.pid, signal.SIGTERM)

    wait_until(lambda: serving.poll() is not None, "it has ended")
    wait_until(lambda: not is_alive(pid) and not is_alive(warm), "no process is left")
    assert serving.returncode == 0
    assert prefect.ended(run)["state_type"] == "CRASHED"
    assert b"Traceback" not in log.read_bytes()[before:]


def test_a_library_that_is_missing_is_told_before_anything_is_served(
    start: Start, command: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "datasketch.py").write_text("raise ImportError('not the right one')")
    (tmp_path / "sleeper.py").write_text(FLOW)
    (tmp_path / "declared.yaml").write_text(DECLARED)
    log = tmp_path / "serving.log"

    process = start(
        [command("python"), "-m", "flows.serving", "--deployments", "declared.yaml"], log, PYTHONPATH=str(tmp_path)
    )

    assert process.wait(120) == 1
    assert "ImportError: not the right one" in log.read_text()
    assert log.read_text().endswith("flows.warm cannot be imported; the error stands above\n")


@pytest.mark.parametrize(
    ("api", "arguments", "said"),
    [
        ("", [], "PREFECT_API_URL is not set"),
        (NOBODY, ["--deployments", "nowhere.yaml"], "there is no nowhere.yaml"),
        (NOBODY, ["--deployments", "docker-compose.prefect.yml"], "as prefect.yaml does: 'deployments'"),
        (NOBODY, ["--deployments", "{folder}/unknown.yaml"], "No module named 'nowhere'"),
        (NOBODY, [], f"no Prefect server answers at {NOBODY}"),
    ],
)
def test_what_is_missing_is_said(api: str, arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "unknown.yaml").write_text(DECLARED.replace("sleeper.sleeper", "nowhere.sleeper"))
    words = [each.format(folder=tmp_path) for each in arguments]

    with temporary_settings({PREFECT_API_URL: api or None}):
        done = called(main, *words, environment={}, cwd=CHECKOUT)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
