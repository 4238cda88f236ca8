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
from pathlib import Path

import pandas as pd

from factory import use_cases
from flows.core.logic import logic_of
from flows.core.policy import Costs

ROWS = 40
"""So many rows are predicted one by one in each round."""

ROUNDS = 2
"""The better round counts: what else the machine does makes rounds slower, nothing makes one faster than the model is.

For the same reason processor time is taken: on a machine with nothing else to do it is the time that passes."""

PATIENCE_SECONDS = 300


class ServingFailed(RuntimeError):
    """The model could not be loaded or asked in a process of its own."""


def measure_costs(folder: Path, model: str, rows: pd.DataFrame) -> Costs:
    """The costs of the version in the folder, asked for the first `ROWS` rows one by one in a new process.

    `model` is the name under which it is declared. Raises ServingFailed with what that process said.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch) / "rows.json"
        asked.write_text(rows.head(ROWS).to_json(orient="table", index=False))
        command = [sys.executable, "-m", __name__, str(folder), model, str(asked)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ServingFailed(
                f"the model did not answer {ROUNDS * ROWS} single rows within {PATIENCE_SECONDS} s: "
                "it is too slow to be served, or the machine is overloaded"
            ) from error
    if done.returncode:
        raise ServingFailed(f"the model cannot be served by itself: {done.stderr.strip()[-1000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Costs(size_bytes=size, memory_bytes=int(said["memory_bytes"]), p95_ms=float(said["p95_ms"]))


def serve(folder: Path, model: str, rows: pd.DataFrame) -> dict[str, float]:
    """Load the version, predict the rows one by one, and say what this process takes: memory_bytes and p95_ms.

    The latter is the 95th percentile of the processor time of one prediction.
    """
    import numpy as np
    import psutil

    from flows.adapters.registry import read_model

    logic = logic_of(use_cases.get_model(model))
    fitted = read_model(folder, logic.trusted)
    single = [rows.iloc[[place]] for place in range(len(rows))]
    logic.answer(fitted, single[0])  # the first prediction imports and allocates what later ones reuse
    best = float("inf")
    for _ in range(ROUNDS):
        took: list[float] = []
        for row in single:
            began = time.process_time()
            logic.answer(fitted, row)
            took.append(time.process_time() - began)
        best = min(best, float(np.quantile(took, 0.95)))
    return {"memory_bytes": float(psutil.Process().memory_info().rss), "p95_ms": 1000 * best}


if __name__ == "__main__":
    print(json.dumps(serve(Path(sys.argv[1]), sys.argv[2], pd.read_json(Path(sys.argv[3]), orient="table"))))
