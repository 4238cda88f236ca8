"""Serve the deployments of `prefect.yaml` without a work pool; flow runs are forked from a process that is warm.

Owns how a served flow run begins. Prefect's own `serve` starts a Python a run, which imports Prefect and the model
libraries before it works. Here one process imports them once (`flows.warm`) and its children begin at once: it is
`multiprocessing`'s fork server, in the place where Prefect starts `python -m prefect.engine`. Everything else is
Prefect's runner's: pick-up, limits, cancellation, hooks. See docs/decisions/0018-served-flow-runs-are-forked.md.

    python -m flows.serving
    python -m flows.serving --deployments mine.yaml
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

import httpx
from anyio import get_cancelled_exc_class, move_on_after, wait_readable
from anyio.abc import TaskStatus
from prefect.deployments.runner import RunnerDeployment

from flows.adapters.prefect_internals import Runner, run_engine, start_flow_runs_by
from flows.deploying import leave_to_people, parse_arguments, read_deployments
from flows.silent_runs import HEARTBEAT_SECONDS, watch_for_silence

WARM = "flows.warm"
GRACE_SECONDS = 30
"""As long as Prefect gives a flow run that is cancelled."""

LOST = 255
"""What `multiprocessing` takes for the exit code when the fork server died: the flow run's process may well live."""


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    declared, api = parse_arguments("python -m flows.serving", __doc__)
    try:
        deployments = read_deployments(declared, served=True)
    except FileNotFoundError:
        raise SystemExit(
            f"there is no {declared}: serve from the checkout, or name the file by --deployments"
        ) from None
    except ValueError as error:
        raise SystemExit(str(error)) from None
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it with `&` has it ignored
    try:
        asyncio.run(_serve(deployments))
    except KeyboardInterrupt:
        return
    except ImportError as error:
        raise SystemExit(str(error)) from None
    except httpx.ConnectError as error:
        raise SystemExit(f"no Prefect server answers at {api} ({error}): start it, or mend PREFECT_API_URL") from None


def fork_flow_runs(warm: str = WARM) -> None:
    """From here on, flow runs that a runner of this process starts are forked from a process that imported `warm`.

    Returns once it has; raises ImportError.
    """
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([warm])
    # it says nothing of an import that fails, so a child tells
    first = forking.Process(target=importlib.import_module, args=(warm,))
    with suppress(EOFError):
        first.start()
        first.join()
    if first.exitcode != 0:
        raise ImportError(f"{warm} cannot be imported; the error stands above")

    async def fork(
        *,
        env: Mapping[str, str],
        cwd: Path | str | None,
        task_status: TaskStatus[Any],
        task_status_handler: Callable[[BaseProcess], Any],
        **_: Any,
    ) -> None:
        """In the place of Prefect's `run_process`; what the flow run prints goes where this process prints."""
        process = forking.Process(target=run_engine, args=(dict(env), cwd))
        process.start()
        task_status.started(task_status_handler(process))
        try:
            await wait_readable(process.sentinel)
        except get_cancelled_exc_class():  # no flow run outlives whoever serves it; told twice, its crash is lost
            process.terminate()
            with move_on_after(GRACE_SECONDS, shield=True):
                await wait_readable(process.sentinel)
            process.kill()
            raise
        finally:
            process.join()
            if process.exitcode == LOST:  # Prefect tells that it crashed, and once is enough
                with suppress(ProcessLookupError):
                    os.kill(cast("int", process.pid), signal.SIGKILL)

    start_flow_runs_by(fork)


async def _serve(deployments: list[RunnerDeployment]) -> None:
    # a pause would outlast this process
    runner = Runner(name="model-factory", pause_on_shutdown=False, heartbeat_seconds=HEARTBEAT_SECONDS)
    for deployment in deployments:
        await leave_to_people(deployment)
        await runner.aadd_deployment(deployment)
    await watch_for_silence()
    fork_flow_runs()
    print(f"serving {', '.join(f'{each.flow_name}/{each.name}' for each in deployments)}", flush=True)
    await runner.start()


if __name__ == "__main__":
    main()
