"""The process that owns a running stack: starts every service in order, and again when one is killed.

Owns the children, the embedded database's life and `stack.json`. A thread a service keeps the order readable: wait
for what comes before, start, probe until ready, then wait for an end that should not come. A service that does not
come up, or ends again and again, ends the stack.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from stack.database import DatabaseUrls, start_databases
from stack.environment import airflow_command, mlflow_login, shell_exports
from stack.identity import Identity, load_identity, write_private
from stack.postgresql import postgresql_process, start_postgresql, stop_postgresql
from stack.processes import end_processes, find_processes
from stack.services import Service, all_services
from stack.settings import CHECKOUT, StackError, StackSettings
from stack.state import ProcessRecord, ServiceState, StackState, write_state

Declaration = Callable[[StackSettings, Identity, DatabaseUrls], list[Service]]
"""What gives the services of a stack."""

PROBE_SECONDS = 0.25
END_SECONDS = 6
"""Then a service is killed. Airflow's scheduler would wait on: a running task asks for its API, which is gone, again
and again; the next start finds such a task by its missing heartbeat."""
STEADY_SECONDS = 5
"""A service that was ready for so long had come up soundly, and is started again."""
MORE_STARTS = 3
"""So often in a row may one that was sound fail to come up again: what it needs may be starting again, too."""
DATABASE_SECONDS = 0.5
OWNER_SECONDS = 1.0
TAIL_LINES = 15


def supervise(settings: StackSettings, owner: ProcessRecord | None) -> int:
    """Run the stack until a signal, the owner's end or a service's end; gives the exit code.

    Raises StackError when another supervisor owns this folder.
    """
    home = settings.home
    os.umask(0o077)  # for everything that the services write, too
    home.make()
    with home.lock_file.open("a") as lock:
        try:
            # A record lock: a child that inherits the file does not hold it on.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StackError(f"another stack is starting or running in {home.path}") from error
        return Supervisor(settings, owner).run()


@dataclass(frozen=True, slots=True)
class Ended:
    """A service that ended unasked: its exit code, and whether it had come up soundly before."""

    code: int
    steady: bool


class Supervisor:
    """One run of the stack."""

    def __init__(
        self, settings: StackSettings, owner: ProcessRecord | None, declare: Declaration = all_services
    ) -> None:
        self._settings = settings
        self._declare = declare
        self._home = settings.home
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._ready: dict[str, threading.Event] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._keeper: threading.Thread | None = None
        self._state = StackState(
            supervisor=ProcessRecord.of(os.getpid()),
            owner=owner,
            database="PostgreSQL" if "://" in settings.database else settings.database,
            ports=settings.ports,
        )

    def run(self) -> int:
        """Start everything, wait for the end, end everything."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop.set())
        threading.excepthook = self._fail_thread
        try:
            self._note()
            self._start()
            self._wait()
        except StackError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"the stack cannot be started in {self._home.path}: {error}")
        finally:
            self._end()
        return 1 if self._state.error else 0

    def _start(self) -> None:
        identity = load_identity(self._home)
        urls = start_databases(self._settings)
        self._write_tools(identity, urls)
        services = self._declare(self._settings, identity, urls)
        for service in services:
            self._ready[service.name] = threading.Event()
            self._state.services[service.name] = ServiceState(is_step=service.is_step, address=service.address)
        self._note()
        if self._settings.database == "embedded":
            self._keeper = threading.Thread(target=self._keep_database, name="postgresql", daemon=True)
            self._keeper.start()
        for service in services:
            threading.Thread(target=self._run_service, args=(service,), name=service.name, daemon=True).start()

    def _write_tools(self, identity: Identity, urls: DatabaseUrls) -> None:
        """What is read beside the services: the file to source, Airflow's command and MLflow's file of logins."""
        write_private(self._home.environment_file, shell_exports(self._settings, identity, urls))
        write_private(self._home.mlflow_login_file, mlflow_login(self._settings))
        self._home.tools.mkdir(exist_ok=True)
        airflow = self._home.tools / "airflow"
        write_private(airflow, airflow_command(self._settings, identity, urls))
        airflow.chmod(0o700)

    def _wait(self) -> None:
        owner = self._state.owner
        while not self._stop.wait(OWNER_SECONDS if owner else None):
            if owner and owner.process() is None:
                return

    def _run_service(self, service: Service) -> None:
        for name in service.after:
            self._ready[name].wait()
        starts = 0
        while ended := self._run_once(service):
            starts = MORE_STARTS if ended.steady else starts - 1
            if service.is_step or starts < 0:
                self._fail_service(service, f"ended with exit code {ended.code}")
                return
            self._start_again(service, ended)

    def _run_once(self, service: Service) -> Ended | None:
        """From its start to its end; None where that is no matter of its own: it is done, or the stack ends."""
        started = time.monotonic()
        probe = service.probe() if service.probe else None
        try:
            child = self._spawn(service)
        except OSError as error:
            self._fail_service(service, f"cannot be started: {error}")
            return None
        if child is None:
            return None
        while probe and child.poll() is None and not probe():
            if time.monotonic() - started > service.patience_seconds:
                self._fail_service(service, f"was not ready within {service.patience_seconds:g} s")
                return None
            time.sleep(PROBE_SECONDS)
        came_up = probe is not None and child.returncode is None
        if came_up:
            self._mark_ready(service, time.monotonic() - started)
        began = time.monotonic()
        try:
            code = child.wait(service.patience_seconds if service.is_step else None)
        except subprocess.TimeoutExpired:
            self._fail_service(service, f"was not done within {service.patience_seconds:g} s")
            return None
        if service.is_step and code == 0:
            self._mark_ready(service, time.monotonic() - started)
            return None
        if self._stop.is_set():
            return None
        return Ended(code, steady=came_up and time.monotonic() - began > STEADY_SECONDS)

    def _start_again(self, service: Service, ended: Ended) -> None:
        """Make room for the next: what a killed service started may hold its port."""
        print(f"{service.name} ended with exit code {ended.code} and is started again", flush=True)
        group = self._children[service.name].pid
        if not service.outlived and not psutil.pid_exists(group):  # else a stranger has its id by now
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        with self._lock:
            self._state.services[service.name].restarts += 1

    def _keep_database(self) -> None:
        """Start the embedded server again when it is killed; the services connect to it anew."""
        password = load_identity(self._home).database_password
        while not self._stop.wait(DATABASE_SECONDS):
            if postgresql_process(self._home) is None:
                print("postgresql ended and is started again", flush=True)
                try:
                    start_postgresql(self._home, password)
                except StackError as error:
                    self._fail(str(error))

    def _spawn(self, service: Service) -> subprocess.Popen[bytes] | None:
        """Start the process in a session of its own; None once the stack is ending, so that nothing is born late."""
        with self._lock, self._home.open_log(service.name) as output:
            if self._stop.is_set():
                return None
            child = subprocess.Popen(
                service.command,
                env=dict(service.environment),
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._children[service.name] = child
            state = self._state.services[service.name]
            state.phase = "starting"
            with suppress(psutil.NoSuchProcess):
                state.process = ProcessRecord.of(child.pid)
            write_state(self._home, self._state)
        return child

    def _mark_ready(self, service: Service, seconds: float) -> None:
        with self._lock:
            state = self._state.services[service.name]
            state.phase = "done" if service.is_step else "ready"
            state.seconds = round(seconds, 1)
            if all(each.phase in {"ready", "done"} for each in self._state.services.values()):
                self._state.phase = "ready"
            if not self._stop.is_set():
                write_state(self._home, self._state)
        self._ready[service.name].set()

    def _fail_service(self, service: Service, what: str) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            self._state.services[service.name].phase = "failed"
        log = self._home.log(service.name)
        self._fail(
            f"{service.name} {what}; its last lines:\n\n{tail(log, TAIL_LINES)}\n\n"
            f"  log file: {log}\n"
            "  remedy:   mend what it says and start again; everything else was stopped"
        )

    def _fail_thread(self, failed: threading.ExceptHookArgs) -> None:
        """A service whose thread is lost would be waited for without end."""
        if self._stop.is_set():
            return
        name = failed.thread.name if failed.thread else "a service"
        self._fail(f"{name} cannot be followed: {failed.exc_type.__name__}: {failed.exc_value}; see make logs")
        threading.__excepthook__(failed)

    def _fail(self, message: str) -> None:
        with self._lock:
            self._state.error = self._state.error or message
        self._stop.set()

    def _end(self) -> None:
        """End every child by its group, then whatever left its group, then the database.

        A disk that takes no word any more, of the state or of the log, keeps none of them alive.
        """
        self._stop.set()
        self._state.phase = "stopping"
        with suppress(OSError):
            self._note()
        living = {name: child for name, child in self._children.items() if child.poll() is None}
        for child in living.values():
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        began = time.monotonic()
        for name, child in living.items():
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, began + END_SECONDS - time.monotonic()))
            how = "is killed" if child.returncode is None else f"ended ({child.returncode})"
            with suppress(OSError):
                print(f"{name} {how} after {time.monotonic() - began:.1f} s", flush=True)
        end_processes(find_processes(self._home, self._state), patience_seconds=1)
        if self._keeper:
            self._keeper.join()  # it may be starting the server again
        stop_postgresql(self._home)
        if self._state.error:
            self._state.phase = "failed"
            self._note()
        else:
            self._home.state_file.unlink(missing_ok=True)

    def _note(self) -> None:
        with self._lock:
            write_state(self._home, self._state)


def tail(log: Path, lines: int) -> str:
    """The last lines of a log, indented; says so when there are none."""
    try:
        text = log.read_text(errors="replace").rstrip()
    except FileNotFoundError:
        text = ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (it wrote nothing)"
