"""Checking a week before anything is trained on it: a bad week stops here.

Owns the verdict: what stops a week, who may overrule it, and what is left for those who mend it. What is looked for
stands in `factory.quality.checks`. Knows nothing of models; how alike two texts may be is the training's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Engine

from factory import use_cases
from factory.catalogue.database import exclusive, open_catalogue
from factory.catalogue.loading import CATALOGUE_LOCK
from factory.contracts import DatasetRef
from factory.errors import WeekRejected, WeekUnknown
from factory.grouping import joined_groups
from factory.lineage.data import of_address
from factory.lineage.steps import Account, step
from factory.quality import report
from factory.quality.findings import Fault
from factory.quality.inspection import inspect_week
from factory.records import ledger
from factory.settings import Settings
from factory.test_sets import frozen_rows
from factory.use_cases import clock_of
from factory.use_cases.sources import Texts


def _account_of_check(_: DatasetRef | None, settings: Settings, dataset: DatasetRef, **__: object) -> Account:  # noqa: ARG001
    written = of_address(report.address_of_report(dataset))
    return Account(f"check/{dataset.use_case}", (report.as_data(dataset),), (written,))


@step(_account_of_check)
def check_week(settings: Settings, dataset: DatasetRef, *, overrule: bool = False) -> DatasetRef:
    """The same dataset, once its week is recorded as accepted; one that was accepted before is not looked at again.

    A data-quality report is written beside the snapshot. That frozen test rows are not as the catalogue has them stands
    there as well: it stops the gate, not the week. `overrule` accepts what a person has judged to be meant: what
    `factory.quality.checks` calls doubtful. Raises WeekRejected with every finding, its first rows and the address of a
    file with more of them, after recording it; WeekUnknown; SnapshotCorrupt; SnapshotStoreUnusable.
    """
    engine = open_catalogue(settings.database_url)
    name = ledger.batch_name(dataset.use_case, dataset.week, dataset.revision)
    with engine.connect() as connection:
        entries = ledger.read_entries(connection, dataset.use_case)
    entry = next((entry for entry in entries if entry.batch_name == name), None)
    if entry is None or entry.dataset is None or entry.dataset.sha256 != dataset.sha256:
        again = f"cut the {clock_of(dataset.use_case).noun} again"
        raise WeekUnknown(f"the catalogue did not cut {name} with checksum {dataset.sha256[:12]}…: {again}")
    if entry.status == "accepted":
        return dataset
    before = ledger.newest([other for other in entries if other.week < dataset.week], "accepted")
    inspection = inspect_week(dataset, before)
    if inspection.profile is not None:  # else the columns are not there
        inspection = replace(inspection, faults=(*inspection.faults, *_of_the_catalogue(engine, dataset)))
    broken, doubtful = inspection.sentences("broken"), inspection.sentences("doubtful")
    status: ledger.Status = "rejected" if broken or (doubtful and not overrule) else "accepted"
    report.write_report(dataset, inspection, status)
    rows_uri = report.write_rows(dataset, inspection)
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        ledger.record_verdict(connection, dataset, status, [*broken, *doubtful])
    if status == "rejected":
        clock = clock_of(dataset.use_case)
        named = f"--{clock.noun} {clock.written(dataset.week)} --use-case {dataset.use_case}"
        accept = None if broken else f"python -m factory accept {named}"
        raise WeekRejected(name, [*broken, *doubtful], report.first_rows(inspection), rows_uri, accept)
    return dataset


def _of_the_catalogue(engine: Engine, dataset: DatasetRef) -> Iterator[Fault]:
    """What the week's rows do not show; none of it stops a week."""
    with engine.connect() as connection:
        difference = frozen_rows.compare(connection, dataset.use_case, dataset.test_version, dataset.test)
        of_texts = isinstance(use_cases.get(dataset.use_case).source, Texts)
        unjoined = joined_groups.too_many(connection) if of_texts else None
    if difference.count:
        yield Fault("test set", difference.sentence(), "noted")
    if unjoined:
        yield Fault(
            "near duplicates",
            f"near duplicates are not joined in a catalogue of more than {joined_groups.MOST_PRODUCTS:,} products, "
            f"and this one holds {unjoined:,}: near rows may stand on both sides of the split; a training measures "
            "what that does (f1_weighted_near beside f1_weighted_far)",
            "noted",
        )
