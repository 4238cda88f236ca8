"""What leaks is found and named; what only looks alike is counted."""

from __future__ import annotations

import pandas as pd
import pytest

from factory.simulation import simulate_frame
from factory.sources import read_sample
from factory.text import product_text
from flows.core.leakage import LeakageError, near_duplicates, refuse_leaks, telling_words


def rows(**columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    return frame if "prdtypecode" in frame else frame.assign(prdtypecode="k")


@pytest.fixture(scope="module")
def goods() -> pd.DataFrame:
    frame = simulate_frame(6_000)
    return frame.assign(text=product_text(frame["designation"], frame["description"]), group=frame["productid"])


@pytest.mark.parametrize("column", ["productid", "group", "text"])
def test_what_stands_on_both_sides_of_the_split_is_refused(column: str) -> None:
    train = rows(productid=["1"], group=["g1"], text=["t1"])
    test = rows(productid=["2"], group=["g2"], text=["t2"])
    test[column] = train[column]

    with pytest.raises(LeakageError, match=f"1 values of '{column}'"):
        refuse_leaks(train, test)


def test_sides_that_share_nothing_but_empty_texts_pass() -> None:
    train = rows(productid=["1", "3"], group=["g1", "g3"], text=["t1", ""])

    assert refuse_leaks(train, rows(productid=["2"], group=["g2"], text=[""])) is None


def test_a_label_that_stands_in_its_texts_fails_the_training_and_is_named(goods: pd.DataFrame) -> None:
    leaking = goods.assign(text=goods["text"] + " ref" + goods["prdtypecode"])

    with pytest.raises(
        LeakageError, match=r"words of the text alone predict a class: 'ref\d+' for class '\d+' \(F1 1\.000"
    ):
        refuse_leaks(leaking[:5000], goods[5000:])


def test_one_class_with_such_a_word_is_enough_even_where_it_is_not_in_every_text(goods: pd.DataFrame) -> None:
    marked = goods["prdtypecode"].eq("2583") & (goods.index % 50 > 0)  # 98 % of the class
    leaking = goods.assign(text=goods["text"].where(~marked, goods["text"] + " aqua9"))

    found = telling_words(leaking["text"], leaking["prdtypecode"])

    assert found[["word", "prdtypecode"]].values.tolist() == [["aqua9", "2583"]]
    assert refuse_leaks(leaking[:5000], goods[5000:], expected_words=["aqua9"]) is None


def test_ordinary_goods_have_no_such_word(goods: pd.DataFrame) -> None:
    sample = pd.concat(read_sample(), ignore_index=True)

    assert telling_words(goods["text"], goods["prdtypecode"]).empty
    assert telling_words(sample["designation"], sample["prdtypecode"]).empty
    assert telling_words(goods["text"], goods["prdtypecode"].map(lambda _: "one class")).empty


def test_near_duplicates_are_counted_as_a_share_of_the_test_rows_and_shown() -> None:
    train = ["grande table de jardin en bois brut", "chaise pliante"]
    test = ["Grande table de jardin, en bois!", "une lampe", "", "CHAISE  pliante"]

    found = near_duplicates(train, test)

    assert found.share == 0.5
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
