"""The page of failure modes names tests that exist, at least one for each fault."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "failure-modes.md").read_text()
ROWS = {number: tests for number, tests in re.findall(r"^\| (\d+) \|.*\|([^|]*)\|$", PAGE, re.MULTILINE)}


@cache
def functions_of(path: str) -> frozenset[str]:
    """The names of a file's test functions."""
    found = ast.walk(ast.parse((CHECKOUT / path).read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) == 31
    assert len(ROWS) == len(re.findall(r"^\| \d+ \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("number", ROWS)
def test_each_fault_names_tests_that_exist(number: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", ROWS[number])
    assert named, f"row {number} names no test"
    assert [f"{path}::{name}" for path, name in named if name not in functions_of(path)] == []
