"""Which candidates a training compares: its own, else those that are set for the use case, else all."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.settings import SettingsError
from factory.use_cases.own import VARIABLE
from flows.core.candidates import CANDIDATES
from flows.pipeline_flow import find_entrants


def names(use_case: str, named: list[str] | None) -> list[str]:
    return [each.name for each in find_entrants(use_case, named)]


def test_all_are_compared_where_nobody_names_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert find_entrants("products", None) == CANDIDATES


def test_the_file_names_those_of_a_training_that_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[products]\ncandidates = ["svm-characters", "svm-words"]\n')
    monkeypatch.setenv(VARIABLE, str(path))

    assert names("products", None) == ["svm-characters", "svm-words"]
    assert names("products", ["sgd-words"]) == ["sgd-words"]


def test_a_candidate_of_the_file_that_does_not_exist_is_told_with_those_that_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[products]\ncandidates = ["svm-word"]\n')
    monkeypatch.setenv(VARIABLE, str(path))

    with pytest.raises(
        SettingsError, match=r"products\.candidates in .*my\.toml: no candidate \['svm-word'\].*svm-words"
    ):
        find_entrants("products", None)
