"""Whether a person is asked to approve a promotion, and what he reads.

Pure: a rehearsed verdict in, Markdown out. Must not know who asks, where, or what the answer sets off.
"""

from __future__ import annotations

from bridge.notifications import markdown
from factory.contracts import PromotionResult, looked_at
from factory.settings import Settings
from factory.use_cases.metrics import declared
from factory.use_cases.use_case import Gate

SAID_CHARACTERS = 1_000


def is_asked_for(settings: Settings, gate: Gate) -> bool:
    """Whether the use case's gate or PROMOTION_APPROVAL wants a person's approval."""
    return gate.approval or settings.promotion_approval


def compose_question(judged: PromotionResult) -> str:
    """The question in Markdown: both models' numbers, every rule of the gate, and where to look closer.

    What names of classes, versions and the like say is text, whatever Markdown or HTML stands in it.
    Empty where the gate refuses the challenger already, so that nobody is asked for what cannot be.
    """
    if not judged.promoted:
        return ""
    champion, version = judged.previous_champion_version, _text(judged.challenger_version)
    title = f"Version **{version}** of **{_text(judged.use_case)}** met every rule of the gate."
    place = f"It would take the place of version {_text(champion)}." if champion else "There is no champion yet."
    links = {**judged.links(), "MLflow": judged.mlflow_url}
    opened = " · ".join(made for text, url in links.items() if url and (made := markdown.link(text, url)))
    said = [*(check.said for check in judged.checks), *(f"test set: {each}" for each in judged.test_remarks)]
    rules = "\n".join(f"- {_text(each)}" for each in said)
    return "\n\n".join(part for part in (f"{title} {place}", _table(judged), rules, opened) if part)


def _text(foreign: str) -> str:
    """On one line, and nothing but text."""
    return markdown.line(foreign, SAID_CHARACTERS)


def _table(judged: PromotionResult) -> str:
    mine, theirs = judged.challenger_metrics, judged.previous_champion_metrics or {}
    rows = [
        f"| {each.words} | {each.show(mine[each.name])} | "
        f"{each.show(theirs[each.name]) if each.name in theirs else '–'} |"
        for each in declared(mine)
    ]
    test = _text(looked_at(judged.test_version, judged.test_looks))
    head = f"| on {judged.test_rows:,} test rows ({test}) | challenger | champion |\n|---|---|---|"
    return "\n".join([head, *rows])
