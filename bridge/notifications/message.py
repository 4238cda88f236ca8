"""What a notification says: one run, told in one embed.

Pure: composes a `Message` from results and links, and renders it as Discord's embed within Discord's limits. Sends
nothing and knows no address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bridge.contracts import Reportable

# Discord's limits, https://discord.com/developers/docs/resources/message#embed-object-embed-limits
TITLE_CHARACTERS = 256
DESCRIPTION_CHARACTERS = 4096
FIELD_NAME_CHARACTERS = 256
FIELD_VALUE_CHARACTERS = 1024
FIELDS = 25
EMBED_CHARACTERS = 6000


class Level(Enum):
    """How a run went, with the colour of its embed."""

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
        lines = [f"{self.level.mark} {self.title}", *self.sentences]
        lines += [f"{name}: {value}" for name, value in self.facts.items()]
        lines += [f"{text}: {url}" for text, url in self.links.items()]
        return "\n".join(lines)

    def as_embed(self) -> dict[str, Any]:
        """Discord's embed object; what exceeds a limit is cut with an ellipsis, links are kept."""
        links = " · ".join(f"[{text}]({url})" for text, url in self.links.items())
        room = DESCRIPTION_CHARACTERS - len(links) - 2
        description = "\n\n".join(part for part in (_cut("\n".join(self.sentences), room), links) if part)
        title = _cut(f"{self.level.mark} {self.title}", TITLE_CHARACTERS)
        fields: list[dict[str, Any]] = []
        used = len(title) + len(description)
        for name, value in list(self.facts.items())[:FIELDS]:
            label, text = _cut(name, FIELD_NAME_CHARACTERS), _cut(value, FIELD_VALUE_CHARACTERS) or "–"
            used += len(label) + len(text)
            if used > EMBED_CHARACTERS:
                break
            fields.append({"name": label, "value": text, "inline": True})
        return {"title": title, "description": description, "color": self.level.value, "fields": fields}


def compose(
    title: str,
    *,
    results: Sequence[Reportable] = (),
    failure: str | None = None,
    links: Mapping[str, str] | None = None,
) -> Message:
    """The message for one run.

    Red with the reason when `failure` is given; yellow when a result has reservations; green otherwise. Facts come in
    the order of `results`, and so do their links behind those given; a later one of the same name wins.
    """
    facts = {name: value for result in results for name, value in result.facts().items()}
    reservations = [sentence for result in results for sentence in result.reservations()]
    if failure is not None:
        level, sentences = Level.FAILURE, [failure, *reservations]
    else:
        level, sentences = (Level.WARNING if reservations else Level.SUCCESS), reservations
    opened = dict(links or {}) | {text: url for result in results for text, url in result.links().items()}
    return Message(level, title, tuple(sentences), facts, opened)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
