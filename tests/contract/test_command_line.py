"""`bridge` as people and scripts use it: words, and an exit code; a process where pipes or signals count."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from bridge import cli
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.wire import find_deployment
from bridge.testing import FakePrefect
from tests.called import called
from tests.contract.conftest import running, start
from tests.live_prefect import LivePrefect, wait_until
from tests.odd_run import LEVELS, run_oddly

PATIENT_COMPLETION = """
import sys
from bridge import cli
from bridge.cli import completing

completing.ANSWER_SECONDS, completing.RUNS_OFFERED = 120, 200
sys.argv = ["bridge"]
cli.main()
"""
"""The command as the shell completes it, but for the haste: others use this server, and the machine, as well."""


@pytest.fixture
def bridge(prefect: LivePrefect):
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return called(cli.main, *arguments, environment=prefect.environment | environment)

    return run


def test_a_run_is_followed_to_its_result(bridge) -> None:
    done = bridge("run", "echo/t", "--param", "text=hi there", "-p", "number=3", "--wait")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"text": "hi there", "number": 3}
    for word in ("Started", "Completed", "echoing hi there", "/runs/flow-run/"):
        assert word in done.stderr


def test_json_is_all_that_stands_on_stdout(bridge) -> None:
    done = bridge("run", "echo/t", "--wait", "--json")
    document = json.loads(done.stdout)
    assert document["state"] == "COMPLETED"
    assert document["result"] == {"text": "hello", "number": 1}


def test_a_run_that_fails_exits_with_1_and_says_why(bridge) -> None:
    done = bridge("run", "fail/t", "-p", "message=the disk is full", "--wait")
    assert done.returncode == 1
    assert "the disk is full" in done.stderr.splitlines()[-1]


def test_a_skip_succeeds_and_gives_the_reason(bridge) -> None:
    done = bridge("run", "skip/t", "--wait")
    assert done.returncode == 0
    assert "there is nothing to do" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "echo/t", "-p", "number=three"],
        ["run", "echo/t", "-p", "colour=red"],
        ["run", "echo/t", "-p", "number"],
        ["run"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(bridge, arguments: list[str]) -> None:
    assert bridge(*arguments).returncode == 2


def test_what_is_not_there_exits_with_3(bridge, unused_tcp_port: int) -> None:
    assert bridge("run", "nope/t").returncode == 3
    assert bridge("status", "00000000-0000-4000-8000-000000000000").returncode == 3
    away = bridge("doctor", PREFECT_API_URL=f"http://127.0.0.1:{unused_tcp_port}/api")
    assert away.returncode == 3
    assert "cannot be reached" in away.stderr
    assert "PREFECT_API_URL names this address" in away.stderr
    assert "bridge doctor" not in away.stderr
    assert "Traceback" not in away.stderr


def test_the_same_key_never_starts_a_second_run(bridge) -> None:
    ids = {json.loads(bridge("run", "echo/t", "--key", "today", "--json").stdout)["id"] for _ in range(2)}
    assert len(ids) == 1


def test_status_and_cancel_tell_the_truth(bridge, client: PrefectClient, tmp_path: Path) -> None:
    run = running(client, start(client, "hold/t", path=str(tmp_path / "never")))
    assert json.loads(bridge("status", run.id, "--json").stdout)["state"] == "RUNNING"
    cancelled = bridge("cancel", run.id)
    assert cancelled.returncode == 0
    assert "is cancelled" in cancelled.stderr or "is still CANCELLING" in cancelled.stderr
    followed = bridge("watch", run.id)
    assert followed.returncode == 1
    assert "was cancelled" in followed.stderr
    again = bridge("cancel", run.id)
    assert again.returncode == 0
    assert "Nothing to cancel" in again.stderr


def test_a_run_that_fails_is_told_to_scripts_as_well(bridge) -> None:
    done = bridge("run", "fail/t", "--wait", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["state"], document["error"], document["result"]) == ("FAILED", "FlowRunFailed", None)


def test_waiting_ends_in_time_and_leaves_the_run_alone(bridge, client: PrefectClient, tmp_path: Path) -> None:
    over = bridge("run", "hold/t", "-p", f"path={tmp_path / 'go'}", "--wait", "--timeout", "3", "--json")
    assert over.returncode == 4, over.stderr
    document = json.loads(over.stdout)
    assert document["error"] == "FlowRunTimedOut"
    assert document["state"] in {"SCHEDULED", "PENDING", "RUNNING"}
    assert f"bridge watch {document['id']}" in over.stderr
    (tmp_path / "go").touch()
    assert bridge("watch", document["id"], "--timeout", "60").returncode == 0


def test_a_timeout_without_waiting_is_wrong_usage(bridge) -> None:
    refused = bridge("run", "echo/t", "--timeout", "3")
    assert refused.returncode == 2
    assert "--wait" in refused.stderr


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_go_on(
    bridge, prefect: LivePrefect, client: PrefectClient, tmp_path: Path
) -> None:
    run = running(client, start(client, "hold/t", path=str(tmp_path / "go")))
    command = [str(Path(sys.executable).with_name("bridge")), "watch", run.id]
    # A process started in the background may have SIGINT ignored.
    watching = subprocess.Popen(
        ["env", "--default-signal=INT", *command], env=prefect.environment, stderr=subprocess.PIPE, text=True
    )
    assert watching.stderr is not None
    assert "Running" in watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    said = watching.stderr.read()
    assert watching.wait(timeout=30) == 130
    assert f"bridge cancel {run.id}" in said
    assert json.loads(bridge("status", run.id, "--json").stdout)["state"] == "RUNNING"
    (tmp_path / "go").touch()


def test_a_retry_runs_the_same_run_again(bridge, tmp_path: Path) -> None:
    failed = bridge("run", "fail-once/t", "-p", f"path={tmp_path / 'tried'}", "--wait", "--json")
    assert failed.returncode == 1
    flow_run_id = json.loads(failed.stdout)["id"]
    retried = bridge("retry", flow_run_id, "--wait", "--json")
    assert retried.returncode == 0, retried.stderr
    document = json.loads(retried.stdout)
    assert document["id"] == flow_run_id
    assert document["result"] == {"text": "second", "number": 2}
    done = bridge("retry", flow_run_id)
    assert done.returncode == 2
    assert "completed" in done.stderr


def test_the_log_is_printed_and_followed(bridge) -> None:
    started = json.loads(bridge("run", "echo/t", "-p", "text=to be logged", "--json").stdout)
    followed = bridge("logs", started["id"], "--follow")
    assert followed.returncode == 0
    assert "echoing to be logged" in followed.stdout
    assert followed.stdout.splitlines()[-1].endswith("Finished in state Completed()")
    lines = [json.loads(line) for line in bridge("logs", started["id"], "--json").stdout.splitlines()]
    assert "echoing to be logged" in {line["message"] for line in lines}
    assert {line["level"] for line in lines} >= {"INFO"}
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    assert bridge("logs", started["id"], "--level", "critical").stdout == ""


def test_runs_are_listed_by_deployment_state_tag_and_age(bridge, client: PrefectClient) -> None:
    tag = f"listed-{uuid4().hex[:6]}"
    good = json.loads(bridge("run", "echo/t", "--tag", tag, "--wait", "--json").stdout)["id"]
    bad = json.loads(bridge("run", "fail/t", "--tag", tag, "--wait", "--json").stdout)["id"]

    def listed(*arguments: str) -> list[str]:
        shown = bridge("runs", "--tag", tag, "--json", *arguments)
        assert shown.returncode == 0, shown.stderr
        return [row["id"] for row in json.loads(shown.stdout)]

    assert listed() == [bad, good]
    assert listed("--state", "failed") == [bad]
    assert listed("--state", "failed", "--state", "Completed") == [bad, good]
    assert listed("--state", "Late") == []
    assert listed("--deployment", "echo/t") == [good]
    assert listed("--limit", "1") == [bad]
    assert listed("--since", "1h") == [bad, good]
    assert listed("--since", "2999-01-01") == []
    header, *rows = bridge("runs", "--tag", tag).stdout.splitlines()
    assert header.split("\t")[:3] == ["id", "name", "deployment"]
    assert [row.split("\t")[2] for row in rows] == ["fail/t", "echo/t"]
    assert bridge("runs", "--since", "yesterday").returncode == 2


def test_a_state_that_nobody_ever_heard_of_is_a_slip(bridge) -> None:
    refused = bridge("runs", "--state", "bogus")
    assert refused.returncode == 2
    assert "'bogus'" in refused.stderr
    for known in ("failed", "Late", "AwaitingRetry"):
        assert known in refused.stderr


def test_runs_read_well_on_a_narrow_terminal() -> None:
    name, deployment = "a-name-that-somebody-made-up-with-care", "monitor-and-retrain/products-of-the-autumn"
    with FakePrefect() as prefect:
        prefect.deployment(deployment)
        run = prefect.run(deployment)
        prefect._state.run(run.id)["name"] = name
        shown = {columns: on_a_terminal("runs", prefect, columns) for columns in (80, 200)}
    [first, second, third] = [line.rstrip() for line in shown[80].splitlines()[1:]]
    assert first.startswith(f"{run.id}  ")
    assert (second, third) == (f"    {name}", f"    {deployment}")
    assert max(map(len, (first, second, third))) <= 80
    wide = shown[200].splitlines()[-1]
    assert all(text in wide for text in (run.id, name, deployment))


def on_a_terminal(command: str, prefect: FakePrefect, columns: int) -> str:
    """What a person sees; `script` gives the command a terminal."""
    words = f"{Path(sys.executable).with_name('bridge')} {command}"
    variables = {
        **os.environ,
        "PREFECT_API_URL": prefect.api_url,
        "TERM": "xterm",
        "NO_COLOR": "1",
        "COLUMNS": str(columns),
    }
    shown = subprocess.run(["script", "-qec", words, "/dev/null"], env=variables, capture_output=True, text=True)
    return shown.stdout


def test_a_reader_that_leaves_ends_the_command_without_a_word(prefect: LivePrefect) -> None:
    bridge = Path(sys.executable).with_name("bridge")
    script = f"{bridge} deployments --json | head -1; echo ${{PIPESTATUS[0]}}"
    shown = subprocess.run(["bash", "-c", script], env=prefect.environment, capture_output=True, text=True)
    first, code = shown.stdout.split()
    assert first == "["
    assert code in {"0", "141"}  # a short answer may be written before the reader has left
    assert shown.stderr == ""


def test_a_closed_pipe_has_an_exit_code_of_its_own(prefect: LivePrefect) -> None:
    command = [str(Path(sys.executable).with_name("bridge")), "deployments"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        ended = subprocess.run(command, env=prefect.environment, stdout=gone, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_names_are_completed_by_the_shell_and_errors_never_shown(
    prefect: LivePrefect, bridge, unused_tcp_port: int
) -> None:
    def completed(words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        asked = {"_BRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return subprocess.run(
            [sys.executable, "-c", PATIENT_COMPLETION],
            env={**prefect.environment, **asked, **environment},
            capture_output=True,
            text=True,
        )

    assert completed("bridge run ec").stdout.split() == ["echo/t"]
    assert "fail/t" in completed("bridge doctor ").stdout.split()
    started = json.loads(bridge("run", "echo/t", "--json").stdout)["id"]
    assert started in completed("bridge watch ").stdout.split()
    for broken in (f"http://127.0.0.1:{unused_tcp_port}/api", "no address"):
        silent = completed("bridge run ec", PREFECT_API_URL=broken)
        assert (silent.stdout.strip(), silent.stderr) == ("", "")


def test_colour_is_left_out_where_it_is_not_wanted(prefect: LivePrefect) -> None:
    command = f"{Path(sys.executable).with_name('bridge')} deployments"
    shown = {}
    for name, more in {"plain": {"NO_COLOR": "1"}, "coloured": {}}.items():
        variables = {**prefect.environment, "TERM": "xterm-256color", "COLUMNS": "100", **more}
        variables.pop("NO_COLOR", None) if not more else None
        # `script` gives the command a terminal
        shown[name] = subprocess.run(
            ["script", "-qec", command, "/dev/null"], env=variables, capture_output=True, text=True
        ).stdout
    assert "echo/t" in shown["plain"]
    assert "\x1b[3" not in shown["plain"]
    assert "\x1b[" in shown["coloured"]


def test_every_exit_code_is_told_by_the_help(bridge) -> None:
    from bridge.cli import exit_codes

    told = bridge("--help").stdout
    for code, _ in exit_codes.TABLE:
        assert re.search(rf"• {code} ", told), code


def test_deployments_are_listed_with_their_parameters(bridge) -> None:
    rows = {row["deployment"]: row for row in json.loads(bridge("deployments", "--json").stdout)}
    assert rows["echo/t"]["parameters"] == "text, number"
    assert "echo/t\t" in bridge("deployments").stdout


def test_the_doctor_finds_nothing_amiss(bridge) -> None:
    done = bridge("doctor", "echo/t", "--json")
    assert done.returncode == 0, done.stdout
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert list(findings) == ["API", "credentials", "deployment echo/t", "event socket"]
    assert all(finding["in order"] for finding in findings.values())
    assert findings["event socket"]["detail"].startswith("open")


def test_the_doctor_names_a_run_whose_heartbeats_have_stopped(bridge, prefect: LivePrefect) -> None:
    silent, lively, quiet = (prefect.run_by_hand("RUNNING") for _ in range(3))
    now = datetime.now(UTC)
    for run, ages in ((silent, (150, 120)), (lively, (40, 10))):
        beats = [
            {
                "id": str(uuid4()),
                "event": "prefect.flow-run.heartbeat",
                "occurred": (now - timedelta(seconds=age)).isoformat(),
                "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
            }
            for age in ages
        ]
        prefect.request("POST", "/events", beats)

    def named() -> str:
        findings = json.loads(bridge("doctor", "--json").stdout)
        return "".join(finding["remedy"] for finding in findings if "heartbeat" in finding["detail"])

    try:
        wait_until(lambda: silent in named(), "the doctor has heard of the heartbeats")
        assert lively not in named()
        assert quiet not in named()
        assert bridge("doctor").returncode == 3
    finally:
        for run in (silent, lively, quiet):
            prefect.put_state(run, "CANCELLED")


def test_the_doctor_tells_that_the_event_socket_is_missing(bridge) -> None:
    """Which is no fault: everything works without it, a little later."""
    with FakePrefect() as prefect:
        prefect.deployment("echo/t")
        prefect.faults.refuse_socket()
        done = bridge("doctor", "echo/t", "--json", PREFECT_API_URL=prefect.api_url)
    assert done.returncode == 0, done.stderr
    [socket] = [finding for finding in json.loads(done.stdout) if finding["what"] == "event socket"]
    assert "403" in socket["detail"]
    assert "websockets" in socket["remedy"]


def test_a_submission_without_an_answer_names_the_key_to_ask_again_with(bridge) -> None:
    with FakePrefect() as prefect:
        prefect.deployment("echo/t")
        prefect.faults.lose_answer(times=8, path="create_flow_run")
        lost = bridge("run", "echo/t", "--wait", PREFECT_API_URL=prefect.api_url)
        assert lost.returncode == 3
        [key] = re.findall(r"--key (\S+)", lost.stderr)
        again = bridge("run", "echo/t", "--key", key, PREFECT_API_URL=prefect.api_url)
        assert again.returncode == 0, again.stderr
        assert len(prefect.runs("echo/t")) == 1


def test_the_doctor_names_what_is_missing_and_the_remedy(bridge) -> None:
    done = bridge("doctor", "nope/t", "--json")
    assert done.returncode == 3
    [absent] = [finding for finding in json.loads(done.stdout) if not finding["in order"]]
    assert absent["what"] == "deployment nope/t"
    assert absent["remedy"] == "prefect deploy --all"


def test_the_doctor_tells_that_nobody_serves_a_deployment(bridge) -> None:
    with FakePrefect() as prefect:
        prefect.deployment("echo/t", ready=False)
        done = bridge("doctor", "echo/t", PREFECT_API_URL=prefect.api_url)
    assert done.returncode == 3
    assert "served by nobody" in done.stdout
    assert "start the process that serves it" in done.stdout


def test_how_long_a_run_has_run_is_told_while_it_runs(bridge) -> None:
    with FakePrefect() as prefect:
        prefect.deployment("echo/t")
        prefect.on_run("echo/t", state="RUNNING")
        run = prefect.run("echo/t")
        wait_until(lambda: prefect.read(run).run_seconds > 0.1, "the run has run for a tenth of a second")
        [row] = json.loads(bridge("runs", "--json", PREFECT_API_URL=prefect.api_url).stdout)
    assert (row["state"], row["run_seconds"] > 0.1) == ("RUNNING", True)


def test_the_doctor_looks_for_a_worker_on_the_pool(bridge, client: PrefectClient, prefect: LivePrefect) -> None:
    prefect.request("POST", "/work_pools/", {"name": "attended", "type": "process"})
    flow = client.run(find_deployment("echo/t")).flow_id
    document = {"name": "pooled", "flow_id": flow, "work_pool_name": "attended", "entrypoint": "x:y", "path": "."}
    created = prefect.request("POST", "/deployments/", document)
    try:
        without = bridge("doctor", "echo/pooled")
        assert without.returncode == 3
        assert "prefect worker start --pool attended" in without.stdout
        prefect.request("POST", "/work_pools/attended/workers/heartbeat", {"name": "w"})
        assert bridge("doctor", "echo/pooled").returncode == 0
    finally:
        prefect.request("DELETE", f"/deployments/{created['id']}")


def test_the_address_of_the_web_interface_is_told_from_the_apis(bridge, prefect: LivePrefect) -> None:
    pages = bridge("doctor", PREFECT_API_URL=prefect.api_url.removesuffix("/api"))
    assert pages.returncode == 3
    assert len(pages.stderr.splitlines()) == 1
    assert "/api" in pages.stderr


def test_a_prefect_that_goes_away_is_waited_for(mortal: LivePrefect) -> None:
    """The server is killed while the run is watched, and comes back: the watch goes on to the run's end."""
    flow_run_id = mortal.run_by_hand("PENDING", "RUNNING")
    command = [str(Path(sys.executable).with_name("bridge")), "watch", flow_run_id, "--json"]
    watching = subprocess.Popen(
        command, env=mortal.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watching.stderr is not None
    assert "Running" in watching.stderr.readline()
    mortal.kill()
    try:
        assert "does not answer" in watching.stderr.readline()
        impatient = subprocess.run(
            [*command, "--patience", "0"], env=mortal.environment, capture_output=True, text=True, timeout=60
        )
    finally:
        mortal.start()
    assert impatient.returncode == 3
    assert "it may go on" in impatient.stderr
    assert "answers again" in watching.stderr.readline()
    mortal.put_state(flow_run_id, "COMPLETED")
    stdout, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert json.loads(stdout)["state"] == "COMPLETED"


def test_task_names_odd_levels_and_a_result_that_cannot_cross_are_shown(bridge, prefect: LivePrefect) -> None:
    flow_run_id = run_oddly(prefect)
    shown = bridge("logs", flow_run_id)
    assert shown.returncode == 0
    for level in LEVELS:
        [line] = [line for line in shown.stdout.splitlines() if f"a line at level {level}" in line]
        assert "clean-3" in line
    [line] = [line for line in shown.stdout.splitlines() if "a line of the flow" in line]
    assert "clean-3" not in line
    lines = [json.loads(line) for line in bridge("logs", flow_run_id, "--json").stdout.splitlines()]
    assert len(lines) == len(LEVELS) + 1
    followed = bridge("watch", flow_run_id)
    assert followed.returncode != 0
    assert "result.score is nan" in followed.stderr
    assert "Traceback" not in followed.stderr
    assert bridge("status", flow_run_id, "--json").returncode == 0
