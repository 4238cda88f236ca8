"""Truths and answers as arrays that can be counted with, or a refusal that names what is wrong.

Pure. Must not know what is measured.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]


def read_numbers(name: str, values: Any) -> Numbers:
    """The values as float64; raises ValueError where there is none, or one is missing or not finite."""
    numbers = np.asarray(values, dtype=float)
    if not len(numbers):
        raise ValueError(f"{name}: no row, so nothing can be measured")
    if missing := int((~np.isfinite(numbers)).sum()):
        raise ValueError(f"{name}: {missing} of {len(numbers)} rows have none: leave them out, or find out why")
    return numbers


def read_flags(name: str, values: Any) -> Numbers:
    """The values as 0 and 1; raises ValueError where one is missing, or another."""
    numbers = read_numbers(name, values)
    if strange := sorted(set(np.unique(numbers)) - {0.0, 1.0}):
        raise ValueError(f"{name}: 0 or 1 is meant, and here is also {', '.join(f'{each:g}' for each in strange[:3])}")
    return numbers


def read_classes(name: str, values: Any) -> Numbers:
    """The same, of which there must be both: raises ValueError where all rows are of one class."""
    flags = read_flags(name, values)
    if flags.min() == flags.max():
        raise ValueError(f"{name}: all {len(flags)} rows are of one class: nothing tells it from the other")
    return flags


def read_names(name: str, values: Any) -> NDArray[np.str_]:
    """The values as texts; raises ValueError where one is missing, or where all rows are of one class."""
    found = np.asarray(values, dtype=object)
    if missing := int(pd.isna(found).sum()):
        raise ValueError(f"{name}: {missing} of {len(found)} rows have none: leave them out, or find out why")
    names = found.astype(str)
    if len(np.unique(names)) < 2:
        raise ValueError(f"{name}: all {len(names)} rows are of one class: nothing tells it from another")
    return names


def read_probabilities(name: str, values: Any) -> Numbers:
    """The values, 0 to 1; raises ValueError where one is missing, or beyond."""
    numbers = read_numbers(name, values)
    if numbers.min() < 0 or numbers.max() > 1:
        raise ValueError(f"{name}: a probability lies between 0 and 1, not {numbers.min():g} to {numbers.max():g}")
    return numbers


def same_rows(**columns: Any) -> None:
    """Nothing, where all have as many rows; raises ValueError naming how many each has."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"not of the same rows: {', '.join(f'{name} {rows}' for name, rows in lengths.items())}")
