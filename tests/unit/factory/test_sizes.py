"""One unit for bytes, whoever prints them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from factory.sizes import megabytes

CHECKOUT = Path(__file__).resolve().parents[3]
OTHER_UNITS = re.compile(r"\b[KMG]iB\b(?! *$)|/ *(?:1024|\(?1 *<< *20|2 *\*\* *(?:20|30))\b")
"""What would print the same bytes as another number."""


def test_a_size_is_in_millions_of_bytes() -> None:
    assert [megabytes(238_566_400), megabytes(1_500_000_000), megabytes(238_566_400, 0)] == [
        "238.6 MB",
        "1,500.0 MB",
        "239 MB",
    ]


@pytest.mark.parametrize("folder", ["benchmarks", "bridge", "dags", "docs", "factory", "flows", "plugins", "stack"])
def test_nobody_counts_bytes_otherwise(folder: str) -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}"
        for path in sorted((CHECKOUT / folder).rglob("*"))
        if path.suffix in {".py", ".md", ".html", ".jinja", ".js"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if OTHER_UNITS.search(line)
    ]
    assert found == []
