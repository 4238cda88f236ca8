"""Sending what is told, by OpenLineage's own client: it fails no step, and delays it by a bounded time.

Owns the one thread of a process that sends. Whether and where to is said by the client's own settings (OPENLINEAGE_*,
openlineage.yml); without them nothing is told, and nothing of the client is imported.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from factory.lineage.data import Data
from factory.lineage.events import Happening, compose

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

SETTLE_SECONDS = 2.0
"""So long the end of a step waits for a receiver; a client that still tries goes on while the process lives."""
PREPARE_SECONDS = 30.0
"""So long the first step of a process may wait for the client to be imported, on a busy machine."""

IMPATIENT = {"total": 2, "connect": 0, "backoff_factor": 0.1}
"""How often a request is repeated where nobody said so: within the client's own nine seconds a step knows no cause."""

CONFIG_FILE = "openlineage.yml"
CONSOLE = "openlineage.client.transport.console"

log = logging.getLogger(__name__)


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody has configured where events go, and has not switched them off."""
    if environ.get("OPENLINEAGE_DISABLED", "").strip().lower() in ("true", "1", "t"):
        return False
    if environ.get("OPENLINEAGE_URL"):
        return True
    if any(name.startswith("OPENLINEAGE__TRANSPORT") and value for name, value in environ.items()):
        return True
    return any(Path(each).is_file() for each in (environ.get("OPENLINEAGE_CONFIG"), CONFIG_FILE, _own_file()) if each)


def _own_file() -> Path | None:
    """Where the client looks for its user's file; None for a user without a home."""
    try:
        return Path.home() / ".openlineage" / CONFIG_FILE
    except RuntimeError:
        return None


def namespace(environ: Mapping[str, str] = os.environ) -> str:
    """The namespace of jobs, which Airflow's provider reads from the same variable."""
    return environ.get("OPENLINEAGE_NAMESPACE") or "default"


def send(happening: Happening) -> Future[None]:
    """Begin to send; what comes of it is the future's, an error of the transport too."""
    return _sender().send(happening)


def settle(step: str, futures: list[Future[None]]) -> None:
    """Wait until all have arrived, for SETTLE_SECONDS at most; what did not is one warning with its cause."""
    _sender().ready.wait(PREPARE_SECONDS)
    done, waiting = wait(futures, SETTLE_SECONDS)
    causes = [_cause(error) for each in done if (error := each.exception()) is not None]
    causes += [f"no answer within {SETTLE_SECONDS:g} s"] * len(waiting)
    if causes:
        log.warning(
            "%d of %d lineage events of %s were not sent (%s): the step is not affected; look at the receiver and at "
            "OPENLINEAGE_*, or set OPENLINEAGE_DISABLED=true",
            len(causes),
            len(futures),
            step,
            "; ".join(dict.fromkeys(causes)),
        )


@dataclass
class _Sender:
    """A thread that composes and sends, one event after the other; only of the process that made it."""

    process: int = field(default_factory=os.getpid)
    ready: threading.Event = field(default_factory=threading.Event)
    waiting: SimpleQueue[tuple[Happening, Future[None]]] = field(default_factory=SimpleQueue)

    def send(self, happening: Happening) -> Future[None]:
        future: Future[None] = Future()
        self.waiting.put((happening, future))
        return future

    def run(self) -> None:
        client: OpenLineageClient | None = None
        while True:
            happening, future = self.waiting.get()
            try:
                client = client or _make_client()
                self.ready.set()
                client.emit(compose(_looked_at(happening), namespace()))
            except Exception as error:  # noqa: BLE001 - a transport may be anybody's; no step may fail for what it tells
                self.ready.set()
                future.set_exception(error)
            else:
                future.set_result(None)


_made: list[_Sender] = []
_lock = threading.Lock()


def _sender() -> _Sender:
    """This process' own: a forked one has not its parent's thread."""
    with _lock:
        if not _made or _made[-1].process != os.getpid():
            _made[:] = [_Sender()]
            threading.Thread(target=_made[-1].run, name="lineage", daemon=True).start()
        return _made[-1]


def _make_client() -> OpenLineageClient:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import HttpTransport
    from openlineage.client.transport.http_common import DEFAULT_RETRY_CONFIG

    client = OpenLineageClient()
    if isinstance(client.transport, HttpTransport) and client.transport.config.retry == DEFAULT_RETRY_CONFIG:
        client.transport.config.retry = {**DEFAULT_RETRY_CONFIG, **IMPATIENT}
    console = logging.getLogger(CONSOLE)
    if client.transport.kind == "console" and not console.isEnabledFor(logging.INFO):
        console.setLevel(logging.INFO)
        if not console.hasHandlers():
            console.addHandler(logging.StreamHandler())
    return client


def _looked_at(happening: Happening) -> Happening:
    inputs, outputs = (tuple(map(_look, datas)) for datas in (happening.inputs, happening.outputs))
    return replace(happening, inputs=inputs, outputs=outputs)


def _look(data: Data) -> Data:
    """The data with what a look shows; as it is where it cannot be looked at, which the step itself may fail for."""
    try:
        return data.look(data) if data.look else data
    except Exception as error:  # noqa: BLE001 - stores and formats are anybody's
        log.debug("%s is told of without its columns and size (%s)", data.name, _cause(error))
        return data


def _cause(error: BaseException) -> str:
    """In one line; an address in it may hold a password."""
    return re.sub(r"//[^/@\s]+@", "//", " ".join(f"{type(error).__name__}: {error}".split()))
