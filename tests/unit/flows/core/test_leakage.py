"""What leaks is found and named; what only looks alike is counted."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pandas as pd
import pytest

from factory.sources.simulation import simulate_frame
from factory.text import product_text
from flows.core.leakage import LeakageError, near_duplicates, refuse_leaks


def rows(**columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    return frame if "target" in frame else frame.assign(target="k")


@pytest.fixture(scope="module")
def goods() -> pd.DataFrame:
    frame = simulate_frame(6_000)
    frame = frame.rename(columns={"productid": "entity_id", "prdtypecode": "target"})
    return frame.assign(text=product_text(frame["designation"], frame["description"]), group=frame["entity_id"])


@pytest.mark.parametrize("column", ["entity_id", "group", "text"])
def test_what_stands_on_both_sides_of_the_split_is_refused(column: str) -> None:
    train = rows(entity_id=["1"], group=["g1"], text=["t1"])
    test = rows(entity_id=["2"], group=["g2"], text=["t2"])
    test[column] = train[column]

    with pytest.raises(LeakageError, match=f"1 values of '{column}'"):
        refuse_leaks(train, test)


def test_sides_that_share_nothing_but_empty_texts_pass() -> None:
    train = rows(entity_id=["1", "3"], group=["g1", "g3"], text=["t1", ""])

    assert refuse_leaks(train, rows(entity_id=["2"], group=["g2"], text=[""])) is None


def test_what_leaks_is_named_with_rows_and_one_command_that_accepts_all_of_it(goods: pd.DataFrame) -> None:
    few = goods[goods["target"].isin(goods["target"].value_counts().index[:4])].head(800)
    leaking = few.assign(text=few["text"] + " ref" + few["target"])

    with pytest.raises(LeakageError, match=r"features of the texts know too much of a class") as told:
        refuse_leaks(leaking[:600], few[600:])

    message = str(told.value)
    assert "the word 'ref2583' alone tells class '2583' (F1 1.000" in message
    assert re.search(r"such as products \w+, \w+, \w+", message)
    command = shlex.split(message.splitlines()[-1])
    assert command[:4] == ["python", "-m", "factory", "accept"]
    accepted = [value for option, value in pairwise(command) if option == "--leak"]
    assert "word:ref2583" in accepted
    assert refuse_leaks(leaking[:600], few[600:], accepted=accepted) is None


def test_near_duplicates_are_counted_as_a_share_of_the_test_rows_and_shown() -> None:
    train = ["grande table de jardin en bois brut", "chaise pliante"]
    test = ["Grande table de jardin, en bois!", "une lampe", "", "CHAISE  pliante"]

    found = near_duplicates(train, test)

    assert found.share == 0.5
    assert found.rows == (0, 3)
    assert found.pairs == ((test[3], train[1], 1.0), (test[0], train[0], pytest.approx(6 / 7)))
    assert found.sentence(0.35).startswith(
        "50.0% of the test rows nearly equal a training row (alarm above 35%), such as"
    )


def test_variants_of_one_product_are_found_among_thousands(goods: pd.DataFrame) -> None:
    """A word more in a text of 20 to 30 is far above the threshold: no such pair may be missed."""
    train = goods["text"][:5000].tolist()
    long = [text for text in train if len(set(text.split())) >= 20][:200]

    assert near_duplicates(train, [f"{text} bleu" for text in long]).share == 1.0


def test_neither_side_may_be_missing() -> None:
    assert near_duplicates([], ["a b c"]).share == 0.0
    assert near_duplicates(["a b c"], []).share == 0.0
