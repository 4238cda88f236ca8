"""A registered model says why it answers as it does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flows.explanation import main
from flows.promotion import promotion

if TYPE_CHECKING:
    from tests.prefect.conftest import Home


def test_the_named_version_explains_a_text_by_its_strongest_terms(
    veteran: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--version", "2", "--json", "--terms", "2", "Horses; <b>live</b>, for breeding"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "Horses; live , for breeding"
    assert (told["version"], told["predicted_class"]) == ("2", "I")
    assert told["terms"][0]["term"] in ("live", "horses")
    assert len(told["terms"]) == 2
    assert told["confidence"] > told["runner_up_confidence"]


def test_the_champion_is_asked_where_no_version_is_named(veteran: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live horses"]) == 1
    assert "has no champion yet: name a version with --version" in capsys.readouterr().err

    promotion(model_version="2", threshold=0.1)

    assert main(["live horses"]) == 0
    told = capsys.readouterr().out
    assert "products v2: I (" in told
    assert "'live'" in told
    assert "all other terms" in told


def test_a_table_without_a_champion_explains_nothing(veteran: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--use-case", "churn", "0042"]) == 1
    assert "model 'churn' has no champion yet: name a version with --version" in capsys.readouterr().err
