"""A product's text: one definition for grouping, training, scoring and monitoring.

Pure. Knows nothing of where products come from. French and English are cleaned alike: no rule here depends on the
language (docs/decisions say why, and what languages are told apart for).
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any

import pandas as pd

CLEANING = 3
"""The version of what this module does to a text; raise it with every change: stored keys are then made anew."""

_HIDDEN = re.compile(r"<(?:(script|style)\b|!--)", re.IGNORECASE)
"""Where something begins that no reader of the page would see."""
_HIDDEN_ENDS = {
    None: re.compile("-->"),
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
}
_AMPERSAND = re.compile(r"&(?:amp;?|AMP;?|#0*38(?:;|(?!\d))|#[xX]0*26(?:;|(?![0-9a-fA-F])))+")
_ENDLESS = re.compile(r"&#(\d{8,})", re.ASCII)
"""A number that no character has, unless it begins with zeros; html reads it whole, and Python no number so long."""
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_MISSING = frozenset({"nan", "none", "null", "<na>", "n/a", "\\n"})
"""What exports write for a description that is missing; of a designation it may be the name."""
# Typographic marks by plain ones, as most shops write them; characters without width or meaning by nothing.
_PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00ab": '"', "\u00bb": '"'}
    | {"\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": "-", "\u2026": "..."}
    | dict.fromkeys(["\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff"], "")
)
_TYPOGRAPHIC = re.compile("[\u00ab\u00ad\u00bb\u02bc\u200b-\u2060\ufeff]")
MOST_MARKS = 30
"""Combining marks on one letter, as in Unicode's stream-safe text format (UAX 15): longer runs take ages to sort."""
_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{MOST_MARKS + 1},}}")
_SUSPICIOUS = re.compile("[ÂÃâðÅÄ\u0080-\u009f]")
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae"})


def product_text(designation: Any, description: Any) -> Any:
    """Designation and description as one line of plain text, for one product or for two equally long Series.

    A missing part is empty; entities are resolved, markup is removed, texts that were read in a wrong encoding are
    repaired where that is certain (ftfy), accents are composed, typographic marks become plain ones and white space
    single spaces. Gives a str, or for two Series a Series of texts with the first one's index.
    """
    if isinstance(designation, pd.Series):
        if not isinstance(description, pd.Series):
            raise TypeError("designation is a Series: description must be one too")
        texts = [_joined(*parts) for parts in zip(designation, description, strict=True)]
        return pd.Series(texts, index=designation.index, dtype="str", name="text")
    return _joined(designation, description)


def group_of(text: str) -> str:
    """The text as duplicates are told by it: case, accents, ligatures, punctuation and spacing do not count.

    Accents do not, because French in capitals is often written without them.
    """
    if text.isascii():
        text = text.casefold()
    else:
        text = _folded(text)
        if not text.isascii():  # rare: ligatures, and letters that become others only now
            text = _folded(text.translate(_LIGATURES))
    return _NOT_WORD.sub(" ", text).strip()


def _folded(text: str) -> str:
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()


def _joined(designation: object, description: object) -> str:
    if isinstance(description, str) and description.strip().casefold() in _MISSING:
        description = None
    return f"{_plain(designation)} {_plain(description)}".strip()


def _plain(part: object) -> str:
    if not isinstance(part, str):
        if part is None or pd.isna(part):
            return ""
        part = str(part)
    while "&" in part and (resolved := html.unescape(_ENDLESS.sub(_short, _AMPERSAND.sub("&", part)))) != part:
        part = (
            resolved  # exports that were escaped twice are common, and an "&" may have been escaped any number of times
        )
    if "<" in part:
        part = _TAG.sub(" ", _without_hidden(part))
    if not part.isascii():
        part = unicodedata.normalize("NFC", _MARKS.sub(_few, _plainly_marked(_repaired(part))))
    return " ".join(part.split())


def _short(reference: re.Match[str]) -> str:
    """The number without zeros before it, or one that stands for no character either."""
    return f"&#{reference[1].lstrip('0')[:8] or 0}"


def _without_hidden(text: str) -> str:
    """Scripts, styles and comments become spaces, in one pass: an end that was not found once is not there later."""
    kept: list[str] = []
    shown_from = place = 0
    endless: set[str | None] = set()
    while begin := _HIDDEN.search(text, place):
        kind = begin[1] and begin[1].lower()
        end = None if kind in endless else _HIDDEN_ENDS[kind].search(text, begin.end())
        if end is None:
            endless.add(kind)
            place = begin.end()
            continue
        kept += [text[shown_from : begin.start()], " "]
        shown_from = place = end.end()
    return "".join([*kept, text[shown_from:]])


def _plainly_marked(text: str) -> str:
    return text.translate(_PLAIN) if _TYPOGRAPHIC.search(text) else text


def _few(run: re.Match[str]) -> str:
    """The run of signs without the marks beyond those that one letter may bear."""
    kept: list[str] = []
    marks = 0
    for sign in run[0]:
        marks = marks + 1 if unicodedata.combining(sign) else 0
        if marks <= MOST_MARKS:
            kept.append(sign)
    return "".join(kept)


def _repaired(text: str) -> str:
    if not _SUSPICIOUS.search(text):  # ftfy looks closely, which takes time
        return text
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    return fix_encoding(text) if is_bad(text) else text
