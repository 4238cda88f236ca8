"""One message in Slack's blocks and as an e-mail: within limits, and what others wrote is text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.notifications import mail, slack
from bridge.notifications.message import Level, Message, compose

HOSTILE = (
    "<!channel> <@U1> <http://evil|Airflow> & *bold* {{ 7 * 7 }} <script>alert(1)</script>\r\n"
    "Bcc: all@example.org\x1b[2J"
)
LINKS = {"Airflow": "http://a/x?b=1&c=2", "Evil": "javascript:alert(1)", "<b>": 'http://a/"><script>|x'}
FOREIGN = st.text(max_size=4000) | st.text("&<>|*_~`{}\r\n\x1b\u202eab😀", max_size=4000)


def texts(payload: Any) -> list[dict[str, Any]]:
    """Every text object of a payload."""
    if isinstance(payload, list):
        return [found for each in payload for found in texts(each)]
    if not isinstance(payload, dict):
        return []
    own = [payload] if payload.get("type") in ("plain_text", "mrkdwn") else []
    return own + [found for each in payload.values() for found in texts(each)]


@pytest.mark.parametrize("level", Level)
def test_slack_gets_the_levels_colour_the_facts_and_the_links(level: Level) -> None:
    payload = slack.as_payload(Message(level, "weekly", ("it went on",), {"F1": ".88"}, {"Airflow": "http://a"}))
    [attachment] = payload["attachments"]
    assert attachment["color"] == f"#{level.value:06x}"
    assert payload["text"] == f"{level.mark} weekly"
    assert [each["text"] for each in texts(attachment)] == [
        f"{level.mark} weekly",
        "it went on",
        "F1\n.88",
        "<http://a|Airflow>",
    ]


def test_slack_shows_what_others_wrote_as_text() -> None:
    payload = slack.as_payload(Message(Level.FAILURE, HOSTILE, (HOSTILE,), {HOSTILE: HOSTILE}, LINKS))
    [links] = [each for each in texts(payload) if each["type"] == "mrkdwn"]
    assert links["text"] == ("<http://a/x?b=1&amp;c=2|Airflow> · <http://a/%22%3E%3Cscript%3E%7Cx|&lt;b&gt;>")
    for each in texts(payload):
        if each is not links:
            assert "&lt;!channel&gt; &lt;@U1&gt;" in each["text"]
            assert each["emoji"] is False
            assert "\x1b" not in each["text"]
    assert "<" not in payload["text"]


@given(FOREIGN, st.lists(FOREIGN, max_size=3), st.dictionaries(st.text(max_size=300), FOREIGN, max_size=60))
def test_slacks_limits_hold(title: str, sentences: list[str], facts: dict[str, str]) -> None:
    links = {name: f"http://a/{value}" for name, value in facts.items()}
    payload = slack.as_payload(Message(Level.SUCCESS, title, tuple(sentences), facts, links))
    [attachment] = payload["attachments"]
    assert len(attachment["blocks"]) <= 50
    for block in attachment["blocks"]:
        assert len(block.get("fields", [])) <= slack.FIELDS_IN_A_SECTION
        for each in block.get("fields", []):
            assert 0 < len(each["text"]) <= slack.FIELD_CHARACTERS
        if "text" in block:
            limit = slack.HEADER_CHARACTERS if block["type"] == "header" else slack.TEXT_CHARACTERS
            assert 0 < len(block["text"]["text"]) <= limit
    for each in texts(payload):
        if each["type"] == "plain_text":
            assert not set("<>") & set(each["text"])


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.opened: list[str | None] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.opened += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_mail_shows_what_others_wrote_as_text() -> None:
    message = Message(Level.WARNING, HOSTILE, (HOSTILE,), {HOSTILE: HOSTILE}, LINKS)
    page = Tags()
    page.feed(mail.as_html(message))
    assert set(page.found) <= {"div", "h2", "p", "br", "table", "tr", "th", "td", "a"}
    assert "<script>alert(1)</script>" in page.words
    assert page.opened == ["http://a/x?b=1&c=2", 'http://a/"><script>|x']
    subject = mail.subject(message)
    assert not set("\r\n\x1b") & set(subject)
    assert len(mail.subject(compose("x" * 1000))) == mail.SUBJECT_CHARACTERS
