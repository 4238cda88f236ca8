"""Everything that can go wrong with the factory's data, as one tree.

    FactoryError
    ├── CatalogueUnreachable    no database under that URL
    ├── CatalogueBusy           somebody else held the lock for too long
    ├── CatalogueUnwritable     it may not be written, or has no room left
    ├── CatalogueNewer          a later version of the factory made its tables
    ├── CatalogueEmpty          there is nothing to cut
    ├── ExchangeAway            an exchange does not answer, or is too busy
    ├── SourceUnreadable        a file or folder is not what it should be
    ├── ProductConflict         a product comes twice, and differently
    ├── EntityConflict          an entity of a table is said to be two things at one moment
    ├── EntityUnknown           an entity that is asked for is not in the snapshot
    ├── ProductUnknown          a product that is to be corrected is not there
    ├── ForeignProducts         the catalogue holds the products of another source
    ├── RegistryAway            MLflow cannot be asked
    ├── ArtifactStoreAway       what MLflow keeps as files is out of reach
    ├── SnapshotStoreUnusable   the snapshot folder cannot be opened
    ├── DocumentUnreadable      what was stored lacks what it should hold
    ├── SnapshotCorrupt         a file is missing or is not the one that was written
    ├── AddressRefused          a parameter names what it may not
    ├── WeekUnknown             no such week was cut
    ├── WeekRejected            the checks found something
    ├── NothingToFreeze         the frozen test set is as the catalogue would give it
    ├── TestSetOutdated         too many frozen rows are not as the catalogue has them
    └── InferenceLogInvalid     predictions that cannot be logged or read

Every message says what happened, to what, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class FactoryError(Exception):
    """Root of the tree: catch it at an entry point and show its message."""


class CatalogueUnreachable(FactoryError):
    """No database answers under the catalogue's URL."""


class CatalogueBusy(FactoryError):
    """Another process held the catalogue's lock for longer than the wait allows."""


class CatalogueUnwritable(FactoryError):
    """The catalogue's database may not be written, or has no room left."""


class CatalogueNewer(FactoryError):
    """The catalogue was migrated by a version of the factory that this code is older than."""


class CatalogueEmpty(FactoryError):
    """The catalogue holds no product that could be cut."""


class ExchangeAway(FactoryError):
    """An exchange did not answer, or said for too long that it is busy."""


class SourceUnreadable(FactoryError):
    """A source of products is missing, has another layout, or holds rubbish."""


class ProductConflict(FactoryError):
    """One productid stands for two different products."""


class EntityConflict(FactoryError):
    """An entity of a table has two states, or two outcomes, of one moment."""


class EntityUnknown(FactoryError):
    """The snapshot holds no such entity."""


class ProductUnknown(FactoryError):
    """The catalogue holds no such product."""


class ForeignProducts(FactoryError):
    """The catalogue already holds the products of another source."""


class RegistryAway(FactoryError):
    """MLflow does not answer under its address, or answers nobody like this process."""


class ArtifactStoreAway(FactoryError):
    """The store in which MLflow keeps its files does not answer, or knows no such user."""


class SnapshotStoreUnusable(FactoryError):
    """The snapshot URI names a filesystem that cannot be opened or written."""


class DocumentUnreadable(FactoryError):
    """A stored document is damaged, or was written by a version that says things in another way."""


class SnapshotCorrupt(FactoryError):
    """A snapshot is missing or its bytes are not those that were recorded."""


class AddressRefused(FactoryError):
    """A parameter names a file or a service beyond the data roots and the store."""


class WeekUnknown(FactoryError):
    """The catalogue knows no such week."""


class WeekRejected(FactoryError):
    """The checks of a week found something.

    `findings` holds one sentence each, `first_rows` a line for each of the first rows concerned; `rows_uri` is a CSV
    file with more of them, None when no single row is to blame. `accept_command` accepts the week as it is, where a
    person may do so.
    """

    def __init__(
        self,
        batch_name: str,
        findings: Sequence[str],
        first_rows: Sequence[str] = (),
        rows_uri: str | None = None,
        accept_command: str | None = None,
    ) -> None:
        self.batch_name = batch_name
        self.findings = tuple(findings)
        self.first_rows = tuple(first_rows)
        self.rows_uri = rows_uri
        parts = [f"{batch_name} was rejected:", *(f"- {finding}" for finding in self.findings)]
        if self.first_rows:
            parts += ["The first rows concerned:", *(f"  {row}" for row in self.first_rows)]
        if rows_uri:
            parts.append(f"Their rows stand in {rows_uri}.")
        parts.append("Mend the rows in the catalogue and cut them again (it becomes the next revision).")
        if accept_command:
            parts.append(f"If all of this is meant: {accept_command}")
        super().__init__("\n".join(parts))


class NothingToFreeze(FactoryError):
    """A new test set would be the one that stands, or hold no row."""


class TestSetOutdated(FactoryError):
    """Too many rows of the frozen test set were relabelled, deleted or changed since: no judgement on it means much."""

    __test__ = False  # pytest would take it for a class of tests


class InferenceLogInvalid(FactoryError):
    """Predictions lack a column or hold values that cannot be used."""
