"""Sizes of files and of memory in words. Pure.

One unit everywhere: MB, a million bytes, as disks and networks count. What is measured once must not read as two
numbers.
"""

from __future__ import annotations

MEGABYTE = 1_000_000


def megabytes(size_bytes: float, places: int = 1) -> str:
    """`238.6 MB`, with thousands apart."""
    return f"{size_bytes / MEGABYTE:,.{places}f} MB"
