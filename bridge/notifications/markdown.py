"""Text and links as Discord's Markdown: what others wrote reads as they wrote it and does nothing. Pure.

Discord makes links of `[text](address)` and of bare addresses, mentions of `<@1>` and `@everyone`, and headings, lists
and quotes of lines that begin like one. A backslash before a sign makes it text; no sign is changed or lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from bridge.plain_text import as_line, as_lines

ELLIPSIS = "…"
EMPTY = "–"
"""Discord refuses a field without text, or with spaces alone."""

_SIGNS = re.compile(
    r"""
    [\\*~`|\[\]] | (?<=\])\(          # escapes, emphasis, code, spoilers, links
    | (?<![^\W_])_ | _(?![^\W_])      # emphasis, save within a word
    | <(?=\S)                         # mentions, dates, emojis, addresses
    | @(?=everyone|here)
    | (?<=\w):(?=//)                  # an address
    | (?m:^)(?P<indent>[ \t]*)(?:[-+>\#]|\d+(?=\.[ \t]))   # a list, a quote, a heading
    """,
    re.VERBOSE,
)
SAFE_IN_ADDRESS = "!#$%&'*+,-./:;=?@[]_~"


def width(text: str) -> int:
    """The characters of the text as Discord may count them: UTF-16's units, of which there are never fewer."""
    return len(text) + sum(each > "\uffff" for each in text)


def line(foreign: str, limit: int) -> str:
    """A text on one line, of at most `limit` characters; what is cut ends with an ellipsis, and nothing is empty."""
    return _cut(as_line(foreign), limit)


def lines(foreign: str, limit: int) -> str:
    """The same with line breaks."""
    return _cut(as_lines(foreign), limit)


def is_address(text: str) -> bool:
    """Whether it is an address of the web."""
    return re.match(r"https?://[^\s/]", text) is not None


def link(text: str, address: str) -> str:
    """A link of that text; empty where the address is none of the web."""
    if not is_address(address):
        return ""
    escaped = quote(address, safe=SAFE_IN_ADDRESS, errors="replace")
    return f"[{line(text, 100)}]({escaped})"


def together(links: Sequence[str], limit: int) -> str:
    """The links, each whole, as many as fit into `limit` characters; that some are left out is said."""
    kept: list[str] = []
    for each in links:
        if width(_joined([*kept, each], len(links))) <= limit:
            kept.append(each)
    return _joined(kept, len(links))


def _joined(kept: Sequence[str], count: int) -> str:
    left_out = count - len(kept)
    said = [f"{ELLIPSIS} {left_out} more did not fit"] if left_out else []
    return " · ".join([*kept, *said])


def _cut(text: str, limit: int) -> str:
    pieces = _pieces(text.strip() or EMPTY)
    if sum(map(width, pieces)) <= limit:
        return "".join(pieces)
    room = limit - width(ELLIPSIS)
    kept = 0
    while kept < len(pieces) and width(pieces[kept]) <= room:
        room -= width(pieces[kept])
        kept += 1
    return "".join(pieces[:kept]).rstrip() + ELLIPSIS


def _pieces(text: str) -> list[str]:
    """The text in pieces between which it may be cut: characters, each with its backslash where it needs one."""
    pieces: list[str] = []
    at = 0
    for sign in _SIGNS.finditer(text):
        pieces += text[at : sign.start()]
        found = sign.group()
        indent = sign.group("indent") or ""
        pieces += indent
        rest = found[len(indent) :]
        if rest.isdecimal():  # the dot behind a list's number bears the backslash
            pieces += [*rest, "\\."]
            at = sign.end() + 1
            continue
        pieces.append(f"\\{rest}")
        at = sign.end()
    return pieces + list(text[at:])
