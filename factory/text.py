"""A product's text: one definition for grouping, training, scoring and monitoring.

Pure. Knows nothing of where products come from.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any

import pandas as pd

CLEANING = 1
"""The version of what this module does to a text; raise it with every change: stored keys are then made anew."""

_HIDDEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")


def product_text(designation: Any, description: Any) -> Any:
    """Designation and description as one line of plain text, for one product or for two equally long Series.

    A missing part is empty; entities are resolved, markup is removed, white space becomes single spaces. Gives a str,
    or for two Series a Series of texts with the first one's index.
    """
    if isinstance(designation, pd.Series):
        if not isinstance(description, pd.Series):
            raise TypeError("designation is a Series: description must be one too")
        texts = [_joined(*parts) for parts in zip(designation, description, strict=True)]
        return pd.Series(texts, index=designation.index, dtype="str", name="text")
    return _joined(designation, description)


def group_of(text: str) -> str:
    """The text as duplicates are told by it: case, accents' encoding, punctuation and spacing do not count."""
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _joined(designation: object, description: object) -> str:
    return f"{_plain(designation)} {_plain(description)}".strip()


def _plain(part: object) -> str:
    if not isinstance(part, str):
        if part is None or pd.isna(part):
            return ""
        part = str(part)
    while "&" in part and (resolved := html.unescape(part)) != part:
        part = resolved  # exports that were escaped twice are common
    if "<" in part:
        part = _TAG.sub(" ", _HIDDEN.sub(" ", part))
    return " ".join(part.split())
