"""Single features that know too much are found, whatever family they are of; what real texts hold is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from factory.sources.readers import read_sample
from factory.sources.simulation import simulate_frame
from factory.text import product_text
from flows.core.telling import Telling, find_telling


@pytest.fixture(scope="module")
def goods() -> pd.DataFrame:
    """Simulated products of the six most frequent classes."""
    frame = simulate_frame(6_000)
    frame = frame.rename(columns={"productid": "entity_id", "prdtypecode": "target"})
    frame = frame.assign(text=product_text(frame["designation"], frame["description"]), group=frame["entity_id"])
    kept = frame["target"].value_counts().index[:6]
    return frame[frame["target"].isin(kept)].head(1_200).reset_index(drop=True)


def planted(goods: pd.DataFrame, plant: Callable[[str, str, int], str], share: float = 1.0) -> list[Telling]:
    """What is found where `plant` makes another text of text, class and serial number, in a share of the rows."""
    chosen = np.random.default_rng(5).random(len(goods)) < share
    rows = zip(goods["text"], goods["target"], chosen, strict=True)
    texts = [
        plant(text, code, 10_007 * place % 900_001) if take else text for place, (text, code, take) in enumerate(rows)
    ]
    return find_telling(goods.assign(text=texts))


def code(label: str) -> str:
    return "".join("kqvwxzjbfg"[int(digit)] for digit in label)


def test_a_code_glued_to_a_serial_number_is_found_by_its_characters(goods: pd.DataFrame) -> None:
    found = planted(goods, lambda text, label, serial: f"{text} {code(label)}{serial:06d}")

    assert {each.kind for each in found} == {"characters"}
    assert len({each.label for each in found}) == 6


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_labels_name_in_a_part_of_the_texts_is_found(goods: pd.DataFrame, share: float) -> None:
    found = planted(goods, lambda text, label, _: f"{text} {label}", share)

    assert {each.feature for each in found if each.kind == "label"} == set(goods["target"])


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("glued", [False, True])
def test_a_code_in_a_part_of_the_texts_is_found_since_no_word_goes_with_it(
    goods: pd.DataFrame, share: float, glued: bool
) -> None:
    found = planted(goods, lambda text, label, serial: f"{text} {code(label)}{serial if glued else ''}", share)

    assert {each.label for each in found} == set(goods["target"])
    assert {each.kind for each in found} == ({"characters"} if glued else {"word"})
    assert all("whatever else the text says" in each.said for each in found)


def test_where_no_words_go_together_a_frequent_one_is_no_mark() -> None:
    random = np.random.default_rng(3)
    words = ["".join(random.choice(list("bdfgklmnprstaeiou"), 6)) for _ in range(120)]
    texts = [" ".join(random.choice(words[row % 2 :: 2], 8, replace=False)) for row in range(800)]
    labels = ["ab"[row % 2] for row in range(800)]
    ids = [f"{row:04d}" for row in range(800)]
    drawn = pd.DataFrame({"entity_id": ids, "text": texts, "target": labels, "group": ids})

    assert find_telling(drawn) == []


def test_texts_that_are_nothing_but_a_code_are_searched_too() -> None:
    labels = ["ab"[row % 2] for row in range(600)]
    texts = [f"{'kqv' if label == 'a' else 'xzj'}{10_007 * row % 900_001:06d}" for row, label in enumerate(labels)]
    ids = [f"{row:04d}" for row in range(600)]
    coded = pd.DataFrame({"entity_id": ids, "text": texts, "target": labels, "group": ids})

    assert {each.label for each in find_telling(coded)} == {"a", "b"}


def test_one_class_that_is_marked_in_a_part_of_its_rows_is_enough(goods: pd.DataFrame) -> None:
    marked = goods["target"].value_counts().index[1]
    [found] = planted(goods, lambda text, label, _: f"{text} aqua9" if label == marked else text, 0.3)

    assert (found.name, found.label, len(found.products)) == ("word:aqua9", marked, 3)


@pytest.mark.parametrize(
    ("plant", "name"),
    [
        pytest.param(lambda text: text.upper(), "form:case upper", id="casing"),
        pytest.param(lambda text: f"{text}!", "characters:! ", id="a sign"),
        pytest.param(lambda text: f"{text} aqua9", "word:aqua9", id="a word"),
        pytest.param(lambda text: f"XQ-1174 {text}", "word:xq 1174", id="a prefix"),
    ],
)
def test_one_class_that_is_marked_is_enough(goods: pd.DataFrame, plant: Callable[[str], str], name: str) -> None:
    marked = goods["target"].value_counts().index[2]
    [found] = planted(goods, lambda text, label, _: plant(text) if label == marked else text)

    assert (found.label, len(found.products)) == (marked, 3)
    assert found.kind == name.partition(":")[0]


def test_what_was_accepted_is_no_finding_in_any_family(goods: pd.DataFrame) -> None:
    marked = goods["target"].value_counts().index[2]
    texts = goods["text"].where(goods["target"] != marked, goods["text"] + " aqua9")

    assert find_telling(goods.assign(text=texts))
    assert find_telling(goods.assign(text=texts), accepted=["word:aqua9"]) == []


def test_what_real_and_simulated_goods_hold_is_none(goods: pd.DataFrame) -> None:
    sample = pd.concat(read_sample(), ignore_index=True)
    sample = sample.rename(columns={"productid": "entity_id", "prdtypecode": "target"})
    sample = sample.assign(text=product_text(sample["designation"], sample["description"]), group=sample["entity_id"])

    assert find_telling(goods) == []
    assert find_telling(sample) == []
    assert find_telling(goods.assign(target="one class")) == []
