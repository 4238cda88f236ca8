"""What Airflow remembers of a task instance's attempts, for the next one: its state store.

The store is the task instance's own: it goes with the DAG run, survives retries and clears, and answers those alone
whose try is the current one. Airflow before 3.3 has none; then the flow runs' labels must do.
"""

from __future__ import annotations

import logging
from typing import Any

from bridge.attempts import AttemptRecord

log = logging.getLogger(__name__)

KEY = "prefect-attempt"


class AttemptJournal:
    """Reads and writes the record of the newest attempt; `store` is Airflow's accessor, None where there is none."""

    def __init__(self, store: Any | None) -> None:
        self._store = store

    def recall(self) -> AttemptRecord | None:
        """What the attempt before has left; None where nothing is remembered. Blocks, raises what Airflow raises."""
        document = None if self._store is None else self._store.get(KEY)
        if document is None:
            return None
        try:
            return AttemptRecord.decode(document)
        except (KeyError, TypeError) as error:
            log.warning("What was remembered of the attempt before is no record (%r): %r", error, document)
            return None

    def write(self, record: AttemptRecord) -> None:
        """Remember this attempt in place of the one before. Blocks, raises what Airflow raises."""
        if self._store is not None:
            self._store.set(KEY, record.encode())

    def is_of_the_current_try(self) -> bool:
        """Whether Airflow still knows the try that asks: the next one, and a clear, have another id. Blocks."""
        return self._store is None or self._store.get(KEY) is not None
