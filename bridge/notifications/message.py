"""What a notification says of one run.

Pure: composes a `Message` from results and links, and renders it as text and as Discord's embed within its limits.
Sends nothing and knows no address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bridge.contracts import Newsworthy, Reportable
from bridge.notifications import markdown
from bridge.plain_text import as_line, as_lines

# Discord's limits, https://discord.com/developers/docs/resources/message#embed-object-embed-limits
TITLE_CHARACTERS = 256
DESCRIPTION_CHARACTERS = 4096
FIELD_NAME_CHARACTERS = 256
FIELD_VALUE_CHARACTERS = 1024
FIELDS = 25
EMBED_CHARACTERS = 6000
REASON_CHARACTERS = 1000
"""So many characters of the sentences come before any link."""

_GAP = "\n\n"


class Level(Enum):
    """How a run went, with its colour: yellow is for what a person should look at."""

    SUCCESS = 0x2E7D32
    WARNING = 0xF9A825
    FAILURE = 0xC62828

    @property
    def mark(self) -> str:
        """A sign that tells the level without colour."""
        return {"SUCCESS": "✅", "WARNING": "⚠️", "FAILURE": "❌"}[self.name]


@dataclass(frozen=True, slots=True)
class Message:
    """One run's news: a level, a title, sentences, short facts by label, and links by their text."""

    level: Level
    title: str
    sentences: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """The whole message as plain lines, for logs."""
        lines = [f"{self.level.mark} {as_line(self.title)}", *map(as_lines, self.sentences)]
        lines += [f"{as_line(name)}: {as_lines(value)}" for name, value in self.facts.items()]
        lines += [f"{as_line(text)}: {as_line(url)}" for text, url in self.links.items()]
        return "\n".join(lines)

    def as_embed(self) -> dict[str, Any]:
        """Discord's embed object: all of its limits hold together, and what is cut or left out is marked.

        Texts are shown as they were written, whatever Markdown stands in them; links are whole, or left out.
        """
        title = markdown.line(f"{self.level.mark} {self.title}", TITLE_CHARACTERS)
        description = self._description()
        fields = _fields(self.facts, EMBED_CHARACTERS - markdown.width(title) - markdown.width(description))
        return {"title": title, "description": description, "color": self.level.value, "fields": fields}

    def _description(self) -> str:
        told = "\n".join(self.sentences)
        addresses = [made for text, url in self.links.items() if (made := markdown.link(text, url))]
        reason = min(markdown.width(markdown.lines(told, DESCRIPTION_CHARACTERS)), REASON_CHARACTERS) if told else 0
        links = markdown.together(addresses, DESCRIPTION_CHARACTERS - reason - len(_GAP))
        room = DESCRIPTION_CHARACTERS - markdown.width(links) - len(_GAP)
        return _GAP.join(part for part in (markdown.lines(told, room) if told.strip() else "", links) if part)


def _fields(facts: Mapping[str, str], room: int) -> list[dict[str, Any]]:
    """As many facts as there is room for; that there are more is said in the last field."""
    fields = [
        _field(markdown.line(name, FIELD_NAME_CHARACTERS), markdown.lines(value, FIELD_VALUE_CHARACTERS))
        for name, value in facts.items()
    ]
    if len(fields) <= FIELDS and sum(map(_size, fields)) <= room:
        return fields
    for count in range(min(len(fields), FIELDS) - 1, -1, -1):
        kept = [*fields[:count], _field(markdown.ELLIPSIS, f"{len(fields) - count} more did not fit")]
        if sum(map(_size, kept)) <= room:
            return kept
    return []


def _field(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "inline": True}


def _size(field: Mapping[str, Any]) -> int:
    return markdown.width(field["name"]) + markdown.width(field["value"])


def compose(
    title: str,
    *,
    results: Sequence[Reportable] = (),
    failure: str | None = None,
    links: Mapping[str, str] | None = None,
) -> Message:
    """The message for one run.

    Red with the reason when `failure` is given; yellow when a result has reservations, so that there is something to
    look at; green otherwise, news or none. Facts come in the order of `results`, and so do their links behind those
    given; a later one of the same name wins.
    """
    facts = {name: value for result in results for name, value in result.facts().items()}
    reservations = [sentence for result in results for sentence in result.reservations()]
    news = [sentence for result in results if isinstance(result, Newsworthy) for sentence in result.news()]
    if failure is not None:
        level, sentences = Level.FAILURE, [failure, *reservations, *news]
    else:
        level, sentences = (Level.WARNING if reservations else Level.SUCCESS), [*reservations, *news]
    opened = dict(links or {}) | {text: url for result in results for text, url in result.links().items()}
    return Message(level, title, tuple(sentences), facts, opened)
