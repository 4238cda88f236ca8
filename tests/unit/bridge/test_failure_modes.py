"""The pages that prove something by tests name tests that exist; the failure modes at least one for each fault."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "failure-modes.md").read_text()
ROWS = dict(re.findall(r"^\| (\d+) \|.*\|([^|]*)\|$", PAGE, re.MULTILINE))


@cache
def functions_of(path: str) -> frozenset[str]:
    """The names of a file's test functions."""
    found = ast.walk(ast.parse((CHECKOUT / path).read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_page_has_its_rows() -> None:
    assert {str(number) for number in range(1, 33)} - {"31"} <= ROWS.keys()  # 31 is the control page's
    [series] = re.findall(r"^`([\w/]+\.py)::(test_\w+)`", PAGE, re.MULTILINE)
    assert series[1] in functions_of(series[0])
    assert len(ROWS) == len(re.findall(r"^\| \d+ \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("number", ROWS)
def test_each_fault_names_tests_that_exist(number: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", ROWS[number])
    assert named, f"row {number} names no test"
    assert [f"{path}::{name}" for path, name in named if name not in functions_of(path)] == []


def test_the_comparison_names_tests_that_exist() -> None:
    page = (CHECKOUT / "docs" / "comparison.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", page)
    assert len(named) >= len(re.findall(r"^Shown by:", page, re.MULTILINE)) > 0
    assert [f"{path}::{name}" for path, name in named if name not in functions_of(f"tests/{path}")] == []


def test_every_source_of_the_comparison_is_told_once_and_used() -> None:
    page = (CHECKOUT / "docs" / "comparison.md").read_text()
    told = re.findall(r"^\[([^\]]+)\]: https://github\.com/\S+$", page, re.MULTILINE)
    assert len(told) == len(set(told))
    assert set(told) == set(re.findall(r"\]\[([^\]]+)\]", page))
