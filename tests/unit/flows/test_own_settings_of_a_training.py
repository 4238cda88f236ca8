"""What a training takes from the use case as a person has set it: its candidates, and its gate's floor."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory import use_cases
from factory.settings import SettingsError
from factory.use_cases.own import VARIABLE
from flows.core.candidates import CANDIDATES
from flows.pipeline_flow import THRESHOLD, find_entrants, find_threshold


def names(use_case: str, named: list[str] | None) -> list[str]:
    return [each.name for each in find_entrants(use_cases.get_model(use_case), named)]


def test_all_are_compared_where_nobody_names_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert find_entrants(use_cases.get_model("products"), None) == CANDIDATES


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
        find_entrants(use_cases.get_model("products"), None)


@pytest.mark.parametrize(
    ("floor", "asked", "expected"),
    [(0.9, THRESHOLD, 0.9), (0.6, THRESHOLD, THRESHOLD), (0.9, 0.8, 0.8), (0.9, 0.95, 0.95)],
)
def test_neither_a_higher_floor_nor_a_number_that_was_asked_for_is_undercut(
    floor: float, asked: float, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f"[products.gate]\nfloor = {floor}\n")
    monkeypatch.setenv(VARIABLE, str(path))

    assert find_threshold(use_cases.get_model("products"), asked) == expected
