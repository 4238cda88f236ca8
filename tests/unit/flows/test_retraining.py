"""A claim is given back by whatever ends the retraining early."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from factory.catalogue.database import open_catalogue
from factory.records.drift_checks import claim_retraining, read_retrainings
from factory.settings import read_settings
from flows import retraining

MONDAY = datetime(2026, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("error", [TypeError("not a number"), KeyboardInterrupt()])
def test_an_error_of_any_kind_is_in_nobodys_way(tmp_path: Path, error: BaseException) -> None:
    settings = read_settings({"DATABASE_URL": f"sqlite:///{tmp_path / 'catalogue.sqlite'}"})
    engine = open_catalogue(settings.database_url)
    claim_retraining(engine, "products", MONDAY, 30, claimed_by="me")

    with pytest.raises(type(error)), retraining._given_back(settings, "products", MONDAY, "me"):
        raise error

    (failed,) = read_retrainings(engine, "products")
    assert (failed.status, failed.outcome) == ("failed", f"{type(error).__name__}: {error}")
    assert claim_retraining(engine, "products", MONDAY, 30, claimed_by="other") is None
