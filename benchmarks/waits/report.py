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


class Reporter:
    """Counts waits, requests and what has fired in this process."""

    def __init__(self) -> None:
        self.requests = 0
        self._waiting = 0
        self._fired: dict[str, float] = {}
        self._sampling: asyncio.Task[None] | None = None

    def began(self) -> None:
        """One more waits."""
        self._waiting += 1
        if self._sampling is None:
            self._sampling = asyncio.create_task(self._sample(Path(os.environ["BENCH_REPORT"])))

    def fired(self, flow_run_id: str) -> None:
        """A wait has come to its end, now."""
        self._fired[flow_run_id] = time.time()

    async def _sample(self, path: Path) -> None:
        while True:
            fired, self._fired = self._fired, {}
            sample = {"pid": os.getpid(), "waiting": self._waiting, "requests": self.requests, "fired": fired}
            with path.open("a") as file:  # a line twice a second
                file.write(json.dumps(sample) + "\n")
            await asyncio.sleep(SAMPLE_SECONDS)
