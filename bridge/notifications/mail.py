"""A message as an e-mail: a subject on one line and a small page of HTML. Pure.

What others wrote is text in both: no line break reaches a header, and no sign of it is read as HTML.
"""

from __future__ import annotations

from html import escape

from bridge.notifications.markdown import is_address
from bridge.notifications.message import Message
from bridge.plain_text import as_line, as_lines

SUBJECT_CHARACTERS = 200


def subject(message: Message) -> str:
    """The title with the level's mark."""
    line = as_line(f"{message.level.mark} {message.title}")
    return line if len(line) <= SUBJECT_CHARACTERS else f"{line[: SUBJECT_CHARACTERS - 1]}…"


def as_html(message: Message) -> str:
    """The whole message; links are those of the web alone."""
    colour = f"#{message.level.value:06x}"
    parts = [f'<h2 style="border-left:6px solid {colour};padding-left:10px">{_text(subject(message))}</h2>']
    parts += [f"<p>{_text(sentence)}</p>" for sentence in message.sentences]
    rows = "".join(
        f'<tr><th style="text-align:left;padding-right:1em">{_text(name)}</th><td>{_text(value)}</td></tr>'
        for name, value in message.facts.items()
    )
    if rows:
        parts.append(f"<table>{rows}</table>")
    links = [
        f'<a href="{escape(as_line(address))}">{_text(text)}</a>'
        for text, address in message.links.items()
        if is_address(address)
    ]
    if links:
        parts.append(f"<p>{' · '.join(links)}</p>")
    return f'<div style="font-family:sans-serif">{"".join(parts)}</div>'


def _text(foreign: str) -> str:
    return escape(as_lines(foreign)).replace("\n", "<br>")
