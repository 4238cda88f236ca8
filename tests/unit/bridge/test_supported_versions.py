"""Which versions are supported is said once, in `tests/matrix/supported.py`; bounds and docs follow it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.matrix import run, supported

CHECKOUT = Path(__file__).resolve().parents[3]
DECLARED = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
PROJECT = DECLARED["project"]
PAGE = (CHECKOUT / "docs" / "operations" / "versions.md").read_text()
OPTIONAL = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
LIBRARIES = [
    Requirement(line) for line in [*PROJECT["dependencies"], *OPTIONAL] if not line.startswith("apache-airflow>")
]


def pinned(name: str, *files: str) -> set[str]:
    """The versions of a package in these requirement files."""
    texts = [(CHECKOUT / "requirements" / f"{file}.txt").read_text() for file in files]
    return {found for text in texts for found in re.findall(rf"(?m)^{re.escape(name)}==([^ \\;]+)", text)}


def bounds(requirement: Requirement) -> dict[str, Version]:
    """The version behind each operator."""
    return {each.operator: Version(each.version) for each in requirement.specifier}


def test_airflows_bounds_are_the_oldest_and_the_newest_minor_that_are_tried() -> None:
    [airflow] = [each for each in PROJECT["optional-dependencies"]["airflow"] if each.startswith("apache-airflow>")]
    tried = sorted(Version(release.version) for release in supported.AIRFLOW)
    newest = tried[-1]
    assert bounds(Requirement(airflow)) == {">=": tried[0], "<": Version(f"{newest.major}.{newest.minor + 1}")}


@pytest.mark.parametrize("library", LIBRARIES, ids=str)
def test_a_librarys_upper_bound_is_just_above_what_was_tried(library: Requirement) -> None:
    upper = bounds(library)["<"]
    tried = pinned(library.name, "airflow-test", "ml-test")
    assert tried
    for version in map(Version, tried):
        assert version in library.specifier
    newest = max(map(Version, tried))
    above = Version(f"0.{newest.minor + 1}") if newest.major == 0 else Version(f"{newest.major + 1}")
    assert upper == above


def test_pythons_bounds_are_the_oldest_and_the_newest_that_are_tried() -> None:
    oldest, newest = supported.PYTHON[0], supported.PYTHON[-1]
    after = f"3.{int(newest.partition('.')[2]) + 1}"
    assert PROJECT["requires-python"] == f">={oldest},<{after}"
    told = [each for each in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+", each)]
    assert told == [f"Programming Language :: Python :: {python}" for python in supported.PYTHON]


@pytest.mark.parametrize(
    ("package", "releases", "files"),
    [
        ("apache-airflow", supported.AIRFLOW, ("airflow", "airflow-test")),
        ("prefect", supported.PREFECT, ("ml", "ml-test")),
    ],
)
def test_what_is_installed_here_is_among_those_that_are_tried(
    package: str, releases: tuple[supported.Release, ...], files: tuple[str, ...]
) -> None:
    assert pinned(package, *files) <= {release.version for release in releases}
    assert pinned("apache-airflow", "airflow") == {supported.AIRFLOW[0].version}


@pytest.mark.parametrize("product", ["Airflow", "Prefect"])
def test_the_page_says_the_same(product: str) -> None:
    releases = {"Airflow": supported.AIRFLOW, "Prefect": supported.PREFECT}[product]
    rows = re.findall(rf"(?m)^\| {product} ([\d.]+) \| ([\d.]+) \| (.*) \|$", PAGE)
    assert [(minor, version) for minor, version, _ in rows] == [(each.minor, each.version) for each in releases]
    for release, (_, _, remark) in zip(releases, rows, strict=True):
        for part in release.lacks.split("; ") if release.lacks else ():
            assert part in remark.replace("`", "")
        for requirement in release.requirements:
            assert f"`{requirement}`" in remark
    assert re.findall(r"(?m)^\| Python ([\d., ]+) \|", PAGE) == [", ".join(supported.PYTHON)]


def test_the_matrix_has_a_cell_for_each() -> None:
    cells = supported.cells()
    assert {(cell.product, cell.release) for cell in cells} == {
        *(("Airflow", release) for release in supported.AIRFLOW),
        *(("Prefect", release) for release in supported.PREFECT),
    }
    assert {cell.python for cell in cells} == set(supported.PYTHON)
    assert len({cell.name for cell in cells}) == len(cells)


def test_a_python_that_is_absent_is_told_counted_and_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    absent = supported.Cell("Airflow", supported.AIRFLOW[0], "3.99")
    row = run.try_cell(absent)
    assert (row.result, row.said) == ("SKIPPED", "there is no Python 3.99 on this machine")
    passed = run.Row(supported.cells()[0], "passed", 12.3, "18 passed")
    assert run.table([passed, row])[-1] == "== 1 passed, 0 failed, 1 skipped"
    assert (run.exit_code([passed, row]), run.exit_code([row])) == (0, 2)


def test_one_failed_cell_fails_the_matrix() -> None:
    passed, failed = (run.Row(supported.cells()[0], result, 1.0, "") for result in ("passed", "FAILED"))
    assert run.exit_code([passed, failed, passed]) == 1


def test_this_python_is_found() -> None:
    here = "{}.{}".format(*sys.version_info[:2])
    found = run.find_python(here)
    assert found is not None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"Python {here}.")
