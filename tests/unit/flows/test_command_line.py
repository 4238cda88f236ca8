"""Every parameter of a flow is an option, named as people would name it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.acquisition import acquisition
from flows.command_line import parser_of, some_server
from flows.monitor_and_retrain import end_of_month, monitor_and_retrain
from flows.periods import chosen_week
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from flows.songs import ml_training_pipeline


def given(flow: Any, line: str) -> dict[str, Any]:
    return {name: value for name, value in vars(parser_of(flow).parse_args(line.split())).items() if value is not None}


def test_options_become_parameters_of_their_type() -> None:
    line = "--week 3 --max-features 10000 --C 0.5 --dataset-run-id abc"

    assert given(training_pipeline, line) == {"week": 3, "max_features": 10000, "C": 0.5, "dataset_run_id": "abc"}
    assert given(promotion, "--threshold 0.8 --model-version 2") == {"threshold": 0.8, "model_version": "2"}
    assert given(promotion, "--rollback --requested-by Anna") == {"rollback": True, "requested_by": "Anna"}
    assert given(monitor_and_retrain, "--force-retrain --as-of 2026-01-12") == {
        "force_retrain": True,
        "as_of": "2026-01-12",
    }


def test_songs_take_the_options_that_their_users_know() -> None:
    line = "--csv-path tracks.csv --table-name tracks --truncate-table --n-clusters 6"

    assert given(ml_training_pipeline, line) == {
        "csv_path": "tracks.csv",
        "table_name": "tracks",
        "truncate_table": True,
        "n_clusters": 6,
    }
    assert given(ml_training_pipeline, "--no-truncate") == {"truncate_table": False}


def test_what_is_not_given_is_left_to_the_flow() -> None:
    assert given(training_pipeline, "") == {}


def test_week_is_a_short_name_of_week_number() -> None:
    assert given(score, "--week 2") == given(score, "--week-number 2") == {"week_number": 2}


def test_two_names_for_the_week_may_not_disagree() -> None:
    assert chosen_week("products", None, None) is None
    assert chosen_week("products", None, 3) == chosen_week("products", 3, 3) == chosen_week("products", 3, None) == 3
    with pytest.raises(ValueError, match="name week 2 and week 3: give one week"):
        chosen_week("products", 2, 3)
    assert chosen_week("deals", None, None, "2017-06", None, "2017-06") == 9
    with pytest.raises(ValueError, match="name 2017-06 and 2017-07: give one month"):
        chosen_week("deals", 9, None, "2017-07")
    with pytest.raises(ValueError, match="'2017-06' is no week"):
        chosen_week("churn", None, None, "2017-06")


def test_a_month_that_is_none_is_refused_before_anything_runs() -> None:
    with pytest.raises(ParameterTypeError, match="snapshot_month"):
        acquisition.validate_parameters({"snapshot_month": "2017-13"})
    with pytest.raises(ParameterTypeError, match="current_month"):
        training_pipeline.validate_parameters({"current_month": "June"})


def test_the_windows_end_with_the_month_that_is_named_and_with_no_other_moment() -> None:
    july = datetime(2017, 7, 1, tzinfo=UTC)

    assert end_of_month("deals", "2017-06", None) == end_of_month("deals", "2017-06", july) == july
    with pytest.raises(ValueError, match="current_month=2017-06 and as_of=2017-06-30 00:00 differ"):
        end_of_month("deals", "2017-06", datetime(2017, 6, 30, tzinfo=UTC))


def test_a_server_of_prefects_own_is_told_and_locked(capsys: pytest.CaptureFixture[str]) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}), some_server():
        settings = get_current_settings()
        assert settings.api.auth_string is not None
        assert settings.api.auth_string == settings.server.api.auth_string
        assert not settings.server.analytics_enabled
    assert "Prefect starts one of its own" in capsys.readouterr().err


def test_a_server_that_is_named_is_used_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), some_server():
        assert get_current_settings().server.api.auth_string is None
    assert capsys.readouterr().err == ""
