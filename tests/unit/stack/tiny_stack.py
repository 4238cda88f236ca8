"""A stack of small real processes under the real supervisor; started by test_supervisor.py as a process of its own.

Arguments: the owner's record as JSON or an empty string, then what the last service does: `stays`, `dies`, `fails`,
`outlived` (has a child that lives on), `sickens` (comes up once, and never again), `hangs` (a step that is never done),
`absent` (its program is not there), `puzzles` (its probe breaks) or `fills` (the disk takes nothing more once it is
ready: no file may be longer than nothing).
"""

import resource
import sys
from dataclasses import replace
from pathlib import Path

import stack.supervisor
from stack.environment import MARK
from stack.probes import answers
from stack.services import Service
from stack.settings import read_stack_settings
from stack.state import ProcessRecord
from stack.supervisor import Supervisor

SERVE = "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler).serve_forever()"
FAMILY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
SICKENS = f"""
import os, pathlib, time
before = pathlib.Path(os.environ[{MARK!r}], "before")
if before.exists():
    raise SystemExit("there is no room any more")
before.touch()
time.sleep(600)
"""
LAST = {
    "stays": "import time; time.sleep(600)",
    "dies": "import time; time.sleep(1); print('the disk went away'); raise SystemExit(7)",
    "fails": "print('no such table'); raise SystemExit(3)",
    "outlived": FAMILY,
    "sickens": SICKENS,
    "hangs": "print('waiting for a lock', flush=True); import time; time.sleep(600)",
    "absent": "",
    "puzzles": "import time; time.sleep(600)",
    "fills": "import time; time.sleep(600)",
}
STEPS = {"fails", "hangs"}


def declare(settings, identity, urls):
    environment = {**settings.passed, MARK: str(settings.home.path)}
    url = settings.mlflow_url

    def service(name, code, after=(), probe=None):
        return Service(name, (sys.executable, "-c", code), environment, after=after, probe=probe)

    last = service("last", LAST[how], ("step",), None if how in STEPS else lambda: answers(url))
    if how == "hangs":
        last = replace(last, patience_seconds=1.0)
    if how == "outlived":
        last = replace(last, outlived=True)
    if how == "sickens":
        found = (Path(settings.home.path, "before").exists for _ in range(1))
        last = replace(last, probe=lambda: next(found, never))
    if how == "absent":
        last = replace(last, command=("/no/such/program",))
    if how == "puzzles":
        last = replace(last, probe=lambda: lambda: {}["heartbeat"])
    if how == "fills":
        last = replace(last, probe=lambda: fill_the_disk)
    return [
        service("web", SERVE.format(port=settings.mlflow_port), probe=lambda: answers(url)),
        service("step", "print('done')", after=("web",)),
        service("family", FAMILY, after=("step",), probe=lambda: answers(url)),
        last,
    ]


def never():
    return False


def fill_the_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return True


if __name__ == "__main__":
    owner, how = sys.argv[1:]
    if how != "dies":
        stack.supervisor.STEADY_SECONDS = 0
    settings = read_stack_settings()
    settings.home.make()
    record = ProcessRecord.model_validate_json(owner) if owner else None
    sys.exit(Supervisor(settings, record, declare).run())
