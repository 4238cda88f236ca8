"""A message as Slack shows it, in blocks and within Slack's limits. Pure.

What others wrote stands in `plain_text`, where neither mrkdwn nor a mention is read, and `&`, `<` and `>`, of which
Slack makes channels, people and links, are escaped wherever they stand.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bridge.notifications.markdown import ELLIPSIS, EMPTY, SAFE_IN_ADDRESS, is_address
from bridge.notifications.message import Message
from bridge.plain_text import as_line, as_lines

# Slack's limits, https://docs.slack.dev/reference/block-kit/blocks
HEADER_CHARACTERS = 150
TEXT_CHARACTERS = 3000
FIELD_CHARACTERS = 2000
FIELDS_IN_A_SECTION = 10
FACTS = 40

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(foreign: str) -> str:
    """The text with the characters escaped that Slack reads as its own."""
    return "".join(_ESCAPES.get(each, each) for each in foreign)


def as_payload(message: Message) -> dict[str, Any]:
    """What a webhook takes: `text` for the notification, and one attachment in the level's colour."""
    title = as_line(f"{message.level.mark} {message.title}")
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title, HEADER_CHARACTERS)}]
    if told := as_lines("\n".join(message.sentences)).strip():
        blocks.append({"type": "section", "text": _plain(told, TEXT_CHARACTERS)})
    blocks += _facts(message)
    if links := _links(message):
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": links, "verbatim": True}})
    attachment = {"color": f"#{message.level.value:06x}", "blocks": blocks}
    return {"text": _cut(title, HEADER_CHARACTERS), "attachments": [attachment]}


def _facts(message: Message) -> list[dict[str, Any]]:
    facts = [f"{as_line(name)}\n{as_lines(value)}" for name, value in message.facts.items()]
    shown = facts[:FACTS] + [f"{ELLIPSIS}\n{len(facts) - FACTS} more did not fit"][: len(facts) > FACTS]
    fields = [_plain(fact, FIELD_CHARACTERS) for fact in shown]
    sections = [fields[at : at + FIELDS_IN_A_SECTION] for at in range(0, len(fields), FIELDS_IN_A_SECTION)]
    return [{"type": "section", "fields": section} for section in sections]


def _links(message: Message) -> str:
    """The links, each whole, as many as fit."""
    made: list[str] = []
    left = TEXT_CHARACTERS
    for text, address in message.links.items():
        if not is_address(address):
            continue
        link = f"<{escape(quote(address, safe=SAFE_IN_ADDRESS, errors='replace'))}|{_cut(as_line(text), 100)}>"
        if (left := left - len(link) - 3) > 0:
            made.append(link)
    return " · ".join(made)


def _plain(foreign: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _cut(foreign, limit), "emoji": False}


def _cut(foreign: str, limit: int) -> str:
    """The text, escaped, of at most `limit` characters; what is cut ends with an ellipsis, and nothing is empty."""
    pieces = [_ESCAPES.get(each, each) for each in foreign.strip() or EMPTY]
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    kept, room = 0, limit - len(ELLIPSIS)
    while (room := room - len(pieces[kept])) >= 0:
        kept += 1
    return "".join(pieces[:kept]).rstrip() + ELLIPSIS
