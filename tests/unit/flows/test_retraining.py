"""A claim is given back by whatever ends the retraining early."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.records.drift_checks import claim_retraining, read_retrainings
from factory.settings import read_settings
from factory.use_cases import get_model
from factory.use_cases.clock import Month
from factory.use_cases.use_case import Drift
from flows import retraining

MONDAY = datetime(2026, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("error", [TypeError("not a number"), KeyboardInterrupt()])
def test_an_error_of_any_kind_is_in_nobodys_way(tmp_path: Path, error: BaseException) -> None:
    settings = read_settings({"DATABASE_URL": f"sqlite:///{tmp_path / 'catalogue.sqlite'}"})
    engine = open_catalogue(settings.database_url)
    claim_retraining(engine, "products", MONDAY, 30, claimed_by="me")

    with pytest.raises(type(error)), retraining._given_back(settings, get_model("products"), MONDAY, "me"):
        raise error

    (failed,) = read_retrainings(engine, "products")
    assert (failed.status, failed.outcome) == ("failed", f"{type(error).__name__}: {error}")
    assert claim_retraining(engine, "products", MONDAY, 30, claimed_by="other") is None


def test_a_cooldown_counts_in_periods_where_the_use_case_says_how_many() -> None:
    settings, first_of_march = read_settings({"RETRAIN_COOLDOWN_DAYS": "30"}), datetime(2017, 3, 1, tzinfo=UTC)
    monthly = replace(use_cases.get("churn"), clock=Month(), drift=Drift(cooldown_periods=2))

    assert retraining._cooldown_days(settings, use_cases.get("products"), first_of_march) == 30
    assert retraining._cooldown_days(settings, monthly, first_of_march) == 28 + 31
