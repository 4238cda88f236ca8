"""Whether anything of the frozen test set stands among the rows to train on.

Pure. Exact duplicates are an error. Near duplicates are counted: how many there may be is a use case's own matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

COLUMNS = ("productid", "group", "text")
NEAR_COSINE = 0.9
SAMPLE_ROWS = 1_000
BLOCK_ROWS = 100
SEED = 42


class LeakageError(ValueError):
    """Rows of the frozen test set stand among the training rows: the metrics would flatter the model."""


def refuse_leaks(train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Nothing, when no productid, group or text stands on both sides.

    Raises LeakageError with the column, the number of values and examples. Empty values are no duplicates of each
    other.
    """
    for column in COLUMNS:
        shared = set(train[column].dropna().unique()) & set(test[column].dropna().unique())
        shared.discard("")
        if shared:
            examples = ", ".join(repr(str(value)[:60]) for value in sorted(shared, key=str)[:3])
            raise LeakageError(
                f"{len(shared)} values of {column!r} stand both in the training rows and in the frozen test set "
                f"(such as {examples}): the snapshot's split is broken, cut the week again"
            )


def near_duplicate_share(model: Pipeline, train: pd.Series, test: pd.Series) -> float:
    """The share (0 to 1) of test texts that nearly equal a training text: TF-IDF cosine of `NEAR_COSINE` or more.

    Of a test set larger than `SAMPLE_ROWS` a fixed sample is looked at. Rows are compared in blocks, because all pairs
    at once would not fit into memory.
    """
    vectors = model.named_steps["vectors"]
    known = vectors.transform(list(train)).T.tocsr()
    asked = vectors.transform(list(test.sample(min(len(test), SAMPLE_ROWS), random_state=SEED)))
    near = 0
    for start in range(0, asked.shape[0], BLOCK_ROWS):
        closest = (asked[start : start + BLOCK_ROWS] @ known).max(axis=1)
        near += int((closest.toarray() >= NEAR_COSINE).sum())
    return near / max(int(asked.shape[0]), 1)
