"""What a waiting process tells the harness: twice a second a line of JSON in the file that BENCH_REPORT names.

Standard library alone: it is used in both environments.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

SAMPLE_SECONDS = 0.5

GO_SUFFIX = ".go"
"""The harness writes into a file beside the report when, in seconds since the epoch, it begins to drive."""


class Reporter:
    """Counts waits, requests and what has fired in this process."""

    def __init__(self) -> None:
        self.requests = 0
        self._waiting = 0
        self._fired: dict[str, float] = {}
        self._sampling: asyncio.Task[None] | None = None
        self._begin = asyncio.Event()
        self._begun_at = 0.0

    def began(self) -> None:
        """One more waits."""
        self._waiting += 1
        if self._sampling is None:
            self._sampling = asyncio.create_task(self._sample(Path(os.environ["BENCH_REPORT"])))

    def fired(self, flow_run_id: str) -> None:
        """A wait has come to its end, now."""
        self._fired[flow_run_id] = time.time()

    async def until(self, after_seconds: float) -> None:
        """Return so long after the harness has begun to drive."""
        await self._begin.wait()
        await asyncio.sleep(max(0.0, self._begun_at + after_seconds - time.time()))

    async def _sample(self, path: Path) -> None:
        go = path.with_suffix(GO_SUFFIX)
        while True:
            if not self._begin.is_set() and go.exists():
                self._begun_at = float(go.read_text())
                self._begin.set()
            fired, self._fired = self._fired, {}
            sample = {"pid": os.getpid(), "waiting": self._waiting, "requests": self.requests, "fired": fired}
            with path.open("a") as file:  # a line twice a second
                file.write(json.dumps(sample) + "\n")
            await asyncio.sleep(SAMPLE_SECONDS)
