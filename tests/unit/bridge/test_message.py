"""One run, one embed, within Discord's limits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.notifications import markdown
from bridge.notifications.message import (
    DESCRIPTION_CHARACTERS,
    EMBED_CHARACTERS,
    FIELD_NAME_CHARACTERS,
    FIELD_VALUE_CHARACTERS,
    FIELDS,
    TITLE_CHARACTERS,
    Level,
    Message,
    compose,
)
from bridge.plain_text import as_line, as_lines


@dataclass
class Result:
    told: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    opened: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, str]:
        return self.told

    def reservations(self) -> list[str]:
        return self.doubts

    def links(self) -> dict[str, str]:
        return self.opened


@dataclass
class Told(Result):
    heard: list[str] = field(default_factory=list)

    def news(self) -> list[str]:
        return self.heard


def test_all_well_is_green() -> None:
    message = compose("weekly", results=[Result({"F1": ".88"})], links={"Airflow": "http://a"})
    assert message.level is Level.SUCCESS
    assert message.facts == {"F1": ".88"}


def test_a_reservation_is_yellow_and_said() -> None:
    message = compose("weekly", results=[Result(), Result(doubts=["Not promoted: a tie"])])
    assert message.level is Level.WARNING
    assert message.sentences == ("Not promoted: a tie",)


def test_news_are_said_and_keep_it_green() -> None:
    message = compose("weekly", results=[Result(), Told(heard=["Not promoted: a tie"])])
    assert message.level is Level.SUCCESS
    assert message.sentences == ("Not promoted: a tie",)
    doubted = compose("weekly", results=[Told(doubts=["a doubt"], heard=["some news"])])
    assert doubted.level is Level.WARNING
    assert doubted.sentences == ("a doubt", "some news")


def test_a_failure_is_red_whatever_else_there_is() -> None:
    message = compose("weekly", results=[Result(doubts=["a doubt"])], failure="train failed")
    assert message.level is Level.FAILURE
    assert message.sentences == ("train failed", "a doubt")


def test_results_bring_links_of_their_own() -> None:
    message = compose("weekly", results=[Result(opened={"MLflow": "http://m"})], links={"Airflow": "http://a"})
    assert message.links == {"Airflow": "http://a", "MLflow": "http://m"}
    assert "[MLflow](http://m)" in message.as_embed()["description"]
    assert "MLflow: http://m" in message.as_text()


FOREIGN = st.text(max_size=3000) | st.text("*_~`|[]()<>@#:/\\\\-+.1 \nab\x1b\u202e😀", max_size=5000)
LONG = st.builds("http://a/{}".format, st.text("abc()[] é", max_size=5000))


def size(text: str) -> int:
    """Its characters as Discord may count them."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@settings(max_examples=300)
@given(
    title=FOREIGN,
    sentences=st.lists(FOREIGN, max_size=4),
    facts=st.dictionaries(FOREIGN, FOREIGN, max_size=40),
    links=st.dictionaries(FOREIGN, LONG | FOREIGN, max_size=6),
)
def test_no_embed_exceeds_discords_limits(
    title: str, sentences: list[str], facts: dict[str, str], links: dict[str, str]
) -> None:
    embed = Message(Level.FAILURE, title, tuple(sentences), facts, links).as_embed()
    fields = embed["fields"]
    assert size(embed["title"]) <= TITLE_CHARACTERS
    assert size(embed["description"]) <= DESCRIPTION_CHARACTERS
    assert len(fields) <= FIELDS
    assert all(each["name"].strip() and size(each["name"]) <= FIELD_NAME_CHARACTERS for each in fields)
    assert all(each["value"].strip() and size(each["value"]) <= FIELD_VALUE_CHARACTERS for each in fields)
    whole = embed["title"] + embed["description"] + "".join(each["name"] + each["value"] for each in fields)
    assert size(whole) <= EMBED_CHARACTERS
    assert "\x1b" not in whole
    assert "\u202e" not in whole
    if len(fields) < len(facts):
        assert "more did not fit" in fields[-1]["value"]


@given(FOREIGN)
def test_what_others_wrote_is_shown_as_they_wrote_it(text: str) -> None:
    """Read as Discord reads it, the backslashes go and nothing else happens."""
    for shown, meant in ((markdown.line(text, 99999), as_line(text)), (markdown.lines(text, 99999), as_lines(text))):
        assert re.sub(r"\\([^0-9A-Za-z\s])", r"\1", shown) == (meant.strip() or "–")
        bare = re.sub(r"\\[^0-9A-Za-z\s]", "x", shown)
        assert not re.search(r"[*~`|\[\]]|<\S|@everyone|@here|\w://|^[ \t]*([-+>#]|\d+\.[ \t])", bare, re.MULTILINE)


@pytest.mark.parametrize(
    "text",
    [
        "[click](http://evil.example)",
        "http://evil.example",
        "@everyone look",
        "<@123> <#1> <:e:1>",
        "# heading",
        "- list",
        "> quote",
        "1. first",
        "```code```",
        "||hidden||",
        "_sly_",
    ],
)
def test_markdown_in_title_reason_and_facts_stays_text(text: str) -> None:
    embed = Message(Level.FAILURE, text, (text,), {text: text}).as_embed()
    [fact] = embed["fields"]
    for shown in (embed["title"], embed["description"], fact["name"], fact["value"]):
        assert "\\" in shown or text[0] in "#->1"  # behind the mark a title is no heading
        assert "](http" not in shown
        assert "@everyone" not in shown.replace("\\@everyone", "")


@pytest.mark.parametrize("text", ["weekly_ml_pipeline failed", "F1 .8812, 95 % (0.87 - 0.89)", "no use case 'x'"])
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert Message(Level.FAILURE, "t", (text,)).as_embed()["description"] == text


def test_three_long_links_leave_room_for_the_reason_and_are_whole_or_left_out() -> None:
    links = {name: f"http://a/{name * 1600}" for name in "xyz"}
    description = Message(Level.FAILURE, "t", ("the disk is full. " * 300,), {}, links).as_embed()["description"]
    assert len(description) <= DESCRIPTION_CHARACTERS
    assert description.startswith("the disk is full.")
    assert "…" in description.split("\n\n")[0]
    kept = re.findall(r"\[(.)\]\((http://a/.*?)\)", description)
    assert kept == [(name, links[name]) for name, _ in kept]
    assert f"… {3 - len(kept)} more did not fit" in description


def test_an_address_is_kept_working_and_cannot_break_out_of_its_link() -> None:
    links = {"a]b": "http://h/a b(c)?q=%20&r=1#f", "no": "javascript:alert(1)", "six": "http://[::1]:80/"}
    description = Message(Level.SUCCESS, "t", (), {}, links).as_embed()["description"]
    assert description == r"[a\]b](http://h/a%20b%28c%29?q=%20&r=1#f) · [six](http://[::1]:80/)"
