"""No test is forgotten by `make test`, and none is played twice."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.lanes import LANES, OWN_TARGETS, TESTS, files_of

MAKEFILE = (TESTS.parent / "Makefile").read_text()
PAGE = (TESTS.parent / "docs" / "how-to" / "run-the-tests.md").read_text()
PLAYED_ANEW = {"test", "test-all", "test-busy"}
"""Targets that play what others do."""
IN_BOTH_ENVIRONMENTS = TESTS / "unit" / "isolation"


def test_every_file_is_in_one_lane_or_has_a_target_of_its_own() -> None:
    every = [file for file in TESTS.rglob("test_*.py") if IN_BOTH_ENVIRONMENTS not in file.parents]
    elsewhere = {file for file in every if {TESTS / path for path in OWN_TARGETS} & {file, *file.parents}}
    assert all((TESTS / path).exists() for path in OWN_TARGETS)
    played = Counter(file for lane in LANES for file in files_of(lane) if IN_BOTH_ENVIRONMENTS not in file.parents)
    assert set(played) == set(every) - elsewhere
    assert set(played.values()) == {1}


def test_what_knows_no_framework_is_imported_in_both_environments() -> None:
    [*both] = [lane.environment for lane in LANES if "unit/isolation" in lane.paths]
    assert len(set(both)) == len(both) == 2


@pytest.mark.parametrize(("path", "target"), OWN_TARGETS.items())
def test_a_target_of_its_own_plays_what_it_is_named_for(path: str, target: str) -> None:
    [recipe] = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert f"tests/{path}" in recipe


def test_every_target_is_played_by_test_all_and_told_by_the_page() -> None:
    targets = set(re.findall(r"^(test[\w-]*):", MAKEFILE, re.MULTILINE)) - PLAYED_ANEW
    [played] = re.findall(r"^test-all: (.*?) ##", MAKEFILE, re.MULTILINE)
    assert set(played.split()) == targets | {"test"}
    assert set(OWN_TARGETS.values()) <= targets
    assert targets <= set(re.findall(r"^\| `make ([\w-]+)` \|", PAGE, re.MULTILINE))
