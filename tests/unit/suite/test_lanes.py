"""No test is forgotten by `make test`, and none is played twice."""

from __future__ import annotations

from collections import Counter

from tests.lanes import LANES, OWN_TARGETS, TESTS, files_of

IN_BOTH_ENVIRONMENTS = TESTS / "unit" / "isolation"


def test_every_file_is_in_one_lane_or_has_a_target_of_its_own() -> None:
    every = [file for file in TESTS.rglob("test_*.py") if IN_BOTH_ENVIRONMENTS not in file.parents]
    elsewhere = {file for file in every if {TESTS / path for path in OWN_TARGETS} & {file, *file.parents}}
    played = Counter(file for lane in LANES for file in files_of(lane) if IN_BOTH_ENVIRONMENTS not in file.parents)
    assert set(played) == set(every) - elsewhere
    assert set(played.values()) == {1}


def test_what_knows_no_framework_is_imported_in_both_environments() -> None:
    [*both] = [lane.environment for lane in LANES if "unit/isolation" in lane.paths]
    assert len(set(both)) == len(both) == 2
