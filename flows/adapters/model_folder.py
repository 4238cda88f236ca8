"""Versions of a model in a folder, and which of them is active: for whoever retrains without a registry.

Owns the layout: a folder a version with its model (skops, as in the registry) and what is known of it, and
`active.json`, which names one. A version is there whole or not at all, and so is the choice of one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from factory.contracts import DatasetRef
from flows.adapters.registry import MODEL_FILE, read_model

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

ACTIVE_FILE, VERSION_FILE = "active.json", "version.json"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The folder at `path`, made where there is none; versions count from 1."""

    path: Path

    def numbers(self) -> list[int]:
        """The versions that there are, the oldest first."""
        folders = self.path.glob(f"v*/{VERSION_FILE}")
        return sorted(int(found.parent.name[1:]) for found in folders)

    def place(self, number: int) -> Path:
        """The version's folder."""
        return self.path / f"v{number}"

    def write(self, model: BaseEstimator, dataset: DatasetRef, metrics: Mapping[str, float]) -> int:
        """Keep the model as the next version; gives its number."""
        import skops.io

        self.path.mkdir(parents=True, exist_ok=True)
        scratch = Path(mkdtemp(prefix=".writing-", dir=self.path))
        try:
            skops.io.dump(model, scratch / MODEL_FILE)
            known = {"dataset": dataset.model_dump(mode="json"), "metrics": dict(metrics)}
            (scratch / VERSION_FILE).write_text(json.dumps(known, indent=2))
            number = max(self.numbers(), default=0) + 1
            scratch.rename(self.place(number))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)  # it is there only where something failed
        return number

    def read(self, number: int, trusted: Sequence[str]) -> BaseEstimator:
        """The version's model; raises FileNotFoundError."""
        return read_model(self.place(number), trusted)

    def dataset(self, number: int) -> DatasetRef:
        """What the version was trained on."""
        return DatasetRef.model_validate(self._known(number)["dataset"])

    def active(self) -> int | None:
        """The version that is active; None where none ever was."""
        chosen = self.path / ACTIVE_FILE
        return int(json.loads(chosen.read_text())["version"]) if chosen.exists() else None

    def activate(self, number: int) -> None:
        """Let that version be the active one."""
        scratch = self.path / f".{ACTIVE_FILE}"
        scratch.write_text(json.dumps({"version": number, **self._known(number)}, indent=2))
        scratch.replace(self.path / ACTIVE_FILE)

    def _known(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place(number) / VERSION_FILE).read_text())
        return found
