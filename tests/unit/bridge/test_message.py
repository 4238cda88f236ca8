"""One run, one embed, within Discord's limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bridge.notifications.message import (
    DESCRIPTION_CHARACTERS,
    EMBED_CHARACTERS,
    FIELDS,
    TITLE_CHARACTERS,
    Level,
    Message,
    compose,
)


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


def test_all_well_is_green() -> None:
    message = compose("weekly", results=[Result({"F1": ".88"})], links={"Airflow": "http://a"})
    assert message.level is Level.SUCCESS
    assert message.facts == {"F1": ".88"}


def test_a_reservation_is_yellow_and_said() -> None:
    message = compose("weekly", results=[Result(), Result(doubts=["Not promoted: a tie"])])
    assert message.level is Level.WARNING
    assert message.sentences == ("Not promoted: a tie",)


def test_a_failure_is_red_whatever_else_there_is() -> None:
    message = compose("weekly", results=[Result(doubts=["a doubt"])], failure="train failed")
    assert message.level is Level.FAILURE
    assert message.sentences == ("train failed", "a doubt")


def test_results_bring_links_of_their_own() -> None:
    message = compose("weekly", results=[Result(opened={"MLflow": "http://m"})], links={"Airflow": "http://a"})
    assert message.links == {"Airflow": "http://a", "MLflow": "http://m"}
    assert "[MLflow](http://m)" in message.as_embed()["description"]
    assert "MLflow: http://m" in message.as_text()


@given(
    title=st.text(max_size=400),
    sentences=st.lists(st.text(max_size=3000), max_size=4),
    facts=st.dictionaries(st.text(min_size=1, max_size=300), st.text(max_size=1500), max_size=30),
)
def test_no_embed_exceeds_discords_limits(title: str, sentences: list[str], facts: dict[str, str]) -> None:
    embed = Message(Level.FAILURE, title, tuple(sentences), facts, {"Airflow": "http://a"}).as_embed()
    fields = embed["fields"]
    assert len(embed["title"]) <= TITLE_CHARACTERS
    assert len(embed["description"]) <= DESCRIPTION_CHARACTERS
    assert "(http://a)" in embed["description"]
    assert len(fields) <= FIELDS
    assert all(each["value"] for each in fields)
    whole = len(embed["title"]) + len(embed["description"]) + sum(len(f["name"]) + len(f["value"]) for f in fields)
    assert whole <= EMBED_CHARACTERS
