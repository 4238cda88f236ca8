"""A model's logged predictions, wherever they stand: those of texts, those of a table's entities, or a file.

Owns which of these is read. How each is kept belongs to `factory.records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from factory.errors import InferenceLogInvalid
from factory.records import entity_predictions, predictions
from factory.records.predictions import Window
from factory.settings import Settings
from factory.storage.addresses import admitted
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import Declared

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Log(Protocol):
    """What a check for drift asks of predictions; windows end at a moment of data time."""

    @property
    def complete(self) -> bool:
        """Whether a window's rows say all that is known of them; a file's do."""

    def newest_timestamp(self) -> datetime | None:
        """The data time of the last prediction."""

    def count_versions(self, until: datetime, days: float) -> Mapping[str, int]:
        """How many predictions of the window each model version made."""

    def read(self, until: datetime, days: float, *, version: str | None = None, labelled: bool = False) -> Window:
        """The predictions of the window, of one version or of all, or those alone whose truth is known."""

    def with_groups(self, window: Window) -> Window:
        """The window with `group`."""


def log_of(settings: Settings, declared: Declared, engine: Engine, path: str | None) -> Log:
    """The model's log; `path` names a file that is read in its place.

    Raises AddressRefused where it is neither the setting's nor below a data root or the store, and InferenceLogInvalid
    for a model of entities, whose outcomes are in the catalogue alone.
    """
    source = declared.source
    if isinstance(source, Entities):
        if path is not None and path != settings.inference_log_path:
            raise InferenceLogInvalid(f"the predictions of {declared.name} are read from the catalogue: name no file")
        return _EntityLog(engine, source, declared.name)
    if path is not None and path != settings.inference_log_path:  # what the setting names is the operator's word
        path = admitted(settings, path)
    return _TextLog(engine, declared.use_case.name, path)


@dataclass(frozen=True, slots=True)
class _TextLog:
    engine: Engine
    use_case: str
    path: str | None

    @property
    def complete(self) -> bool:
        return self.path is not None

    def newest_timestamp(self) -> datetime | None:
        return predictions.newest_timestamp(self.engine, self.use_case, self.path)

    def count_versions(self, until: datetime, days: float) -> Mapping[str, int]:
        return predictions.count_versions(self.engine, self.use_case, until, days, self.path)

    def read(self, until: datetime, days: float, *, version: str | None = None, labelled: bool = False) -> Window:
        return predictions.read_window(
            self.engine, self.use_case, until, days, self.path, version=version, labelled=labelled
        )

    def with_groups(self, window: Window) -> Window:
        return window if self.path else predictions.add_groups(self.engine, window)


@dataclass(frozen=True, slots=True)
class _EntityLog:
    engine: Engine
    source: Entities
    model: str

    @property
    def complete(self) -> bool:
        return False

    def newest_timestamp(self) -> datetime | None:
        return entity_predictions.newest_timestamp(self.engine, self.model)

    def count_versions(self, until: datetime, days: float) -> Mapping[str, int]:
        return entity_predictions.count_versions(self.engine, self.model, until, days)

    def read(self, until: datetime, days: float, *, version: str | None = None, labelled: bool = False) -> Window:
        return entity_predictions.read_window(
            self.engine, self.source, self.model, until, days, version=version, labelled=labelled
        )

    def with_groups(self, window: Window) -> Window:
        return window
