"""Which week a run works on that names none, and which of its products are scored."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from factory.catalogue.database import open_catalogue
from factory.catalogue.loading import load
from factory.quality import checking
from factory.records import predictions
from factory.settings import read_settings
from factory.snapshots import cutting, weeks
from factory.snapshots.store import read_batches, read_schema, write_batches
from factory.sources.readers import COLUMNS
from factory.use_cases import get_model
from flows.adapters import datasets
from tests.earlier_snapshots import restore

SETTINGS: Any = object()


@pytest.mark.parametrize(("standing", "taken"), [(SimpleNamespace(week=7), 7), (None, 1)])
def test_a_run_that_names_no_week_takes_the_newest_accepted_one_and_the_first_before_there_is_any(
    monkeypatch: pytest.MonkeyPatch, standing: Any, taken: int
) -> None:
    monkeypatch.setattr(cutting, "newest_week", lambda *_: standing)
    monkeypatch.setattr(cutting, "find_week", lambda *args: args)
    assert datasets.find_dataset(SETTINGS, "products", None) == (SETTINGS, "products", taken)
    assert datasets.find_dataset(SETTINGS, "products", 3) == (SETTINGS, "products", 3)


def test_a_product_without_label_is_scored_once_although_it_came_before_there_was_a_champion(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'catalogue.sqlite'}",
            "SNAPSHOT_URI": str(tmp_path / "snapshots"),
            "WEEK_FIRST_SHARE": "1",
        }
    )
    engine, epoch = open_catalogue(settings.database_url), settings.weeks.epoch

    def append(first: int, week: int, labels: list[str | None]) -> None:
        rows = [
            {"productid": f"{first + n:03d}", "designation": f"thing no {first + n}", "prdtypecode": label}
            for n, label in enumerate(labels)
        ]
        batch = pd.DataFrame(rows, dtype=object).reindex(columns=list(COLUMNS)).astype(object)
        batch = batch.where(batch.notna(), None)
        load(engine, [batch], source="things", created_at=weeks.start_of(week, epoch), append=True)

    def unscored(week: int) -> list[str]:
        as_of = weeks.start_of(week, epoch)
        dataset = checking.check_week(settings, cutting.cut_week(settings, "products", as_of=as_of, week=week))
        found = [datasets.read_unscored(settings, dataset, get_model("products")) for _ in range(2)]
        frame = found[0].assign(
            prediction_id=[f"{week}/{name}" for name in found[0]["entity_id"]],
            timestamp=as_of,
            prediction="k0",
            score=0.5,
            text_length=9,
            model_version="1",
            use_case="products",
        )
        if week > 1:  # there is no champion before
            predictions.append(engine, frame)
            found.append(datasets.read_unscored(settings, dataset, get_model("products")))
        assert all(each["entity_id"].tolist() == found[0]["entity_id"].tolist() for each in found)
        return list(found[0]["entity_id"])

    append(0, 1, [f"k{n % 2}" for n in range(40)] + [None] * 2)
    assert len(unscored(1)) == 42
    append(100, 2, ["k0", None])
    assert unscored(2) == ["040", "041", "100", "101"]
    append(200, 3, ["k1"])
    assert unscored(3) == ["200"]


def test_a_snapshot_of_an_earlier_version_gives_the_rows_that_one_of_today_gives(tmp_path: Path) -> None:
    settings, declared = restore(tmp_path), get_model("products")
    earlier = cutting.find_week(settings, "products", 1)
    assert earlier is not None
    files = [
        write_batches(f"{settings.snapshot_uri}/today", stem, read_schema(ref), read_batches(ref))
        for stem, ref in (("week", earlier), ("test", earlier.test))
    ]
    today = earlier.model_copy(update={**files[0].model_dump(), "test": files[1]})
    assert earlier.sha256 != today.sha256

    for read in (datasets.read_test, datasets.read_unscored):
        pd.testing.assert_frame_equal(*(read(settings, each, declared) for each in (earlier, today)))
    sides = [datasets.read_sides(settings, each, declared) for each in (earlier, today)]
    pd.testing.assert_frame_equal(sides[0].train, sides[1].train)
    pd.testing.assert_frame_equal(sides[0].test, sides[1].test)
    assert len(sides[0].train) == earlier.train_rows
