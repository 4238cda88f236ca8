"""The supervisor with small real processes: order, failure, and that nothing ever stays behind."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from stack.lifecycle import follow, running, stop
from stack.processes import find_processes
from stack.settings import StackError, StackSettings, free_ports, read_stack_settings
from stack.state import ProcessRecord, read_state, write_state
from stack.status import status_lines
from stack.supervisor import MORE_STARTS

TINY_STACK = Path(__file__).with_name("tiny_stack.py")
PATIENCE_SECONDS = 60


@pytest.fixture
def settings(tmp_path):
    port = str(free_ports(1)[0])
    given = {
        "STACK_HOME": str(tmp_path / "stack"),
        "MLFLOW_PORT": port,
        "DATABASE": "sqlite",
        "PATH": os.environ["PATH"],
    }
    made = read_stack_settings(given)
    yield made
    stop(made.home)


def begin(settings: StackSettings, how: str = "stays", owner: str = "", output=None) -> subprocess.Popen:
    given = {"STACK_HOME": settings.home.path, "MLFLOW_PORT": settings.mlflow_port, "DATABASE": "sqlite"}
    return subprocess.Popen(
        [sys.executable, str(TINY_STACK), owner, how],
        env={**os.environ, **{name: str(value) for name, value in given.items()}},
        start_new_session=True,
        stdout=output,
        stderr=output,
    )


def wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_services_become_ready_in_their_order_and_end_together(settings):
    told = []
    supervisor = begin(settings)
    state = follow(settings.home, supervisor, lambda name, service: told.append((name, service.phase)))

    assert state.phase == "ready"
    assert told[:2] == [("web", "ready"), ("step", "done")]
    assert {name for name, _ in told} == {"web", "step", "family", "last"}

    assert stop(settings.home) == 0
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert find_processes(settings.home, state) == []
    assert read_state(settings.home) is None


def test_a_service_that_does_not_come_up_is_named_with_its_last_lines_and_its_log(settings):
    supervisor = begin(settings, "fails")

    with pytest.raises(StackError) as caught:
        follow(settings.home, supervisor, lambda *_: None)

    assert "last ended with exit code 3" in str(caught.value)
    assert "no such table" in str(caught.value)
    assert str(settings.home.log("last")) in str(caught.value)
    assert find_processes(settings.home, read_state(settings.home)) == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("hangs", r"last was not done within 1 s[\s\S]*waiting for a lock"),
        ("absent", r"last cannot be started: .*/no/such/program"),
        ("puzzles", "last cannot be followed: KeyError"),
    ],
)
def test_nothing_is_waited_for_without_end(settings, how, said):
    supervisor = begin(settings, how)

    with pytest.raises(StackError, match=said):
        follow(settings.home, supervisor, lambda *_: None)
    assert supervisor.wait(PATIENCE_SECONDS) == 1
    assert find_processes(settings.home, None) == []


def test_a_disk_that_takes_no_word_any_more_leaves_no_service_behind(settings, tmp_path):
    with (tmp_path / "log").open("w") as log:
        supervisor = begin(settings, "fills", output=log)

        assert supervisor.wait(PATIENCE_SECONDS) != 0
    assert find_processes(settings.home, None) == []
    assert list(settings.home.path.glob("stack.json.*")) == []


def test_a_disk_that_is_full_is_named_where_the_supervisor_could_say_nothing(settings, monkeypatch):
    settings.home.make()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with subprocess.Popen([sys.executable, "-c", ""]) as supervisor:
        supervisor.wait()

        with pytest.raises(StackError, match=r"the disk of .* is full \(0 MB left\)"):
            follow(settings.home, supervisor, lambda *_: None)


@pytest.mark.parametrize("written", ["", "{", '{"phase": "ready"}', "[]"])
def test_a_state_that_cannot_be_read_is_said_so_and_down_ends_all_the_same(settings, written):
    supervisor = begin(settings)
    follow(settings.home, supervisor, lambda *_: None)
    supervisor.kill()
    supervisor.wait()
    settings.home.state_file.write_text(written)

    with pytest.raises(StackError, match=r"stack\.json is not as a stack writes it[\s\S]*make down"):
        status_lines(settings.home)

    assert stop(settings.home) > 0
    assert find_processes(settings.home, None) == []
    assert not settings.home.state_file.exists()


def test_when_one_service_dies_the_others_end_and_status_tells_why(settings):
    supervisor = begin(settings, "dies")

    assert supervisor.wait(PATIENCE_SECONDS) == 1
    assert find_processes(settings.home, read_state(settings.home)) == []
    said = "\n".join(status_lines(settings.home))
    assert "exit code 7" in said
    assert "the disk went away" in said


def test_what_a_log_says_of_a_failure_steers_no_terminal(settings):
    supervisor = begin(settings, "dies", output=subprocess.DEVNULL)
    supervisor.wait(PATIENCE_SECONDS)
    state = read_state(settings.home)
    write_state(settings.home, state.model_copy(update={"error": "last lines:\n    \x1b]0;owned\x07"}))

    assert "\\x1b]0;owned\\x07" in "\n".join(status_lines(settings.home))


def test_a_service_that_is_killed_is_started_again_without_what_it_had_started(settings):
    supervisor = begin(settings)
    state = follow(settings.home, supervisor, lambda *_: None)
    first = state.services["family"].process
    wait_until(lambda: first.process().children())
    [child] = first.process().children()

    def again():
        return read_state(settings.home).services["family"]

    first.process().kill()
    wait_until(lambda: again().process != first and again().phase == "ready")
    psutil.wait_procs([child], PATIENCE_SECONDS)

    assert not child.is_running()
    assert running(settings.home).phase == "ready"
    assert again().restarts == 1
    assert any(line.startswith("family") and "started again: 1" in line for line in status_lines(settings.home))
    assert stop(settings.home) == 0


def test_what_a_service_started_is_left_alone_where_it_lives_on_by_itself(settings):
    supervisor = begin(settings, "outlived")
    state = follow(settings.home, supervisor, lambda *_: None)
    first = state.services["last"].process
    wait_until(lambda: first.process().children())
    [child] = first.process().children()

    first.process().kill()
    wait_until(lambda: read_state(settings.home).services["last"].restarts == 1)

    assert child.is_running()
    stop(settings.home)
    assert find_processes(settings.home, None) == []


def test_one_that_ends_again_and_again_ends_the_stack(settings):
    supervisor = begin(settings, "sickens")
    state = follow(settings.home, supervisor, lambda *_: None)
    state.services["last"].process.process().kill()

    assert supervisor.wait(PATIENCE_SECONDS) == 1
    assert read_state(settings.home).services["last"].restarts == MORE_STARTS + 1
    assert "there is no room any more" in "\n".join(status_lines(settings.home))


def test_stop_finds_the_orphans_of_a_supervisor_that_was_killed(settings):
    supervisor = begin(settings)
    state = follow(settings.home, supervisor, lambda *_: None)
    wait_until(lambda: len(find_processes(settings.home, state)) == 4)  # web, family with its child, last
    supervisor.kill()
    supervisor.wait()

    orphans = find_processes(settings.home, state)
    assert running(settings.home) is None
    assert "supervisor is gone" in "\n".join(status_lines(settings.home))

    assert stop(settings.home) == 4
    assert not any(psutil.pid_exists(process.pid) for process in orphans)


def test_orphans_are_found_without_any_record_of_them(settings):
    supervisor = begin(settings)
    follow(settings.home, supervisor, lambda *_: None)
    wait_until(lambda: len(find_processes(settings.home, None)) == 4)
    supervisor.kill()
    supervisor.wait()
    settings.home.state_file.unlink()

    assert stop(settings.home) == 4


def test_a_stack_ends_with_its_owner(settings):
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    supervisor = begin(settings, owner=ProcessRecord.of(owner.pid).model_dump_json())
    state = follow(settings.home, supervisor, lambda *_: None)

    owner.kill()
    owner.wait()

    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert find_processes(settings.home, state) == []


def test_a_signal_while_services_start_leaves_nothing(settings):
    supervisor = begin(settings)
    wait_until(lambda: (state := read_state(settings.home)) is not None and state.services)
    supervisor.terminate()

    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert find_processes(settings.home, None) == []


def test_a_stranger_with_a_recorded_id_is_left_alone(settings):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        supervisor = begin(settings)
        state = follow(settings.home, supervisor, lambda *_: None)
        stop(settings.home)
        taken = ProcessRecord(pid=stranger.pid, created=1.0)
        state.services["web"].process = taken

        assert find_processes(settings.home, state) == []
        assert taken.process() is None
    finally:
        stranger.kill()
        stranger.wait()
