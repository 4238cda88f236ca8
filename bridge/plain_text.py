"""What others wrote, shown as text: no character of it steers a terminal or hides what it says. Pure.

Names, messages, logs, tags and parameters come from flows, people and other servers. A terminal obeys the control
characters in them, and a bidirectional override or an invisible character makes them read as something else.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's general categories of control, format and surrogate characters, and of its line and paragraph ends."""

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters and marks that Unicode calls ignorable by default: nothing is drawn for them."""

_JOINERS = frozenset("\u200c\u200d")
"""Persian is written with the one, emoji are with the other: between visible characters they stay."""

_ASCII = re.compile(r"[\x20-\x7e]*")


def as_line(foreign: str) -> str:
    """The text on one line; each character that is not for reading is written as its escape (`\\x1b`, `\\n`)."""
    if _ASCII.fullmatch(foreign):
        return foreign
    shown = [
        each if _is_read(foreign, position) else each.encode("unicode_escape").decode("ascii")
        for position, each in enumerate(foreign)
    ]
    return "".join(shown)


def as_lines(foreign: str) -> str:
    """The same with its line breaks and tabs."""
    lines = foreign.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(as_line(part) for part in line.split("\t")) for line in lines)


def as_json(document: Any, indent: int | None = None) -> str:
    """The document's exact JSON; in its texts, what is not for reading stands as JSON's own escape (`\\u001b`)."""
    return "\n".join(map(_escaped, json.dumps(document, indent=indent, default=str, ensure_ascii=False).split("\n")))


def _escaped(written: str) -> str:
    if _ASCII.fullmatch(written):
        return written
    shown = [each if _is_read(written, at) else json.dumps(each)[1:-1] for at, each in enumerate(written)]
    return "".join(shown).replace("\x7f", "\\u007f")  # the one control character that JSON writes as it is


def _is_read(text: str, position: int) -> bool:
    character = text[position]
    if character in _JOINERS:
        beside = text[max(0, position - 1) : position], text[position + 1 : position + 2]
        return all(each and not each.isascii() and unicodedata.category(each) not in _STEERING for each in beside)
    return unicodedata.category(character) not in _STEERING and character not in _UNSEEN
