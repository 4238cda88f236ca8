"""What a training has to tell, as a run's parameters, metrics, tables and files.

Owns the names and the layout. Must not know how MLflow is talked to.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.contracts import DatasetRef
from factory.records import stored
from factory.use_cases.use_case import Declared

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from flows.adapters.exam import Report
    from flows.core.evaluation import Evaluation
    from flows.core.leakage import NearDuplicates
    from flows.core.selection import Choice, Score

DATASET_FILE = "dataset.json"
REFERENCE_FILE = "reference.parquet"
REASONS_FILE = "columns.json"
ENVIRONMENT_FILE = "environment.json"
NEAR_FILE = "near_rows.json"
"""Ids of the test rows that nearly equal a training row: who judges the version measures them apart."""


@dataclass(frozen=True, slots=True)
class Training:
    """Everything that one training has to tell.

    `params` are those that a caller fixed, `described` what tells the candidate from another one; `near_duplicates`
    tells which test rows nearly equal a training row.
    """

    declared: Declared
    dataset: DatasetRef
    params: Mapping[str, Any]
    choice: Choice
    described: Mapping[str, Any]
    model: BaseEstimator
    near_duplicates: NearDuplicates
    evaluation: Evaluation
    train_classes: pd.Series
    test_classes: pd.Series
    flow_run_url: str | None
    reasons: pd.DataFrame | None = None
    """What moves its answers, where it is told by columns."""
    report: Report | None = None
    """What has to be known of the frozen test set beside the numbers on it."""

    @property
    def metrics(self) -> dict[str, float]:
        """Those of the kind of task, on the frozen test set."""
        return self.evaluation.metrics

    def parameters(self) -> dict[str, Any]:
        """What was fixed, what was chosen, and the data with its checksums."""
        candidate, dataset = self.choice.candidate, self.dataset
        return {
            **self.params,
            "candidate": candidate.name,
            **self.described,
            **{f"candidate_{name}": value for name, value in candidate.settings.items()},
            "week": dataset.week,
            "revision": dataset.revision,
            "rows": dataset.rows,
            "train_rows": dataset.train_rows,
            "test_version": dataset.test_version,
            "dataset_sha256": dataset.sha256,
            "test_sha256": dataset.test.sha256,
        }

    def numbers(self) -> dict[str, float]:
        """Metrics on the frozen test set with their intervals, and the candidates' scores by cross-validation."""
        found = self.evaluation
        numbers = {"near_duplicate_share": self.near_duplicates.share, **found.numbers()}
        if report := self.report:
            numbers |= {"test_changed_share": report.difference.share, "test_looks": float(report.looks)}
        for name, estimate in found.intervals().items():
            numbers |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return numbers | {f"cv_{score.candidate.name}": score.found.value for score in self.choice.scores}

    def tables(self) -> dict[str, pd.DataFrame]:
        """What people read as tables, by the artifact's name."""
        import pandas as pd

        choice = self.choice
        tables = {f"{name}.json": table for name, table in self.evaluation.tables().items()}
        if self.reasons is not None and len(self.reasons):
            tables[REASONS_FILE] = self.reasons
        if pairs := self.near_duplicates.pairs:
            tables["near_duplicates.json"] = pd.DataFrame(pairs, columns=["test_text", "training_text", "similarity"])
        if self.report and (remarks := self.report.remarks()):
            tables["test_set.json"] = pd.DataFrame({"remark": remarks})
        if choice.scores or choice.failures:
            metric = self.declared.model.metric.name
            rows = [_as_row(score, metric) for score in choice.scores]
            rows += [{"candidate": name, "failure": reason} for name, reason in choice.failures.items()]
            tables["candidates.json"] = pd.DataFrame(rows)
        return tables

    def write_files(self, folder: Path) -> None:
        """Pictures, the answers on the frozen test set, the snapshot's reference, its quality and the environment."""
        from factory.quality.report import read_report
        from flows.adapters import figures

        found = self.evaluation
        for name, content in read_report(self.dataset).items():
            (folder / name).write_bytes(content)
        (folder / DATASET_FILE).write_text(stored.dump_json(self.dataset, indent=2))
        (folder / NEAR_FILE).write_text(json.dumps(found.near, indent=2))
        (folder / ENVIRONMENT_FILE).write_text(json.dumps(describe_environment(), indent=2))
        stored.dump_table(found.reference).to_parquet(folder / REFERENCE_FILE, index=False)
        figures.draw(found, self.train_classes, self.test_classes, folder)


@cache
def describe_environment() -> dict[str, Any]:
    """What the process runs on: Python, platform, and every installed distribution with its version."""
    packages = {found.metadata["Name"]: found.version for found in distributions()}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items(), key=lambda pair: pair[0].lower())),
    }


def _as_row(score: Score, metric: str) -> dict[str, Any]:
    return {
        "candidate": score.candidate.name,
        metric: score.found.value,
        "low": score.found.low,
        "high": score.found.high,
        "seconds": round(score.seconds, 3),
        "settings": json.dumps(dict(score.candidate.settings)),
        "failure": "",
    }
