"""The test set on which models are judged: the one that decides today, and what has to be known of it.

Owns which set a week is measured on, how it is compared with the catalogue before that, and the words in which a
training or a judgement tells it. Must not know what a judgement is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef
from factory.settings import Settings
from factory.test_sets import frozen_rows, frozen_tests
from factory.test_sets.frozen_rows import Coverage, Difference
from factory.test_sets.frozen_tests import Look
from flows.adapters.datasets import admit

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Exam:
    """`dataset` is a week with the test set that decides, `difference` how that set differs from the catalogue."""

    dataset: DatasetRef
    difference: Difference


@dataclass(frozen=True, slots=True)
class Report:
    """What has to be known of the set beside every number on it; `looks` counts this one, too."""

    difference: Difference
    coverage: Coverage
    looks: int

    def remarks(self) -> tuple[str, ...]:
        """What differs and what is not covered, a sentence each; none where the numbers need no such words."""
        differs = [self.difference.sentence()] if self.difference.count else []
        return (*differs, *self.coverage.sentences())


def find_exam(settings: Settings, dataset: DatasetRef) -> Exam:
    """The week with the set that decides, compared with the catalogue.

    Raises AddressRefused, SnapshotCorrupt, SnapshotStoreUnusable and CatalogueUnreachable.
    """
    admit(settings, dataset)  # a foreign address is refused, though another set decides than the one that it names
    with open_catalogue(settings.database_url).connect() as connection:
        deciding = frozen_tests.beside_the_newest(connection, dataset)
        test = admit(settings, deciding).test
        return Exam(deciding, frozen_rows.compare(connection, deciding.use_case, deciding.test_version, test))


def look(
    connection: Connection,
    exam: Exam,
    tested: pd.Series,
    trained: Mapping[str, int] | Collection[str],
    *,
    model: str,
    look_id: str,
    kind: Look,
) -> Report:
    """Count the look, and say what was looked at: the true classes of the test rows, and those that were trained on."""
    dataset = exam.dataset
    classes = {str(name): int(rows) for name, rows in tested.value_counts().items()}
    return Report(
        difference=exam.difference,
        coverage=frozen_rows.cover(dataset.test_version, trained=trained, tested=classes),
        looks=frozen_tests.look(connection, model, dataset.test, look_id=look_id, kind=kind),
    )
