"""How results tell of the frozen test set that decided. Pure words."""

from __future__ import annotations

from collections.abc import Iterable


def looked_at(version: str, looks: int | None) -> str:
    """The test set and how often it was looked at, where that is known: `v2, looked at 7 times`."""
    return version if looks is None else f"{version}, looked at {'once' if looks == 1 else f'{looks:,} times'}"


def test_fact(version: str, looks: int | None) -> dict[str, str]:
    return {} if looks is None else {"Test set": looked_at(version, looks)}


def test_news(remarks: Iterable[str]) -> list[str]:
    """What stops nothing asks for nobody: beyond its limit the gate fails instead."""
    return [f"Test set: {said}" for said in remarks]
