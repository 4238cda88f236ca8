"""What the flows use of Prefect beyond its public interface: that it is as relied on, and stands in one module.

That flow runs are begun and ended by it is shown on a real server in `test_serving.py`.
"""

from __future__ import annotations

import ast
import inspect
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.runner import _starter_engine
from prefect.runner._starter_engine import EngineCommandStarter

from flows.adapters import prefect_internals as internals

CHECKOUT = Path(__file__).resolve().parents[2]
PUBLIC = {
    "prefect",
    "prefect.artifacts",
    "prefect.cache_policies",
    "prefect.client.orchestration",
    "prefect.client.schemas.actions",
    "prefect.client.schemas.objects",
    "prefect.client.schemas.schedules",
    "prefect.context",
    "prefect.deployments.runner",
    "prefect.events.actions",
    "prefect.events.schemas.automations",
    "prefect.exceptions",
    "prefect.flows",
    "prefect.futures",
    "prefect.logging.loggers",
    "prefect.runtime",
    "prefect.settings",
    "prefect.states",
    "prefect.task_runners",
    "prefect.tasks",
    "prefect.types.entrypoint",
}
"""Modules that Prefect's API reference describes."""
UNSTABLE = {"engine", "SettingsContext", "get_settings_context", "RetryConditionCallable"}
"""Names in those modules that it does not."""


def test_a_runners_starter_looks_run_process_up_in_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ours() -> None:
        """Stands where Prefect starts a process."""

    monkeypatch.setattr(_starter_engine, "run_process", _starter_engine.run_process)
    internals.start_flow_runs_by(ours)
    assert _starter_engine.run_process is ours
    started = inspect.getsource(EngineCommandStarter)
    assert "await run_process(" in started
    for name in ("env=", "cwd=", "task_status=", "task_status_handler="):
        assert name in started


def test_the_engine_is_a_script_that_reads_its_settings_from_the_environment(tmp_path: Path) -> None:
    code = (
        "from flows.adapters.prefect_internals import run_engine; import os;"
        "run_engine({**os.environ, 'PREFECT_API_URL': 'http://127.0.0.1:9/api', 'PREFECT__FLOW_RUN_ID': "
        "'11111111-1111-4111-8111-111111111111', 'PREFECT_CLIENT_MAX_RETRIES': '0'}, "
        f"{str(tmp_path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "11111111-1111-4111-8111-111111111111" in done.stdout + done.stderr
    assert "httpx.ConnectError" in done.stdout + done.stderr


def test_the_runner_handles_sigterm_where_ours_does() -> None:
    assert "handle_sigterm" in vars(internals.prefect.runner.Runner)
    assert issubclass(internals.Runner, internals.prefect.runner.Runner)


def test_a_runners_folder_is_its_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared = internals.prefect.runner.Runner(name="theirs")._tmp_dir.parent
    ours = internals.Runner(name="ours")._tmp_dir
    assert shared == tmp_path / "runner_storage"
    assert (ours.parent, stat.S_IMODE(ours.stat().st_mode)) == (tmp_path, 0o700)


def prefect_imports(file: Path) -> Iterator[tuple[str, str]]:
    """Module and name of what a file imports of Prefect, within functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "prefect")
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "prefect":
            yield from ((node.module, alias.name) for alias in node.names)


def test_what_is_not_public_is_imported_in_one_module_alone() -> None:
    files = [file for file in (CHECKOUT / "flows").rglob("*.py") if file.name != "prefect_internals.py"]
    assert files
    strays = [
        f"{file.relative_to(CHECKOUT)}: {module} {name}"
        for file in files
        for module, name in prefect_imports(file)
        if module not in PUBLIC or name in UNSTABLE
    ]
    assert strays == []
    assert [file.name for file in files if "noqa: SLF001" in file.read_text()] == []
