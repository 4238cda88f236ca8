"""What serving a model costs: its files, the memory of a process that holds it, and the time of one prediction.

Owns the measurement, in a process of its own: in this one memory would be that of everything else, too. Must not know
limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from flows.core.policy import Costs

TEXTS = 100
"""So many texts are predicted one by one in each round."""

ROUNDS = 3
"""The best round counts: what else the machine does makes rounds slower, nothing makes one faster than the model is.

For the same reason processor time is taken: on a machine with nothing else to do it is the time that passes."""

PATIENCE_SECONDS = 300


class ServingFailed(RuntimeError):
    """The model could not be loaded or asked in a process of its own."""


def measure_costs(folder: Path, texts: Sequence[str]) -> Costs:
    """The costs of the model in the folder, asked for the first `TEXTS` texts one by one in a new process.

    Raises ServingFailed with what that process said.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch) / "texts.json"
        asked.write_text(json.dumps(list(texts[:TEXTS])))
        command = [sys.executable, "-m", __name__, str(folder), str(asked)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ServingFailed(
                f"the model did not answer {ROUNDS * TEXTS} single texts within {PATIENCE_SECONDS} s: "
                "it is too slow to be served, or the machine is overloaded"
            ) from error
    if done.returncode:
        raise ServingFailed(f"the model cannot be served by itself: {done.stderr.strip()[-1000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Costs(size_bytes=size, memory_bytes=int(said["memory_bytes"]), p95_ms=float(said["p95_ms"]))


def serve(folder: Path, texts: Sequence[str]) -> dict[str, float]:
    """Load the model, predict the texts one by one, and say what this process takes: memory_bytes and p95_ms.

    The latter is the 95th percentile of the processor time of one prediction.
    """
    import numpy as np
    import psutil

    from flows.adapters.registry import read_model
    from flows.core import models

    model = read_model(folder)
    models.predict(model, texts[:1])  # the first prediction imports and allocates what later ones reuse
    best = float("inf")
    for _ in range(ROUNDS):
        took: list[float] = []
        for text in texts:
            began = time.process_time()
            models.predict(model, [text])
            took.append(time.process_time() - began)
        best = min(best, float(np.quantile(took, 0.95)))
    return {"memory_bytes": float(psutil.Process().memory_info().rss), "p95_ms": 1000 * best}


if __name__ == "__main__":
    print(json.dumps(serve(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))))
