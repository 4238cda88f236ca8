"""What a person is asked, and when nobody is."""

from __future__ import annotations

from factory.approval import compose_question
from factory.contracts import GateCheck
from tests.decision import DECISION

JUDGED = DECISION.model_copy(
    update={
        "rehearsal": True,
        "checks": (GateCheck(rule="floor", passed=True, said="weighted F1 0.8900 reaches the floor 0.7500"),),
        "mlflow_url": "http://mlflow.test/#/models/products/versions/3",
    }
)


def test_a_person_sees_both_models_numbers_every_rule_and_where_to_look() -> None:
    question = compose_question(JUDGED)

    assert "Version **3** of **products**" in question
    assert "take the place of version 2" in question
    assert "| weighted F1 | 0.8900 | 0.8700 |" in question
    assert "- weighted F1 0.8900 reaches the floor 0.7500" in question
    assert f"[Model card]({JUDGED.card_url})" in question
    assert f"[MLflow]({JUDGED.mlflow_url})" in question


def test_the_first_challenger_has_nobody_beside_it() -> None:
    first = JUDGED.model_copy(update={"previous_champion_version": None, "previous_champion_metrics": None})

    assert "There is no champion yet." in compose_question(first)
    assert "| weighted F1 | 0.8900 | – |" in compose_question(first)


def test_nobody_is_asked_for_what_the_gate_refuses() -> None:
    assert compose_question(JUDGED.model_copy(update={"promoted": False})) == ""


def test_what_others_wrote_is_text_in_the_question() -> None:
    hostile = "[log in](http://evil.test) <img src=x> **F1**\x1b[2J\u202e"
    check = GateCheck(rule="classes", passed=True, said=f"no class falls: {hostile}")
    update = {"checks": (check,), "challenger_version": hostile, "mlflow_url": "javascript:alert(1)"}
    question = compose_question(JUDGED.model_copy(update=update))

    assert "javascript:" not in question
    assert "\\[log in\\]" in question
    assert not any(sign in question for sign in ("[log in](", " <img", "\x1b", "\u202e"))
