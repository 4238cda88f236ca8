"""Predictions are logged once and read back by data time, from the table or from a file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from factory.errors import InferenceLogInvalid
from factory.records.predictions import (
    COLUMNS,
    add_groups,
    append,
    count_versions,
    merge_samples,
    newest_timestamp,
    read_window,
)
from factory.records.stored import ANSWERS

MONDAY = datetime(2026, 1, 12, tzinfo=UTC)
Batch = Callable[..., pd.DataFrame]


def predictions(count: int, *, at: datetime = MONDAY, first: int = 0, use_case: str = "products") -> pd.DataFrame:
    ids = [f"{n:05d}" for n in range(first, first + count)]
    return pd.DataFrame(
        {
            "prediction_id": [f"{use_case}/{i}" for i in ids],
            "timestamp": at,
            "productid": ids,
            "predicted_class": "tools",
            "confidence": 0.5,
            "text_length": 12,
            "model_version": "1",
            "use_case": use_case,
        }
    )


def answers(count: int) -> pd.DataFrame:
    """The same as a flow hands them over."""
    return predictions(count).rename(
        columns={"productid": "entity_id", "predicted_class": "prediction", "confidence": "score"}
    )


def test_whoever_reads_the_log_from_outside_finds_the_names_that_it_always_had(engine: Engine) -> None:
    append(engine, answers(1))
    with engine.connect() as connection:
        row = connection.execute(text("SELECT productid, predicted_class, confidence FROM inference_log")).one()
    assert tuple(row) == ("00000", "tools", 0.5)


def test_a_prediction_is_logged_once(engine: Engine) -> None:
    assert append(engine, answers(10)) == 10
    assert append(engine, answers(15).assign(prediction="toys")) == 5
    classes = read_window(engine, "products", MONDAY, 7).rows["prediction"]
    assert classes.value_counts().to_dict() == {"tools": 10, "toys": 5}


def test_what_was_scored_is_read_whatever_the_catalogue_says_since(engine: Engine) -> None:
    """A product may be corrected or deleted later. Keys keep their 64 bits beside rows that have none."""
    key = 2**62 + 1
    append(
        engine, predictions(3).assign(text=["oak chair", "", None], group_key=pd.Series([key, 7, None], dtype=object))
    )

    window = add_groups(engine, read_window(engine, "products", MONDAY, 7))

    assert window.rows["text"].tolist() == ["oak chair", "", ""]
    assert window.rows["group"].tolist() == [key, 7, None]


def test_one_prediction_twice_in_one_call_is_one(engine: Engine) -> None:
    assert append(engine, pd.concat([predictions(3), predictions(3)])) == 3


def test_a_large_log_is_written_whole(engine: Engine) -> None:
    assert append(engine, predictions(12_001)) == 12_001


def test_of_a_large_window_the_same_random_sample_is_drawn_every_time(engine: Engine) -> None:
    classes = ["tools", "toys"] * 6_000
    append(engine, predictions(12_000).assign(predicted_class=classes))

    window, again = (read_window(engine, "products", MONDAY, 7, most_rows=3_000) for _ in range(2))

    assert window.total == 12_000
    assert len(window.rows) == window.rows["prediction_id"].nunique() == 3_000
    pd.testing.assert_frame_equal(window.rows, again.rows)
    # a half of the window: four standard errors of a share in 3,000 rows either way
    assert (window.rows["prediction"] == "tools").mean() == pytest.approx(0.5, abs=0.04)
    assert window.rows["prediction_id"].is_monotonic_increasing


def test_samples_of_two_windows_merge_into_one_in_which_all_rows_are_as_likely(engine: Engine) -> None:
    append(engine, predictions(9_000))
    append(engine, predictions(3_000, first=9_000, at=MONDAY - timedelta(days=8)))
    recent = read_window(engine, "products", MONDAY, 7, most_rows=1_500)
    before = read_window(engine, "products", MONDAY - timedelta(days=7), 23, most_rows=1_500)

    merged = merge_samples(recent, before)

    assert merged.total == 12_000
    assert (merged.rows["timestamp"] == MONDAY).sum() == 1_500
    assert (merged.rows["timestamp"] < MONDAY).sum() == 500
    whole = read_window(engine, "products", MONDAY, 30, most_rows=2_000)
    # the smallest hashes of each are nearly those of all: a sample of 2,000 in which a quarter is from before
    assert len(set(whole.rows["prediction_id"]) & set(merged.rows["prediction_id"])) > 1_900


def test_a_version_is_read_alone_and_counted(engine: Engine) -> None:
    append(engine, predictions(5))
    append(engine, predictions(3, first=10).assign(model_version="2"))

    assert count_versions(engine, "products", MONDAY, 7) == {"1": 5, "2": 3}
    assert read_window(engine, "products", MONDAY, 7, version="2").total == 3
    assert read_window(engine, "products", MONDAY, 7).total == 8


def test_those_whose_class_is_known_are_read_alone(
    engine: Engine, stock: Callable[..., object], goods: Batch, tmp_path: Path
) -> None:
    stock(goods(4))
    append(engine, predictions(10))
    frame = predictions(10).assign(label=["tools", "", *[None] * 8])
    frame.to_csv(tmp_path / "log.csv", index=False)

    tabled = read_window(engine, "products", MONDAY, 7, labelled=True)
    filed = read_window(None, "products", MONDAY, 7, str(tmp_path / "log.csv"), labelled=True)
    predictions(3).to_csv(tmp_path / "bare.csv", index=False)

    assert (tabled.total, tabled.rows["label"].tolist()) == (4, ["tools", "toys", "books", "tools"])
    assert (filed.total, filed.rows["label"].tolist()) == (1, ["tools"])
    assert read_window(None, "products", MONDAY, 7, str(tmp_path / "bare.csv"), labelled=True).total == 0


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_of_a_large_file_the_sample_of_the_table_is_drawn(tmp_path: Path, engine: Engine, suffix: str) -> None:
    append(engine, predictions(2_000))
    path = tmp_path / f"log.{suffix}"
    far = predictions(60_000, first=2_000, at=MONDAY + timedelta(days=1))  # the file is read in more than one piece
    frame = pd.concat([far, predictions(2_000)])
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)

    filed = read_window(None, "products", MONDAY, 7, str(path), version="1", most_rows=500)
    tabled = read_window(engine, "products", MONDAY, 7, version="1", most_rows=500)

    assert filed.total == tabled.total == 2_000
    assert set(filed.rows["prediction_id"]) == set(tabled.rows["prediction_id"])
    assert count_versions(None, "products", MONDAY, 7, str(path)) == {"1": 2_000}


def test_no_predictions_are_no_error(engine: Engine) -> None:
    assert append(engine, predictions(0)) == 0
    assert newest_timestamp(engine, "products") is None
    empty = read_window(engine, "products", MONDAY, 7)
    assert empty.rows.columns.tolist() == [*(ANSWERS.get(name, name) for name in COLUMNS), "text", "source", "label"]
    assert empty.rows.empty
    assert empty.total == 0


def test_a_window_counts_back_from_data_time_and_bears_the_texts(
    engine: Engine, stock: Callable[..., object], goods: Batch
) -> None:
    stock(goods(10))
    for days in (0, 7, 8, -1):
        append(engine, predictions(2, at=MONDAY - timedelta(days=days), first=10 + days))
    append(engine, predictions(2, use_case="other"))
    append(engine, predictions(2, at=MONDAY - timedelta(days=6)))
    window = read_window(engine, "products", MONDAY, 7).rows
    assert window["productid"].tolist() == ["00000", "00001", "00010", "00011"]
    assert window["text"].tolist() == ["cordless drill no. 0 model 0", "plush bear no. 1", "", ""]
    assert window["label"].tolist()[:2] == ["tools", "toys"]
    assert window["label"].isna().tolist() == [False, False, True, True]
    assert window["timestamp"].dt.tz is not None
    assert newest_timestamp(engine, "products") == MONDAY + timedelta(days=1)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "csv.gz"])
def test_a_file_stands_in_for_the_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log.{suffix}"
    frame = pd.concat([predictions(3), predictions(2, at=MONDAY - timedelta(days=30), first=9)])
    frame = frame.drop(columns=["use_case", "model_version"]).assign(predicted_class="10", score="a column of its own")
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    window = read_window(None, "products", MONDAY, 7, str(path)).rows
    assert window["productid"].tolist() == ["00000", "00001", "00002"]
    assert window["prediction"].tolist() == ["10"] * 3
    assert window["score"].tolist() == [0.5] * 3
    assert "text" not in window.columns
    assert newest_timestamp(None, "products", str(path)) == MONDAY


def test_a_file_of_several_use_cases_gives_ours(tmp_path: Path) -> None:
    pd.concat([predictions(2), predictions(3, use_case="other")]).to_csv(tmp_path / "log.csv", index=False)
    assert read_window(None, "other", MONDAY, 7, str(tmp_path / "log.csv")).total == 3


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with pytest.raises(InferenceLogInvalid, match="INFERENCE_LOG_PATH"):
        read_window(None, "products", MONDAY, 7, str(path))
    path.write_text("timestamp,predicted_class\n2026-01-12,x\n")
    with pytest.raises(InferenceLogInvalid, match="lack the columns confidence, text_length"):
        read_window(None, "products", MONDAY, 7, str(path))
    path.write_text("timestamp,predicted_class,confidence,text_length\nyesterday,x,0.5,3\n")
    with pytest.raises(InferenceLogInvalid, match="value in 'timestamp'"):
        read_window(None, "products", MONDAY, 7, str(path))


HEADER, ROW = "timestamp,predicted_class,confidence,text_length,text\n", "2026-01-12,k,0.5,3,a\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ROW + "2026-01-12,k\n", "line 3 has 2 fields, the header 5"),
        (ROW.replace("k", "k\0z"), "line 2: a NUL character"),
        ('2026-01-12,k,0.5,3,"a\n2026-01-12,k,0.5,3,b"\n', "line 2: a quoted field goes on to line 3"),
        (ROW + ROW.replace("2026-01-12", "n/a"), "1 predictions have no timestamp, the first is row 2"),
        (ROW + HEADER, "line 3: the header stands here again"),
    ],
)
def test_a_file_is_read_as_it_stands_or_not_at_all(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "log.csv").write_text(HEADER + content)
    with pytest.raises(InferenceLogInvalid, match=said):
        read_window(None, "products", MONDAY, 7, str(tmp_path / "log.csv"))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_a_compressed_file_that_is_cut_off_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log.csv.{suffix}"
    predictions(3000).to_csv(path, index=False)
    assert read_window(None, "products", MONDAY, 7, path.as_uri()).total == 3000
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InferenceLogInvalid, match="cannot be unpacked to its end"):
        read_window(None, "products", MONDAY, 7, path.as_uri())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_value_is_none_however_it_is_spelled(tmp_path: Path, suffix: str) -> None:
    spelled = predictions(4).assign(
        predicted_class=["k", "NULL", " nan ", ""],
        label=["k", "N/A", "None", "k"],
        confidence=["0.5", "NULL", "", "0.5"],
    )
    path = tmp_path / f"log.{suffix}"
    spelled.to_parquet(path) if suffix == "parquet" else spelled.to_csv(path, index=False)
    window = read_window(None, "products", MONDAY, 7, str(path)).rows
    assert window["prediction"].isna().tolist() == [False, True, True, True]
    assert window["score"].isna().tolist() == [False, True, True, False]
    assert read_window(None, "products", MONDAY, 7, str(path), labelled=True).total == 2


def test_predictions_with_missing_columns_or_values_are_refused(engine: Engine) -> None:
    with pytest.raises(InferenceLogInvalid, match="lack the columns confidence"):
        append(engine, predictions(2).drop(columns="confidence"))
    with pytest.raises(InferenceLogInvalid, match="empty values in confidence"):
        append(engine, predictions(2).assign(confidence=[0.5, None]))


def test_without_catalogue_and_file_there_is_nothing_to_read() -> None:
    with pytest.raises(InferenceLogInvalid, match="neither a catalogue nor a file"):
        read_window(None, "products", MONDAY, 7)
