"""Print what a training of products gives, in every digit: `python -m benchmarks.numbers`.

For whoever changes the factory: run before and after a change that must leave the numbers alone, the two tables are the
same. Each data set is loaded, cut and trained by the commands that users give, in a folder of its own and without any
server. See docs/benchmarks/numbers.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SAMPLE = ("load", "sample")
OFFERS = ("--no-header", "--columns", "id,title,vendor,cluster,cluster_label,category,category_label")
OFFERS_AS = ("--id", "id", "--text", "title", "--label", "category_label", "--group", "cluster")


def main() -> None:
    """Train on the sample, and on PriceRunner's offers where a file of them is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offers", type=Path, help="PriceRunner's file (UCI data set 837)")
    offers = parser.parse_args().offers
    print("| data | number | value | from | to |\n|---|---|---:|---:|---:|", flush=True)
    _print("sample", _train(SAMPLE))
    if offers:
        _print("PriceRunner", _train(("load", "file", str(offers.absolute()), *OFFERS, *OFFERS_AS)))


def _train(load: tuple[str, ...]) -> dict[str, Any]:
    """The result of a training on week 1 of what the command loads."""
    with tempfile.TemporaryDirectory(prefix="bench-numbers-") as folder:
        home = Path(folder)
        places = {
            "DATABASE_URL": f"sqlite:///{home / 'catalogue.sqlite'}",
            "SNAPSHOT_URI": (home / "snapshots").as_uri(),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.sqlite'}",
        }
        _call(places, "factory", *load)
        result: dict[str, Any] = json.loads(_call(places, "flows.pipeline_flow", "--week", "1"))
        return result


def _call(places: dict[str, str], module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _print(data: str, result: dict[str, Any]) -> None:
    for name, value in result["metrics"].items():
        low, high = result["intervals"][name]
        print(f"| {data} | {name} | {value!r} | {low!r} | {high!r} |", flush=True)
    for name, score in result["cv_scores"].items():
        metric = next(key for key in score if key not in ("low", "high", "seconds", "metric"))
        chosen = ", chosen" if name == result["candidate"] else ""
        numbers = f"{score[metric]!r} | {score['low']!r} | {score['high']!r}"
        print(f"| {data} | {name} in folds{chosen} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
